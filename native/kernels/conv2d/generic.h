// The tiles of conv2d, over a type V that counts (count.h) and knows its tile:
//
//     V::kPixels, V::kBlocks      as many counters as fit into the registers, beside one word of each block of weights
//     and
//                                 one of input
//     V::dot(valid, count)        valid - 2 * count as a float
//
// A tile is kPixels output pixels, wherever they lie, times kBlocks blocks of 16 filters. What a tile leaves over is
// done by smaller instances of the same code, and the filters past the last whole block by one with counted loads and
// stores.
#pragma once

#include <cstdint>

#include "kernels/conv2d/conv2d.h"
#include "kernels/conv2d/count.h"
#include "kernels/conv2d/outputs.h"
#include "kernels/lanes/unroll.h"

namespace bittern {
namespace {  // internal linkage: see lanes/portable.h

// An output pixel, walked in order.
class Pixel {
 public:
  BITTERN_INLINE Pixel(const Conv2dArgs& args, int64_t index)
      : index_(index),
        x_(index % args.out_width),
        y_(index / args.out_width % args.out_height),
        image_(index / args.out_width / args.out_height) {
    enter_row(args);
  }

  BITTERN_INLINE int64_t index() const { return index_; }
  BITTERN_INLINE const uint32_t* words() const { return words_; }
  BITTERN_INLINE int64_t border_class(const Conv2dBorder& border) const { return row_class_ + border.column_class[x_]; }

  BITTERN_INLINE void advance(const Conv2dArgs& args) {
    ++index_;
    words_ += args.pixel_stride;
    if (++x_ < args.out_width) return;
    x_ = 0;
    if (++y_ == args.out_height) {
      y_ = 0;
      ++image_;
    }
    enter_row(args);
  }

 private:
  BITTERN_INLINE void enter_row(const Conv2dArgs& args) {
    words_ = args.input + image_ * args.image_stride + y_ * args.row_stride + x_ * args.pixel_stride;
    row_class_ = args.border != nullptr ? args.border->row_class[y_] * args.border->column_classes : 0;
  }

  int64_t index_, x_, y_, image_, row_class_;
  const uint32_t* words_;
};

// P pixels from `at` on, which moves past them, times B blocks of filters from `filter` on.
template <class V, int P, int B, bool kWhole>
BITTERN_INLINE void run_tile(const Conv2dArgs& args, Pixel& at, int64_t filter) {
  using Int = typename V::Int;
  const int64_t rest = args.filters - filter, pixel = at.index();
  const Lanes<V, kWhole> lanes = {static_cast<int>(rest < kBlock ? rest : kBlock)};
  const uint32_t* first[P];
  int64_t border_class[P], any_border = 0;
  unroll<P>([&](auto p) BITTERN_LAMBDA {
    first[p] = at.words();
    border_class[p] = args.border != nullptr ? at.border_class(*args.border) : 0;
    any_border |= border_class[p];
    at.advance(args);
  });
  Int counts[P][B], valid[P];
  count_tile<V, P, B>(args, first, args.weight + filter * args.runs * args.run_words, counts);
  if (any_border == 0) {
    unroll<P>([&](auto p) BITTERN_LAMBDA { valid[p] = V::broadcast(static_cast<uint32_t>(args.valid_bits)); });
  } else {
    const Conv2dBorder& border = *args.border;
    const int64_t width = (args.filters + kBlock - 1) / kBlock * kBlock;
    unroll<P>([&](auto p) BITTERN_LAMBDA {
      valid[p] = V::broadcast(static_cast<uint32_t>(border.valid_bits[border_class[p]]));
      const uint32_t* outer = border.counts + border_class[p] * width + filter;
      unroll<B>([&](auto b) BITTERN_LAMBDA { counts[p][b] = V::sub(counts[p][b], V::load(outer + b * kBlock)); });
    });
  }

  if (args.epilogue.bit_threshold != nullptr) {
    const uint32_t* threshold = reinterpret_cast<const uint32_t*>(args.epilogue.bit_threshold);
    unroll<B>([&](auto b) BITTERN_LAMBDA {
      const int64_t o = filter + b * kBlock;
      const PackedBlock out(args, pixel, o);
      const Int limit = lanes.load(threshold + o);
      unroll<P>([&](auto p) BITTERN_LAMBDA {
        const Int dot = V::sub(valid[p], V::add(counts[p][b], counts[p][b]));
        out.write(p, lanes.mask(V::less(dot, limit)));
      });
    });
  } else {
    typename V::Float v[P][B];
    unroll<P, B>([&](auto p, auto b) BITTERN_LAMBDA { v[p][b] = V::dot(valid[p], counts[p][b]); });
    apply_epilogue<V, P, B, kWhole>(args, pixel, filter, lanes, v);
  }
}

// Fewer than P + 1 pixels.
template <class V, int P, int B, bool kWhole>
void run_rest(const Conv2dArgs& args, Pixel& at, int64_t end, int64_t filter) {
  if constexpr (P > 0) {
    if (end - at.index() == P) return run_tile<V, P, B, kWhole>(args, at, filter);
    run_rest<V, P - 1, B, kWhole>(args, at, end, filter);
  }
}

// B blocks of filters for all pixels.
template <class V, int B, bool kWhole>
void run_blocks(const Conv2dArgs& args, int64_t begin, int64_t end, int64_t filter) {
  Pixel at(args, begin);
  while (end - at.index() >= V::kPixels) run_tile<V, V::kPixels, B, kWhole>(args, at, filter);
  run_rest<V, V::kPixels - 1, B, kWhole>(args, at, end, filter);
}

// All filters from `filter` on: as many tiles of B whole blocks as fit, then narrower ones.
template <class V, int B>
void run_filters(const Conv2dArgs& args, int64_t begin, int64_t end, int64_t filter) {
  if constexpr (B > 0) {
    for (; args.filters - filter >= B * kBlock; filter += B * kBlock) run_blocks<V, B, true>(args, begin, end, filter);
    run_filters<V, B / 2>(args, begin, end, filter);
  } else if (filter < args.filters) {
    run_blocks<V, 1, false>(args, begin, end, filter);
  }
}

template <class V>
void run_conv2d(const Conv2dArgs& args, int64_t begin, int64_t end) {
  run_filters<V, V::kBlocks>(args, begin, end, 0);
}

template <class V>
void run_tap_counts(const uint32_t* weight, int64_t blocks, int64_t taps, int64_t tap_words, uint32_t* counts) {
  for (int64_t block = 0; block < blocks; ++block) {
    for (int64_t tap = 0; tap < taps; ++tap) {
      typename V::Int sum = V::broadcast(0u);
      for (int64_t i = 0; i < tap_words; ++i, weight += kBlock) {
        sum = V::add(sum, V::total(V::count(V::zero_count(), V::load(weight))));
      }
      V::store(counts + (tap * blocks + block) * kBlock, sum);
    }
  }
}

}  // namespace
}  // namespace bittern
