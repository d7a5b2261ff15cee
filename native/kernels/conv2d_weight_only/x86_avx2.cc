// conv2d_weight_only with AVX2 and FMA: 16 filters are two registers.
//
//     per value of 6 pixels and 16 filters   instructions   ports (Zen 4; Skylake: fma 0 and 1)
//     vmovups, of the signs                             2   2 loads a cycle
//     vbroadcastss, of the input                        6   2 loads a cycle
//     vfmadd231ps                                      12   2
//
// Bound: 12 multiply-adds are 6 cycles for 96 MAC, 16 MAC/cycle, that of any product of float matrices; the 8 loads
// take 4. The loop is 23 instructions: twelve sums, two signs and one value of the input are 15 registers.
//
// One pixel, two blocks: per value of the input a load and 4 times vpslld, vorps, vfmadd231ps, vpsrld. 16 vector
// instructions over 4 ports are 4 cycles for 32 MAC, 8 MAC/cycle, which is also the latency of the multiply-add. A bit
// of the weights is read once, where a product of floats reads 32 from memory.
#include "kernels/conv2d_weight_only/generic.h"
#include "kernels/lanes/avx2.h"

namespace bittern {
namespace {

struct Avx2Tile : Avx2Lanes {
  static constexpr int kPixels = 6, kBlocks = 1, kDirectBlocks = 2, kMinExpandedPixels = 12;
};

}  // namespace

constexpr Conv2dWeightOnlyImplementation conv2d_weight_only_x86_avx2 =
    conv2d_weight_only_of<Avx2Tile>("conv2d_weight_only_x86_avx2", kIsaAvx2);

}  // namespace bittern
