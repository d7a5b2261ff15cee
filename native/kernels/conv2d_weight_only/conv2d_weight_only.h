// Convolution of real-valued inputs with binary weights, with the epilogue of conv2d; a linear layer is the case of one
// tap.
//
// For output pixel p and filter o, with first(p) and run_offsets of conv2d.h, whose words are floats here:
//
//     sum(p, o) = 0;  for r < runs, for i < run_words:  sum = sum + float(first(p)[run_offsets[r] + i]) * w(o, r, i)
//
// in this order, each addition rounded to float32. A run is run_words / tap_channels taps side by side, and the weights
// are those of conv2d: with tap_words = ceil(tap_channels / 32), and t, c the tap and the channel of i,
//
//     w(o, r, i) = -1 where bit c % 32 of word (r * taps of a run + t) * tap_words + c / 32 of filter o is set, else +1
//
// The products are exact. So every implementation gives the same floats, whatever it computes side by side.
#pragma once

#include <cstdint>

#include "kernels/arch.h"
#include "kernels/conv2d/conv2d.h"

namespace bittern {

struct Conv2dWeightOnlyArgs {
  // The words of the input are floats; weight is [ceil(filters / 16), words of all taps, 16]. Without mask, border,
  // valid_bits and integer thresholds.
  Conv2dArgs conv;
  int64_t tap_channels;
};

// Pixels [begin, end).
using Conv2dWeightOnlyKernel = void (*)(const Conv2dWeightOnlyArgs& args, int64_t begin, int64_t end);

struct Conv2dWeightOnlyImplementation {
  const char* name;
  uint32_t flags;
  Conv2dWeightOnlyKernel conv2d;
  int64_t strip_blocks;  // of 16 filters: those of one pass over few pixels
};

#define BITTERN_CONV2D_WEIGHT_ONLY_KERNEL(isa) extern const Conv2dWeightOnlyImplementation conv2d_weight_only_##isa;
#include "kernels/conv2d_weight_only/kernels.inc"

// The first row of kernels.inc that `flags` allow.
const Conv2dWeightOnlyImplementation& get_conv2d_weight_only(uint32_t flags);

}  // namespace bittern
