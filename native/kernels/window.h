// One spatial axis of a convolution or pooling: where its windows lie.
//
// Window i starts at position i * stride - before of the image; its tap t lies t * dilation further.
#pragma once

#include <cstdint>

#include "kernels/layout.h"

namespace bittern {

struct WindowAxis {
  int64_t size, kernel, stride, dilation, before, after;

  // Taps [first, last) lie inside the image.
  struct Taps {
    int64_t first, last;
  };

  BITTERN_INLINE int64_t extent() const { return dilation * (kernel - 1) + 1; }
  BITTERN_INLINE int64_t padded() const { return before + size + after; }
  BITTERN_INLINE int64_t outputs() const { return (padded() - extent()) / stride + 1; }
  BITTERN_INLINE int64_t start(int64_t i) const { return i * stride - before; }
  BITTERN_INLINE Taps taps(int64_t i) const {
    const int64_t from = start(i), rest = size - from;
    if (from >= 0 && rest >= extent()) return {0, kernel};
    const int64_t first = from < 0 ? (-from + dilation - 1) / dilation : 0;
    const int64_t fit = rest <= 0 ? 0 : (rest + dilation - 1) / dilation;
    const int64_t last = fit < kernel ? fit : kernel;
    return {first < last ? first : last, last};
  }
};

}  // namespace bittern
