// Depthwise convolution: one channel a filter, 32 channels a word. A word of input xor a word of weights is one bit for
// each of 32 counters of a byte, which at most 255 taps cannot overflow.
//
//     per tap of 4 pixels and 32 channels    AVX-512            AVX2                        NEON
//     the differences                        5 mov, 4 xor       5 mov, 4 xor                5 ldr, 4 eor
//     to a place that counts                 4 kmovd            4 vmovd, 4 vpbroadcastd     4 dup
//     their bits, one a byte                                    4 vpshufb, 4 vpand,         8 tbl, 8 cmtst
//                                                               4 vpcmpeqb
//     counted                                4 vpsubb{k}        4 vpsubb                    8 sub
//
// Bound: a kmovd, or a vmovd, a cycle: 32 MAC/cycle on AVX-512 and AVX2; of NEON 28 vector instructions, 4.6 MAC for
// each cycle and vector pipe.
#pragma once

#include <cstdint>

#include "kernels/conv2d/tile.h"
#include "kernels/lanes/unroll.h"

namespace bittern {
namespace {  // internal linkage: see lanes/portable.h

constexpr int kDepthwisePixels = 4;
static_assert(Conv2dDirect::kMaxDepthwiseTaps < 256, "a counter is a byte");

template <class V, int P>
BITTERN_INLINE void run_depthwise_tile(const Conv2dArgs& args, Pixel& at) {
  const TilePixels<P> pixels(args, at);
  const int64_t words = word_count(args.filters);
  for (int64_t w = 0; w < words; ++w) {
    typename V::Bytes bytes[P];
    unroll<P>([&](auto p) BITTERN_LAMBDA { bytes[p] = V::zero_bytes(); });
    const uint32_t* weight = args.weight + w;
    for (int64_t tap = 0; tap < args.runs; ++tap, weight += words) {
      const int64_t offset = args.run_offsets[tap] + w;
      const uint32_t of_tap = *weight;
      unroll<P>([&](auto p) BITTERN_LAMBDA { bytes[p] = V::count_bits(bytes[p], pixels.first[p][offset] ^ of_tap); });
    }
    typename V::Int counts[P][2];
    unroll<P, 2>([&](auto p, auto half) BITTERN_LAMBDA { counts[p][half] = V::to_lanes(bytes[p], half); });
    const int64_t filter = w * 32;
    if (P == kDepthwisePixels && args.filters - filter >= 2 * kBlock) {
      finish_tile<V, P, 2, true>(args, pixels, filter, counts);
    } else {
      unroll<2>([&](auto half) BITTERN_LAMBDA {
        typename V::Int column[P][1];
        unroll<P>([&](auto p) BITTERN_LAMBDA { column[p][0] = counts[p][half]; });
        if (filter + half * kBlock < args.filters) finish_block<V, P>(args, pixels, filter + half * kBlock, column);
      });
    }
  }
}

template <class V>
void run_depthwise(const Conv2dArgs& args, int64_t begin, int64_t end) {
  Pixel at(args, begin);
  while (end - at.index() >= kDepthwisePixels) run_depthwise_tile<V, kDepthwisePixels>(args, at);
  while (end - at.index() >= 1) run_depthwise_tile<V, 1>(args, at);
}

}  // namespace
}  // namespace bittern
