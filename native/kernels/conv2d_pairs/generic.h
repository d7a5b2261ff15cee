// The loops of conv2d_pairs over a type V that counts (conv2d/count.h), and:
//
//     V::count_pair(t, x, w, different)  t[b] = popcount of (x[0] ^ w[b] ? x[1] : different[b]) of each lane
//     V::accumulate(c, t)                c[b] += t[b]
//     V::PairTile<P, B>::count           does what count_pairs does; a V that has it needs neither
//     V::dot(valid, count, of_filter)    valid - 2 * (2 * count - of_filter) as a float
//     V::input                           Conv2dPairs::input, such as pairs_input
//     V::kPixels, V::kBlocks             as many counters as fit into the registers, beside two words of each block of
//                                        weights and what is on its way
#pragma once

#include <cstdint>
#include <type_traits>

#include "kernels/conv2d/count.h"
#include "kernels/conv2d/tile.h"
#include "kernels/conv2d_pairs/conv2d_pairs.h"
#include "kernels/lanes/unroll.h"

namespace bittern {
namespace {  // internal linkage: see lanes/portable.h

// The weights of B blocks from a filter on in the form of conv2d_pairs.h, and where their pairs of words meet the input.
template <class V, int B>
struct PairedWeight {
  alignas(64) uint32_t words[Conv2dPairs::kMaxWords / 2][B][2][kBlock];  // of a pair side by side
  alignas(64) uint32_t filter_counts[B][kBlock];
  int64_t pairs, offsets[Conv2dPairs::kMaxWords / 2];  // from the first word of a pixel

  BITTERN_INLINE PairedWeight(const Conv2dArgs& args, int64_t filter) : pairs(0) {
    for (int64_t r = 0; r < args.runs; ++r) {
      for (int64_t i = 0; i < args.run_words; i += 2) offsets[pairs++] = args.run_offsets[r] + i;
    }
    const uint32_t* from = args.weight + filter * pairs * 2;
    for (int64_t b = 0; b < B; ++b) {
      PopcountSum<V> sum;
      for (int64_t k = 0; k < pairs; ++k, from += 2 * kBlock) {
        const typename V::Int w = V::load(from), different = V::bit_xor(w, V::load(from + kBlock));
        V::store(words[k][b][0], w);
        V::store(words[k][b][1], different);
        sum.add(different);
      }
      V::store(filter_counts[b], sum.total());
    }
  }
};

template <class V, class = void>
constexpr bool kHasPairTile = false;
template <class V>
constexpr bool kHasPairTile<V, std::void_t<typename V::template PairTile<1, 1>>> = true;

// The k-th pair of words of P pixels and B blocks; the first one begins the counters.
template <class V, bool kFirst, int P, int B>
BITTERN_INLINE void count_pair(const uint32_t* const (&first)[P], const PairedWeight<V, B>& weight, int64_t k,
                               typename V::Int (&counts)[P][B]) {
  typename V::Int w[B], different[B];
  unroll<B>([&](auto b) BITTERN_LAMBDA {
    w[b] = V::load(weight.words[k][b][0]);
    different[b] = V::load(weight.words[k][b][1]);
  });
  const int64_t offset = weight.offsets[k];
  unroll<P>([&](auto p) BITTERN_LAMBDA {
    if constexpr (kFirst) {
      V::count_pair(counts[p], first[p] + offset, w, different);
    } else {
      typename V::Int bits[B];
      V::count_pair(bits, first[p] + offset, w, different);
      V::accumulate(counts[p], bits);
    }
  });
}

// counts[p][b] = what conv2d_pairs.h sums, of pixel p with the 16 filters of block b.
template <class V, int P, int B>
BITTERN_INLINE void count_pairs(const uint32_t* const (&first)[P], const PairedWeight<V, B>& weight,
                                typename V::Int (&counts)[P][B]) {
  count_pair<V, true>(first, weight, 0, counts);
  for (int64_t k = 1; k < weight.pairs; ++k) count_pair<V, false>(first, weight, k, counts);
}

// The next weights, fetched into the cache a few lines per tile. The counting loop would otherwise wait for every
// strip, as weights lie further away than the other operands of a layer.
class NextWeight {
 public:
  // The strip of up to `blocks` blocks from filter `next` on, fetched during `tiles` tiles.
  BITTERN_INLINE NextWeight(const Conv2dArgs& args, int64_t next, int64_t blocks, int64_t tiles) {
    const int64_t words = args.runs * args.run_words, rest = (args.filters - next + kBlock - 1) / kBlock;
    const int64_t lines = words * (rest < blocks ? rest : blocks);
    line_ = args.weight + next * words;
    last_ = line_ + (lines > 0 ? lines : 0) * kBlock;
    of_tile_ = tiles > 0 ? (lines + tiles - 1) / tiles * kBlock : 0;
  }
  BITTERN_INLINE void fetch() {
    for (const uint32_t* end = line_ + of_tile_; line_ < end && line_ < last_; line_ += kBlock) {
      __builtin_prefetch(line_);
    }
  }

 private:
  const uint32_t *line_, *last_;
  int64_t of_tile_;
};

// P pixels from `at` on, which moves past them, times B blocks of filters from `filter` on.
template <class V, int P, int B>
BITTERN_INLINE void run_pairs_tile(const Conv2dArgs& args, const PairedWeight<V, B>& weight, NextWeight& next,
                                   Pixel& at, int64_t filter) {
  next.fetch();
  using Int = typename V::Int;
  constexpr bool kMain = P == V::kPixels && B == V::kBlocks;
  const TilePixels<P> pixels(args, at);
  Int counts[P][B], of_filter[B];
  if constexpr (kHasPairTile<V>) {
    V::template PairTile<P, B>::count(pixels.first, weight, counts);
  } else {
    count_pairs<V, P, B>(pixels.first, weight, counts);
  }
  unroll<B>([&](auto b) BITTERN_LAMBDA { of_filter[b] = V::load(weight.filter_counts[b]); });
  if constexpr (kMain) {
    const bool whole = args.filters - filter >= B * kBlock;
    if (whole && args.epilogue.bit_threshold == nullptr) {
      typename V::Float v[P][B];
      if (pixels.any_border == 0) {
        unroll<P>([&](auto p) BITTERN_LAMBDA {
          const Int valid = V::broadcast(static_cast<uint32_t>(args.valid_bits - pixels.bits_less(args, p)));
          unroll<B>([&](auto b) BITTERN_LAMBDA { v[p][b] = V::dot(valid, counts[p][b], of_filter[b]); });
        });
      } else {
        unroll<P>([&](auto p) BITTERN_LAMBDA {
          const Conv2dBorder& border = *args.border;
          const int32_t bits = border.valid_bits[pixels.border_class[p]] - pixels.bits_less(args, p);
          const Int valid = V::broadcast(static_cast<uint32_t>(bits));
          const uint32_t* outer = border.counts + pixels.border_class[p] * border.count_stride + filter;
          unroll<B>([&](auto b) BITTERN_LAMBDA {
            v[p][b] = V::dot(valid, counts[p][b], V::add(of_filter[b], V::load(outer + b * kBlock)));
          });
        });
      }
      return apply_epilogue<V, P, B, true>(args, pixels.index, filter, {kBlock}, v);
    }
  }
  unroll<P, B>([&](auto p, auto b)
                   BITTERN_LAMBDA { counts[p][b] = V::sub(V::add(counts[p][b], counts[p][b]), of_filter[b]); });
  finish<V, P, B, kMain>(args, pixels, filter, counts);
}

// Pixels up to `end`: P at a time, then four, two and one.
template <class V, int P, int B>
void run_pairs_pixels(const Conv2dArgs& args, const PairedWeight<V, B>& weight, NextWeight& next, Pixel& at,
                      int64_t end, int64_t filter) {
  if constexpr (P > 0) {
    while (end - at.index() >= P) run_pairs_tile<V, P, B>(args, weight, next, at, filter);
    run_pairs_pixels<V, (P > 4 ? 4 : P / 2), B>(args, weight, next, at, end, filter);
  }
}

// All filters from `filter` on, for all pixels: tiles of B blocks, then narrower ones for the rest.
template <class V, int B>
void run_pairs_filters(const Conv2dArgs& args, int64_t begin, int64_t end, int64_t filter) {
  if constexpr (B > 0) {
    for (; args.filters - filter > (B - 1) * kBlock; filter += B * kBlock) {
      const PairedWeight<V, B> weight(args, filter);
      NextWeight next(args, filter + B * kBlock, B, (end - begin) / V::kPixels);
      Pixel at(args, begin);
      run_pairs_pixels<V, V::kPixels, B>(args, weight, next, at, end, filter);
    }
    run_pairs_filters<V, B / 2>(args, begin, end, filter);
  }
}

template <class V>
void run_conv2d_pairs(const Conv2dArgs& args, int64_t begin, int64_t end) {
  run_pairs_filters<V, V::kBlocks>(args, begin, end, 0);
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

// Where the taps of a window lie in a map of one number a pixel.
struct WindowTaps {
  int64_t count = 0, offsets[Conv2dPairs::kMaxWords / 2];

  WindowTaps(const Conv2dArgs& args, int64_t pixel_words) {
    for (int64_t r = 0; r < args.runs; ++r) {
      for (int64_t i = 0; i < args.run_words; i += pixel_words)
        offsets[count++] = (args.run_offsets[r] + i) / pixel_words;
    }
  }
  // Of the windows that begin at from[i], i < 16.
  template <class V, class Load>
  BITTERN_INLINE typename V::Int sums(const uint32_t* from, const Load& load) const {
    typename V::Int sum = V::broadcast(0u);
    for (int64_t t = 0; t < count; ++t) sum = V::add(sum, load(from + offsets[t]));
    return sum;
  }
};

template <class V>
void run_pairs_windows(const Conv2dArgs& args, int64_t pixel_words, const uint32_t* counts, int64_t begin, int64_t end,
                       uint32_t* pixel_counts) {
  const WindowTaps taps(args, pixel_words);
  const int64_t step = args.pixel_stride / pixel_words, width = (args.out_width - 1) * step + 1;
  for (int64_t row = begin; row < end; ++row) {
    const int64_t image = row / args.out_height, y = row % args.out_height;
    const uint32_t* from = counts + (image * args.image_stride + y * args.row_stride) / pixel_words;
    uint32_t* to = pixel_counts + row * args.out_width;
    for (int64_t x = 0; x < width; x += kBlock) {
      const int n = static_cast<int>(width - x < kBlock ? width - x : kBlock);
      const typename V::Int sums = n == kBlock
                                       ? taps.sums<V>(from + x, [](const uint32_t* p) { return V::load(p); })
                                       : taps.sums<V>(from + x, [n](const uint32_t* p) { return V::load(p, n); });
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
constexpr Conv2dPairs conv2d_pairs_of(const char* name, uint32_t flags, int64_t min_pixels, int64_t min_blocks,
                                      int64_t min_words) {
  Conv2dLimits limits;
  limits.min_pixels = min_pixels;
  limits.min_blocks = min_blocks;
  limits.min_words = min_words;
  limits.max_words = Conv2dPairs::kMaxWords;
  limits.odd_words = limits.sets = limits.masks = false;
  return {{name, flags, run_conv2d_pairs<V>, V::kPixels, V::kBlocks, limits}, V::input, run_pairs_windows<V>};
}

}  // namespace
}  // namespace bittern
