// The loop of max_pool2d over sixteen words at a time (lanes/*.h).
#pragma once

#include <cstdint>

#include "kernels/lanes/unroll.h"
#include "kernels/max_pool2d/max_pool2d.h"

namespace bittern {
namespace {  // internal linkage: see lanes/portable.h

template <class V>
BITTERN_INLINE typename V::Int load_words(const uint32_t* p, int n) {
  return n == 16 ? V::load(p) : V::load(p, n);
}

template <class V>
void run_max_pool2d(const MaxPool2dArgs& args, int64_t begin, int64_t end) {
  const int64_t out_height = args.rows.outputs(), out_width = args.columns.outputs();
  for (int64_t p = begin; p < end; ++p) {
    const int64_t x = p % out_width, y = p / out_width % out_height, image = p / out_width / out_height;
    const WindowAxis::Taps rows = args.rows.taps(y), columns = args.columns.taps(x);
    const int64_t top = image * args.rows.size + args.rows.start(y), left = args.columns.start(x);
    for (int64_t w = 0; w < args.words; w += 16) {
      const int n = static_cast<int>(args.words - w < 16 ? args.words - w : 16);
      typename V::Int all = V::broadcast(~0u);
      for (int64_t i = rows.first; i < rows.last; ++i) {
        const int64_t row = (top + i * args.rows.dilation) * args.columns.size + left;
        for (int64_t j = columns.first; j < columns.last; ++j) {
          const int64_t pixel = row + j * args.columns.dilation;
          all = V::bit_and(all, load_words<V>(args.input + pixel * args.words + w, n));
        }
      }
      uint32_t* out = args.output + p * args.words + w;
      if (n == 16) {
        V::store(out, all);
      } else {
        V::store(out, all, n);
      }
    }
  }
}

}  // namespace
}  // namespace bittern
