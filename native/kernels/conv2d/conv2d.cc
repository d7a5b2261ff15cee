#include "kernels/conv2d/conv2d.h"

namespace bittern {
namespace {

constexpr Conv2dImplementation kImplementations[] = {
#define BITTERN_CONV2D_KERNEL(isa, flags) {"conv2d_" #isa, flags, conv2d_##isa, tap_counts_##isa},
#include "kernels/conv2d/kernels.inc"
#undef BITTERN_CONV2D_KERNEL
};

}  // namespace

const Conv2dImplementation& get_conv2d(uint32_t flags) { return first_allowed(kImplementations, flags); }

}  // namespace bittern
