/* Arithmetic with broadcasting, and maps of single numbers. */
#include "bittern_kernels.h"
#include "epilogue.h"

/* A loop is written out for each operation, so that a compiler can turn the inner one into vectors. */
#define BITTERN_BINARY(name, result)                                                        \
  void name(const bittern_broadcast_t* shape, const float* a, const float* b, float* out) { \
    const int32_t *sizes = shape->sizes, *sa = shape->a_strides, *sb = shape->b_strides;    \
    for (int32_t i = 0; i < sizes[0]; ++i) {                                                \
      for (int32_t j = 0; j < sizes[1]; ++j) {                                              \
        for (int32_t k = 0; k < sizes[2]; ++k) {                                            \
          const float* left = a + i * sa[0] + j * sa[1] + k * sa[2];                        \
          const float* right = b + i * sb[0] + j * sb[1] + k * sb[2];                       \
          for (int32_t l = 0; l < sizes[3]; ++l) {                                          \
            const float x = left[l * sa[3]], y = right[l * sb[3]];                          \
            *out++ = result;                                                                \
          }                                                                                 \
        }                                                                                   \
      }                                                                                     \
    }                                                                                       \
  }

BITTERN_BINARY(bittern_add, x + y)
BITTERN_BINARY(bittern_sub, x - y)
BITTERN_BINARY(bittern_mul, x* y)
BITTERN_BINARY(bittern_div, x / y)
BITTERN_BINARY(bittern_maximum, x > y || x != x ? x : y)
BITTERN_BINARY(bittern_minimum, x < y || x != x ? x : y)
BITTERN_BINARY(bittern_prelu, x > 0.0f ? x : x * y)

/* 2^k of -126 <= k <= 127: exponent fields of float32 begin at 2^-126. */
static float power_of_two(int32_t k) {
  float result = 1.0f;
  for (; k > 0; --k) {
    result = result * 2.0f;
  }
  for (; k < 0; ++k) {
    result = result * 0.5f;
  }
  return result;
}

/* exp(x) to about two units in the last place, by the same roundings everywhere: x = k ln 2 + r, |r| <= ln 2 / 2, and a
 * polynomial of degree 6 in r, Taylor's. Below -87.3 the result would be no normal number: it is 0.
 */
static float exponential(float x) {
  if (x != x) {
    return x;
  }
  if (x > 88.7f) {
    return BITTERN_INFINITY;
  }
  if (x < -87.3f) {
    return 0.0f;
  }
  const int32_t k = (int32_t)(x * 1.44269502f + (x < 0.0f ? -0.5f : 0.5f)); /* 1 / ln 2 */
  float r = x - (float)k * 0.693145752f;                                    /* ln 2 in two parts, the first exact */
  r = r - (float)k * 1.42860677e-6f;
  float v = 0.00138888892f;
  v = v * r + 0.00833333377f;
  v = v * r + 0.0416666679f;
  v = v * r + 0.166666672f;
  v = v * r + 0.5f;
  v = v * r + 1.0f;
  v = v * r + 1.0f;
  return k > 127 ? v * 2.0f * power_of_two(k - 1) : v * power_of_two(k);
}

/* The square root, rounded to nearest as IEEE 754 asks: bit by bit, without a C library. */
static float square_root(float x) {
  if (!(x > 0.0f) || x == BITTERN_INFINITY) {
    return x < 0.0f ? BITTERN_NAN : x;
  }
  /* x = m * 4^e with 2^46 <= m < 2^48 an integer; the root of m has 24 bits. */
  int32_t e = 0;
  for (; x < 70368744177664.0f; --e) {
    x = x * 4.0f;
  }
  for (; x >= 281474976710656.0f; ++e) {
    x = x * 0.25f;
  }
  const uint64_t m = (uint64_t)x;
  uint64_t root = 0;
  for (uint64_t bit = (uint64_t)1 << 23; bit != 0; bit >>= 1) {
    root = (root + bit) * (root + bit) <= m ? root + bit : root;
  }
  root += m - root * root > root ? 1u : 0u; /* above root + 1/2 */
  return (float)root * power_of_two(e);
}

#define BITTERN_MAP(name, result)                                    \
  void name(const bittern_map_t* map, const float* in, float* out) { \
    for (int32_t i = 0; i < map->count; ++i) {                       \
      const float x = in[i];                                         \
      out[i] = result;                                               \
    }                                                                \
  }

BITTERN_MAP(bittern_clamp, clamp(x, map->range))
BITTERN_MAP(bittern_binarize, x < 0.0f ? -1.0f : 1.0f)
BITTERN_MAP(bittern_abs, x < 0.0f ? -x : x)
BITTERN_MAP(bittern_neg, -x)
BITTERN_MAP(bittern_exp, exponential(x))
BITTERN_MAP(bittern_sigmoid, 1.0f / (1.0f + exponential(-x)))
BITTERN_MAP(bittern_sqrt, square_root(x))
BITTERN_MAP(bittern_rsqrt, 1.0f / square_root(x))

void bittern_softmax(const bittern_axis_t* axis, const float* in, float* out) {
  const int32_t stride = axis->inner;
  for (int32_t i = 0; i < axis->outer; ++i) {
    for (int32_t k = 0; k < axis->inner; ++k) {
      const float* x = in + i * axis->count * stride + k;
      float* y = out + i * axis->count * stride + k;
      float largest = x[0], sum = 0.0f;
      for (int32_t j = 1; j < axis->count; ++j) {
        largest = x[j * stride] > largest ? x[j * stride] : largest;
      }
      for (int32_t j = 0; j < axis->count; ++j) {
        y[j * stride] = exponential(x[j * stride] - largest);
        sum = sum + y[j * stride];
      }
      for (int32_t j = 0; j < axis->count; ++j) {
        y[j * stride] = y[j * stride] / sum;
      }
    }
  }
}

void bittern_fill(const bittern_fill_t* fill, float* out) {
  for (int32_t i = 0; i < fill->count; ++i) {
    out[i] = fill->value;
  }
}

void bittern_pixels(const bittern_pixels_t* pixels, const uint8_t* in, float* out) {
  for (int32_t i = 0; i < pixels->pixels; ++i) {
    for (int32_t c = 0; c < pixels->channels; ++c) {
      const float value = (float)*in++ * pixels->scale - pixels->mean[c];
      *out++ = value / pixels->std[c];
    }
  }
}
