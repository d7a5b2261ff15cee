/* Counts the instructions that a 3x3 binary layer takes for each 32-bit word of its filters, which is 32
 * multiply-accumulates, on images of 8x8 pixels. With a folder of `bittern export --target c`:
 *
 *     FLAGS="-O3 -DCHANNELS=128 -IOUT" run.sh cortex-m4 words.c OUT/bittern_kernels.c
 */
#include <stdio.h>

#include "bittern_kernels.h"

#ifndef CHANNELS
#define CHANNELS 64
#endif
#define FILTERS 64
#define SIZE 8
#define WORDS (CHANNELS / 32)

static volatile uint32_t* const systick = (volatile uint32_t*)0xe000e010u; /* control, reload, value */

static uint32_t weight[FILTERS * 9 * WORDS], image[SIZE * SIZE * WORDS], bits[SIZE * SIZE * FILTERS / 32];
static uint32_t scratch[2 * 9 * WORDS];
static int32_t dot_threshold[FILTERS];
static float factor[FILTERS], values[SIZE * SIZE * FILTERS];

static void fill(uint32_t* words, int count, uint32_t seed) {
  for (int i = 0; i < count; ++i) {
    seed = seed * 1664525u + 1013904223u;
    words[i] = seed ^ seed >> 16;
  }
}

static void measure(const char* what, const bittern_conv2d_t* layer) {
  const uint32_t words = SIZE * SIZE * FILTERS * 9 * WORDS;
  const uint32_t begin = systick[2];
  bittern_conv2d(layer, image, NULL, layer->dot_threshold == NULL ? values : NULL, bits, scratch);
  const uint32_t ticks = (begin - systick[2]) & 0xffffffu;
  const uint32_t hundredths = (uint32_t)((uint64_t)ticks * TICK_PICOSECONDS / 10 / words);
  printf("%s: %u.%02u instructions a word\n", what, (unsigned)(hundredths / 100), (unsigned)(hundredths % 100));
}

int main(void) {
  bittern_conv2d_t layer = {
      .window = {1, SIZE, SIZE, SIZE, SIZE, 3, 3, 1, 1, 1, 1, 1, 1},
      .in_words = WORDS,
      .out_channels = FILTERS,
      .groups = 1,
      .group_channels = CHANNELS,
      .tap_words = WORDS,
      .pad_value = 1,
      .weight = weight,
      .dot_threshold = dot_threshold,
  };
  fill(weight, FILTERS * 9 * WORDS, 1);
  fill(image, SIZE * SIZE * WORDS, 2);
  systick[1] = 0xffffffu;
  systick[2] = 0;
  systick[0] = 5;
  while (systick[2] == 0) {
  }
  measure("integer thresholds, padded with ones", &layer);
  layer.pad_value = 0;
  measure("integer thresholds, padded with zeros", &layer);
  layer.dot_threshold = NULL;
  layer.epilogue.mul = layer.epilogue.add = factor;
  measure("floats and bits, padded with zeros", &layer);
  return 0;
}
