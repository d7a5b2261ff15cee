// Runs the kernel of a convolution or linear layer over all its groups, filters and pixels, by the host's threads.
#pragma once

#include <cstdint>

#include "kernels/conv2d/conv2d.h"
#include "operators/call.h"

namespace bittern {

struct Conv2dWork {
  Conv2dArgs args;  // of the first group; `filters` of one group
  int64_t groups, pixels;
  int64_t input_words;          // all that the kernel may read
  int64_t group_input;          // words from a group's input to the next one's
  const Conv2dBorder* borders;  // null, or [groups]
  const Conv2dImplementation* implementation;
};

// Fails the call if scratch memory runs out.
void run_conv2d_work(Call& call, uint32_t flags, const Conv2dWork& work);

}  // namespace bittern
