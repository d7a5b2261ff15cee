// Convolutions in which every filter reads one channel, its own, which have a kernel of their own.
#pragma once

#include <cstdint>

#include "operators/call.h"
#include "operators/conv2d_input.h"

namespace bittern {

bool is_depthwise(const Conv2dGeometry& geometry);

// [taps, ceil(channels / 32)] in scratch memory: the one bit that each filter has a tap. Null if the call fails.
const uint32_t* pack_depthwise_weight(Call& call, const Conv2dGeometry& geometry, const uint32_t* weight);

}  // namespace bittern
