// Maximum over windows of packed bits. +1 (bit 0) is the larger value, so the maximum is the bitwise and:
//
//     out[n, y, x, w] = and over taps (i, j) inside the image of in[n, y0 + i * dy, x0 + j * dx, w]
//     y0 = rows.start(y),  dy = rows.dilation,  x0 = columns.start(x),  dx = columns.dilation
//
// as in torch.max_pool2d; every window must hold at least one tap of the image.
#pragma once

#include <cstdint>

#include "kernels/arch.h"
#include "kernels/window.h"

namespace bittern {

struct MaxPool2dArgs {
  const uint32_t* input;  // [images, rows.size, columns.size, words]
  uint32_t* output;       // [images, rows.outputs(), columns.outputs(), words]
  int64_t words;
  WindowAxis rows, columns;
};

// Output pixels [begin, end), counted over all images.
using MaxPool2dKernel = void (*)(const MaxPool2dArgs& args, int64_t begin, int64_t end);

struct MaxPool2dImplementation {
  const char* name;
  uint32_t flags;
  MaxPool2dKernel max_pool2d;
};

#define BITTERN_MAX_POOL2D_KERNEL(isa) extern const MaxPool2dImplementation max_pool2d_##isa;
#include "kernels/max_pool2d/kernels.inc"

// The first row of kernels.inc that `flags` allow.
const MaxPool2dImplementation& get_max_pool2d(uint32_t flags);

}  // namespace bittern
