#include "kernels/conv2d_weight_only/conv2d_weight_only.h"

namespace bittern {
namespace {

constexpr const Conv2dWeightOnlyImplementation* kImplementations[] = {
#define BITTERN_CONV2D_WEIGHT_ONLY_KERNEL(isa) &conv2d_weight_only_##isa,
#include "kernels/conv2d_weight_only/kernels.inc"
};

}  // namespace

const Conv2dWeightOnlyImplementation& get_conv2d_weight_only(uint32_t flags) {
  return first_allowed(kImplementations, flags);
}

}  // namespace bittern
