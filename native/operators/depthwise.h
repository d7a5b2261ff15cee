// Depthwise convolutions, in which each filter reads the one channel of its number: they have their own kernel.
#pragma once

#include <cstdint>

#include "operators/call.h"
#include "operators/conv2d_input.h"

namespace bittern {

bool is_depthwise(const Conv2dGeometry& geometry);

// [taps, ceil(channels / 32)] in scratch memory: one bit for each tap and filter. Null if the call fails.
const uint32_t* pack_depthwise_weight(Call& call, const Conv2dGeometry& geometry, const uint32_t* weight);

}  // namespace bittern
