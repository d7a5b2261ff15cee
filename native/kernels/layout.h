// The sizes of packed operands (src/bittern/ops/layout.py).
#pragma once

#include <cstdint>

namespace bittern {

constexpr int64_t kWordBits = 32;            // channels in a word
constexpr int64_t kBlock = 16;               // filters in a block of weights, and lanes in lanes/*.h
constexpr int64_t kMaxFilterBits = 1 << 24;  // bits of one dot product: float(dot) is exact

// Inlined everywhere: files compiled for different instruction sets must not share a copy.
#define BITTERN_INLINE inline __attribute__((always_inline))

BITTERN_INLINE constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
BITTERN_INLINE constexpr int64_t word_count(int64_t channels) { return ceil_div(channels, kWordBits); }
BITTERN_INLINE constexpr int64_t block_count(int64_t filters) { return ceil_div(filters, kBlock); }

}  // namespace bittern
