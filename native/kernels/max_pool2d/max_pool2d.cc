#include "kernels/max_pool2d/max_pool2d.h"

namespace bittern {
namespace {

constexpr const MaxPool2dImplementation* kImplementations[] = {
#define BITTERN_MAX_POOL2D_KERNEL(isa) &max_pool2d_##isa,
#include "kernels/max_pool2d/kernels.inc"
};

}  // namespace

const MaxPool2dImplementation& get_max_pool2d(uint32_t flags) { return first_allowed(kImplementations, flags); }

}  // namespace bittern
