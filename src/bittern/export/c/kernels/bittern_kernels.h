/* Bittern's operators in C99, for networks that `bittern export --target c` writes.
 *
 * Float images are [images][height][width][channels], other tensors row-major. Packed tensors hold one bit a channel,
 * 1 for -1: channel c is bit c % 32 of word c / 32 of its pixel, and unused bits are 0. Nothing here allocates, keeps
 * state or fails. A pointer that an equation does not need may be NULL where a comment says so.
 *
 * Every float operation is rounded by itself, in the order that is written here: compile with -ffp-contract=off, and
 * without -ffast-math.
 */
#ifndef BITTERN_KERNELS_H
#define BITTERN_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define BITTERN_INFINITY __builtin_inff()
#define BITTERN_NAN __builtin_nanf("")
#else
#include <math.h>
#define BITTERN_INFINITY INFINITY
#define BITTERN_NAN NAN
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* What a network's function returns. */
enum {
  BITTERN_OK = 0,
  BITTERN_NULL_POINTER = 1,     /* an input, an output or the arena is NULL */
  BITTERN_MISALIGNED_ARENA = 2, /* the arena does not begin at a multiple of BITTERN_ALIGNMENT */
  BITTERN_SMALL_ARENA = 3       /* the arena has fewer bytes than the network needs */
};

#define BITTERN_ALIGNMENT 4 /* of the arena, in bytes: an array of uint32_t will do */

/* Positions of a window that moves over images. Tap (i, j) of output (y, x) is at row y * stride_y + i * dilation_y -
 * top and column x * stride_x + j * dilation_x - left of the image, if there is such a pixel.
 */
typedef struct {
  int32_t images, in_height, in_width, out_height, out_width;
  int32_t kernel_height, kernel_width, stride_y, stride_x, dilation_y, dilation_x, top, left;
} bittern_window_t;

/* What becomes of a sum v of output channel o, each step if its pointer is not NULL:
 *
 *   v = min(max(v, dot_range[0]), dot_range[1])
 *   v = v * mul[o]
 *   v = v + add[o]
 *   v = min(max(v, act_range[0]), act_range[1])
 *   v = v > 0 ? v : v * act_slope[o]
 *   v = v + residual
 *   v = v + shift_in[o];  v = v > 0 ? v : v * shift_slope[o];  v = v + shift_out[o]
 *   bit = v < threshold[o], or v < 0
 */
typedef struct {
  const float *dot_range, *mul, *add, *act_range, *act_slope, *shift_in, *shift_slope, *shift_out, *threshold;
} bittern_epilogue_t;

/* Convolution of bits with bits; a linear layer is one of 1x1 images.
 *
 *   dot(o) = sum over taps, channels c of the group of o: a(tap, c) * w(o, tap, c)      a, w in {-1, +1}
 *   v = (float)dot, and the epilogue;  or, with dot_threshold, bit = dot < dot_threshold[o] alone
 *
 * Outside the image a is pad_value: -1, +1, or 0, where a tap does not count. The weights are
 * [out_channels][taps][tap_words]: group g reads the tap_words words of a pixel from word
 * min(g * group_channels / 32, in_words - tap_words) on, and its bits stand where its channels stand in these.
 */
typedef struct {
  bittern_window_t window;
  int32_t in_words, out_channels, groups, group_channels, tap_words, pad_value;
  const uint32_t* weight;
  const int32_t* dot_threshold;
  bittern_epilogue_t epilogue;
} bittern_conv2d_t;

/* values, bits: one of them may be NULL. residual: NULL for none; may be values. scratch: 2 * taps * tap_words words. */
void bittern_conv2d(const bittern_conv2d_t* layer, const uint32_t* in, const float* residual, float* values,
                    uint32_t* bits, uint32_t* scratch);

/* Convolution of floats with bits, padded with zeros; a linear layer is one of 1x1 images.
 *
 *   v = 0;  for taps, for channels c: v = v + x(tap, c) * w(o, tap, c)      w in {-1, +1};  then the epilogue
 *
 * weight: [out_channels][taps][ceil(in_channels / 32)].
 */
typedef struct {
  bittern_window_t window;
  int32_t in_channels, out_channels;
  const uint32_t* weight;
  bittern_epilogue_t epilogue;
} bittern_conv2d_weight_only_t;

void bittern_conv2d_weight_only(const bittern_conv2d_weight_only_t* layer, const float* in, const float* residual,
                                float* values, uint32_t* bits);

/* Convolution of floats, padded with zeros; a linear layer is one of 1x1 images.
 *
 *   v = bias[o], or 0;  for taps, for channels c of the group of o: v = v + x(tap, c) * w(o, tap, c)
 *
 * weight: [ceil(out_channels / 4)][taps][in_channels / groups][4], the filters of a block side by side.
 */
typedef struct {
  bittern_window_t window;
  int32_t in_channels, out_channels, groups;
  const float *weight, *bias;
} bittern_conv2d_f32_t;

void bittern_conv2d_f32(const bittern_conv2d_f32_t* layer, const float* in, float* out);

/* Of each window and channel the largest value, NaN if there is one; outside the image nothing counts. Of bits the
 * bitwise and, where `channels` counts words.
 */
typedef struct {
  bittern_window_t window;
  int32_t channels;
} bittern_max_pool2d_t;

void bittern_max_pool2d_f32(const bittern_max_pool2d_t* pool, const float* in, float* out);
void bittern_max_pool2d(const bittern_max_pool2d_t* pool, const uint32_t* in, uint32_t* out);

/* v = 0;  for taps inside the image: v = v + x(tap, c);  v = v / divisor, or by the number of such taps if it is 0. */
typedef struct {
  bittern_window_t window;
  int32_t channels, divisor;
} bittern_avg_pool2d_t;

void bittern_avg_pool2d_f32(const bittern_avg_pool2d_t* pool, const float* in, float* out);

/* Bits of floats [pixels][channels], bit = x < threshold[c] or x < 0, and -1 or +1 of bits. */
typedef struct {
  int32_t pixels, channels;
  const float* threshold;
} bittern_pack_t;

void bittern_pack(const bittern_pack_t* pack, const float* in, uint32_t* bits);
void bittern_unpack(const bittern_pack_t* pack, const uint32_t* bits, float* out);

/* out(p, i) = in(p, i) ^ mask[i] over [pixels][words]. in may be out. */
typedef struct {
  int32_t pixels, words;
  const uint32_t* mask;
} bittern_negate_t;

void bittern_negate(const bittern_negate_t* negate, const uint32_t* in, uint32_t* out);

/* Copies runs of bytes between tensors of any order: the byte strides are those of the runs of each. */
#define BITTERN_COPY_DIMS 5
typedef struct {
  int32_t sizes[BITTERN_COPY_DIMS], in_strides[BITTERN_COPY_DIMS], out_strides[BITTERN_COPY_DIMS];
  int32_t in_offset, out_offset, bytes;
} bittern_copy_t;

void bittern_copy(const bittern_copy_t* copy, const void* in, void* out);

/* out[i] = value for i < count. */
typedef struct {
  int32_t count;
  float value;
} bittern_fill_t;

void bittern_fill(const bittern_fill_t* fill, float* out);

/* out = OP(a, b), one operand repeated where its stride is 0; a or b may be out where its strides are those of out. */
#define BITTERN_BROADCAST_DIMS 4
typedef struct {
  int32_t sizes[BITTERN_BROADCAST_DIMS], a_strides[BITTERN_BROADCAST_DIMS], b_strides[BITTERN_BROADCAST_DIMS];
} bittern_broadcast_t;

void bittern_add(const bittern_broadcast_t* shape, const float* a, const float* b, float* out);
void bittern_sub(const bittern_broadcast_t* shape, const float* a, const float* b, float* out);
void bittern_mul(const bittern_broadcast_t* shape, const float* a, const float* b, float* out);
void bittern_div(const bittern_broadcast_t* shape, const float* a, const float* b, float* out);
void bittern_maximum(const bittern_broadcast_t* shape, const float* a, const float* b, float* out); /* or NaN */
void bittern_minimum(const bittern_broadcast_t* shape, const float* a, const float* b, float* out); /* or NaN */
void bittern_prelu(const bittern_broadcast_t* shape, const float* a, const float* b,
                   float* out); /* a > 0 ? a : a * b */

/* out[i] = OP(in[i]) for i < count; in may be out. */
typedef struct {
  int32_t count;
  const float* range; /* of bittern_clamp: low and high */
} bittern_map_t;

void bittern_clamp(const bittern_map_t* map, const float* in, float* out);
void bittern_binarize(const bittern_map_t* map, const float* in, float* out); /* x < 0 ? -1 : +1 */
void bittern_abs(const bittern_map_t* map, const float* in, float* out);
void bittern_neg(const bittern_map_t* map, const float* in, float* out);
void bittern_exp(const bittern_map_t* map, const float* in, float* out);
void bittern_sigmoid(const bittern_map_t* map, const float* in, float* out); /* 1 / (1 + exp(-x)) */
void bittern_sqrt(const bittern_map_t* map, const float* in, float* out);
void bittern_rsqrt(const bittern_map_t* map, const float* in, float* out); /* 1 / sqrt(x) */

/* Along the middle axis of [outer][count][inner], from index 0 on. */
typedef struct {
  int32_t outer, count, inner;
} bittern_axis_t;

void bittern_mean(const bittern_axis_t* axis, const float* in, float* out);    /* the sum, divided by count */
void bittern_softmax(const bittern_axis_t* axis, const float* in, float* out); /* exp(x - max) / sum; in may be out */

/* out(b, i, j) = sum over k of x(b, i, k) * y(b, k, j), from 0, k ascending: [batch][rows][depth], [batch][depth][columns]. */
typedef struct {
  int32_t batch, rows, depth, columns;
} bittern_bmm_t;

void bittern_bmm(const bittern_bmm_t* bmm, const float* x, const float* y, float* out);

/* x = (pixel * scale - mean[c]) / std[c] of 8-bit images [pixels][channels]. */
typedef struct {
  int32_t pixels, channels;
  float scale;
  const float *mean, *std;
} bittern_pixels_t;

void bittern_pixels(const bittern_pixels_t* pixels, const uint8_t* in, float* out);

#ifdef __cplusplus
}
#endif

#endif
