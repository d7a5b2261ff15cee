// conv2d_pairs with AVX-512 VPOPCNTDQ: 16 filters are one register.
//
//     per pair of words of 5 pixels and 4 blocks  instructions   ports (Zen 5: 4 vector, 2 load; Zen 4: 2, and 1 load of
//                                                                64 bytes or 2 of 4)
//     vmovdqu32 zmm, [weights]                               8   load
//     vpxord zmm, zmm, [input]{1to16}                       20   any vector, and load
//     vpternlogd zmm, zmm, [input]{1to16}                   20   any vector, and load
//     vpopcntd                                              20   any vector (Zen 4: half of them)
//     vpaddd                                                20   any vector
//
// Bound: 80 vector instructions for 5 * 4 * 1024 MAC are 20 cycles on Zen 5 and 40 on Zen 4, the loads 24 and 28: 853 and
// 512 MAC/cycle; xor, popcount and addition of every word reach 683 and 341. Twenty counters, eight words of weights and four
// intermediates are the 32 registers. The four blocks of a pixel take turns instruction by instruction, in assembly,
// because GCC 12 computes one after the other, which is 4 percent slower on Zen 4. A counter holds popcounts below 2^30.
#include "kernels/conv2d_pairs/generic.h"
#include "kernels/lanes/avx512_popcount.h"

namespace bittern {
namespace {

struct Avx512Pairs : Avx512Popcount {
  using Avx512Popcount::dot;
  static constexpr int kPixels = 5, kBlocks = 4;

  // Each instruction is an asm statement: those stay in order, so that all blocks take turns.
  template <int B>
  static BITTERN_INLINE void count_pair(Int (&t)[B], const uint32_t* x, const Int (&w)[B], const Int (&different)[B]) {
    unroll<B>([&](auto b) BITTERN_LAMBDA { t[b] = xor_word(x, w[b]); });
    unroll<B>([&](auto b) BITTERN_LAMBDA { choose_word(t[b], x + 1, different[b]); });
    unroll<B>([&](auto b) BITTERN_LAMBDA { popcount(t[b]); });
  }
  template <int B>
  static BITTERN_INLINE void accumulate(Int (&c)[B], const Int (&t)[B]) {
    unroll<B>([&](auto b) BITTERN_LAMBDA { accumulate(c[b], t[b]); });
  }
  // pairs_input, sixteen words at a time: of several pixels where they are fewer than that and divide it, else of one.
  static void input(const uint32_t* words, int64_t pixel_words, int64_t begin, int64_t end, uint32_t* to,
                    uint32_t* counts) {
    constexpr int64_t kWords = 16;
    if (pixel_words < kWords && kWords % pixel_words == 0) {
      const int64_t pixels = kWords / pixel_words;
      // The pair of lanes in which the sum of a pixel's counts comes to stand, for every pixel.
      const __mmask8 sums = pixel_words == 2 ? 0xff : pixel_words == 4 ? 0x55 : 0x11;
      for (; end - begin >= pixels; begin += pixels) {
        Int count = pairs(load(words + begin * pixel_words), kAll, to + begin * pixel_words);
        if (pixel_words > 2) count = add(count, _mm512_shuffle_epi32(count, _MM_PERM_BADC));
        if (pixel_words > 4) count = add(count, _mm512_shuffle_i64x2(count, count, 0xb1));
        const __m256i by_pixel = _mm512_cvtepi64_epi32(_mm512_maskz_compress_epi64(sums, count));
        _mm256_mask_storeu_epi32(counts + begin, static_cast<__mmask8>((1u << pixels) - 1), by_pixel);
      }
    }
    for (; begin < end; ++begin) {
      Int count = zero_count();
      for (int64_t i = 0; i < pixel_words; i += kWords) {
        const int64_t at = begin * pixel_words + i, rest = pixel_words - i;
        const __mmask16 there = rest < kWords ? first(static_cast<int>(rest)) : kAll;
        count = add(count, pairs(_mm512_maskz_loadu_epi32(there, words + at), there, to + at));
      }
      counts[begin] = static_cast<uint32_t>(_mm512_reduce_add_epi32(count));
    }
  }
  // Exact: all are integers below 2^17, as kMaxWords bounds a filter.
  static Float dot(Int valid, Int count, Int of_filter) {
    const Float two = _mm512_set1_ps(2.0f);
    return _mm512_fnmadd_ps(two, _mm512_fmsub_ps(two, to_float(count), to_float(of_filter)), to_float(valid));
  }

 private:
  static constexpr __mmask16 kAll = 0xffff, kSecond = 0xaaaa;

  static BITTERN_INLINE Int xor_word(const uint32_t* x, Int w) {
    Int t;
    __asm__ volatile("vpxord %1%{1to16%}, %2, %0" : "=v"(t) : "m"(*x), "v"(w));
    return t;
  }
  // t ? x : different, bit by bit
  static BITTERN_INLINE void choose_word(Int& t, const uint32_t* x, Int different) {
    __asm__ volatile("vpternlogd $0xac, %1%{1to16%}, %2, %0" : "+v"(t) : "m"(*x), "v"(different));
  }
  static BITTERN_INLINE void popcount(Int& t) { __asm__ volatile("vpopcntd %0, %0" : "+v"(t)); }
  static BITTERN_INLINE void accumulate(Int& c, Int t) { __asm__ volatile("vpaddd %1, %0, %0" : "+v"(c) : "v"(t)); }

  // Brings pairs of words into their form and stores those that are `there`; popcounts of x0 ^ x1 in the first of each.
  static BITTERN_INLINE Int pairs(Int x, __mmask16 there, uint32_t* to) {
    const Int swapped = _mm512_shuffle_epi32(x, _MM_PERM_CDAB), different = bit_xor(x, swapped);
    _mm512_mask_storeu_epi32(to, there, _mm512_mask_xor_epi32(swapped, kSecond, different, _mm512_set1_epi32(-1)));
    return _mm512_maskz_popcnt_epi32(static_cast<__mmask16>(~kSecond), different);
  }
};

}  // namespace

constexpr Conv2dPairs conv2d_pairs_x86_avx512_vpopcntdq =
    conv2d_pairs_of<Avx512Pairs>("conv2d_pairs_x86_avx512_vpopcntdq", kIsaAvx512Vpopcntdq, 32, 2, 4);

}  // namespace bittern
