// conv2d_weight_only with AVX-512 F: 16 filters are one register.
//
//     per value of 8 pixels and 2 blocks     instructions   ports (Zen 5; Skylake: fma 0 and 5)
//     vmovups, of the signs                             2   2 loads a cycle
//     vbroadcastss, of the input                        8   2 loads a cycle
//     vfmadd231ps                                      16   2
//
// Bound: 16 multiply-adds are 8 cycles for 256 MAC, 32 MAC/cycle, that of any product of float matrices; the 10 loads
// take 5. Sixteen sums cover the latency of 4 cycles twice.
//
// One pixel, four blocks: per value of the input a load and 4 times vpslld, vpord, vfmadd231ps, vpsrld: 4 cycles for 64
// MAC on Zen 5, 8 on Skylake.
#include "kernels/conv2d_weight_only/generic.h"
#include "kernels/lanes/avx512.h"

namespace bittern {
namespace {

struct Avx512Tile : Avx512Lanes {
  static constexpr int kPixels = 8, kBlocks = 2, kDirectBlocks = 4, kMinExpandedPixels = 12;
};

}  // namespace

constexpr Conv2dWeightOnlyImplementation conv2d_weight_only_x86_avx512 =
    conv2d_weight_only_of<Avx512Tile>("conv2d_weight_only_x86_avx512", kIsaAvx512);

}  // namespace bittern
