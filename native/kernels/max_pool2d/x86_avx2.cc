// max_pool2d with AVX2: two loads and two vpand per tap and 16 words (512 channels); the remaining words one by one.
// Bound: reading every tap once, 2 loads a cycle.
#include "kernels/lanes/avx2.h"
#include "kernels/max_pool2d/generic.h"

namespace bittern {

constexpr MaxPool2dImplementation max_pool2d_x86_avx2 = max_pool2d_of<Avx2Lanes>("max_pool2d_x86_avx2", kIsaAvx2);

}  // namespace bittern
