// The inner loop of conv2d: popcounts of a tile, P output pixels times B blocks of 16 filters.
//
// Over a type V of sixteen lanes (lanes/*.h) that can also count:
//
//     V::Count                sixteen counters in the form that the instruction set adds to most cheaply
//     V::count(c, x)          c + popcount of each lane of x
//     V::total(c)             the counters as integers
//     V::kCountWords          additions before a Count may overflow; 0: never within the limits of conv2d.h
#pragma once

#include <cstdint>
#include <type_traits>

#include "kernels/conv2d/conv2d.h"
#include "kernels/conv2d/outputs.h"
#include "kernels/lanes/unroll.h"

namespace bittern {
namespace {  // internal linkage: see lanes/portable.h

// The sum of the popcounts of each lane, over any number of words.
template <class V>
class PopcountSum {
 public:
  BITTERN_INLINE PopcountSum() {
    if constexpr (kWide) {
      sum_ = V::zero_count();
    } else {
      sum_ = V::broadcast(0u);
    }
  }
  BITTERN_INLINE void add(typename V::Int x) {
    if constexpr (kWide) {
      sum_ = V::count(sum_, x);
    } else {
      sum_ = V::add(sum_, V::total(V::count(V::zero_count(), x)));
    }
  }
  BITTERN_INLINE typename V::Int total() const {
    if constexpr (kWide) {
      return V::total(sum_);
    } else {
      return sum_;
    }
  }

 private:
  static constexpr bool kWide = V::kCountWords == 0;
  std::conditional_t<kWide, typename V::Count, typename V::Int> sum_;
};

// counts[p][b] = popcounts of pixel p with the 16 filters of block b.
template <class V, int P, int B, bool kMasked>
BITTERN_INLINE void count_tile(const Conv2dArgs& args, const uint32_t* const (&first)[P], const uint32_t* weight,
                               typename V::Int (&counts)[P][B]) {
  const int64_t runs = args.runs, run_words = args.run_words, block_stride = runs * run_words * kBlock;
  const int64_t* offset = args.run_offsets;
  typename V::Count acc[P][B];
  unroll<P, B>([&](auto p, auto b) { acc[p][b] = V::zero_count(); });
  const auto add_words = [&](const uint32_t* const(&x)[P], int64_t begin, int64_t end) BITTERN_LAMBDA {
    for (int64_t i = begin; i < end; ++i, weight += kBlock) {
      typename V::Int w[B];
      unroll<B>([&](auto b) { w[b] = V::load(weight + b * block_stride); });
      [[maybe_unused]] typename V::Int mask;
      if constexpr (kMasked) mask = V::load(args.mask + i * kBlock);
      unroll<P>([&](auto p) BITTERN_LAMBDA {
        const typename V::Int a = V::broadcast(x[p][i]);
        unroll<B>([&](auto b) BITTERN_LAMBDA {
          typename V::Int differ = V::bit_xor(a, w[b]);
          if constexpr (kMasked) differ = V::bit_and(differ, mask);
          acc[p][b] = V::count(acc[p][b], differ);
        });
      });
    }
  };
  if constexpr (V::kCountWords == 0) {
    for (int64_t r = 0; r < runs; ++r) {
      const uint32_t* x[P];
      unroll<P>([&](auto p) { x[p] = first[p] + offset[r]; });
      add_words(x, 0, run_words);
    }
    unroll<P, B>([&](auto p, auto b) { counts[p][b] = V::total(acc[p][b]); });
  } else {
    unroll<P, B>([&](auto p, auto b) { counts[p][b] = V::broadcast(0u); });
    const auto flush = [&]() BITTERN_LAMBDA {
      unroll<P, B>([&](auto p, auto b) BITTERN_LAMBDA {
        counts[p][b] = V::add(counts[p][b], V::total(acc[p][b]));
        acc[p][b] = V::zero_count();
      });
    };
    int64_t room = V::kCountWords;
    for (int64_t r = 0; r < runs; ++r) {
      const uint32_t* x[P];
      unroll<P>([&](auto p) { x[p] = first[p] + offset[r]; });
      for (int64_t i = 0; i < run_words;) {
        const int64_t rest = run_words - i, n = rest < room ? rest : room;
        add_words(x, i, i + n);
        i += n;
        room -= n;
        if (room == 0) {
          flush();
          room = V::kCountWords;
        }
      }
    }
    flush();
  }
}

}  // namespace
}  // namespace bittern
