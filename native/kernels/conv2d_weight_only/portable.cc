// conv2d_weight_only for any CPU: what the other files must equal.
//
// A product and a sum in the vector notation of GCC and Clang, each rounded; the product with -1 or +1 is exact. Four
// registers a block on x86-64 and aarch64, which have no instruction for both in their baseline in common.
#include "kernels/lanes/portable.h"

#include "kernels/conv2d_weight_only/generic.h"

namespace bittern {
namespace {

struct PortableTile : PortableLanes {
  static constexpr int kPixels = 2, kBlocks = 1, kDirectBlocks = 1, kMinExpandedPixels = 4;
};

}  // namespace

constexpr Conv2dWeightOnlyImplementation conv2d_weight_only_portable =
    conv2d_weight_only_of<PortableTile>("conv2d_weight_only_portable", kArchPortable);

}  // namespace bittern
