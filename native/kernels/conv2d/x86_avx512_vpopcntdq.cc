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
#include "kernels/lanes/avx512.h"

namespace bittern {
namespace {

struct Avx512Counter : Avx512Lanes {
  using Count = Int;
  static constexpr int kCountWords = 0;
  static constexpr int kPixels = 4, kBlocks = 4;

  static Count zero_count() { return _mm512_setzero_si512(); }
  // GCC 12 adds into a second register and copies it back, in every step of the loop, unless the sum is tied to one.
  static Count count(Count c, Int x) {
    __asm__("vpaddd %1, %0, %0" : "+v"(c) : "v"(_mm512_popcnt_epi32(x)));
    return c;
  }
  static Int total(Count c) { return c; }
  // Exact: 2 * count and the difference are integers up to 2^25, even above 2^24.
  static Float dot(Int valid, Int count) {
    return _mm512_fnmadd_ps(_mm512_set1_ps(2.0f), to_float(count), to_float(valid));
  }
};

}  // namespace

constexpr Conv2dImplementation conv2d_x86_avx512_vpopcntdq =
    conv2d_of<Avx512Counter>("conv2d_x86_avx512_vpopcntdq", kIsaAvx512Vpopcntdq);

}  // namespace bittern
