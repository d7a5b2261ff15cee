// max_pool2d with AVX2: two loads and two vpand per tap and 16 words (512 channels); what is left one by one.
// Bound: reading every tap once, 2 loads a cycle.
#include "kernels/lanes/avx2.h"
#include "kernels/max_pool2d/generic.h"

namespace bittern {

void max_pool2d_x86_avx2(const MaxPool2dArgs& args, int64_t begin, int64_t end) {
  run_max_pool2d<Avx2Lanes>(args, begin, end);
}

}  // namespace bittern
