// What zero padding takes away from the popcounts at the border (kernels/conv2d/conv2d.h, Conv2dBorder).
#pragma once

#include "kernels/conv2d/conv2d.h"
#include "operators/call.h"
#include "operators/conv2d_input.h"

namespace bittern {

// In scratch memory, for the blocks of all sets side by side; null where no tap of any window lies outside the image
// (or the call fails).
const Conv2dBorder* make_conv2d_border(Call& call, const Conv2dGeometry& geometry, const Conv2dImplementation& kernels,
                                       const uint32_t* weight);

}  // namespace bittern
