// Runs the kernel of a convolution or linear layer over all sets of filters and all pixels, on the host's threads.
#pragma once

#include <cstdint>

#include "kernels/conv2d/conv2d.h"
#include "operators/call.h"
#include "operators/conv2d_kernels.h"

namespace bittern {

// Clears the bits of which no kernel writes a whole half of a word; with `all` every bit, for sets that share halves.
void clear_bits(const Conv2dArgs& args, int64_t pixels, bool all);

// By the kernel that choose_conv2d gives. Fails the call if scratch memory runs out.
void run_conv2d_work(Call& call, uint32_t flags, const Conv2dWork& work);

// By the depthwise kernel of `kernels`, to which all filters are one set.
void run_depthwise_work(Call& call, const Conv2dDirect& kernels, const Conv2dWork& work);

}  // namespace bittern
