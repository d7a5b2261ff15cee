// max_pool2d for any CPU: one and per tap and word. What the other files must equal.
#include "kernels/lanes/portable.h"

#include "kernels/max_pool2d/generic.h"

namespace bittern {

void max_pool2d_portable(const MaxPool2dArgs& args, int64_t begin, int64_t end) {
  run_max_pool2d<PortableLanes>(args, begin, end);
}

}  // namespace bittern
