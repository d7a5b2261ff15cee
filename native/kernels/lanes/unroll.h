// Loops over a small array of registers, unrolled at compile time: with run-time indices compilers keep such an array
// in memory.
#pragma once

#include "kernels/layout.h"

namespace bittern {
namespace {  // internal linkage: see lanes/portable.h

#define BITTERN_LAMBDA __attribute__((always_inline))

template <int N>
struct Index {
  constexpr operator int() const { return N; }
};

// f(0), f(1) ... f(N - 1)
template <int N, class F>
BITTERN_INLINE void unroll(const F& f) {
  if constexpr (N > 0) {
    unroll<N - 1>(f);
    f(Index<N - 1>());
  }
}

// f(p, b) for all p < P and b < B, row by row
template <int P, int B, class F>
BITTERN_INLINE void unroll(const F& f) {
  unroll<P * B>([&](auto i) BITTERN_LAMBDA { f(Index<i / B>(), Index<i % B>()); });
}

}  // namespace
}  // namespace bittern
