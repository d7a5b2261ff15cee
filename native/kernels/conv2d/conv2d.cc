#include "kernels/conv2d/conv2d.h"

namespace bittern {
namespace {

constexpr const Conv2dImplementation* kImplementations[] = {
#define BITTERN_CONV2D_KERNEL(isa) &conv2d_##isa,
#include "kernels/conv2d/kernels.inc"
#undef BITTERN_CONV2D_KERNEL
};

}  // namespace

const Conv2dImplementation& get_conv2d(uint32_t flags) { return first_allowed(kImplementations, flags); }

}  // namespace bittern
