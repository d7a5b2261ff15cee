// The one table of convolution kernels: which of them runs a layer, and how its operands are prepared.
#pragma once

#include <cstdint>

#include "kernels/conv2d/conv2d.h"
#include "operators/call.h"

namespace bittern {

// A convolution or linear layer. Sets of groups (operators/conv2d_input.h) are convolutions of their own on a part of
// the channels.
struct Conv2dWork {
  Conv2dArgs args;  // of the first set; its border is that of the blocks of all sets, side by side
  int64_t sets, pixels;
  int64_t input_words;       // all that the kernel may read
  int64_t pixel_words;       // of the input
  const int64_t* set_input;  // [sets]: words from args.input to the set's
  const uint32_t* masks;     // null, or [sets, tap words, 16]

  Conv2dLayer layer() const;
};

struct Conv2dOperands {
  int64_t scale;       // words per packed word
  int64_t set_weight;  // words of the weights of a set
};

struct Conv2dRow {
  const Conv2dImplementation* kernel;
  // Brings input and weights of all sets into the kernel's form, in scratch memory, and points `args`, those of the
  // first set, to them. Fails the call if scratch memory runs out.
  Conv2dOperands (*prepare)(Call& call, const Conv2dWork& work, Conv2dArgs* args);
};

// Rows of kernels/conv2d/kernels.inc, in order of preference.
Span<const Conv2dRow> conv2d_rows();

// The first row that `flags` allow and whose limits admit the layer.
const Conv2dRow& choose_conv2d(uint32_t flags, const Conv2dLayer& layer);

}  // namespace bittern
