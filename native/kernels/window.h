// One spatial axis of a convolution or pooling: where its windows lie.
//
// Window i starts at position i * stride - before of the image; its tap t lies t * dilation further.
#pragma once

#include <cstdint>

namespace bittern {

struct WindowAxis {
  int64_t size, kernel, stride, dilation, before, after;

  // Taps [first, last) lie inside the image.
  struct Taps {
    int64_t first, last;
  };

  // Inlined everywhere: files compiled for different instruction sets must not share a copy.
#define BITTERN_WINDOW_INLINE inline __attribute__((always_inline))
  BITTERN_WINDOW_INLINE int64_t extent() const { return dilation * (kernel - 1) + 1; }
  BITTERN_WINDOW_INLINE int64_t padded() const { return before + size + after; }
  BITTERN_WINDOW_INLINE int64_t outputs() const { return (padded() - extent()) / stride + 1; }
  BITTERN_WINDOW_INLINE int64_t start(int64_t i) const { return i * stride - before; }
  BITTERN_WINDOW_INLINE Taps taps(int64_t i) const {
    const int64_t from = start(i), rest = size - from;
    if (from >= 0 && rest >= extent()) return {0, kernel};
    const int64_t first = from < 0 ? (-from + dilation - 1) / dilation : 0;
    const int64_t fit = rest <= 0 ? 0 : (rest + dilation - 1) / dilation;
    const int64_t last = fit < kernel ? fit : kernel;
    return {first < last ? first : last, last};
  }
#undef BITTERN_WINDOW_INLINE
};

}  // namespace bittern
