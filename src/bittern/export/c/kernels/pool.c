/* Windows and axes of floats. */
#include "bittern_kernels.h"
#include "window.h"

void bittern_max_pool2d_f32(const bittern_max_pool2d_t* pool, const float* in, float* out) {
  const bittern_window_t* window = &pool->window;
  for (int32_t n = 0; n < window->images; ++n) {
    for (int32_t y = 0; y < window->out_height; ++y) {
      for (int32_t x = 0; x < window->out_width; ++x, out += pool->channels) {
        for (int32_t c = 0; c < pool->channels; ++c) {
          out[c] = -BITTERN_INFINITY;
        }
        for (int32_t i = 0; i < window->kernel_height; ++i) {
          for (int32_t j = 0; j < window->kernel_width; ++j) {
            const int32_t pixel = tap_pixel(window, n, y, x, i, j);
            for (int32_t c = 0; pixel >= 0 && c < pool->channels; ++c) {
              const float v = in[pixel * pool->channels + c];
              out[c] = v > out[c] || v != v ? v : out[c];
            }
          }
        }
      }
    }
  }
}

void bittern_avg_pool2d_f32(const bittern_avg_pool2d_t* pool, const float* in, float* out) {
  const bittern_window_t* window = &pool->window;
  for (int32_t n = 0; n < window->images; ++n) {
    for (int32_t y = 0; y < window->out_height; ++y) {
      for (int32_t x = 0; x < window->out_width; ++x, out += pool->channels) {
        int32_t taps = 0;
        for (int32_t c = 0; c < pool->channels; ++c) {
          out[c] = 0.0f;
        }
        for (int32_t i = 0; i < window->kernel_height; ++i) {
          for (int32_t j = 0; j < window->kernel_width; ++j) {
            const int32_t pixel = tap_pixel(window, n, y, x, i, j);
            taps += pixel >= 0;
            for (int32_t c = 0; pixel >= 0 && c < pool->channels; ++c) {
              out[c] = out[c] + in[pixel * pool->channels + c];
            }
          }
        }
        const float divisor = (float)(pool->divisor > 0 ? pool->divisor : taps);
        for (int32_t c = 0; c < pool->channels; ++c) {
          out[c] = out[c] / divisor;
        }
      }
    }
  }
}

void bittern_mean(const bittern_axis_t* axis, const float* in, float* out) {
  for (int32_t i = 0; i < axis->outer; ++i, in += axis->count * axis->inner, out += axis->inner) {
    for (int32_t k = 0; k < axis->inner; ++k) {
      out[k] = 0.0f;
    }
    for (int32_t j = 0; j < axis->count; ++j) {
      for (int32_t k = 0; k < axis->inner; ++k) {
        out[k] = out[k] + in[j * axis->inner + k];
      }
    }
    for (int32_t k = 0; k < axis->inner; ++k) {
      out[k] = out[k] / (float)axis->count;
    }
  }
}
