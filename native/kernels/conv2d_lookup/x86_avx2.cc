// conv2d_lookup with AVX2: 32 filters are one register of bytes.
//
//     per byte of 2 pixels and 128 filters   instructions   ports (Zen 4)
//     movzx, vbroadcasti128 (table)                   4, 4   load
//     vmovdqu (nibbles of weights)                       8   load
//     vpshufb                                           16   2 of the 4 vector ports
//     vpaddb                                            16   any vector port
//     add, add, cmp and jump                             3   integer
//
// Bound: 32 vector instructions for 2 * 128 * 8 MAC are 8 cycles, 256 MAC/cycle, twice that of conv2d's table; 51
// instructions through a front end of 6 a cycle are 8.5 cycles, 241. Eight counters, four registers of nibbles, a table
// and what is looked up: fourteen of sixteen registers. Layers of 64 filters take 3 pixels: 213.
//
// Measured on Zen 4 (benchmarks/results/zen4/kernels.md), time of conv2d over time here with the operands brought into
// form: 64 filters 0.9 to 1.0 at 8 pixels, 1.1 to 1.2 at 16; 128 filters and more 1.0 to 1.2 at 8, 1.1 to 1.4 at 196; 48
// filters never above 1.06.
#include <immintrin.h>

#include "kernels/conv2d_lookup/generic.h"
#include "kernels/lanes/avx2.h"

namespace bittern {
namespace {

struct Avx2Wide : Avx2Lanes {
  static Int load_wide(const uint8_t* p) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return {_mm256_cvtepu8_epi32(bytes), _mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8))};
  }
  static Int load_wide(const uint16_t* p) {
    const __m128i* q = reinterpret_cast<const __m128i*>(p);
    return {_mm256_cvtepu16_epi32(_mm_loadu_si128(q)), _mm256_cvtepu16_epi32(_mm_loadu_si128(q + 1))};
  }
  static Float dot(Int valid, Int count) { return to_float(sub(valid, add(count, count))); }
};

struct Avx2Bytes {
  using Bytes = __m256i;
  static constexpr int kBlocks = 2, kRegisters = 4;
  static constexpr int pixels(int registers) { return registers == 4 ? 2 : registers == 2 ? 3 : 4; }

  static Bytes zero_bytes() { return _mm256_setzero_si256(); }
  // Kept in a register: GCC would load it again for every pixel and run out of load ports.
  static Bytes load_once(const uint8_t* p) {
    Bytes x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    __asm__("" : "+x"(x));
    return x;
  }
  static Bytes load_table(const uint8_t* p) {
    return _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(p)));
  }
  // GCC adds looked-up values to each other first, runs out of registers and spills counters, unless told not to.
  static Bytes add_looked_up(Bytes c, Bytes table, Bytes index) {
    __asm__("vpaddb %1, %0, %0" : "+x"(c) : "x"(_mm256_shuffle_epi8(table, index)));
    return c;
  }
  static void add_to(uint16_t* sums, Bytes c) {
    __m256i* to = reinterpret_cast<__m256i*>(sums);
    const __m256i low = _mm256_cvtepu8_epi16(_mm256_castsi256_si128(c));
    const __m256i high = _mm256_cvtepu8_epi16(_mm256_extracti128_si256(c, 1));
    _mm256_store_si256(to, _mm256_add_epi16(_mm256_load_si256(to), low));
    _mm256_store_si256(to + 1, _mm256_add_epi16(_mm256_load_si256(to + 1), high));
  }
  static void transpose(const uint32_t* const (&from)[kBlocks], Bytes (&to)[4]) {
    const __m256i by_byte = _mm256_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15,  //
                                             0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    Bytes x[4];  // x[q]: words 4q to 4q + 3 of both blocks, then four bytes 0, four bytes 1 ...
    for (int q = 0; q < 4; ++q) {
      const __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from[0] + 4 * q));
      const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from[1] + 4 * q));
      x[q] = _mm256_shuffle_epi8(_mm256_inserti128_si256(_mm256_castsi128_si256(a), b, 1), by_byte);
    }
    const __m256i a = _mm256_unpacklo_epi32(x[0], x[1]), b = _mm256_unpacklo_epi32(x[2], x[3]);
    const __m256i c = _mm256_unpackhi_epi32(x[0], x[1]), d = _mm256_unpackhi_epi32(x[2], x[3]);
    to[0] = _mm256_unpacklo_epi64(a, b);
    to[1] = _mm256_unpackhi_epi64(a, b);
    to[2] = _mm256_unpacklo_epi64(c, d);
    to[3] = _mm256_unpackhi_epi64(c, d);
  }
  static Bytes low_nibbles(Bytes x) { return _mm256_and_si256(x, _mm256_set1_epi8(0x0f)); }
  static Bytes high_nibbles(Bytes x) { return _mm256_and_si256(_mm256_srli_epi16(x, 4), _mm256_set1_epi8(0x0f)); }
  static void store(uint8_t* p, Bytes x) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), x); }
};

}  // namespace

constexpr Conv2dLookup conv2d_lookup_x86_avx2 =
    conv2d_lookup_of<Avx2Wide, Avx2Bytes>("conv2d_lookup_x86_avx2", kIsaAvx2, 12, 4);

}  // namespace bittern
