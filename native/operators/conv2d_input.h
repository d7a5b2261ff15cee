// The packed input of a convolution as the kernel reads it.
//
// If the convolution pads, the input is copied into a map with a border; otherwise the kernel reads the tensor itself.
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
  int64_t in_words() const { return word_count(in_channels); }

  // Sets of groups, whose filters share blocks of 16, as WeightLayout of src/bittern/ops/layout.py defines them.
  int64_t set_groups() const;
  int64_t sets() const { return (groups + set_groups() - 1) / set_groups(); }
  int64_t set_filters() const { return set_groups() * (out_channels / groups); }
  int64_t set_blocks() const { return block_count(set_filters()); }
  int64_t tap_words() const;
  int64_t first_word(int64_t set) const;
  // Blocks read bits of the input that not all their filters use.
  bool masked() const { return groups > 1 && (set_groups() > 1 || group_channels() % 32 != 0); }

  int64_t taps() const { return rows.kernel * columns.kernel; }
  int64_t pixels() const { return images * rows.outputs() * columns.outputs(); }
  bool padded() const { return rows.before + rows.after + columns.before + columns.after > 0; }
};

// Fills in the input of `args` for the first set; returns how many words the kernel may read.
int64_t set_conv2d_input(Call& call, const Conv2dGeometry& geometry, const uint32_t* x, Conv2dArgs* args);

// [sets, tap words, 16] in scratch memory: the bits that count; null if all do, or the call fails.
const uint32_t* make_conv2d_masks(Call& call, const Conv2dGeometry& geometry);

}  // namespace bittern
