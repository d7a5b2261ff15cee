// conv2d with NEON, on any 64-bit ARM core: 16 filters are four registers, popcount is of bytes.
//
//     per word of 3 pixels and 2 blocks          instructions   unit
//     ldp q, q, [weights]                                   4   load
//     ld1r {v.4s}, [input]                                  3   load, and vector to repeat the word
//     eor                                                  24   vector
//     cnt                                                  24   vector
//     add, of bytes                                        24   vector
//
// Bound: 75 vector instructions for 3 * 2 * 512 MAC, 41 MAC for each cycle and vector pipe. With the loop's own two
// per two words, the inner loop is 160 instructions for 6144 MAC: 106.7 per 4096 (tests/native/test_arm_loops.py).
// Counters are bytes and grow by at most 8 a word, so they are added into 32-bit lanes after 31 words (248 <= 255).
#include "kernels/conv2d/arm_count.h"
#include "kernels/conv2d/generic.h"
#include "kernels/lanes/neon_count.h"

namespace bittern {
namespace {

struct NeonCounter : NeonByteCount {
  template <int P, int B>
  using Tile = ArmTile<NeonCounter, P, B>;
  static constexpr int kInFlight = 3, kPixels = 3, kBlocks = 2;
};

}  // namespace

constexpr Conv2dDirect conv2d_arm_neon = conv2d_of<NeonCounter>("conv2d_arm_neon", kIsaNeon);

}  // namespace bittern
