// The tiles of conv2d, over a type V that counts (count.h) and knows its tile:
//
//     V::kPixels, V::kBlocks      as many counters as fit into the registers, beside one word of each block of
//                                 weights and one of input
//     V::dot(valid, count)        valid - 2 * count as a float
//
// A tile is kPixels output pixels, wherever they lie, times kBlocks blocks of 16 filters. Smaller instances of the same
// code do the remainders, and one with counted loads and stores the filters past the last whole block.
#pragma once

#include <cstdint>
#include <type_traits>

#include "kernels/conv2d/conv2d.h"
#include "kernels/conv2d/count.h"
#include "kernels/conv2d/depthwise.h"
#include "kernels/conv2d/tile.h"
#include "kernels/lanes/unroll.h"

namespace bittern {
namespace {  // internal linkage: see lanes/portable.h

// V::Tile<P, B>::count, where V has it, does what count_tile does.
template <class V, class = void>
constexpr bool kHasTile = false;
template <class V>
constexpr bool kHasTile<V, std::void_t<typename V::template Tile<1, 1>>> = true;

// P pixels from `at` on, which moves past them, times B blocks of filters from `filter` on.
template <class V, int P, int B, bool kMasked>
BITTERN_INLINE void run_tile(const Conv2dArgs& args, Pixel& at, int64_t filter) {
  const TilePixels<P> pixels(args, at);
  typename V::Int counts[P][B];
  const uint32_t* weight = args.weight + filter * args.runs * args.run_words;
  if constexpr (kHasTile<V> && !kMasked) {
    V::template Tile<P, B>::count(args, pixels.first, weight, counts);
  } else {
    count_tile<V, P, B, kMasked>(args, pixels.first, weight, counts);
  }
  finish<V, P, B, P == V::kPixels && B == V::kBlocks && !kMasked>(args, pixels, filter, counts);
}

// Pixels up to `end`: P at a time, then half as many.
template <class V, int P, int B, bool kMasked>
void run_pixels(const Conv2dArgs& args, Pixel& at, int64_t end, int64_t filter) {
  if constexpr (P > 0) {
    while (end - at.index() >= P) run_tile<V, P, B, kMasked>(args, at, filter);
    run_pixels<V, P / 2, B, kMasked>(args, at, end, filter);
  }
}

// All filters from `filter` on, for all pixels: tiles of B whole blocks, then narrower ones for the rest.
template <class V, int B, bool kMasked>
void run_filters(const Conv2dArgs& args, int64_t begin, int64_t end, int64_t filter) {
  if constexpr (B > 0) {
    for (; args.filters - filter >= B * kBlock || (B == 1 && args.filters > filter); filter += B * kBlock) {
      Pixel at(args, begin);
      run_pixels<V, V::kPixels, B, kMasked>(args, at, end, filter);
    }
    run_filters<V, B / 2, kMasked>(args, begin, end, filter);
  }
}

template <class V>
void run_conv2d(const Conv2dArgs& args, int64_t begin, int64_t end) {
  if (args.mask != nullptr) return run_filters<V, 1, true>(args, begin, end, 0);
  run_filters<V, V::kBlocks, false>(args, begin, end, 0);
}

template <class V>
void run_tap_counts(const uint32_t* weight, int64_t blocks, int64_t taps, int64_t tap_words, uint32_t* counts) {
  for (int64_t block = 0; block < blocks; ++block) {
    for (int64_t tap = 0; tap < taps; ++tap) {
      PopcountSum<V> sum;
      for (int64_t i = 0; i < tap_words; ++i, weight += kBlock) sum.add(V::load(weight));
      V::store(counts + (tap * blocks + block) * kBlock, sum.total());
    }
  }
}

template <class V>
constexpr Conv2dDirect conv2d_of(const char* name, uint32_t flags) {
  return {{name, flags, run_conv2d<V>, V::kPixels, V::kBlocks, {}}, run_depthwise<V>, run_tap_counts<V>};
}

}  // namespace
}  // namespace bittern
