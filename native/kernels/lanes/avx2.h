// Sixteen 32-bit lanes as two ymm registers. lanes/portable.h says what each operation means.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace bittern {
namespace {  // internal linkage: see lanes/portable.h

struct Avx2Lanes {
  struct Int {
    __m256i lo, hi;
  };
  struct Float {
    __m256 lo, hi;
  };

  // All ones in the lanes of one half (`from` is 0 or 8) that come before lane n of the sixteen.
  static __m256i before(int n, int from) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n - from), lane);
  }
  static __m256 as_float(__m256i x) { return _mm256_castsi256_ps(x); }

  static Int broadcast(uint32_t x) {
    return {_mm256_set1_epi32(static_cast<int>(x)), _mm256_set1_epi32(static_cast<int>(x))};
  }
  static __m256i load_half(const uint32_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  static Int load(const uint32_t* p) { return {load_half(p), load_half(p + 8)}; }
  static Int load(const uint32_t* p, int n) {
    const int* q = reinterpret_cast<const int*>(p);
    return {_mm256_maskload_epi32(q, before(n, 0)), _mm256_maskload_epi32(q + 8, before(n, 8))};
  }
  static void store(uint32_t* p, Int x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), x.lo);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 8), x.hi);
  }
  static void store(uint32_t* p, Int x, int n) {
    int* q = reinterpret_cast<int*>(p);
    _mm256_maskstore_epi32(q, before(n, 0), x.lo);
    _mm256_maskstore_epi32(q + 8, before(n, 8), x.hi);
  }
  static Int add(Int a, Int b) { return {_mm256_add_epi32(a.lo, b.lo), _mm256_add_epi32(a.hi, b.hi)}; }
  static Int sub(Int a, Int b) { return {_mm256_sub_epi32(a.lo, b.lo), _mm256_sub_epi32(a.hi, b.hi)}; }
  static Int bit_and(Int a, Int b) { return {_mm256_and_si256(a.lo, b.lo), _mm256_and_si256(a.hi, b.hi)}; }
  static Int bit_or(Int a, Int b) { return {_mm256_or_si256(a.lo, b.lo), _mm256_or_si256(a.hi, b.hi)}; }
  static Int bit_xor(Int a, Int b) { return {_mm256_xor_si256(a.lo, b.lo), _mm256_xor_si256(a.hi, b.hi)}; }
  static Int halve(Int x) { return {_mm256_srli_epi32(x.lo, 1), _mm256_srli_epi32(x.hi, 1)}; }
  static uint32_t top_bits(__m256 lo, __m256 hi) {
    return static_cast<uint32_t>(_mm256_movemask_ps(lo) | _mm256_movemask_ps(hi) << 8);
  }
  static uint32_t less(Int a, Int b) {
    return top_bits(as_float(_mm256_cmpgt_epi32(b.lo, a.lo)), as_float(_mm256_cmpgt_epi32(b.hi, a.hi)));
  }
  static Int set_bit_where_less(Int x, uint32_t bit, Float a, Float b) {
    const Int where = {_mm256_castps_si256(_mm256_cmp_ps(a.lo, b.lo, _CMP_LT_OQ)),
                       _mm256_castps_si256(_mm256_cmp_ps(a.hi, b.hi, _CMP_LT_OQ))};
    return bit_or(x, bit_and(where, broadcast(bit)));
  }

  static Float to_float(Int x) { return {_mm256_cvtepi32_ps(x.lo), _mm256_cvtepi32_ps(x.hi)}; }
  static Float broadcast(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
  static Float load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
  static Float load(const float* p, int n) {
    return {_mm256_maskload_ps(p, before(n, 0)), _mm256_maskload_ps(p + 8, before(n, 8))};
  }
  static void store(float* p, Float x) {
    _mm256_storeu_ps(p, x.lo);
    _mm256_storeu_ps(p + 8, x.hi);
  }
  static void store(float* p, Float x, int n) {
    _mm256_maskstore_ps(p, before(n, 0), x.lo);
    _mm256_maskstore_ps(p + 8, before(n, 8), x.hi);
  }
  static Float add(Float a, Float b) { return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)}; }
  static Float mul(Float a, Float b) { return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)}; }
  static Float add_signed(Float sum, float x, Float sign) {
    const __m256 wide = _mm256_set1_ps(x);
    return {_mm256_fmadd_ps(wide, sign.lo, sum.lo), _mm256_fmadd_ps(wide, sign.hi, sum.hi)};
  }
  // maxps and minps return their second operand when one is NaN or both are zeros.
  static Float at_least(Float v, Float bound) { return {_mm256_max_ps(bound.lo, v.lo), _mm256_max_ps(bound.hi, v.hi)}; }
  static Float at_most(Float v, Float bound) { return {_mm256_min_ps(bound.lo, v.lo), _mm256_min_ps(bound.hi, v.hi)}; }
  static __m256 prelu_half(__m256 v, __m256 slope) {
    return _mm256_blendv_ps(_mm256_mul_ps(v, slope), v, _mm256_cmp_ps(v, _mm256_setzero_ps(), _CMP_GT_OQ));
  }
  static Float prelu(Float v, Float slope) { return {prelu_half(v.lo, slope.lo), prelu_half(v.hi, slope.hi)}; }
  static uint32_t less(Float a, Float b) {
    return top_bits(_mm256_cmp_ps(a.lo, b.lo, _CMP_LT_OQ), _mm256_cmp_ps(a.hi, b.hi, _CMP_LT_OQ));
  }
  static Float signs(uint32_t bits) {
    // Bit i moves to the sign of lane i of 1.0f.
    const __m256i word = _mm256_set1_epi32(static_cast<int>(bits)), sign = _mm256_set1_epi32(INT32_MIN);
    const __m256i lo = _mm256_sllv_epi32(word, _mm256_setr_epi32(31, 30, 29, 28, 27, 26, 25, 24));
    const __m256i hi = _mm256_sllv_epi32(word, _mm256_setr_epi32(23, 22, 21, 20, 19, 18, 17, 16));
    const __m256 one = _mm256_set1_ps(1.0f);
    return {_mm256_or_ps(one, as_float(_mm256_and_si256(lo, sign))),
            _mm256_or_ps(one, as_float(_mm256_and_si256(hi, sign)))};
  }
  static Float low_bit_signs(Int x) {
    const __m256 one = _mm256_set1_ps(1.0f);
    return {_mm256_or_ps(one, as_float(_mm256_slli_epi32(x.lo, 31))),
            _mm256_or_ps(one, as_float(_mm256_slli_epi32(x.hi, 31)))};
  }

  using Bytes = __m256i;

  static Bytes zero_bytes() { return _mm256_setzero_si256(); }
  static Bytes count_bits(Bytes counts, uint32_t bits) {
    // Byte i of the word eight times, of which each keeps its own bit.
    const __m256i copies = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3,
                                            3, 3, 3, 3, 3, 3, 3);
    const __m256i own = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201u));
    const __m256i spread = _mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<int>(bits)), copies);
    // GCC 12 adds into a second register and copies it back, in every step of the loop, unless the sum is tied to one.
    __asm__("vpsubb %1, %0, %0" : "+x"(counts) : "x"(_mm256_cmpeq_epi8(_mm256_and_si256(spread, own), own)));
    return counts;
  }
  static Int to_lanes(Bytes counts, int half) {
    const __m128i of_half = half == 0 ? _mm256_castsi256_si128(counts) : _mm256_extracti128_si256(counts, 1);
    return {_mm256_cvtepu8_epi32(of_half), _mm256_cvtepu8_epi32(_mm_srli_si128(of_half, 8))};
  }
};

}  // namespace
}  // namespace bittern
