// The correction of popcounts at a border of zeros (kernels/conv2d/conv2d.h, Conv2dBorder).
#pragma once

#include "kernels/conv2d/conv2d.h"
#include "operators/call.h"
#include "operators/conv2d_input.h"

namespace bittern {

// In scratch memory, for the blocks of all sets side by side; null if no window reaches outside the image, or the call
// fails.
const Conv2dBorder* make_conv2d_border(Call& call, const Conv2dGeometry& geometry, const Conv2dDirect& kernels,
                                       const uint32_t* weight);

}  // namespace bittern
