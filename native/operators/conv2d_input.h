// The packed input of a convolution as the kernel reads it.
//
// Where the convolution pads, or where the channels of a group do not start at a word, the input is copied: every group
// gets its own map with a border and whole words. Otherwise the kernel reads the tensor itself.
#pragma once

#include <cstdint>

#include "kernels/conv2d/conv2d.h"
#include "kernels/window.h"
#include "operators/call.h"

namespace bittern {

struct Conv2dGeometry {
  int64_t images, in_channels, out_channels, groups, pad_value;
  WindowAxis rows, columns;

  int64_t group_channels() const { return in_channels / groups; }
  int64_t group_filters() const { return out_channels / groups; }
  int64_t group_words() const { return (group_channels() + 31) / 32; }
  int64_t group_blocks() const { return (group_filters() + 15) / 16; }
  int64_t in_words() const { return (in_channels + 31) / 32; }
  int64_t taps() const { return rows.kernel * columns.kernel; }
  int64_t pixels() const { return images * rows.outputs() * columns.outputs(); }
  bool padded() const { return rows.before + rows.after + columns.before + columns.after > 0; }
};

// Words that the kernel may read in all, and from one group's input to the next one's.
struct Conv2dInput {
  int64_t words, group_words;
};

// Fills the input part of `args` for group 0.
Conv2dInput set_conv2d_input(Call& call, const Conv2dGeometry& geometry, const uint32_t* x, Conv2dArgs* args);

}  // namespace bittern
