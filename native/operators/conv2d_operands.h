// The kernel that runs a convolution, and its operands in the form that this kernel reads.
#pragma once

#include <cstdint>

#include "kernels/conv2d/conv2d.h"
#include "operators/call.h"
#include "operators/conv2d_run.h"

namespace bittern {

struct Conv2dOperands {
  const char* name;  // of the kernel
  Conv2dKernel kernel;
  int64_t strip;       // filters at which another thread may start
  int64_t scale;       // words per packed word
  int64_t set_weight;  // words
};

// Brings input and weights of all sets into the form of the fastest kernel, in scratch memory, and points `args`, of
// the first set, to them.
Conv2dOperands choose_conv2d_operands(Call& call, uint32_t flags, const Conv2dWork& work, Conv2dArgs* args);

}  // namespace bittern
