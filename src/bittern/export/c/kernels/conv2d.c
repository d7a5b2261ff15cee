/* Convolution of bits with bits: the words of a window are gathered once and compared with every filter. */
#include "bittern_kernels.h"
#include "count.h"
#include "epilogue.h"
#include "window.h"

/* Ones at bits [from, to) of a word, of which any may lie outside it. */
static uint32_t bit_range(int32_t from, int32_t to) {
  const uint32_t below = from <= 0 ? 0u : from >= 32 ? 0xffffffffu : (1u << from) - 1u;
  const uint32_t up_to = to <= 0 ? 0u : to >= 32 ? 0xffffffffu : (1u << to) - 1u;
  return up_to & ~below;
}

/* What the filters of one group see at one pixel. */
typedef struct {
  uint32_t *window, *mask; /* [taps][tap_words] */
  int32_t taps;            /* that count */
  int masked;              /* whether other bits than those of the mask may be set */
} gathered_t;

/* Of one group, and a window inside the image: a copy. */
static void gather_inside(const bittern_conv2d_t* layer, const uint32_t* first, gathered_t* out) {
  const bittern_window_t* window = &layer->window;
  const int32_t row = window->dilation_y * window->in_width * layer->in_words;
  const int32_t column = window->dilation_x * layer->in_words;
  uint32_t* words = out->window;
  for (int32_t i = 0; i < window->kernel_height; ++i) {
    for (int32_t j = 0; j < window->kernel_width; ++j) {
      const uint32_t* pixel = first + i * row + j * column;
      for (int32_t k = 0; k < layer->in_words; ++k) {
        *words++ = pixel[k];
      }
    }
  }
  out->taps = window->kernel_height * window->kernel_width;
  out->masked = 0;
}

static void gather(const bittern_conv2d_t* layer, const uint32_t* in, int32_t n, int32_t y, int32_t x, int32_t group,
                   gathered_t* out) {
  const bittern_window_t* window = &layer->window;
  const int32_t first_pixel = tap_pixel(window, n, y, x, 0, 0);
  if (layer->groups == 1 && first_pixel >= 0 &&
      tap_pixel(window, n, y, x, window->kernel_height - 1, window->kernel_width - 1) >= 0) {
    gather_inside(layer, in + first_pixel * layer->in_words, out);
    return;
  }
  const int32_t last = layer->in_words - layer->tap_words, channel = group * layer->group_channels;
  const int32_t first_word = channel / 32 < last ? channel / 32 : last, first_bit = channel - 32 * first_word;
  uint32_t *words = out->window, *mask = out->mask;
  out->taps = 0;
  out->masked = layer->groups > 1;
  for (int32_t i = 0; i < window->kernel_height; ++i) {
    for (int32_t j = 0; j < window->kernel_width; ++j) {
      const int32_t pixel = tap_pixel(window, n, y, x, i, j);
      const int counts = pixel >= 0 || layer->pad_value != 0;
      out->taps += counts;
      out->masked |= !counts;
      for (int32_t k = 0; k < layer->tap_words; ++k) {
        const uint32_t channels = bit_range(first_bit - 32 * k, first_bit + layer->group_channels - 32 * k);
        *mask++ = counts ? channels : 0u;
        *words++ = pixel >= 0 ? in[pixel * layer->in_words + first_word + k] : layer->pad_value < 0 ? channels : 0u;
      }
    }
  }
}

/* The dot product of one filter. */
INLINE int32_t dot_product(const gathered_t* seen, const uint32_t* filter, int32_t words, int32_t channels) {
  const int32_t count = seen->masked ? count_bits(seen->window, filter, seen->mask, words)
                                     : count_bits(seen->window, filter, NULL, words);
  return seen->taps * channels - 2 * count;
}

/* The bits of one pixel where nothing but a threshold follows. */
static uint32_t* put_threshold_bits(const bittern_conv2d_t* layer, const uint32_t* in, int32_t n, int32_t y, int32_t x,
                                    gathered_t* seen, uint32_t* bits) {
  const int32_t words = layer->window.kernel_height * layer->window.kernel_width * layer->tap_words;
  const int32_t group_filters = layer->out_channels / layer->groups;
  const uint32_t* filter = layer->weight;
  const int32_t* threshold = layer->dot_threshold;
  uint32_t word = 0, bit = 1;
  for (int32_t group = 0; group < layer->groups; ++group) {
    gather(layer, in, n, y, x, group, seen);
    for (int32_t i = 0; i < group_filters; ++i, filter += words) {
      word |= dot_product(seen, filter, words, layer->group_channels) < *threshold++ ? bit : 0u;
      bit <<= 1;
      if (bit == 0) {
        *bits++ = word;
        word = 0;
        bit = 1;
      }
    }
  }
  if (bit != 1) {
    *bits++ = word;
  }
  return bits;
}

void bittern_conv2d(const bittern_conv2d_t* layer, const uint32_t* in, const float* residual, float* values,
                    uint32_t* bits, uint32_t* scratch) {
  const bittern_window_t* window = &layer->window;
  const int32_t words = window->kernel_height * window->kernel_width * layer->tap_words;
  const int32_t group_filters = layer->out_channels / layer->groups;
  gathered_t seen = {scratch, scratch + words, 0, 0};
  pixel_outputs_t out = {&layer->epilogue, residual, values, bits, 0, layer->out_channels};
  for (int32_t n = 0; n < window->images; ++n) {
    for (int32_t y = 0; y < window->out_height; ++y) {
      for (int32_t x = 0; x < window->out_width; ++x) {
        if (layer->dot_threshold != NULL) {
          bits = put_threshold_bits(layer, in, n, y, x, &seen, bits);
          continue;
        }
        const uint32_t* filter = layer->weight;
        for (int32_t o = 0; o < layer->out_channels; ++o, filter += words) {
          if (o % group_filters == 0) {
            gather(layer, in, n, y, x, o / group_filters, &seen);
          }
          put_sum(&out, o, (float)dot_product(&seen, filter, words, layer->group_channels));
        }
        out.residual = out.residual == NULL ? NULL : out.residual + layer->out_channels;
        out.values = out.values == NULL ? NULL : out.values + layer->out_channels;
      }
    }
  }
}

void bittern_conv2d_weight_only(const bittern_conv2d_weight_only_t* layer, const float* in, const float* residual,
                                float* values, uint32_t* bits) {
  const bittern_window_t* window = &layer->window;
  const int32_t channels = layer->in_channels, tap_words = (channels + 31) / 32;
  pixel_outputs_t out = {&layer->epilogue, residual, values, bits, 0, layer->out_channels};
  for (int32_t n = 0; n < window->images; ++n) {
    for (int32_t y = 0; y < window->out_height; ++y) {
      for (int32_t x = 0; x < window->out_width; ++x) {
        const uint32_t* words = layer->weight;
        for (int32_t o = 0; o < layer->out_channels; ++o) {
          float v = 0.0f;
          for (int32_t i = 0; i < window->kernel_height; ++i) {
            for (int32_t j = 0; j < window->kernel_width; ++j, words += tap_words) {
              const int32_t pixel = tap_pixel(window, n, y, x, i, j);
              for (int32_t c = 0; pixel >= 0 && c < channels; ++c) {
                const float value = in[pixel * channels + c];
                v = (words[c / 32] >> (c % 32) & 1u) != 0u ? v - value : v + value;
              }
            }
          }
          put_sum(&out, o, v);
        }
        out.residual = out.residual == NULL ? NULL : out.residual + layer->out_channels;
        out.values = out.values == NULL ? NULL : out.values + layer->out_channels;
      }
    }
  }
}
