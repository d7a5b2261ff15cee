// max_pool2d with AVX-512F: vpandd with a load per tap and 16 words (512 channels); what is left one by one.
// Bound: reading every tap once, 2 loads a cycle.
#include "kernels/lanes/avx512.h"
#include "kernels/max_pool2d/generic.h"

namespace bittern {

void max_pool2d_x86_avx512(const MaxPool2dArgs& args, int64_t begin, int64_t end) {
  run_max_pool2d<Avx512Lanes>(args, begin, end);
}

}  // namespace bittern
