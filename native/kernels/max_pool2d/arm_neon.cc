// max_pool2d with NEON: four loads and four ands per tap and 16 words (512 channels); the remaining words one by one.
// Bound: reading every tap once, 16 bytes a load.
#include "kernels/lanes/neon.h"
#include "kernels/max_pool2d/generic.h"

namespace bittern {

constexpr MaxPool2dImplementation max_pool2d_arm_neon = max_pool2d_of<NeonLanes>("max_pool2d_arm_neon", kIsaNeon);

}  // namespace bittern
