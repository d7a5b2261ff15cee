// max_pool2d for any CPU: one and per tap and word. What the other files must equal.
#include "kernels/lanes/portable.h"

#include "kernels/max_pool2d/generic.h"

namespace bittern {

constexpr MaxPool2dImplementation max_pool2d_portable =
    max_pool2d_of<PortableLanes>("max_pool2d_portable", kArchPortable);

}  // namespace bittern
