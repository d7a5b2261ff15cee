/* Convolution of floats, four filters at a time. */
#include "bittern_kernels.h"
#include "window.h"

/* Adds the products of one tap to the sums of four filters; x: their inputs, the same one but for groups. */
static void add_products(float sums[4], const float* const x[4], const float* weight, int32_t channels) {
  if (x[0] == x[3]) {
    const float* input = x[0];
    for (int32_t c = 0; c < channels; ++c, weight += 4) {
      for (int32_t f = 0; f < 4; ++f) {
        sums[f] = sums[f] + input[c] * weight[f];
      }
    }
    return;
  }
  for (int32_t c = 0; c < channels; ++c, weight += 4) {
    for (int32_t f = 0; f < 4; ++f) {
      sums[f] = sums[f] + x[f][c] * weight[f];
    }
  }
}

void bittern_conv2d_f32(const bittern_conv2d_f32_t* layer, const float* in, float* out) {
  const bittern_window_t* window = &layer->window;
  const int32_t channels = layer->in_channels / layer->groups, filters = layer->out_channels / layer->groups;
  const int32_t last = layer->out_channels - 1;
  for (int32_t n = 0; n < window->images; ++n) {
    for (int32_t y = 0; y < window->out_height; ++y) {
      for (int32_t x = 0; x < window->out_width; ++x) {
        const float* weight = layer->weight;
        for (int32_t o = 0; o <= last; o += 4) {
          float sums[4] = {0.0f, 0.0f, 0.0f, 0.0f};
          int32_t first[4]; /* channel that each filter reads first; past the last filter, as the last one */
          for (int32_t f = 0; f < 4; ++f) {
            const int32_t filter = o + f < last ? o + f : last;
            first[f] = filter / filters * channels;
            sums[f] = layer->bias == NULL ? 0.0f : layer->bias[filter];
          }
          for (int32_t i = 0; i < window->kernel_height; ++i) {
            for (int32_t j = 0; j < window->kernel_width; ++j, weight += 4 * channels) {
              const int32_t pixel = tap_pixel(window, n, y, x, i, j);
              if (pixel >= 0) {
                const float* input = in + pixel * layer->in_channels;
                const float* const inputs[4] = {input + first[0], input + first[1], input + first[2], input + first[3]};
                add_products(sums, inputs, weight, channels);
              }
            }
          }
          for (int32_t f = 0; f < 4 && o + f <= last; ++f) {
            *out++ = sums[f];
          }
        }
      }
    }
  }
}

void bittern_bmm(const bittern_bmm_t* bmm, const float* x, const float* y, float* out) {
  for (int32_t b = 0; b < bmm->batch; ++b, y += bmm->depth * bmm->columns) {
    for (int32_t i = 0; i < bmm->rows; ++i, x += bmm->depth, out += bmm->columns) {
      for (int32_t j = 0; j < bmm->columns; ++j) {
        out[j] = 0.0f;
      }
      for (int32_t k = 0; k < bmm->depth; ++k) {
        for (int32_t j = 0; j < bmm->columns; ++j) {
          out[j] = out[j] + x[k] * y[k * bmm->columns + j];
        }
      }
    }
  }
}
