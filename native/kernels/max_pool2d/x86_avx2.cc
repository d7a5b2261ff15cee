// max_pool2d with AVX2: vpand with a load per tap and 8 words (256 channels); fewer words by vpmaskmovd.
// Bound: reading every tap once, 2 loads a cycle.
#include "kernels/lanes/avx2.h"
#include "kernels/max_pool2d/generic.h"

namespace bittern {

void max_pool2d_x86_avx2(const MaxPool2dArgs& args, int64_t begin, int64_t end) {
  run_max_pool2d<Avx2Lanes>(args, begin, end);
}

}  // namespace bittern
