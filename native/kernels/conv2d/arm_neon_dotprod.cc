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
#include "kernels/lanes/neon.h"

namespace bittern {
namespace {

struct NeonDotprodCounter : NeonLanes {
  using Quarter = uint32x4_t;
  using Count = Int;  // where no Tile counts
  template <int P, int B>
  using Tile = ArmTile<NeonDotprodCounter, P, B>;
  static constexpr int kCountWords = 0, kInFlight = 2;
  static constexpr int kPixels = 3, kBlocks = 2;

  static BITTERN_INLINE void add_bytes(Quarter& c, uint8x16_t bits, uint8x16_t ones) {
    __asm__ volatile("udot %0.4s, %1.16b, %2.16b" : "+w"(c) : "w"(bits), "w"(ones));
  }
  using NeonLanes::add;
  static uint32x4_t add(uint32x4_t total, Quarter c) { return vaddq_u32(total, c); }

  static Count zero_count() { return broadcast(0u); }
  static Count count(Count c, Int x) {
    const uint8x16_t ones = vdupq_n_u8(1);
    return each<Int>(c, x,
                     [&](uint32x4_t p, uint32x4_t q) { return vdotq_u32(p, vcntq_u8(vreinterpretq_u8_u32(q)), ones); });
  }
  static Int total(Count c) { return c; }
  static Float dot(Int valid, Int count) { return to_float(sub(valid, add(count, count))); }
};

}  // namespace

constexpr Conv2dImplementation conv2d_arm_neon_dotprod =
    conv2d_of<NeonDotprodCounter>("conv2d_arm_neon_dotprod", kIsaNeonDotprod);

}  // namespace bittern
