// conv2d with AVX2: 16 filters are two registers, popcount is a table of nibbles.
//
//     per 256 bits                       instructions   ports (Zen 5)
//     vpxor                                         1   4
//     vpand, vpsrlw, vpand (nibbles)                3   4, 2, 4
//     vpshufb (popcount of a nibble)                2   2
//     vpaddb                                        2   4
//
// Bound: 8 vector instructions over 4 ports are 2 cycles for 256 MAC, 128 MAC/cycle; weights and input come in as
// loads. Counters are bytes and grow by at most 8 a word, so they are added into 32-bit lanes after 31 words (248 <=
// 255), by vpmaddubsw and vpmaddwd with ones. Four pixels are eight counters; the table, the nibble mask, two words of
// weights and one of input leave three registers for intermediates.
#include "kernels/conv2d/generic.h"
#include "kernels/lanes/avx2.h"

namespace bittern {
namespace {

struct Avx2Counter : Avx2Lanes {
  using Count = Int;  // 32 bytes each
  static constexpr int kCountWords = 31;
  static constexpr int kPixels = 4, kBlocks = 1;

  static Count zero_count() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
  static __m256i count_half(__m256i c, __m256i x) {
    const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,  //
                                           0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const __m256i nibble = _mm256_set1_epi8(0x0f);
    c = _mm256_add_epi8(c, _mm256_shuffle_epi8(table, _mm256_and_si256(x, nibble)));
    return _mm256_add_epi8(c, _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(x, 4), nibble)));
  }
  static Count count(Count c, Int x) { return {count_half(c.lo, x.lo), count_half(c.hi, x.hi)}; }
  static __m256i total_half(__m256i c) {
    const __m256i pairs = _mm256_maddubs_epi16(c, _mm256_set1_epi8(1));
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
  }
  static Int total(Count c) { return {total_half(c.lo), total_half(c.hi)}; }
  static Float dot(Int valid, Int count) { return to_float(sub(valid, add(count, count))); }
};

}  // namespace

constexpr Conv2dDirect conv2d_x86_avx2 = conv2d_of<Avx2Counter>("conv2d_x86_avx2", kIsaAvx2);

}  // namespace bittern
