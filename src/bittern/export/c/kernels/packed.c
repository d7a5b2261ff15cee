/* Bits of floats, floats of bits, and what else happens to packed tensors. */
#include "bittern_kernels.h"
#include "window.h"

void bittern_pack(const bittern_pack_t* pack, const float* in, uint32_t* bits) {
  for (int32_t pixel = 0; pixel < pack->pixels; ++pixel) {
    uint32_t word = 0;
    for (int32_t c = 0; c < pack->channels; ++c) {
      const float threshold = pack->threshold == NULL ? 0.0f : pack->threshold[c];
      word |= (*in++ < threshold ? 1u : 0u) << (c & 31);
      if ((c & 31) == 31 || c == pack->channels - 1) {
        *bits++ = word;
        word = 0;
      }
    }
  }
}

void bittern_unpack(const bittern_pack_t* pack, const uint32_t* bits, float* out) {
  for (int32_t pixel = 0; pixel < pack->pixels; ++pixel, bits += (pack->channels + 31) / 32) {
    for (int32_t c = 0; c < pack->channels; ++c) {
      *out++ = (bits[c / 32] >> (c % 32) & 1u) != 0u ? -1.0f : 1.0f;
    }
  }
}

void bittern_negate(const bittern_negate_t* negate, const uint32_t* in, uint32_t* out) {
  for (int32_t pixel = 0; pixel < negate->pixels; ++pixel) {
    for (int32_t i = 0; i < negate->words; ++i) {
      *out++ = *in++ ^ negate->mask[i];
    }
  }
}

void bittern_max_pool2d(const bittern_max_pool2d_t* pool, const uint32_t* in, uint32_t* out) {
  const bittern_window_t* window = &pool->window;
  for (int32_t n = 0; n < window->images; ++n) {
    for (int32_t y = 0; y < window->out_height; ++y) {
      for (int32_t x = 0; x < window->out_width; ++x, out += pool->channels) {
        for (int32_t k = 0; k < pool->channels; ++k) {
          out[k] = 0xffffffffu;
        }
        for (int32_t i = 0; i < window->kernel_height; ++i) {
          for (int32_t j = 0; j < window->kernel_width; ++j) {
            const int32_t pixel = tap_pixel(window, n, y, x, i, j);
            for (int32_t k = 0; pixel >= 0 && k < pool->channels; ++k) {
              out[k] &= in[pixel * pool->channels + k];
            }
          }
        }
      }
    }
  }
}
