// Sixteen 32-bit lanes in the vector notation of GCC and Clang, which compile it for any CPU: one block of filters. The
// specification of lanes/avx2.h, lanes/avx512.h and lanes/neon.h.
//
// Integers are modulo 2^32. Every float operation is rounded by itself. at_least and at_most return `v` unless the
// bound is strictly past it, so a NaN in `v` stays (as in torch.clamp). Loads and stores with a count touch `n` lanes
// only; lanes past n read as 0.
#pragma once

#include <cstdint>
#include <cstring>

namespace bittern {
namespace {  // internal linkage: each file that includes this is compiled for another instruction set

struct PortableLanes {
  typedef uint32_t Int __attribute__((vector_size(64)));
  typedef int32_t Signed __attribute__((vector_size(64)));
  typedef float Float __attribute__((vector_size(64)));

  static Int broadcast(uint32_t x) { return Int{} + x; }
  static Int load(const uint32_t* p) { return load_lanes<Int>(p, 16); }
  static Int load(const uint32_t* p, int n) { return load_lanes<Int>(p, n); }
  static void store(uint32_t* p, Int x) { std::memcpy(p, &x, sizeof x); }
  static void store(uint32_t* p, Int x, int n) { std::memcpy(p, &x, sizeof *p * n); }
  static Int add(Int a, Int b) { return a + b; }
  static Int sub(Int a, Int b) { return a - b; }
  static Int bit_and(Int a, Int b) { return a & b; }
  static Int bit_or(Int a, Int b) { return a | b; }
  static Int bit_xor(Int a, Int b) { return a ^ b; }
  static Int halve(Int x) { return x >> 1; }
  // a < b as signed integers: bit i is lane i.
  static uint32_t less(Int a, Int b) { return bits_of(reinterpret_cast<Signed>(a) < reinterpret_cast<Signed>(b)); }
  // `x` with bit `bit` set in the lanes where a < b. NaN is not less.
  static Int set_bit_where_less(Int x, uint32_t bit, Float a, Float b) {
    return x | (reinterpret_cast<Int>(a < b) & broadcast(bit));
  }

  static Float to_float(Int x) { return __builtin_convertvector(reinterpret_cast<Signed>(x), Float); }
  static Float broadcast(float x) { return x - Float{}; }  // a sum would lose the sign of -0
  static Float load(const float* p) { return load_lanes<Float>(p, 16); }
  static Float load(const float* p, int n) { return load_lanes<Float>(p, n); }
  static void store(float* p, Float x) { std::memcpy(p, &x, sizeof x); }
  static void store(float* p, Float x, int n) { std::memcpy(p, &x, sizeof *p * n); }
  static Float add(Float a, Float b) { return a + b; }
  static Float mul(Float a, Float b) { return a * b; }
  // sum + x * sign, where sign holds -1 and +1: the product is exact, so that a fused instruction rounds the same.
  static Float add_signed(Float sum, float x, Float sign) { return sum + x * sign; }
  static Float at_least(Float v, Float bound) { return bound > v ? bound : v; }
  static Float at_most(Float v, Float bound) { return bound < v ? bound : v; }
  static Float prelu(Float v, Float slope) { return v > 0.0f ? v : v * slope; }
  // a < b: bit i is lane i. NaN is not less.
  static uint32_t less(Float a, Float b) { return bits_of(a < b); }
  // -1 where bit i is set, +1 elsewhere.
  static Float signs(uint32_t bits) {
    const Int lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    return (broadcast(bits) >> lane & 1) != 0 ? broadcast(-1.0f) : broadcast(1.0f);
  }
  // -1 where the lowest bit of the lane is set, +1 elsewhere.
  static Float low_bit_signs(Int x) { return reinterpret_cast<Float>(x << 31 | 0x3f800000u); }

  // Thirty-two counters of one byte, modulo 256: two blocks of filters.
  typedef uint8_t Bytes __attribute__((vector_size(32)));

  static Bytes zero_bytes() { return Bytes{}; }
  // Bit i is added to counter i.
  static Bytes count_bits(Bytes counts, uint32_t bits) {
    uint64_t ones[4];
    for (int i = 0; i < 4; ++i) {
      // Eight copies of eight bits, of which each keeps its own; then 1 where that is not 0.
      const uint64_t kept = (bits >> 8 * i & 0xff) * 0x0101010101010101u & 0x8040201008040201u;
      ones[i] = (kept + 0x7f7f7f7f7f7f7f7fu) >> 7 & 0x0101010101010101u;
    }
    Bytes added;
    std::memcpy(&added, ones, sizeof added);
    return counts + added;
  }
  // Sixteen of the counters: of the low half (0) or the high one (1).
  static Int to_lanes(Bytes counts, int half) {
    Int lanes{};
    for (int i = 0; i < 16; ++i) lanes[i] = counts[16 * half + i];
    return lanes;
  }

 private:
  template <class Vector, class T>
  static Vector load_lanes(const T* p, int n) {
    Vector x{};
    std::memcpy(&x, p, sizeof *p * n);
    return x;
  }
  // Bit i from the mask (0 or -1) in lane i.
  static uint32_t bits_of(Signed mask) {
    uint32_t bits = 0;
    for (int i = 0; i < 16; ++i) bits |= (static_cast<uint32_t>(mask[i]) & 1u) << i;
    return bits;
  }
};

}  // namespace
}  // namespace bittern
