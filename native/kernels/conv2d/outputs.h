// From dot products of a tile in registers to floats and bits in memory: the steps of epilogue.h.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/conv2d/conv2d.h"
#include "kernels/lanes/unroll.h"

namespace bittern {
namespace {  // internal linkage: see lanes/portable.h

// Loads, stores and bits of a block: all 16 filters, or the first n.
template <class V, bool kWhole>
struct Lanes {
  int n;

  template <class T>
  BITTERN_INLINE auto load(const T* p) const {
    if constexpr (kWhole) {
      return V::load(p);
    } else {
      return V::load(p, n);
    }
  }
  BITTERN_INLINE void store(float* p, typename V::Float v) const {
    if constexpr (kWhole) {
      V::store(p, v);
    } else {
      V::store(p, v, n);
    }
  }
  BITTERN_INLINE uint32_t mask(uint32_t bits) const { return kWhole ? bits : bits & ((1u << n) - 1); }
};

// Bits of a tile to memory, as conv2d.h says: less(p, b) gives the 16 of the p-th pixel and the b-th block.
template <int P, int B, class Less>
BITTERN_INLINE void write_bits(const Conv2dArgs& args, int64_t pixel, int64_t filter, const Less& less) {
  const uint64_t row_words = (static_cast<uint64_t>(args.channels) + 31) / 32;
  const uint64_t bit = static_cast<uint64_t>(args.first_channel + filter);
  uint32_t* first = args.bits + static_cast<uint64_t>(pixel) * row_words;
  if (bit % kBlock == 0) {
    char* to = reinterpret_cast<char*>(first) + bit / 8;
    unroll<P, (B + 1) / 2>([&](auto p, auto pair) BITTERN_LAMBDA {
      constexpr int b = 2 * pair;
      if constexpr (b + 1 < B) {
        const uint32_t both = less(p, Index<b>()) | less(p, Index<b + 1>()) << kBlock;
        std::memcpy(to + p * row_words * 4 + b * 2, &both, sizeof both);
      } else {
        const uint16_t half = static_cast<uint16_t>(less(p, Index<b>()));
        std::memcpy(to + p * row_words * 4 + b * 2, &half, sizeof half);
      }
    });
  } else {
    unroll<P, B>([&](auto p, auto b) BITTERN_LAMBDA {
      uint32_t* to = first + p * row_words + (bit + b * kBlock) / 32;
      const uint64_t bits = static_cast<uint64_t>(less(p, b)) << ((bit + b * kBlock) % 32);
      to[0] |= static_cast<uint32_t>(bits);
      if (bits >> 32 != 0) to[1] |= static_cast<uint32_t>(bits >> 32);
    });
  }
}

// The steps of epilogue.h on a tile of dot products, each over the whole tile.
template <class V, int P, int B, bool kWhole>
BITTERN_INLINE void apply_epilogue(const Conv2dArgs& args, int64_t pixel, int64_t filter, Lanes<V, kWhole> lanes,
                                   typename V::Float (&v)[P][B]) {
  using Float = typename V::Float;
  const Epilogue& e = args.epilogue;
  const int64_t at = pixel * args.channels + filter;
  const auto with_bound = [&](float bound, const auto& step) BITTERN_LAMBDA {
    const Float wide = V::broadcast(bound);
    unroll<P, B>([&](auto p, auto b) BITTERN_LAMBDA { v[p][b] = step(v[p][b], wide); });
  };
  const auto with_channel = [&](const float* operand, const auto& step) BITTERN_LAMBDA {
    unroll<B>([&](auto b) BITTERN_LAMBDA {
      const Float each = lanes.load(operand + filter + b * kBlock);
      unroll<P>([&](auto p) BITTERN_LAMBDA { v[p][b] = step(v[p][b], each); });
    });
  };
  const auto at_least = [](Float a, Float b) BITTERN_LAMBDA { return V::at_least(a, b); };
  const auto at_most = [](Float a, Float b) BITTERN_LAMBDA { return V::at_most(a, b); };
  const auto add = [](Float a, Float b) BITTERN_LAMBDA { return V::add(a, b); };
  const auto mul = [](Float a, Float b) BITTERN_LAMBDA { return V::mul(a, b); };
  const auto prelu = [](Float a, Float b) BITTERN_LAMBDA { return V::prelu(a, b); };

  if (e.dot_min > -Epilogue::kInf) with_bound(e.dot_min, at_least);
  if (e.dot_max < Epilogue::kInf) with_bound(e.dot_max, at_most);
  if (e.mul != nullptr) with_channel(e.mul, mul);
  if (e.add != nullptr) with_channel(e.add, add);
  if (e.act_min > -Epilogue::kInf) with_bound(e.act_min, at_least);
  if (e.act_max < Epilogue::kInf) with_bound(e.act_max, at_most);
  if (e.act_slope != nullptr) with_channel(e.act_slope, prelu);
  if (e.residual != nullptr) {
    unroll<P, B>([&](auto p, auto b) BITTERN_LAMBDA {
      v[p][b] = V::add(v[p][b], lanes.load(e.residual + at + p * args.channels + b * kBlock));
    });
  }
  if (e.shift_in != nullptr) with_channel(e.shift_in, add);
  if (e.shift_slope != nullptr) with_channel(e.shift_slope, prelu);
  if (e.shift_out != nullptr) with_channel(e.shift_out, add);
  if (args.values != nullptr) {
    unroll<P, B>([&](auto p, auto b)
                     BITTERN_LAMBDA { lanes.store(args.values + at + p * args.channels + b * kBlock, v[p][b]); });
  }
  if (args.bits != nullptr) {
    Float threshold[B];
    unroll<B>([&](auto b) BITTERN_LAMBDA {
      threshold[b] = e.threshold != nullptr ? lanes.load(e.threshold + filter + b * kBlock) : V::broadcast(0.0f);
    });
    write_bits<P, B>(args, pixel, filter,
                     [&](auto p, auto b) BITTERN_LAMBDA { return lanes.mask(V::less(v[p][b], threshold[b])); });
  }
}

}  // namespace
}  // namespace bittern
