#include "kernels/max_pool2d/max_pool2d.h"

namespace bittern {
namespace {

constexpr MaxPool2dImplementation kImplementations[] = {
#define BITTERN_MAX_POOL2D_KERNEL(isa, flags) {"max_pool2d_" #isa, flags, max_pool2d_##isa},
#include "kernels/max_pool2d/kernels.inc"
#undef BITTERN_MAX_POOL2D_KERNEL
};

}  // namespace

const MaxPool2dImplementation& get_max_pool2d(uint32_t flags) { return first_allowed(kImplementations, flags); }

}  // namespace bittern
