// Runs the kernel of a layer with binary weights and real-valued input over all filters and pixels, on the host's
// threads.
#pragma once

#include <cstdint>

#include "kernels/conv2d_weight_only/conv2d_weight_only.h"
#include "operators/call.h"

namespace bittern {

void run_weight_only_work(Call& call, uint32_t flags, const Conv2dWeightOnlyArgs& args, int64_t pixels);

}  // namespace bittern
