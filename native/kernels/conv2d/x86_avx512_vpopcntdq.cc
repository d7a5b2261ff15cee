// conv2d with AVX-512 VPOPCNTDQ: 16 filters are one register.
//
//     per word of 4 pixels and 4 blocks          instructions   ports (Zen 5: 4 vector, 2 load)
//     vmovdqu32 zmm, [weights]                              4   load
//     vpbroadcastd zmm, [input]                             4   load
//     vpxord                                               16   any vector
//     vpopcntd                                             16   any vector
//     vpaddd                                               16   any vector
//
// Bound: 48 vector instructions for 4 * 4 * 512 MAC are 12 cycles, 683 MAC/cycle; the 8 loads take 4. Sixteen counters,
// four words of weights and one of input leave eleven registers free. A counter holds popcounts below 2^31.
#include "kernels/conv2d/generic.h"
#include "kernels/lanes/avx512_popcount.h"

namespace bittern {
namespace {

struct Avx512Counter : Avx512Popcount {
  static constexpr int kPixels = 4, kBlocks = 4;
};

}  // namespace

constexpr Conv2dDirect conv2d_x86_avx512_vpopcntdq =
    conv2d_of<Avx512Counter>("conv2d_x86_avx512_vpopcntdq", kIsaAvx512Vpopcntdq);

}  // namespace bittern
