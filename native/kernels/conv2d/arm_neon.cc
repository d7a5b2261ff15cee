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
#include "kernels/lanes/neon.h"

namespace bittern {
namespace {

struct NeonCounter : NeonLanes {
  using Quarter = uint8x16_t;
  struct Count {
    Quarter a, b, c, d;
  };
  template <int P, int B>
  using Tile = ArmTile<NeonCounter, P, B>;
  static constexpr int kCountWords = 31, kInFlight = 3;
  static constexpr int kPixels = 3, kBlocks = 2;

  static BITTERN_INLINE void add_bytes(Quarter& c, uint8x16_t bits, uint8x16_t /*ones*/) {
    __asm__ volatile("add %0.16b, %0.16b, %1.16b" : "+w"(c) : "w"(bits));
  }
  using NeonLanes::add;
  static uint32x4_t add(uint32x4_t total, Quarter c) { return vpadalq_u16(total, vpaddlq_u8(c)); }

  static Count zero_count() { return {vdupq_n_u8(0), vdupq_n_u8(0), vdupq_n_u8(0), vdupq_n_u8(0)}; }
  static Quarter count(Quarter c, uint32x4_t x) { return vaddq_u8(c, vcntq_u8(vreinterpretq_u8_u32(x))); }
  static Count count(Count c, Int x) { return {count(c.a, x.a), count(c.b, x.b), count(c.c, x.c), count(c.d, x.d)}; }
  static Int total(Count c) {
    const uint32x4_t zero = vdupq_n_u32(0);
    return {add(zero, c.a), add(zero, c.b), add(zero, c.c), add(zero, c.d)};
  }
  static Float dot(Int valid, Int count) { return to_float(sub(valid, add(count, count))); }
};

}  // namespace

constexpr Conv2dImplementation conv2d_arm_neon = conv2d_of<NeonCounter>("conv2d_arm_neon", kIsaNeon);

}  // namespace bittern
