// The inner loop of conv2d_pairs on aarch64, scheduled by hand. conv2d_pairs.h says what it computes,
// conv2d/arm_count.h why each instruction is an asm statement.
//
// Counters of 2 pixels and 2 blocks of 16 filters are 16 of the 32 registers. The other sixteen: two words of each pixel,
// two words of weights for eight filters, four results in flight, and the bytes of 1 that UDOT takes. The weights of
// the next eight filters are loaded four instructions before their use.
#pragma once

#include <arm_neon.h>

#include <cstdint>

#include "kernels/conv2d_pairs/generic.h"
#include "kernels/lanes/neon_count.h"
#include "kernels/lanes/unroll.h"

namespace bittern {
namespace {  // internal linkage: see lanes/portable.h

// Over a type V of counters (lanes/neon_count.h).
template <class V, int P, int B>
class ArmPairTile {
  using Quarter = typename V::Quarter;
  static constexpr int kQuarters = 4 * B, kGroups = 2 * B, kItems = 2 * P;  // a group: eight filters

 public:
  // Not inlined: among the code of the epilogue compilers would keep counters in memory.
  static __attribute__((noinline)) void count(const uint32_t* const (&first)[P], const PairedWeight<V, B>& weight,
                                              NeonLanes::Int (&counts)[P][B]) {
    Quarter c[P][kQuarters];
    clear(c);
    uint32x4_t total[P][kQuarters] = {};  // in memory, and touched every kCountWords pairs
    uint8x16_t ones = vdupq_n_u8(1);
    if constexpr (V::kCountWords == 0) __asm__("" : "+w"(ones));  // keeps it in a register
    const uint32_t* x[P];  // asm statements may change what lies in memory, such as `first`
    unroll<P>([&](auto p) BITTERN_LAMBDA { x[p] = first[p]; });
    const int64_t* offset = weight.offsets;
    const uint32_t* words = weight.words[0][0][0];
    for (int64_t left = weight.pairs; left > 0;) {
      int64_t n = left;
      if (V::kCountWords > 0 && n > V::kCountWords) n = V::kCountWords;
      left -= n;
      for (; n > 0; --n) {
        step(c, x, *offset++, words, ones);
        words += 2 * B * kBlock;
      }
      unroll<P, kQuarters>([&](auto p, auto q) BITTERN_LAMBDA { total[p][q] = V::add(total[p][q], c[p][q]); });
      clear(c);
    }
    unroll<P, B>([&](auto p, auto b) BITTERN_LAMBDA {
      counts[p][b] = {total[p][4 * b], total[p][4 * b + 1], total[p][4 * b + 2], total[p][4 * b + 3]};
    });
  }

 private:
  static BITTERN_INLINE void clear(Quarter (&c)[P][kQuarters]) {
    unroll<P, kQuarters>([&](auto p, auto q) BITTERN_LAMBDA { c[p][q] = Quarter{}; });
  }

  // Words w'0 and w'1 of eight filters.
  struct Weights {
    uint32x4_t w[2], different[2];
  };

  template <int kGroup>
  static BITTERN_INLINE void load(const uint32_t* words, Weights& to) {
    constexpr int kAt = (kGroup / 2) * 128 + (kGroup % 2) * 32;  // bytes
    __asm__ volatile("ldp %q0, %q1, [%2, %3]" : "=w"(to.w[0]), "=w"(to.w[1]) : "r"(words), "i"(kAt) : "memory");
    __asm__ volatile("ldp %q0, %q1, [%2, %3]"
                     : "=w"(to.different[0]), "=w"(to.different[1])
                     : "r"(words), "i"(kAt + 64)
                     : "memory");
  }

  // bits[i]: popcounts of bytes of what conv2d_pairs.h counts, of pixel i % P with quarter i / P. As statements of their
  // own, GCC would copy what BSL overwrites.
  static BITTERN_INLINE void popcounts(uint8x16_t (&bits)[4], const uint32x4_t (&x)[2], const uint32x4_t (&same)[2],
                                       const Weights& at) {
    __asm__ volatile(
        "eor %0.16b, %4.16b, %8.16b\n\t"
        "eor %1.16b, %5.16b, %8.16b\n\t"
        "eor %2.16b, %4.16b, %9.16b\n\t"
        "eor %3.16b, %5.16b, %9.16b\n\t"
        "bsl %0.16b, %6.16b, %10.16b\n\t"
        "bsl %1.16b, %7.16b, %10.16b\n\t"
        "bsl %2.16b, %6.16b, %11.16b\n\t"
        "bsl %3.16b, %7.16b, %11.16b\n\t"
        "cnt %0.16b, %0.16b\n\t"
        "cnt %1.16b, %1.16b\n\t"
        "cnt %2.16b, %2.16b\n\t"
        "cnt %3.16b, %3.16b"
        : "=&w"(bits[0]), "=&w"(bits[1]), "=&w"(bits[2]), "=&w"(bits[3])
        : "w"(x[0]), "w"(x[1]), "w"(same[0]), "w"(same[1]), "w"(at.w[0]), "w"(at.w[1]), "w"(at.different[0]),
          "w"(at.different[1]));
  }
  static BITTERN_INLINE void popcounts(uint8x16_t (&bits)[2], const uint32x4_t (&x)[1], const uint32x4_t (&same)[1],
                                       const Weights& at) {
    __asm__ volatile(
        "eor %0.16b, %2.16b, %4.16b\n\t"
        "eor %1.16b, %2.16b, %5.16b\n\t"
        "bsl %0.16b, %3.16b, %6.16b\n\t"
        "bsl %1.16b, %3.16b, %7.16b\n\t"
        "cnt %0.16b, %0.16b\n\t"
        "cnt %1.16b, %1.16b"
        : "=&w"(bits[0]), "=&w"(bits[1])
        : "w"(x[0]), "w"(same[0]), "w"(at.w[0]), "w"(at.w[1]), "w"(at.different[0]), "w"(at.different[1]));
  }

  // A pair of words of all pixels and blocks.
  static BITTERN_INLINE void step(Quarter (&c)[P][kQuarters], const uint32_t* const (&first)[P], int64_t offset,
                                  const uint32_t* words, uint8x16_t ones) {
    uint32x4_t x[P], same[P];
    unroll<P>([&](auto p) BITTERN_LAMBDA {
      const uint32_t* at = first[p] + offset;
      __asm__ volatile("ld1r {%0.4s}, [%1], #4" : "=w"(x[p]), "+r"(at) : : "memory");
      __asm__ volatile("ld1r {%0.4s}, [%1]" : "=w"(same[p]) : "r"(at) : "memory");
    });
    Weights weights;
    load<0>(words, weights);
    unroll<kGroups>([&](auto group) BITTERN_LAMBDA {
      uint8x16_t bits[kItems];  // of pixel i % P and quarter i / P of the group
      popcounts(bits, x, same, weights);
      if constexpr (group + 1 < kGroups) load<group + 1>(words, weights);
      unroll<kItems>([&](auto i) BITTERN_LAMBDA { V::add_bytes(c[i % P][2 * group + i / P], bits[i], ones); });
    });
  }
};

// What generic.h asks for, over the counters of a set (lanes/neon_count.h).
template <class Counters>
struct ArmPairs : Counters {
  using Int = typename Counters::Int;
  template <int P, int B>
  using PairTile = ArmPairTile<ArmPairs, P, B>;
  static constexpr int kPixels = 2, kBlocks = 2;
  static constexpr auto* input = pairs_input;

  using Counters::dot;
  static typename Counters::Float dot(Int valid, Int count, Int of_filter) {
    return Counters::dot(valid, Counters::sub(Counters::add(count, count), of_filter));
  }
};

}  // namespace
}  // namespace bittern
