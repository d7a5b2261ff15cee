// conv2d with AVX-512 F and BW, without VPOPCNTDQ (Skylake, Cascade Lake): 16 filters are one register, popcount is a
// table of nibbles.
//
//     per 512 bits                       instructions   ports (Zen 5; Skylake: 0 and 5, shuffles and broadcasts 5)
//     vpxord                                        1   4
//     vpandd, vpsrlw, vpandd (nibbles)              3   4, 2, 4
//     vpshufb (popcount of a nibble)                2   2
//     vpaddb                                        2   4
//
// Bound: 8 vector instructions are 2 cycles over the 4 ports of Zen 5, 256 MAC/cycle; 4 over the 2 of Skylake, 128.
// Counters are bytes and grow by at most 8 a word, so they are added into 32-bit lanes after 31 words (248 <= 255), by
// vpmaddubsw and vpmaddwd with ones. Eight counters, their eight sums, the table, the nibble mask, two words of weights
// and one of input leave eleven registers for intermediates.
#include "kernels/conv2d/generic.h"
#include "kernels/lanes/avx512.h"

namespace bittern {
namespace {

struct Avx512ByteCounter : Avx512Lanes {
  using Count = Int;  // 64 bytes
  static constexpr int kCountWords = 31;
  static constexpr int kPixels = 4, kBlocks = 2;

  static Count zero_count() { return _mm512_setzero_si512(); }
  static Count count(Count c, Int x) {
    const Int table = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    const Int nibble = _mm512_set1_epi8(0x0f);
    c = _mm512_add_epi8(c, _mm512_shuffle_epi8(table, _mm512_and_si512(x, nibble)));
    return _mm512_add_epi8(c, _mm512_shuffle_epi8(table, _mm512_and_si512(_mm512_srli_epi16(x, 4), nibble)));
  }
  static Int total(Count c) {
    return _mm512_madd_epi16(_mm512_maddubs_epi16(c, _mm512_set1_epi8(1)), _mm512_set1_epi16(1));
  }
  static Float dot(Int valid, Int count) { return to_float(sub(valid, add(count, count))); }
};

}  // namespace

constexpr Conv2dDirect conv2d_x86_avx512 = conv2d_of<Avx512ByteCounter>("conv2d_x86_avx512", kIsaAvx512);

}  // namespace bittern
