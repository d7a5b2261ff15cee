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

void conv2d_x86_avx512_vpopcntdq(const Conv2dArgs& args, int64_t begin, int64_t end) {
  run_conv2d<Avx512Counter>(args, begin, end);
}

void tap_counts_x86_avx512_vpopcntdq(const uint32_t* weight, int64_t blocks, int64_t taps, int64_t tap_words,
                                     uint32_t* counts) {
  run_tap_counts<Avx512Counter>(weight, blocks, taps, tap_words, counts);
}

}  // namespace bittern
