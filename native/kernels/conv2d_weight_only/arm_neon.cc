// conv2d_weight_only with NEON: 16 filters are four registers.
//
//     per value of 5 pixels and 16 filters   instructions   unit
//     ldp q, q, of the signs                            2   load
//     ldr s, of the input                               5   load
//     fmla v.4s, by element                            20   vector
//
// Bound: 20 multiply-adds for 80 MAC, 4 MAC for each cycle and vector pipe, that of any product of float matrices. By
// element, because repeating a value over a register would take the vector unit. Twenty sums, four signs and five
// values of the input are 29 registers; a sixth pixel would not fit.
//
// One pixel, two blocks: per value of the input 8 times shl, orr, fmla, ushr, 1 MAC for each cycle and vector pipe.
#include "kernels/conv2d_weight_only/generic.h"
#include "kernels/lanes/neon.h"

namespace bittern {
namespace {

struct NeonTile : NeonLanes {
  static constexpr int kPixels = 5, kBlocks = 1, kDirectBlocks = 2, kMinExpandedPixels = 12;
};

}  // namespace

constexpr Conv2dWeightOnlyImplementation conv2d_weight_only_arm_neon =
    conv2d_weight_only_of<NeonTile>("conv2d_weight_only_arm_neon", kIsaNeon);

}  // namespace bittern
