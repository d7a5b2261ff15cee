// Sixteen 32-bit lanes as four 128-bit registers that count bits (conv2d/count.h): CNT counts those of bytes.
//
//     Quarter                        counters of four filters
//     add_bytes(c, bits, ones)       adds the bytes of `bits` to the quarter c in one instruction; `ones` are bytes of 1
//     add(total, c)                  four integers and a quarter
#pragma once

#include <arm_neon.h>

#include <cstdint>

#include "kernels/lanes/neon.h"
#include "kernels/lanes/unroll.h"

namespace bittern {
namespace {  // internal linkage: see lanes/portable.h

// Counters are bytes and grow by at most 8 a word: 31 words are at most 248.
struct NeonByteCount : NeonLanes {
  using Quarter = uint8x16_t;
  struct Count {
    Quarter a, b, c, d;
  };
  static constexpr int kCountWords = 31;

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

#if defined(__ARM_FEATURE_DOTPROD)
// Counters are integers: UDOT with bytes of 1 adds four bytes into each.
struct NeonDotprodCount : NeonLanes {
  using Quarter = uint32x4_t;
  using Count = Int;
  static constexpr int kCountWords = 0;

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
#endif

}  // namespace
}  // namespace bittern
