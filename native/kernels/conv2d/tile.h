// A tile of output: P pixels, wherever they lie, times B blocks of 16 filters. How its pixels are found, and how its
// counts become outputs.
#pragma once

#include <cstdint>

#include "kernels/conv2d/conv2d.h"
#include "kernels/conv2d/outputs.h"
#include "kernels/lanes/unroll.h"

namespace bittern {
namespace {  // internal linkage: see lanes/portable.h

// An output pixel, walked in order.
class Pixel {
 public:
  BITTERN_INLINE Pixel(const Conv2dArgs& args, int64_t index)
      : index_(index), x_(index % args.out_width), y_(index / args.out_width % args.out_height) {
    row_ = args.input + index / args.out_width / args.out_height * args.image_stride + y_ * args.row_stride;
    words_ = row_ + x_ * args.pixel_stride;
  }

  BITTERN_INLINE int64_t index() const { return index_; }
  BITTERN_INLINE const uint32_t* words() const { return words_; }
  BITTERN_INLINE int64_t border_class(const Conv2dBorder& border) const {
    return border.row_class[y_] * border.column_classes + border.column_class[x_];
  }

  // Whether this pixel and the next ones, `pixels` in all, surely lie in one row and are of class 0. May be false where
  // they do.
  BITTERN_INLINE bool within(const Conv2dBorder& border, int64_t pixels) const {
    return x_ >= border.first_whole && x_ + pixels <= border.last_whole && border.row_class[y_] == 0;
  }

  BITTERN_INLINE void advance(const Conv2dArgs& args) {
    ++index_;
    words_ += args.pixel_stride;
    if (++x_ == args.out_width) enter_row(args);
  }

 private:
  BITTERN_INLINE void enter_row(const Conv2dArgs& args) {
    x_ = 0;
    row_ += args.row_stride;
    if (++y_ == args.out_height) {
      y_ = 0;
      row_ += args.image_stride - args.out_height * args.row_stride;
    }
    words_ = row_;
  }

  int64_t index_, x_, y_;
  const uint32_t *row_, *words_;
};

// The pixels of a tile.
template <int P>
struct TilePixels {
  int64_t index;             // of the first
  const uint32_t* first[P];  // conv2d.h
  int64_t border_class[P], any_border;

  // P pixels from `at` on, which moves past them. The walk uses a copy in registers and tests for the border once: it
  // separates the counting loops of two tiles, which overlap better the less there is between them.
  BITTERN_INLINE TilePixels(const Conv2dArgs& args, Pixel& at) : index(at.index()), border_class(), any_border(0) {
    Pixel pixel = at;
    if (args.border == nullptr || pixel.within(*args.border, P)) {
      unroll<P>([&](auto p) BITTERN_LAMBDA {
        first[p] = pixel.words();
        pixel.advance(args);
      });
    } else {
      unroll<P>([&](auto p) BITTERN_LAMBDA {
        first[p] = pixel.words();
        border_class[p] = pixel.border_class(*args.border);
        any_border |= border_class[p];
        pixel.advance(args);
      });
    }
    at = pixel;
  }

  // By how much 2 * pixel_counts lowers the valid bits of pixel p.
  BITTERN_INLINE int32_t bits_less(const Conv2dArgs& args, int p) const {
    return args.pixel_counts != nullptr ? 2 * static_cast<int32_t>(args.pixel_counts[index + p]) : 0;
  }
};

// From the counts of a tile, whose first filter is `filter`, to floats and bits in memory. kWhole: no block reaches
// past the filters.
template <class V, int P, int B, bool kWhole>
BITTERN_INLINE void finish_tile(const Conv2dArgs& args, const TilePixels<P>& pixels, int64_t filter,
                                typename V::Int (&counts)[P][B]) {
  using Int = typename V::Int;
  const int64_t rest = args.filters - filter;
  const Lanes<V, kWhole> lanes = {static_cast<int>(rest < kBlock ? rest : kBlock)};
  Int valid[P];
  const bool border = pixels.any_border != 0;
  unroll<P>([&](auto p) BITTERN_LAMBDA {
    const int32_t bits = border ? args.border->valid_bits[pixels.border_class[p]] : args.valid_bits;
    valid[p] = V::broadcast(static_cast<uint32_t>(bits - pixels.bits_less(args, p)));
  });
  if (border) {
    unroll<P>([&](auto p) BITTERN_LAMBDA {
      const uint32_t* outer = args.border->counts + pixels.border_class[p] * args.border->count_stride + filter;
      unroll<B>([&](auto b) BITTERN_LAMBDA { counts[p][b] = V::sub(counts[p][b], V::load(outer + b * kBlock)); });
    });
  }

  if (args.epilogue.bit_threshold != nullptr) {
    const uint32_t* threshold = reinterpret_cast<const uint32_t*>(args.epilogue.bit_threshold);
    write_bits<P, B>(args, pixels.index, filter, [&](auto p, auto b) BITTERN_LAMBDA {
      const Int dot = V::sub(valid[p], V::add(counts[p][b], counts[p][b]));
      return lanes.mask(V::less(dot, lanes.load(threshold + filter + b * kBlock)));
    });
  } else {
    typename V::Float v[P][B];
    unroll<P, B>([&](auto p, auto b) BITTERN_LAMBDA { v[p][b] = V::dot(valid[p], counts[p][b]); });
    apply_epilogue<V, P, B, kWhole>(args, pixels.index, filter, lanes, v);
  }
}

// The same for one block of filters, not inlined: the epilogue is long, and most tiles are rare.
template <class V, int P>
__attribute__((noinline)) void finish_block(const Conv2dArgs& args, const TilePixels<P>& pixels, int64_t filter,
                                            typename V::Int (&counts)[P][1]) {
  if (args.filters - filter >= kBlock) {
    finish_tile<V, P, 1, true>(args, pixels, filter, counts);
  } else {
    finish_tile<V, P, 1, false>(args, pixels, filter, counts);
  }
}

// All filters of a tile; kMain: the tile that most of a layer is made of.
template <class V, int P, int B, bool kMain>
BITTERN_INLINE void finish(const Conv2dArgs& args, const TilePixels<P>& pixels, int64_t filter,
                           typename V::Int (&counts)[P][B]) {
  if constexpr (kMain) {
    if (args.filters - filter >= B * kBlock) return finish_tile<V, P, B, true>(args, pixels, filter, counts);
  }
  unroll<B>([&](auto b) BITTERN_LAMBDA {
    typename V::Int column[P][1];
    unroll<P>([&](auto p) BITTERN_LAMBDA { column[p][0] = counts[p][b]; });
    finish_block<V, P>(args, pixels, filter + b * kBlock, column);
  });
}

}  // namespace
}  // namespace bittern
