// Sixteen 32-bit lanes as one zmm register. lanes/portable.h says what each operation means.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace bittern {
namespace {  // internal linkage: see lanes/portable.h

struct Avx512Lanes {
  using Int = __m512i;
  using Float = __m512;

  static __mmask16 first(int n) { return static_cast<__mmask16>((1u << n) - 1); }

  static Int broadcast(uint32_t x) { return _mm512_set1_epi32(static_cast<int>(x)); }
  static Int load(const uint32_t* p) { return _mm512_loadu_si512(p); }
  static Int load(const uint32_t* p, int n) { return _mm512_maskz_loadu_epi32(first(n), p); }
  static void store(uint32_t* p, Int x) { _mm512_storeu_si512(p, x); }
  static void store(uint32_t* p, Int x, int n) { _mm512_mask_storeu_epi32(p, first(n), x); }
  static Int add(Int a, Int b) { return _mm512_add_epi32(a, b); }
  static Int sub(Int a, Int b) { return _mm512_sub_epi32(a, b); }
  static Int bit_and(Int a, Int b) { return _mm512_and_si512(a, b); }
  static Int bit_or(Int a, Int b) { return _mm512_or_si512(a, b); }
  static Int bit_xor(Int a, Int b) { return _mm512_xor_si512(a, b); }
  static Int halve(Int x) { return _mm512_srli_epi32(x, 1); }
  static uint32_t less(Int a, Int b) { return _mm512_cmplt_epi32_mask(a, b); }
  static Int set_bit_where_less(Int x, uint32_t bit, Float a, Float b) {
    return _mm512_mask_or_epi32(x, _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), x, broadcast(bit));
  }

  static Float to_float(Int x) { return _mm512_cvtepi32_ps(x); }
  static Float broadcast(float x) { return _mm512_set1_ps(x); }
  static Float load(const float* p) { return _mm512_loadu_ps(p); }
  static Float load(const float* p, int n) { return _mm512_maskz_loadu_ps(first(n), p); }
  static void store(float* p, Float x) { _mm512_storeu_ps(p, x); }
  static void store(float* p, Float x, int n) { _mm512_mask_storeu_ps(p, first(n), x); }
  static Float add(Float a, Float b) { return _mm512_add_ps(a, b); }
  static Float mul(Float a, Float b) { return _mm512_mul_ps(a, b); }
  static Float add_signed(Float sum, float x, Float sign) { return _mm512_fmadd_ps(_mm512_set1_ps(x), sign, sum); }
  // maxps and minps return their second operand when one is NaN or both are zeros.
  static Float at_least(Float v, Float bound) { return _mm512_max_ps(bound, v); }
  static Float at_most(Float v, Float bound) { return _mm512_min_ps(bound, v); }
  static Float prelu(Float v, Float slope) {
    return _mm512_mask_mul_ps(v, _mm512_cmp_ps_mask(v, _mm512_setzero_ps(), _CMP_NGT_UQ), v, slope);
  }
  static uint32_t less(Float a, Float b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
  static Float signs(uint32_t bits) {
    return _mm512_mask_blend_ps(static_cast<__mmask16>(bits), broadcast(1.0f), broadcast(-1.0f));
  }
  static Float low_bit_signs(Int x) {
    return _mm512_castsi512_ps(bit_or(_mm512_slli_epi32(x, 31), _mm512_castps_si512(broadcast(1.0f))));
  }

  using Bytes = __m256i;

  static Bytes zero_bytes() { return _mm256_setzero_si256(); }
  static Bytes count_bits(Bytes counts, uint32_t bits) {
    // GCC 12 counts in a second register and copies it back, in every step of the loop, unless it is tied to one.
    __asm__("vpsubb %1, %0, %0%{%2%}" : "+v"(counts) : "v"(_mm256_set1_epi8(-1)), "Yk"(static_cast<__mmask32>(bits)));
    return counts;
  }
  static Int to_lanes(Bytes counts, int half) {
    return _mm512_cvtepu8_epi32(half == 0 ? _mm256_castsi256_si128(counts) : _mm256_extracti128_si256(counts, 1));
  }
};

}  // namespace
}  // namespace bittern
