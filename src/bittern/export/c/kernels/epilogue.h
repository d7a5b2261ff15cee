/* From a layer's sums to its outputs. */
#include "bittern_kernels.h"

static float clamp(float v, const float* range) {
  v = v < range[0] ? range[0] : v;
  return v > range[1] ? range[1] : v;
}

/* residual: of this value, or NULL. */
static float finish(const bittern_epilogue_t* epilogue, float v, int32_t o, const float* residual) {
  if (epilogue->dot_range != NULL) {
    v = clamp(v, epilogue->dot_range);
  }
  if (epilogue->mul != NULL) {
    v = v * epilogue->mul[o];
  }
  if (epilogue->add != NULL) {
    v = v + epilogue->add[o];
  }
  if (epilogue->act_range != NULL) {
    v = clamp(v, epilogue->act_range);
  }
  if (epilogue->act_slope != NULL) {
    v = v > 0.0f ? v : v * epilogue->act_slope[o];
  }
  if (residual != NULL) {
    v = v + *residual;
  }
  if (epilogue->shift_in != NULL) {
    v = v + epilogue->shift_in[o];
  }
  if (epilogue->shift_slope != NULL) {
    v = v > 0.0f ? v : v * epilogue->shift_slope[o];
  }
  return epilogue->shift_out == NULL ? v : v + epilogue->shift_out[o];
}

/* Outputs of one pixel, in the order of its channels. */
typedef struct {
  const bittern_epilogue_t* epilogue;
  const float* residual;
  float* values;
  uint32_t *bits, word;
  int32_t channels;
} pixel_outputs_t;

static void put_bit(pixel_outputs_t* out, int32_t o, uint32_t bit) {
  out->word |= bit << (o & 31);
  if ((o & 31) == 31 || o == out->channels - 1) {
    *out->bits++ = out->word;
    out->word = 0;
  }
}

static void put_sum(pixel_outputs_t* out, int32_t o, float v) {
  v = finish(out->epilogue, v, o, out->residual == NULL ? NULL : out->residual + o);
  if (out->values != NULL) {
    out->values[o] = v;
  }
  if (out->bits != NULL) {
    const float* threshold = out->epilogue->threshold;
    put_bit(out, o, v < (threshold == NULL ? 0.0f : threshold[o]) ? 1u : 0u);
  }
}
