// Binary convolution of one group of channels, with its epilogue; a linear layer is the case of one tap.
//
// For output pixel p = (n * out_height + y) * out_width + x and filter o < filters:
//
//     first(p)  = input + n * image_stride + y * row_stride + x * pixel_stride
//     count     = sum_{r < runs, i < run_words}
//                     popcount((first(p)[run_offsets[r] + i] ^ w(o, r * run_words + i)) & m(o, i))
//     w(o, k)   = weight[((o / 16) * runs * run_words + k) * 16 + o % 16]
//     m(o, i)   = mask[i * 16 + o % 16], all ones where there is no mask
//     dot(p, o) = valid_bits - 2 * count without border, else
//                 border.valid_bits[c] - 2 * (count - border.counts[c, o]),
//                 c = row_class[y] * column_classes + column_class[x]
//
// and epilogue.h turns dot into outputs. Bits of one run are adjacent words, so a run is one tap, or one kernel row
// where its taps are neighbours. Unused bits are 0 in input and weights; filters past `filters` in the last block of 16
// are 0.
//
// The mask picks the channels that a filter reads: groups of few channels share words of the input, and their filters a
// block. Runs are then taps.
//
// The border corrects convolutions padded with zeros: the input holds +1 there (bits 0), which adds the popcount of the
// weights' outer taps to `count`; `counts` is that popcount. Class 0 has no outer taps.
//
// Limits: valid_bits <= kMaxFilterBits, so that float(dot) is exact and no 32-bit counter overflows; nothing is empty.
// Pointers are aligned to their elements, no further.
#pragma once

#include <cstdint>

#include "kernels/arch.h"
#include "kernels/conv2d/epilogue.h"
#include "kernels/layout.h"

namespace bittern {

struct Conv2dBorder {
  const int32_t* row_class;     // [out_height]
  const int32_t* column_class;  // [out_width]
  int64_t column_classes;
  const int32_t* valid_bits;  // [classes]
  const uint32_t* counts;     // [classes, count_stride], at the first filter
  int64_t count_stride;
  int64_t first_whole, last_whole;  // columns [first, last) are of class 0, and perhaps others
};

struct Conv2dArgs {
  const uint32_t* input;
  int64_t image_stride, row_stride, pixel_stride;  // in words, between output neighbours: the strides are in them
  int64_t out_height, out_width;
  const int64_t* run_offsets;  // [runs], in words
  int64_t runs, run_words;
  const uint32_t* weight;  // [ceil(filters / 16), runs * run_words, 16]
  int64_t filters;
  const uint32_t* mask;  // null, or [run_words, 16]
  int32_t valid_bits;
  const Conv2dBorder* border;  // null: none
  // Null, or [pixels]: added to `count`, by kernels that count only the rest of it (conv2d_pairs.h).
  const uint32_t* pixel_counts;

  Epilogue epilogue;
  int64_t channels;  // of all groups: distance of two pixels in `values` and in the residual
  float* values;     // null, or [pixels, channels], at the first filter
  // null, or [pixels, ceil(channels / 32)]. Filter o is bit first_channel + o of its pixel. Where first_channel is a
  // multiple of 16 whole halves of words are written, zeros past `filters`; elsewhere bits are or-ed into what is
  // there.
  uint32_t* bits;
  int64_t first_channel;
};

// Pixels [begin, end).
using Conv2dKernel = void (*)(const Conv2dArgs& args, int64_t begin, int64_t end);

// counts[t, o] = sum_{i < tap_words} popcount(w(o, t * tap_words + i)), for taps of adjacent words and whole blocks of
// 16 filters: counts[taps, blocks * 16], weight[blocks, taps * tap_words, 16].
using TapCountsKernel = void (*)(const uint32_t* weight, int64_t blocks, int64_t taps, int64_t tap_words,
                                 uint32_t* counts);

// What the choice of a kernel depends on.
struct Conv2dLayer {
  int64_t pixels;       // of the output, over all images
  int64_t filters;      // of one set of groups
  int64_t words;        // of a filter
  int64_t pixel_words;  // of a pixel of the input
  int64_t sets;         // convolutions on a part of the channels each
  bool masked;          // groups share words
};

// The layers that a kernel takes. The minima are measured: a later row of kernels.inc is faster on smaller layers. The
// rest is what the kernel can compute.
struct Conv2dLimits {
  int64_t min_pixels = 1, min_blocks = 1, min_words = 1;
  int64_t max_words = kMaxFilterBits;
  bool odd_words = true, sets = true, masks = true;
};

// A row of kernels.inc.
struct Conv2dImplementation {
  const char* name;
  uint32_t flags;
  Conv2dKernel conv2d;
  int64_t tile_pixels, tile_blocks;  // outputs whose counters stay in registers, in blocks of filters
  Conv2dLimits limits;
};

// Null if `limits` admit the layer, else the rule that it breaks.
const char* why_not(const Conv2dLimits& limits, const Conv2dLayer& layer);

// The kernels that read input and weights as they are, and take any layer.
struct Conv2dDirect : Conv2dImplementation {
  static constexpr int64_t kMaxDepthwiseTaps = 255;

  // Filter o reads only channel o: a run is one tap of one channel, of words [ceil(filters / 32)] at first(p); weight
  // is [runs, ceil(filters / 32)], bit o % 32 of word o / 32 that of filter o. At most kMaxDepthwiseTaps runs.
  Conv2dKernel depthwise;
  TapCountsKernel tap_counts;
};

#define BITTERN_CONV2D_DIRECT(isa) extern const Conv2dDirect conv2d_##isa;
#include "kernels/conv2d/kernels.inc"

// The first direct kernel that `flags` allow.
const Conv2dDirect& get_conv2d_direct(uint32_t flags);

}  // namespace bittern
