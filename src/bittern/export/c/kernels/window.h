/* Where the taps of a window are. */
#include "bittern_kernels.h"

/* The row or column of a tap, or -1 outside the image. */
static int32_t tap_position(int32_t out, int32_t stride, int32_t tap, int32_t dilation, int32_t before, int32_t size) {
  const int32_t position = out * stride + tap * dilation - before;
  return position < size ? position : -1;
}

/* The pixel of a tap, counted from the first of all images; -1 outside its image. */
static int32_t tap_pixel(const bittern_window_t* window, int32_t n, int32_t y, int32_t x, int32_t i, int32_t j) {
  const int32_t row = tap_position(y, window->stride_y, i, window->dilation_y, window->top, window->in_height);
  const int32_t column = tap_position(x, window->stride_x, j, window->dilation_x, window->left, window->in_width);
  return row < 0 || column < 0 ? -1 : (n * window->in_height + row) * window->in_width + column;
}
