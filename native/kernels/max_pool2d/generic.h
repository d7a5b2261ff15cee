// The loop of max_pool2d over sixteen words at a time (lanes/*.h).
#pragma once

#include <cstdint>

#include "kernels/lanes/unroll.h"
#include "kernels/max_pool2d/max_pool2d.h"

namespace bittern {
namespace {  // internal linkage: see lanes/portable.h

// words[0, n) of the output pixel: the AND of the window's pixels, of which `rows` x `columns` exist. Few words do not
// fill a register and are taken one by one.
template <class V>
BITTERN_INLINE void pool_pixel(const uint32_t* first, int64_t row_stride, int64_t pixel_stride, int64_t rows,
                               int64_t columns, int64_t n, uint32_t* out) {
  int64_t w = 0;
  for (; n - w >= 16; w += 16) {
    typename V::Int all = V::broadcast(~0u);
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < columns; ++j) {
        all = V::bit_and(all, V::load(first + i * row_stride + j * pixel_stride + w));
      }
    }
    V::store(out + w, all);
  }
  for (; w < n; ++w) {
    uint32_t all = ~0u;
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < columns; ++j) all &= first[i * row_stride + j * pixel_stride + w];
    }
    out[w] = all;
  }
}

template <class V>
void run_max_pool2d(const MaxPool2dArgs& args, int64_t begin, int64_t end) {
  const int64_t out_height = args.rows.outputs(), out_width = args.columns.outputs();
  const int64_t row_stride = args.columns.size * args.words;
  WindowAxis::Taps rows{};
  int64_t x = begin % out_width, y = begin / out_width % out_height, image = begin / out_width / out_height;
  const uint32_t* row = nullptr;
  for (int64_t p = begin; p < end; ++p) {
    if (row == nullptr) {
      rows = args.rows.taps(y);
      const int64_t top = args.rows.start(y) + rows.first * args.rows.dilation;
      row = args.input + (image * args.rows.size + top) * row_stride;
    }
    const WindowAxis::Taps columns = args.columns.taps(x);
    const int64_t left = args.columns.start(x) + columns.first * args.columns.dilation;
    pool_pixel<V>(row + left * args.words, args.rows.dilation * row_stride, args.columns.dilation * args.words,
                  rows.last - rows.first, columns.last - columns.first, args.words, args.output + p * args.words);
    if (++x == out_width) {
      x = 0;
      row = nullptr;
      if (++y == out_height) {
        y = 0;
        ++image;
      }
    }
  }
}

template <class V>
constexpr MaxPool2dImplementation max_pool2d_of(const char* name, uint32_t flags) {
  return {name, flags, run_max_pool2d<V>};
}

}  // namespace
}  // namespace bittern
