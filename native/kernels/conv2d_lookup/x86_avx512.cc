// conv2d_lookup with AVX-512 F and BW: 64 filters are one register of bytes.
//
//     per byte of 4 pixels and 256 filters   instructions   ports (Skylake)
//     movzx, vbroadcasti32x4 (table)                  8, 8   load
//     vmovdqu32 (nibbles of weights)                     8   load
//     vpshufb                                           32   5
//     vpaddb                                            32   0, 5
//
// Bound: 32 shuffles through one port and 32 additions through the other are 32 cycles for 4 * 256 * 8 MAC, 256
// MAC/cycle, twice that of conv2d's table. Sixteen counters, four registers of nibbles, a table and what is looked up.
#include <immintrin.h>

#include "kernels/conv2d_lookup/generic.h"
#include "kernels/lanes/avx512.h"

namespace bittern {
namespace {

struct Avx512Wide : Avx512Lanes {
  static Int load_wide(const uint8_t* p) {
    return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static Int load_wide(const uint16_t* p) {
    return _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static Float dot(Int valid, Int count) { return to_float(sub(valid, add(count, count))); }
};

struct Avx512Bytes {
  using Bytes = __m512i;
  static constexpr int kBlocks = 4, kRegisters = 4;
  static constexpr int pixels(int) { return 4; }

  static Bytes zero_bytes() { return _mm512_setzero_si512(); }
  static Bytes load_once(const uint8_t* p) {
    Bytes x = _mm512_loadu_si512(p);
    __asm__("" : "+v"(x));
    return x;
  }
  static Bytes load_table(const uint8_t* p) {
    return _mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static Bytes add_looked_up(Bytes c, Bytes table, Bytes index) {
    __asm__("vpaddb %1, %0, %0" : "+v"(c) : "v"(_mm512_shuffle_epi8(table, index)));
    return c;
  }
  static void add_to(uint16_t* sums, Bytes c) {
    const __m512i low = _mm512_cvtepu8_epi16(_mm512_castsi512_si256(c));
    const __m512i high = _mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(c, 1));
    _mm512_store_si512(sums, _mm512_add_epi16(_mm512_load_si512(sums), low));
    _mm512_store_si512(sums + 32, _mm512_add_epi16(_mm512_load_si512(sums + 32), high));
  }
  static void transpose(const uint32_t* const (&from)[kBlocks], Bytes (&to)[4]) {
    const __m512i by_byte = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    Bytes x[4];  // x[q]: words 4q to 4q + 3 of the four blocks, then four bytes 0, four bytes 1 ...
    for (int q = 0; q < 4; ++q) {
      const auto quarter = [&](int b) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from[b] + 4 * q)); };
      __m512i words = _mm512_castsi128_si512(quarter(0));
      words = _mm512_inserti32x4(words, quarter(1), 1);
      words = _mm512_inserti32x4(words, quarter(2), 2);
      words = _mm512_inserti32x4(words, quarter(3), 3);
      x[q] = _mm512_shuffle_epi8(words, by_byte);
    }
    const __m512i a = _mm512_unpacklo_epi32(x[0], x[1]), b = _mm512_unpacklo_epi32(x[2], x[3]);
    const __m512i c = _mm512_unpackhi_epi32(x[0], x[1]), d = _mm512_unpackhi_epi32(x[2], x[3]);
    to[0] = _mm512_unpacklo_epi64(a, b);
    to[1] = _mm512_unpackhi_epi64(a, b);
    to[2] = _mm512_unpacklo_epi64(c, d);
    to[3] = _mm512_unpackhi_epi64(c, d);
  }
  static Bytes low_nibbles(Bytes x) { return _mm512_and_si512(x, _mm512_set1_epi8(0x0f)); }
  static Bytes high_nibbles(Bytes x) { return _mm512_and_si512(_mm512_srli_epi16(x, 4), _mm512_set1_epi8(0x0f)); }
  static void store(uint8_t* p, Bytes x) { _mm512_storeu_si512(p, x); }
};

}  // namespace

constexpr Conv2dLookup conv2d_lookup_x86_avx512 =
    conv2d_lookup_of<Avx512Wide, Avx512Bytes>("conv2d_lookup_x86_avx512", kIsaAvx512, 8, 8);

}  // namespace bittern
