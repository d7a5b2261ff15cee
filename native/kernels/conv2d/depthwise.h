// Depthwise convolution: one channel a filter, 32 channels a word, counted bit by bit.
//
// A word of input xor a word of weights is one bit of 32 counters. The counters are kept as words too: word k holds bit
// k of all 32 ("bit-sliced"). Two taps x, y are added at a time, by a full adder and then half adders:
//
//     (bits[0], carry) = (bits[0] ^ x ^ y, majority of the three)
//     (bits[k], carry) = (bits[k] ^ carry, bits[k] & carry)                     k = 1, 2 ...
//
// so that two taps of 32 channels take some fifteen scalar instructions on any CPU. What remains is the epilogue.
#pragma once

#include <cstdint>

#include "kernels/conv2d/tile.h"
#include "kernels/lanes/unroll.h"

namespace bittern {
namespace {  // internal linkage: see lanes/portable.h

// kBits: of a counter; at most 2^kBits - 1 taps.
template <class V, int P, int kBits>
BITTERN_INLINE void run_depthwise_tile(const Conv2dArgs& args, Pixel& at) {
  const TilePixels<P> pixels(args, at);
  const int64_t words = (args.filters + 31) / 32;
  for (int64_t w = 0; w < words; ++w) {
    uint32_t bits[P][kBits] = {};
    const auto differ = [&](int p, int64_t tap) BITTERN_LAMBDA {
      return pixels.first[p][args.run_offsets[tap] + w] ^ args.weight[tap * words + w];
    };
    for (int64_t tap = 0; tap < args.runs; tap += 2) {
      const bool two = tap + 1 < args.runs;
      unroll<P>([&](auto p) BITTERN_LAMBDA {
        const uint32_t x = differ(p, tap), y = two ? differ(p, tap + 1) : 0, either = x ^ y;
        uint32_t carry = (bits[p][0] & either) | (x & y);
        bits[p][0] ^= either;
        unroll<kBits - 1>([&](auto k) BITTERN_LAMBDA {
          const uint32_t both = bits[p][k + 1] & carry;
          bits[p][k + 1] ^= carry;
          carry = both;
        });
      });
    }
    for (int half = 0; half < 2; ++half) {
      const int64_t filter = w * 32 + half * kBlock;
      if (filter >= args.filters) break;
      typename V::Int counts[P][1];
      unroll<P>([&](auto p) BITTERN_LAMBDA {
        counts[p][0] = V::broadcast(0u);
        unroll<kBits>([&](auto k) BITTERN_LAMBDA {
          const typename V::Int bit = V::bits_as_lanes(bits[p][kBits - 1 - k] >> (half * kBlock) & 0xffffu);
          counts[p][0] = V::add(V::add(counts[p][0], counts[p][0]), bit);
        });
      });
      finish_block<V, P>(args, pixels, filter, counts);
    }
  }
}

template <class V, int kBits>
void run_depthwise_bits(const Conv2dArgs& args, int64_t begin, int64_t end) {
  Pixel at(args, begin);
  while (end - at.index() >= 4) run_depthwise_tile<V, 4, kBits>(args, at);
  while (end - at.index() >= 1) run_depthwise_tile<V, 1, kBits>(args, at);
}

template <class V>
void run_depthwise(const Conv2dArgs& args, int64_t begin, int64_t end) {
  if (args.runs < 16) return run_depthwise_bits<V, 4>(args, begin, end);
  if (args.runs < 64) return run_depthwise_bits<V, 6>(args, begin, end);
  static_assert(Conv2dImplementation::kMostDepthwiseTaps < 256, "fits into 8 bits");
  run_depthwise_bits<V, 8>(args, begin, end);
}

}  // namespace
}  // namespace bittern
