// conv2d with NEON and UDOT, on cores from Cortex-A55 and A75 on: the loop of arm_neon.cc with another addition.
//
//     per word of 3 pixels and 2 blocks          instructions   unit
//     ldp q, q, [weights]                                   4   load
//     ld1r {v.4s}, [input]                                  3   load, and vector to repeat the word
//     eor                                                  24   vector
//     cnt                                                  24   vector
//     udot, with bytes of 1                                24   vector
//
// Bound: as without UDOT, which adds four bytes into each 32-bit counter in the one instruction that adding bytes takes
// too. What it saves is the widening of byte counters, about 110 instructions for every 31 words of 80 each: 4 %. A
// counter holds popcounts below 2^32.
#include "kernels/conv2d/arm_count.h"
#include "kernels/conv2d/generic.h"
#include "kernels/lanes/neon_count.h"

namespace bittern {
namespace {

struct NeonDotprodCounter : NeonDotprodCount {
  template <int P, int B>
  using Tile = ArmTile<NeonDotprodCounter, P, B>;
  static constexpr int kInFlight = 2, kPixels = 3, kBlocks = 2;
};

}  // namespace

constexpr Conv2dDirect conv2d_arm_neon_dotprod =
    conv2d_of<NeonDotprodCounter>("conv2d_arm_neon_dotprod", kIsaNeonDotprod);

}  // namespace bittern
