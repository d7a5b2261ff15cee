// The loops of conv2d_pairs over a type V that counts (conv2d/count.h), and:
//
//     V::add_pair(c, x, w, different)    c[b] += popcount of (x[0] ^ w[b] ? x[1] : different[b]) of each lane
//     V::input                           Conv2dPairs::input, such as pairs_input
//     V::kPixels, V::kBlocks             as many counters as fit into the registers, beside two words of each block of
//                                        weights and two of input
#pragma once

#include <cstdint>

#include "kernels/conv2d/tile.h"
#include "kernels/conv2d_pairs/conv2d_pairs.h"
#include "kernels/lanes/unroll.h"

namespace bittern {
namespace {  // internal linkage: see lanes/portable.h

// counts[p][b] = what conv2d_pairs.h sums, of pixel p with the 16 filters of block b.
template <class V, int P, int B>
BITTERN_INLINE void count_pairs(const Conv2dArgs& args, const uint32_t* const (&first)[P], const uint32_t* weight,
                                typename V::Int (&counts)[P][B]) {
  const int64_t run_words = args.run_words, block_stride = args.runs * run_words * kBlock;
  typename V::Count acc[P][B];
  unroll<P, B>([&](auto p, auto b) { acc[p][b] = V::zero_count(); });
  for (int64_t r = 0; r < args.runs; ++r) {
    const uint32_t* x[P];
    unroll<P>([&](auto p) { x[p] = first[p] + args.run_offsets[r]; });
    for (int64_t i = 0; i < run_words; i += 2, weight += 2 * kBlock) {
      typename V::Int w[B], different[B];
      unroll<B>([&](auto b) BITTERN_LAMBDA {
        w[b] = V::load(weight + b * block_stride);
        different[b] = V::load(weight + b * block_stride + kBlock);
      });
      unroll<P>([&](auto p) BITTERN_LAMBDA { V::add_pair(acc[p], x[p] + i, w, different); });
    }
  }
  unroll<P, B>([&](auto p, auto b) BITTERN_LAMBDA { counts[p][b] = V::total(acc[p][b]); });
}

// P pixels from `at` on, which moves past them, times B blocks of filters from `filter` on.
template <class V, int P, int B>
BITTERN_INLINE void run_pairs_tile(const Conv2dArgs& args, Pixel& at, int64_t filter) {
  const TilePixels<P> pixels(args, at);
  typename V::Int counts[P][B];
  count_pairs<V, P, B>(args, pixels.first, args.weight + filter * args.runs * args.run_words, counts);
  finish<V, P, B, P == V::kPixels && B == V::kBlocks>(args, pixels, filter, counts);
}

// Pixels up to `end`: P at a time, then half as many.
template <class V, int P, int B>
void run_pairs_pixels(const Conv2dArgs& args, Pixel& at, int64_t end, int64_t filter) {
  if constexpr (P > 0) {
    while (end - at.index() >= P) run_pairs_tile<V, P, B>(args, at, filter);
    run_pairs_pixels<V, P / 2, B>(args, at, end, filter);
  }
}

// All filters from `filter` on, for all pixels: tiles of B blocks as far as they go, then narrower ones.
template <class V, int B>
void run_pairs_filters(const Conv2dArgs& args, int64_t begin, int64_t end, int64_t filter) {
  if constexpr (B > 0) {
    for (; args.filters - filter > (B - 1) * kBlock; filter += B * kBlock) {
      Pixel at(args, begin);
      run_pairs_pixels<V, V::kPixels, B>(args, at, end, filter);
    }
    run_pairs_filters<V, B / 2>(args, begin, end, filter);
  }
}

template <class V>
void run_conv2d_pairs(const Conv2dArgs& args, int64_t begin, int64_t end) {
  run_pairs_filters<V, V::kBlocks>(args, begin, end, 0);
}

template <class V>
void run_pairs_weight(const uint32_t* weight, int64_t words, int64_t begin, int64_t end, uint32_t* to,
                      uint32_t* filter_counts) {
  weight += begin * words * kBlock;
  to += begin * words * kBlock;
  for (int64_t block = begin; block < end; ++block) {
    typename V::Count sum = V::zero_count();
    for (int64_t k = 0; k < words; k += 2, weight += 2 * kBlock, to += 2 * kBlock) {
      const typename V::Int w = V::load(weight), different = V::bit_xor(w, V::load(weight + kBlock));
      V::store(to, w);
      V::store(to + kBlock, different);
      sum = V::count(sum, different);
    }
    V::store(filter_counts + block * kBlock, V::total(sum));
  }
}

inline void pairs_input(const uint32_t* words, int64_t pixel_words, int64_t begin, int64_t end, uint32_t* to,
                        uint32_t* counts) {
  for (int64_t p = begin; p < end; ++p) {
    uint32_t count = 0;
    for (int64_t i = p * pixel_words; i < (p + 1) * pixel_words; i += 2) {
      const uint32_t second = words[i + 1], different = words[i] ^ second;
      to[i] = second;
      to[i + 1] = ~different;
      count += static_cast<uint32_t>(__builtin_popcount(different));
    }
    counts[p] = count;
  }
}

// sums[i] = the window's sum that begins at from[i], i < 16.
template <class V, class Load>
BITTERN_INLINE typename V::Int window_sums(const Conv2dArgs& args, int64_t pixel_words, const uint32_t* from,
                                           const Load& load) {
  const int64_t taps = args.run_words / pixel_words;
  typename V::Int sum = V::broadcast(0u);
  for (int64_t r = 0; r < args.runs; ++r) {
    const uint32_t* tap = from + args.run_offsets[r] / pixel_words;
    for (const uint32_t* last = tap + taps; tap < last; ++tap) sum = V::add(sum, load(tap));
  }
  return sum;
}

template <class V>
void run_pairs_windows(const Conv2dArgs& args, int64_t pixel_words, const uint32_t* counts, int64_t begin, int64_t end,
                       uint32_t* pixel_counts) {
  const int64_t step = args.pixel_stride / pixel_words, width = (args.out_width - 1) * step + 1;
  for (int64_t row = begin; row < end; ++row) {
    const int64_t image = row / args.out_height, y = row % args.out_height;
    const uint32_t* from = counts + (image * args.image_stride + y * args.row_stride) / pixel_words;
    uint32_t* to = pixel_counts + row * args.out_width;
    for (int64_t x = 0; x < width; x += kBlock) {
      const int n = static_cast<int>(width - x < kBlock ? width - x : kBlock);
      const typename V::Int sums =
          n == kBlock ? window_sums<V>(args, pixel_words, from + x, [](const uint32_t* p) { return V::load(p); })
                      : window_sums<V>(args, pixel_words, from + x, [n](const uint32_t* p) { return V::load(p, n); });
      if (step == 1) {
        V::store(to + x, sums, n);
      } else {
        uint32_t all[kBlock];
        V::store(all, sums);
        for (int64_t i = (step - x % step) % step; i < n; i += step) to[(x + i) / step] = all[i];
      }
    }
  }
}

template <class V>
constexpr Conv2dPairs conv2d_pairs_of(const char* name, uint32_t flags, int64_t least_pixels, int64_t least_blocks,
                                      int64_t least_words) {
  return {name,        flags,    V::kPixels,           V::kBlocks,          least_pixels,       least_blocks,
          least_words, V::input, run_pairs_windows<V>, run_pairs_weight<V>, run_conv2d_pairs<V>};
}

}  // namespace
}  // namespace bittern
