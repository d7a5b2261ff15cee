// Runs the kernel of a convolution or linear layer over all its sets of filters and all pixels, by the host's threads.
#pragma once

#include <cstdint>

#include "kernels/conv2d/conv2d.h"
#include "operators/call.h"

namespace bittern {

// Sets of groups (operators/conv2d_input.h) are convolutions of their own on a part of the channels.
struct Conv2dWork {
  Conv2dArgs args;  // of the first set; its border is that of the blocks of all sets, side by side
  int64_t sets, pixels;
  int64_t input_words;       // all that the kernel may read
  int64_t pixel_words;       // of the input
  const int64_t* set_input;  // [sets]: words from args.input to the set's
  const uint32_t* masks;     // null, or [sets, tap words, 16]
  const Conv2dImplementation* implementation;
};

// Clears the bits that no kernel writes as whole halves of words; `all`: every bit, where filters of several sets share
// halves.
void clear_bits(const Conv2dArgs& args, int64_t pixels, bool all);

// Fails the call if scratch memory runs out.
void run_conv2d_work(Call& call, uint32_t flags, const Conv2dWork& work);

// The same for the depthwise kernel, to which all filters are one set.
void run_depthwise_work(Call& call, const Conv2dWork& work);

}  // namespace bittern
