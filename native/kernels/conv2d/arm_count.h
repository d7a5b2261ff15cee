// The inner loop of conv2d on aarch64, scheduled by hand. count.h says what it computes.
//
// Counters of 3 pixels and 2 blocks of 16 filters are 24 of the 32 registers. The other eight: a word of each pixel, a
// pair of weights (4 filters each), and three results in flight, or two beside the bytes of 1 that UDOT takes.
// Compilers load every weight of a block before they use the first, which is more than there are registers, and then
// keep counters in memory. So each instruction is an asm statement: these keep their order, and the compiler only
// allocates registers. Within a step of two words all operands are loaded six or more instructions before their use,
// for cores that execute in order.
#pragma once

#include <arm_neon.h>

#include <cstdint>

#include "kernels/conv2d/conv2d.h"
#include "kernels/lanes/neon_count.h"
#include "kernels/lanes/unroll.h"

namespace bittern {
namespace {  // internal linkage: see lanes/portable.h

// Over a type V of counters (lanes/neon_count.h) with V::kInFlight results in flight.
template <class V, int P, int B>
class ArmTile {
  using Quarter = typename V::Quarter;
  static constexpr int kQuarters = 4 * B, kPairs = 2 * B;

 public:
  // Not inlined: among the code of the epilogue compilers would again keep counters in memory.
  static __attribute__((noinline)) void count(const Conv2dArgs& args, const uint32_t* const (&first)[P],
                                              const uint32_t* weight, NeonLanes::Int (&counts)[P][B]) {
    const int64_t block_stride = args.runs * args.run_words * kBlock;
    Quarter c[P][kQuarters];
    clear(c);
    uint32x4_t total[P][kQuarters] = {};  // in memory, and touched every kCountWords words
    int64_t room = V::kCountWords;
    for (int64_t r = 0; r < args.runs; ++r) {
      for (int64_t i = 0; i < args.run_words;) {
        int64_t n = args.run_words - i;
        if (V::kCountWords > 0 && n > room) n = room;
        const int64_t offset = args.run_offsets[r] + i;
        add_words(c, first, offset, weight, block_stride, n);
        weight += n * kBlock;
        i += n;
        if (V::kCountWords > 0 && (room -= n) == 0) {
          add_to(total, c);
          clear(c);
          room = V::kCountWords;
        }
      }
    }
    add_to(total, c);
    unroll<P, B>([&](auto p, auto b) BITTERN_LAMBDA {
      counts[p][b] = {total[p][4 * b], total[p][4 * b + 1], total[p][4 * b + 2], total[p][4 * b + 3]};
    });
  }

 private:
  static BITTERN_INLINE void add_words(Quarter (&c)[P][kQuarters], const uint32_t* const (&first)[P], int64_t offset,
                                       const uint32_t* weight, int64_t block_stride, int64_t n) {
    ArmTile at;
    at.ones_ = vdupq_n_u8(1);
    __asm__("" : "+w"(at.ones_));  // keeps it in a register
    unroll<P>([&](auto p) BITTERN_LAMBDA { at.input_[p] = first[p] + offset; });
    unroll<B>([&](auto b) BITTERN_LAMBDA { at.weight_[b] = weight + b * block_stride; });
    if (n % 2 != 0) at.template step<1>(c);
    for (int64_t steps = n / 2; steps > 0; --steps) at.template step<2>(c);
  }

  static BITTERN_INLINE void clear(Quarter (&c)[P][kQuarters]) {
    unroll<P, kQuarters>([&](auto p, auto q) BITTERN_LAMBDA { c[p][q] = Quarter{}; });
  }
  static BITTERN_INLINE void add_to(uint32x4_t (&total)[P][kQuarters], const Quarter (&c)[P][kQuarters]) {
    unroll<P, kQuarters>([&](auto p, auto q) BITTERN_LAMBDA { total[p][q] = V::add(total[p][q], c[p][q]); });
  }

  // kWords adjacent words of all pixels and blocks.
  template <int kWords>
  BITTERN_INLINE void step(Quarter (&c)[P][kQuarters]) {
    load_words();
    load_pair<0>();
    unroll<kWords * kPairs>([&](auto i) BITTERN_LAMBDA {
      constexpr int kPair = i % kPairs, kLast = i + 1 == kWords * kPairs;
      add_pair<kPair>(c, [&]() BITTERN_LAMBDA {
        if constexpr (kPair + 1 == kPairs && !kLast) load_words();
        if constexpr (!kLast) load_pair<(kPair + 1) % kPairs>();
      });
    });
  }

  BITTERN_INLINE void load_words() {
    unroll<P>([&](auto p) BITTERN_LAMBDA {
      __asm__ volatile("ld1r {%0.4s}, [%1], #4" : "=w"(word_[p]), "+r"(input_[p]) : : "memory");
    });
  }

  template <int kPair>
  BITTERN_INLINE void load_pair() {
    __asm__ volatile("ldp %q0, %q1, [%2], #32" : "=w"(pair_[0]), "=w"(pair_[1]), "+r"(weight_[kPair / 2]) : : "memory");
  }

  // The pair in registers with the words of all pixels. Calls `load` once the pair and the words are no longer needed.
  template <int kPair, class Load>
  BITTERN_INLINE void add_pair(Quarter (&c)[P][kQuarters], const Load& load) {
    constexpr int kItems = 2 * P, kGroup = V::kInFlight, kGroups = (kItems + kGroup - 1) / kGroup;
    unroll<kGroups>([&](auto group) BITTERN_LAMBDA {
      constexpr int kFirst = group * kGroup, kCount = kItems - kFirst < kGroup ? kItems - kFirst : kGroup;
      uint8x16_t bits[kCount];
      unroll<kCount>([&](auto i) BITTERN_LAMBDA {
        constexpr int kItem = kFirst + i;
        bits[i] = different(word_[kItem % P], pair_[kItem / P]);
      });
      if constexpr (kFirst + kCount == kItems) load();
      unroll<kCount>([&](auto i) BITTERN_LAMBDA { bits[i] = popcount(bits[i]); });
      unroll<kCount>([&](auto i) BITTERN_LAMBDA {
        constexpr int kItem = kFirst + i;
        V::add_bytes(c[kItem % P][2 * kPair + kItem / P], bits[i], ones_);
      });
    });
  }

  static BITTERN_INLINE uint8x16_t different(uint32x4_t x, uint32x4_t y) {
    uint8x16_t bits;
    __asm__ volatile("eor %0.16b, %1.16b, %2.16b" : "=w"(bits) : "w"(x), "w"(y));
    return bits;
  }
  static BITTERN_INLINE uint8x16_t popcount(uint8x16_t bits) {
    uint8x16_t counts;
    __asm__ volatile("cnt %0.16b, %1.16b" : "=w"(counts) : "w"(bits));
    return counts;
  }

  const uint32_t* input_[P];
  const uint32_t* weight_[B];
  uint32x4_t word_[P], pair_[2];
  uint8x16_t ones_;
};

}  // namespace
}  // namespace bittern
