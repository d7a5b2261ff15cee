// The tiles of conv2d_weight_only, over lanes V (lanes/*.h) with their sizes:
//
//     V::kPixels, V::kBlocks     a tile: as many sums as fit into the registers, beside the signs of each block
//     V::kDirectBlocks           blocks of 16 filters side by side for a single pixel
//     V::kMinExpandedPixels      from here on signs are expanded
//
// Two ways to the same sums. For many pixels the signs of a slice of the filters are expanded to floats, -1 and +1, in
// 16 kB on the stack, and tiles of pixels times blocks are multiplied with them as in a product of float matrices; a
// chunk of pixels keeps its sums in memory from slice to slice. For few pixels, where that would cost more than the
// products, each sign is made of its bit where it is used.
#pragma once

#include <cstdint>

#include "kernels/conv2d/outputs.h"
#include "kernels/conv2d/tile.h"
#include "kernels/conv2d_weight_only/conv2d_weight_only.h"
#include "kernels/lanes/unroll.h"

namespace bittern {
namespace {  // internal linkage: see lanes/portable.h

constexpr int64_t kSliceFloats = 4096;  // half of a first-level cache of 32 kB

// Pixels that share an expansion, whole tiles: it costs 2 percent of their products.
template <class V>
constexpr int64_t kSlicePixels = 96 / V::kPixels * V::kPixels;

BITTERN_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

// Where the weights of a convolution lie.
struct WeightOnlyLayout {
  explicit WeightOnlyLayout(const Conv2dWeightOnlyArgs& args)
      : tap_words(word_count(args.tap_channels)),
        run_taps(args.conv.run_words / args.tap_channels),
        block(args.conv.runs * run_taps * tap_words * kBlock) {}
  int64_t tap_words, run_taps;
  int64_t block;  // words of a block of filters
};

// The floats [begin, end) of each of the runs [first, last).
struct Slice {
  int64_t first, last, begin, end;
};

// Calls f(slice) on slices of at most `max_floats` floats that cover the runs in order.
template <class F>
BITTERN_INLINE void for_each_slice(const Conv2dArgs& conv, int64_t max_floats, const F& f) {
  const int64_t run = conv.run_words, whole = max_floats / run;
  if (whole > 0) {
    for (int64_t r = 0; r < conv.runs; r += whole) f(Slice{r, smaller(r + whole, conv.runs), 0, run});
    return;
  }
  for (int64_t r = 0; r < conv.runs; ++r) {
    for (int64_t i = 0; i < run; i += max_floats) f(Slice{r, r + 1, i, smaller(i + max_floats, run)});
  }
}

// to[floats of the slice, B, 16]: the signs of B blocks of filters, which start at `weight`.
template <class V, int B>
void expand_signs(const Conv2dWeightOnlyArgs& args, const uint32_t* weight, const Slice& slice, float* to) {
  const WeightOnlyLayout layout(args);
  for (int64_t r = slice.first; r < slice.last; ++r) {
    for (int64_t i = slice.begin; i < slice.end;) {
      const int64_t c = i % args.tap_channels, tap = r * layout.run_taps + i / args.tap_channels;
      const int64_t n = smaller(32 - c % 32, smaller(args.tap_channels - c, slice.end - i));
      const uint32_t* word = weight + (tap * layout.tap_words + c / 32) * kBlock;
      typename V::Int bits[B];
      unroll<B>([&](auto b) BITTERN_LAMBDA { bits[b] = V::load(word + b * layout.block); });
      for (int64_t j = 0; j < c % 32; ++j) {
        unroll<B>([&](auto b) BITTERN_LAMBDA { bits[b] = V::halve(bits[b]); });
      }
      for (int64_t j = 0; j < n; ++j, to += B * kBlock) {
        unroll<B>([&](auto b) BITTERN_LAMBDA {
          V::store(to + b * kBlock, V::low_bit_signs(bits[b]));
          bits[b] = V::halve(bits[b]);
        });
      }
      i += n;
    }
  }
}

// The epilogue of one block of filters, not inlined: it is long, and many loops end in it.
template <class V, int P>
__attribute__((noinline)) void finish_sums(const Conv2dArgs& conv, int64_t pixel, int64_t filter,
                                           typename V::Float (&sums)[P][1]) {
  const int64_t rest = conv.filters - filter;
  if (rest >= kBlock) {
    apply_epilogue<V, P, 1, true>(conv, pixel, filter, Lanes<V, true>{static_cast<int>(kBlock)}, sums);
  } else {
    apply_epilogue<V, P, 1, false>(conv, pixel, filter, Lanes<V, false>{static_cast<int>(rest)}, sums);
  }
}

template <class V, int P, int B>
BITTERN_INLINE void finish_tile(const Conv2dArgs& conv, int64_t pixel, int64_t filter,
                                const typename V::Float (&sums)[P][B]) {
  unroll<B>([&](auto b) BITTERN_LAMBDA {
    typename V::Float column[P][1];
    unroll<P>([&](auto p) BITTERN_LAMBDA { column[p][0] = sums[p][b]; });
    finish_sums<V, P>(conv, pixel, filter + b * kBlock, column);
  });
}

// The first float of run `r` for each pixel of a tile.
template <int P>
BITTERN_INLINE void set_run(const Conv2dArgs& conv, const TilePixels<P>& pixels, int64_t r, const float* (&x)[P]) {
  unroll<P>([&](auto p)
                BITTERN_LAMBDA { x[p] = reinterpret_cast<const float*>(pixels.first[p] + conv.run_offsets[r]); });
}

// Adds a slice, whose signs are `signs`, to the sums of P pixels and B blocks, and finishes them after the last slice.
// sums[P, B, 16] holds them between slices.
template <class V, int P, int B>
BITTERN_INLINE void run_expanded_tile(const Conv2dArgs& conv, Pixel& at, int64_t filter, const Slice& slice,
                                      const float* signs, float* sums) {
  const TilePixels<P> pixels(conv, at);
  typename V::Float acc[P][B];
  if (slice.first == 0 && slice.begin == 0) {
    unroll<P, B>([&](auto p, auto b) BITTERN_LAMBDA { acc[p][b] = V::broadcast(0.0f); });
  } else {
    unroll<P, B>([&](auto p, auto b) BITTERN_LAMBDA { acc[p][b] = V::load(sums + (p * B + b) * kBlock); });
  }
  for (int64_t r = slice.first; r < slice.last; ++r) {
    const float* x[P];
    set_run<P>(conv, pixels, r, x);
    for (int64_t i = slice.begin; i < slice.end; ++i, signs += B * kBlock) {
      typename V::Float sign[B];
      unroll<B>([&](auto b) BITTERN_LAMBDA { sign[b] = V::load(signs + b * kBlock); });
      unroll<P>([&](auto p) BITTERN_LAMBDA {
        const float value = x[p][i];
        unroll<B>([&](auto b) BITTERN_LAMBDA { acc[p][b] = V::add_signed(acc[p][b], value, sign[b]); });
      });
    }
  }
  if (slice.last == conv.runs && slice.end == conv.run_words) {
    finish_tile<V, P, B>(conv, pixels.index, filter, acc);
  } else {
    unroll<P, B>([&](auto p, auto b) BITTERN_LAMBDA { V::store(sums + (p * B + b) * kBlock, acc[p][b]); });
  }
}

// Pixels up to `end`: P at a time, then half as many.
template <class V, int P, int B>
void run_expanded_pixels(const Conv2dArgs& conv, Pixel& at, int64_t end, int64_t filter, const Slice& slice,
                         const float* signs, float* sums) {
  if constexpr (P > 0) {
    for (; end - at.index() >= P; sums += P * B * kBlock) {
      run_expanded_tile<V, P, B>(conv, at, filter, slice, signs, sums);
    }
    run_expanded_pixels<V, P / 2, B>(conv, at, end, filter, slice, signs, sums);
  }
}

// All filters from `filter` on: B blocks at a time as far as whole blocks fill them, then fewer.
template <class V, int B>
void run_expanded(const Conv2dWeightOnlyArgs& args, int64_t begin, int64_t end, int64_t filter) {
  if constexpr (B > 0) {
    const Conv2dArgs& conv = args.conv;
    alignas(64) float signs[kSliceFloats], sums[kSlicePixels<V> * B * kBlock];
    const int64_t filter_words = WeightOnlyLayout(args).block / kBlock;
    for (; conv.filters - filter >= B * kBlock || (B == 1 && conv.filters > filter); filter += B * kBlock) {
      for (int64_t first = begin; first < end; first += kSlicePixels<V>) {
        for_each_slice(conv, kSliceFloats / (B * kBlock), [&](const Slice& slice) {
          expand_signs<V, B>(args, conv.weight + filter * filter_words, slice, signs);
          Pixel at(conv, first);
          run_expanded_pixels<V, V::kPixels, B>(conv, at, smaller(first + kSlicePixels<V>, end), filter, slice, signs,
                                                sums);
        });
      }
    }
    run_expanded<V, B / 2>(args, begin, end, filter);
  }
}

// P pixels from `begin` on times B blocks, whole filters.
template <class V, int P, int B>
void run_direct_tile(const Conv2dWeightOnlyArgs& args, int64_t begin, int64_t filter) {
  const Conv2dArgs& conv = args.conv;
  const WeightOnlyLayout layout(args);
  Pixel at(conv, begin);
  const TilePixels<P> pixels(conv, at);
  const uint32_t* word = conv.weight + filter / kBlock * layout.block;
  typename V::Float acc[P][B];
  unroll<P, B>([&](auto p, auto b) BITTERN_LAMBDA { acc[p][b] = V::broadcast(0.0f); });
  for (int64_t r = 0; r < conv.runs; ++r) {
    const float* x[P];
    set_run<P>(conv, pixels, r, x);
    for (int64_t tap = 0; tap < layout.run_taps; ++tap) {
      for (int64_t left = args.tap_channels; left > 0; left -= 32, word += kBlock) {
        const int64_t n = smaller(left, 32);
        typename V::Int bits[B];
        unroll<B>([&](auto b) BITTERN_LAMBDA { bits[b] = V::load(word + b * layout.block); });
        for (int64_t i = 0; i < n; ++i) {
          typename V::Float sign[B];
          unroll<B>([&](auto b) BITTERN_LAMBDA {
            sign[b] = V::low_bit_signs(bits[b]);
            bits[b] = V::halve(bits[b]);
          });
          unroll<P>([&](auto p) BITTERN_LAMBDA {
            const float value = x[p][i];
            unroll<B>([&](auto b) BITTERN_LAMBDA { acc[p][b] = V::add_signed(acc[p][b], value, sign[b]); });
          });
        }
        unroll<P>([&](auto p) BITTERN_LAMBDA { x[p] += n; });
      }
    }
  }
  finish_tile<V, P, B>(conv, pixels.index, filter, acc);
}

// P pixels from `begin` on, all filters: B blocks at a time, then one.
template <class V, int P, int B>
void run_direct_filters(const Conv2dWeightOnlyArgs& args, int64_t begin) {
  int64_t filter = 0;
  for (; args.conv.filters - filter >= B * kBlock; filter += B * kBlock) run_direct_tile<V, P, B>(args, begin, filter);
  for (; args.conv.filters > filter; filter += kBlock) run_direct_tile<V, P, 1>(args, begin, filter);
}

template <class V>
void run_conv2d_weight_only(const Conv2dWeightOnlyArgs& args, int64_t begin, int64_t end) {
  if (end - begin >= V::kMinExpandedPixels) return run_expanded<V, V::kBlocks>(args, begin, end, 0);
  for (; end - begin >= 4; begin += 4) run_direct_filters<V, 4, 1>(args, begin);
  for (; end - begin >= 2; begin += 2) run_direct_filters<V, 2, 1>(args, begin);
  for (; end > begin; ++begin) run_direct_filters<V, 1, V::kDirectBlocks>(args, begin);
}

template <class V>
constexpr Conv2dWeightOnlyImplementation conv2d_weight_only_of(const char* name, uint32_t flags) {
  static_assert(V::kDirectBlocks % V::kBlocks == 0, "a strip is whole tiles");
  return {name, flags, run_conv2d_weight_only<V>, V::kDirectBlocks};
}

}  // namespace
}  // namespace bittern
