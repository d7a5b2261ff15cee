// max_pool2d with NEON: four loads and four ands per tap and 16 words (512 channels); what is left one by one.
// Bound: reading every tap once, 16 bytes a load.
#include "kernels/lanes/neon.h"
#include "kernels/max_pool2d/generic.h"

namespace bittern {

void max_pool2d_arm_neon(const MaxPool2dArgs& args, int64_t begin, int64_t end) {
  run_max_pool2d<NeonLanes>(args, begin, end);
}

}  // namespace bittern
