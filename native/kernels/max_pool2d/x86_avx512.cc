// max_pool2d with AVX-512F: vpandd with a load per tap and 16 words (512 channels); the remaining words one by one.
// Bound: reading every tap once, 2 loads a cycle.
#include "kernels/lanes/avx512.h"
#include "kernels/max_pool2d/generic.h"

namespace bittern {

constexpr MaxPool2dImplementation max_pool2d_x86_avx512 =
    max_pool2d_of<Avx512Lanes>("max_pool2d_x86_avx512", kIsaAvx512);

}  // namespace bittern
