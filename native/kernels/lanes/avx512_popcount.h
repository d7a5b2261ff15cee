// Sixteen 32-bit lanes as one zmm register that counts bits by VPOPCNTDQ (conv2d/count.h).
#pragma once

#include "kernels/lanes/avx512.h"

namespace bittern {
namespace {  // internal linkage: see lanes/portable.h

struct Avx512Popcount : Avx512Lanes {
  using Count = Int;
  static constexpr int kCountWords = 0;

  static Count zero_count() { return _mm512_setzero_si512(); }
  // GCC 12 adds into a second register and copies it back, in every step of the loop, unless the sum is tied to one.
  static Count count(Count c, Int x) {
    __asm__("vpaddd %1, %0, %0" : "+v"(c) : "v"(_mm512_popcnt_epi32(x)));
    return c;
  }
  static Int total(Count c) { return c; }
  // Exact: 2 * count and the difference are integers up to 2^25, even above 2^24.
  static Float dot(Int valid, Int count) {
    return _mm512_fnmadd_ps(_mm512_set1_ps(2.0f), to_float(count), to_float(valid));
  }
};

}  // namespace
}  // namespace bittern
