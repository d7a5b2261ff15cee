// Floats to bits and back. Bit 1 means negative; bit c % 32 of word c / 32 is channel c; unused bits are 0.
//
//     pack:      bit(p, c) = x(p, c) < threshold[c]              threshold null: x(p, c) < 0.  NaN gives 0.
//     unpack:    x(p, c)   = bit(p, c) ? -1 : +1
//     binarize:  y[i]      = x[i] < 0 ? -1 : +1
//
//     x(p, c)   = values[((p / plane) * channels + c) * plane + p % plane]
//     bit(p, c) = words[p * ceil(channels / 32) + c / 32] >> c % 32 & 1
//
// A plane of 1 is a row of adjacent channels (channels_last); otherwise `plane` pixels of one channel are adjacent
// (contiguous NCHW). Unpack writes rows only.
#pragma once

#include <cstdint>

#include "kernels/arch.h"

namespace bittern {

struct PackArgs {
  const float* values;
  const float* threshold;  // [channels] or null
  uint32_t* words;         // [pixels, ceil(channels / 32)]
  int64_t channels, plane;
};

struct UnpackArgs {
  const uint32_t* words;  // [pixels, ceil(channels / 32)]
  float* values;          // [pixels, channels]
  int64_t channels;
};

// Pixels [begin, end).
using PackKernel = void (*)(const PackArgs& args, int64_t begin, int64_t end);
using UnpackKernel = void (*)(const UnpackArgs& args, int64_t begin, int64_t end);
// Values [begin, end) of x to the same place of y.
using BinarizeKernel = void (*)(const float* x, float* y, int64_t begin, int64_t end);

struct PackImplementation {
  const char* name;
  uint32_t flags;
  PackKernel pack;
  UnpackKernel unpack;
  BinarizeKernel binarize;
};

#define BITTERN_PACK_KERNEL(isa) extern const PackImplementation pack_##isa;
#include "kernels/pack/kernels.inc"

// The first row of kernels.inc that `flags` allow.
const PackImplementation& get_pack(uint32_t flags);

}  // namespace bittern
