// conv2d_pairs with AVX-512 VPOPCNTDQ: 16 filters are one register.
//
//     per pair of words of 5 pixels and 4 blocks  instructions   ports (Zen 5: 4 vector, 2 load; Zen 4: half of both)
//     vmovdqu32 zmm, [weights]                               8   load
//     vpbroadcastd zmm, [input]                              5   load
//     vpxord zmm, zmm, [input]{1to16}                       20   any vector, and load
//     vpternlogd                                            20   any vector
//     vpopcntd                                              20   any vector (Zen 4: half of them)
//     vpaddd                                                20   any vector
//
// Bound: 80 vector instructions for 5 * 4 * 1024 MAC are 20 cycles on Zen 5, 1024 MAC/cycle, and 40 on Zen 4, 512;
// xor, popcount and addition of every word reach 683 and 341. Twenty counters, eight words of weights, one of input and
// two intermediates are 31 of the 32 registers. Two blocks take turns instruction by instruction, in assembly, because
// GCC 12 computes one after the other, which is 4 percent slower on Zen 4. A counter holds popcounts below 2^30.
#include "kernels/conv2d_pairs/generic.h"
#include "kernels/lanes/avx512_popcount.h"

namespace bittern {
namespace {

struct Avx512Pairs : Avx512Popcount {
  using Avx512Popcount::dot;
  static constexpr int kPixels = 5, kBlocks = 4;

  template <int B>
  static BITTERN_INLINE void add_pair(Int (&c)[B], const uint32_t* x, const Int (&w)[B], const Int (&different)[B]) {
    const Int same = broadcast(x[1]);
    if constexpr (B == 1) {
      c[0] = count(c[0], _mm512_ternarylogic_epi32(bit_xor(broadcast(x[0]), w[0]), same, different[0], 0xca));
    } else {
      unroll<B / 2>([&](auto half) BITTERN_LAMBDA {
        constexpr int b = 2 * half;
        Int c0 = c[b], c1 = c[b + 1], t0, t1;
        const Int w0 = w[b], w1 = w[b + 1], d0 = different[b], d1 = different[b + 1];
        __asm__(
            "vpxord %[x]%{1to16%}, %[w0], %[t0]\n\t"
            "vpxord %[x]%{1to16%}, %[w1], %[t1]\n\t"
            "vpternlogd $0xca, %[d0], %[same], %[t0]\n\t"
            "vpternlogd $0xca, %[d1], %[same], %[t1]\n\t"
            "vpopcntd %[t0], %[t0]\n\t"
            "vpopcntd %[t1], %[t1]\n\t"
            "vpaddd %[t0], %[c0], %[c0]\n\t"
            "vpaddd %[t1], %[c1], %[c1]"
            : [c0] "+v"(c0), [c1] "+v"(c1), [t0] "=&v"(t0), [t1] "=&v"(t1)
            : [x] "m"(x[0]), [same] "v"(same), [w0] "v"(w0), [w1] "v"(w1), [d0] "v"(d0), [d1] "v"(d1));
        c[b] = c0;
        c[b + 1] = c1;
      });
    }
  }
  // pairs_input, sixteen words at a time where a pixel is a power of two of them, up to sixteen.
  static void input(const uint32_t* words, int64_t pixel_words, int64_t begin, int64_t end, uint32_t* to,
                    uint32_t* counts) {
    constexpr int64_t kWords = 16;
    if (kWords % pixel_words == 0) {
      const int64_t pixels = kWords / pixel_words;
      // The pair of lanes in which the sum of a pixel's counts comes to stand, for every pixel.
      const __mmask8 sums = pixel_words == 2 ? 0xff : pixel_words == 4 ? 0x55 : pixel_words == 8 ? 0x11 : 0x01;
      for (; end - begin >= pixels; begin += pixels) {
        const Int x = load(words + begin * pixel_words);
        const Int swapped = _mm512_shuffle_epi32(x, _MM_PERM_CDAB), different = bit_xor(x, swapped);
        constexpr __mmask16 kSecond = 0xaaaa;
        store(to + begin * pixel_words, _mm512_mask_xor_epi32(swapped, kSecond, different, _mm512_set1_epi32(-1)));
        Int count = _mm512_maskz_popcnt_epi32(static_cast<__mmask16>(~kSecond), different);
        if (pixel_words > 2) count = add(count, _mm512_shuffle_epi32(count, _MM_PERM_BADC));
        if (pixel_words > 4) count = add(count, _mm512_shuffle_i64x2(count, count, 0xb1));
        if (pixel_words > 8) count = add(count, _mm512_shuffle_i64x2(count, count, 0x4e));
        const __m256i by_pixel = _mm512_cvtepi64_epi32(_mm512_maskz_compress_epi64(sums, count));
        _mm256_mask_storeu_epi32(counts + begin, static_cast<__mmask8>((1u << pixels) - 1), by_pixel);
      }
    }
    pairs_input(words, pixel_words, begin, end, to, counts);
  }
  // Exact: all are integers below 2^17, as kMostWords bounds a filter.
  static Float dot(Int valid, Int count, Int of_filter) {
    const Float two = _mm512_set1_ps(2.0f);
    return _mm512_fnmadd_ps(two, _mm512_fmsub_ps(two, to_float(count), to_float(of_filter)), to_float(valid));
  }
};

}  // namespace

constexpr Conv2dPairs conv2d_pairs_x86_avx512_vpopcntdq =
    conv2d_pairs_of<Avx512Pairs>("conv2d_pairs_x86_avx512_vpopcntdq", kIsaAvx512Vpopcntdq, 32, 2, 16);

}  // namespace bittern
