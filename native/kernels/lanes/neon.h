// Sixteen 32-bit lanes as four 128-bit registers. lanes/portable.h says what each operation means.
//
// FMAX and FMIN give NaN where either operand is NaN and order the zeros, so bounds are a comparison and BSL.
#pragma once

#include <arm_neon.h>

#include <cstdint>
#include <cstring>

namespace bittern {
namespace {  // internal linkage: see lanes/portable.h

struct NeonLanes {
  // Four members, not an array or a type of <arm_neon.h>: those make GCC keep registers in memory or in fixed groups.
  struct Int {
    uint32x4_t a, b, c, d;
  };
  struct Float {
    float32x4_t a, b, c, d;
  };

  static Int broadcast(uint32_t x) { return all_four<Int>(vdupq_n_u32(x)); }
  static Int load(const uint32_t* p) { return {vld1q_u32(p), vld1q_u32(p + 4), vld1q_u32(p + 8), vld1q_u32(p + 12)}; }
  static Int load(const uint32_t* p, int n) { return load_some<Int>(p, n); }
  static void store(uint32_t* p, Int x) {
    vst1q_u32(p, x.a);
    vst1q_u32(p + 4, x.b);
    vst1q_u32(p + 8, x.c);
    vst1q_u32(p + 12, x.d);
  }
  static void store(uint32_t* p, Int x, int n) { store_some(p, x, n); }
  static Int add(Int x, Int y) {
    return each<Int>(x, y, [](auto p, auto q) { return vaddq_u32(p, q); });
  }
  static Int sub(Int x, Int y) {
    return each<Int>(x, y, [](auto p, auto q) { return vsubq_u32(p, q); });
  }
  static Int bit_and(Int x, Int y) {
    return each<Int>(x, y, [](auto p, auto q) { return vandq_u32(p, q); });
  }
  static Int bit_or(Int x, Int y) {
    return each<Int>(x, y, [](auto p, auto q) { return vorrq_u32(p, q); });
  }
  static Int bit_xor(Int x, Int y) {
    return each<Int>(x, y, [](auto p, auto q) { return veorq_u32(p, q); });
  }
  static Int halve(Int x) {
    return {vshrq_n_u32(x.a, 1), vshrq_n_u32(x.b, 1), vshrq_n_u32(x.c, 1), vshrq_n_u32(x.d, 1)};
  }
  static uint32_t less(Int x, Int y) {
    return bits_of(each<Int>(x, y, [](uint32x4_t p, uint32x4_t q) {
      return vcltq_s32(vreinterpretq_s32_u32(p), vreinterpretq_s32_u32(q));
    }));
  }
  static Int set_bit_where_less(Int x, uint32_t bit, Float y, Float z) {
    return bit_or(x, bit_and(each<Int>(y, z, [](auto p, auto q) { return vcltq_f32(p, q); }), broadcast(bit)));
  }

  static Float to_float(Int x) {
    const auto convert = [](uint32x4_t q) { return vcvtq_f32_s32(vreinterpretq_s32_u32(q)); };
    return {convert(x.a), convert(x.b), convert(x.c), convert(x.d)};
  }
  static Float broadcast(float x) { return all_four<Float>(vdupq_n_f32(x)); }
  static Float load(const float* p) { return {vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)}; }
  static Float load(const float* p, int n) { return load_some<Float>(p, n); }
  static void store(float* p, Float x) {
    vst1q_f32(p, x.a);
    vst1q_f32(p + 4, x.b);
    vst1q_f32(p + 8, x.c);
    vst1q_f32(p + 12, x.d);
  }
  static void store(float* p, Float x, int n) { store_some(p, x, n); }
  static Float add(Float x, Float y) {
    return each<Float>(x, y, [](auto p, auto q) { return vaddq_f32(p, q); });
  }
  static Float mul(Float x, Float y) {
    return each<Float>(x, y, [](auto p, auto q) { return vmulq_f32(p, q); });
  }
  static Float add_signed(Float sum, float x, Float sign) {
    return each<Float>(sum, sign, [x](float32x4_t p, float32x4_t q) { return vfmaq_n_f32(p, q, x); });
  }
  static Float at_least(Float v, Float bound) {
    return each<Float>(v, bound, [](float32x4_t p, float32x4_t q) { return vbslq_f32(vcgtq_f32(q, p), q, p); });
  }
  static Float at_most(Float v, Float bound) {
    return each<Float>(v, bound, [](float32x4_t p, float32x4_t q) { return vbslq_f32(vcltq_f32(q, p), q, p); });
  }
  static Float prelu(Float v, Float slope) {
    return each<Float>(v, slope,
                       [](float32x4_t p, float32x4_t q) { return vbslq_f32(vcgtzq_f32(p), p, vmulq_f32(p, q)); });
  }
  static uint32_t less(Float x, Float y) {
    return bits_of(each<Int>(x, y, [](auto p, auto q) { return vcltq_f32(p, q); }));
  }
  static Float signs(uint32_t bits) {
    const uint32x4_t word = vdupq_n_u32(bits), first = {1u, 2u, 4u, 8u};
    const auto sign = [&](uint32x4_t lanes) {
      return vbslq_f32(vtstq_u32(word, lanes), vdupq_n_f32(-1.0f), vdupq_n_f32(1.0f));
    };
    return {sign(first), sign(vshlq_n_u32(first, 4)), sign(vshlq_n_u32(first, 8)), sign(vshlq_n_u32(first, 12))};
  }
  static Float low_bit_signs(Int x) {
    const uint32x4_t one = vdupq_n_u32(0x3f800000u);
    const auto sign = [&](uint32x4_t q) { return vreinterpretq_f32_u32(vorrq_u32(vshlq_n_u32(q, 31), one)); };
    return {sign(x.a), sign(x.b), sign(x.c), sign(x.d)};
  }

  struct Bytes {
    uint8x16_t low, high;
  };

  static Bytes zero_bytes() { return {vdupq_n_u8(0), vdupq_n_u8(0)}; }
  static Bytes count_bits(Bytes counts, uint32_t bits) {
    const uint8x16_t word = vreinterpretq_u8_u32(vdupq_n_u32(bits));
    const uint8x16_t own = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201u));
    // Each byte of the word eight times, of which each is -1 where its own bit is set.
    const uint8x16_t copies = vcombine_u8(vdup_n_u8(0), vdup_n_u8(1));
    const auto ones = [&](uint8x16_t of) { return vtstq_u8(vqtbl1q_u8(word, of), own); };
    return {vsubq_u8(counts.low, ones(copies)), vsubq_u8(counts.high, ones(vaddq_u8(copies, vdupq_n_u8(2))))};
  }
  static Int to_lanes(Bytes counts, int half) {
    const uint8x16_t of_half = half == 0 ? counts.low : counts.high;
    const uint16x8_t low = vmovl_u8(vget_low_u8(of_half)), high = vmovl_high_u8(of_half);
    return {vmovl_u16(vget_low_u16(low)), vmovl_high_u16(low), vmovl_u16(vget_low_u16(high)), vmovl_high_u16(high)};
  }

 protected:
  template <class Lanes, class Quarter>
  static Lanes all_four(Quarter q) {
    return {q, q, q, q};
  }

  template <class Result, class Lanes, class F>
  static Result each(const Lanes& x, const Lanes& y, const F& f) {
    return {f(x.a, y.a), f(x.b, y.b), f(x.c, y.c), f(x.d, y.d)};
  }

  // The first n of four lanes; none where n <= 0. Copies of a fixed size are one or two loads or stores.
  static void copy_quarter(void* to, const void* from, int n) {
    if (n >= 4) {
      std::memcpy(to, from, 16);
    } else if (n == 3) {
      std::memcpy(to, from, 12);
    } else if (n == 2) {
      std::memcpy(to, from, 8);
    } else if (n == 1) {
      std::memcpy(to, from, 4);
    }
  }
  template <class Quarter, class T>
  static Quarter load_quarter(const T* p, int n) {
    Quarter x{};
    copy_quarter(&x, p, n);
    return x;
  }
  template <class Lanes, class T>
  static Lanes load_some(const T* p, int n) {
    using Quarter = decltype(Lanes::a);
    return {load_quarter<Quarter>(p, n), load_quarter<Quarter>(p + 4, n - 4), load_quarter<Quarter>(p + 8, n - 8),
            load_quarter<Quarter>(p + 12, n - 12)};
  }
  template <class Lanes, class T>
  static void store_some(T* p, const Lanes& x, int n) {
    copy_quarter(p, &x.a, n);
    copy_quarter(p + 4, &x.b, n - 4);
    copy_quarter(p + 8, &x.c, n - 8);
    copy_quarter(p + 12, &x.d, n - 12);
  }

  // Bit i from the mask (0 or -1) in lane i: each lane keeps its bit, and the lanes are added.
  static uint32_t bits_of(Int mask) {
    const uint32x4_t first = {1u, 2u, 4u, 8u};
    const uint32x4_t low = vorrq_u32(vandq_u32(mask.a, first), vandq_u32(mask.b, vshlq_n_u32(first, 4)));
    const uint32x4_t high =
        vorrq_u32(vandq_u32(mask.c, vshlq_n_u32(first, 8)), vandq_u32(mask.d, vshlq_n_u32(first, 12)));
    return vaddvq_u32(vorrq_u32(low, high));
  }
};

}  // namespace
}  // namespace bittern
