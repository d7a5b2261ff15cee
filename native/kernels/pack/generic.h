// The loops of pack, unpack and binarize over sixteen lanes (lanes/*.h).
#pragma once

#include <cstdint>

#include "kernels/lanes/unroll.h"
#include "kernels/pack/pack.h"

namespace bittern {
namespace {  // internal linkage: see lanes/portable.h

// Sixteen channels, or the n <= 16 that are left: channels past n compare 0 < 0 and give bit 0.
template <class V>
BITTERN_INLINE uint32_t pack_lanes(const float* x, const float* threshold, int64_t n) {
  if (n >= 16) return V::less(V::load(x), threshold != nullptr ? V::load(threshold) : V::broadcast(0.0f));
  const int rest = static_cast<int>(n);
  return V::less(V::load(x, rest), threshold != nullptr ? V::load(threshold, rest) : V::broadcast(0.0f));
}

// Rows of whole words and one threshold for all channels: the pixels' words are one sequence.
template <class V>
BITTERN_INLINE void pack_whole_words(const float* x, uint32_t* words, int64_t begin, int64_t end) {
  const typename V::Float zero = V::broadcast(0.0f);
  for (int64_t i = begin; i < end; ++i) {
    const uint32_t low = V::less(V::load(x + i * 32), zero), high = V::less(V::load(x + i * 32 + 16), zero);
    words[i] = low | high << 16;
  }
}

template <class V>
BITTERN_INLINE void pack_rows(const PackArgs& args, int64_t begin, int64_t end) {
  const int64_t channels = args.channels, words = word_count(channels);
  if (channels % 32 == 0 && args.threshold == nullptr) {
    return pack_whole_words<V>(args.values, args.words, begin * words, end * words);
  }
  for (int64_t p = begin; p < end; ++p) {
    const float* x = args.values + p * channels;
    for (int64_t w = 0; w < words; ++w) {
      const int64_t c = w * 32, rest = channels - c;
      const float* t = args.threshold != nullptr ? args.threshold + c : nullptr;
      uint32_t bits = pack_lanes<V>(x + c, t, rest);
      if (rest > 16) bits |= pack_lanes<V>(x + c + 16, t != nullptr ? t + 16 : nullptr, rest - 16) << 16;
      args.words[p * words + w] = bits;
    }
  }
}

// Lanes are pixels: a word of sixteen pixels grows by one channel a step.
template <class V>
BITTERN_INLINE void pack_planes(const PackArgs& args, int64_t begin, int64_t end) {
  const int64_t channels = args.channels, plane = args.plane, words = word_count(channels);
  for (int64_t p = begin; p < end;) {
    const int64_t image = p / plane, i = p % plane, left = plane - i < end - p ? plane - i : end - p;
    const int n = static_cast<int>(left < 16 ? left : 16);
    for (int64_t w = 0; w < words; ++w) {
      const int64_t first = w * 32, last = channels - first < 32 ? channels : first + 32;
      typename V::Int bits = V::broadcast(0u);
      for (int64_t c = first; c < last; ++c) {
        const float* x = args.values + (image * channels + c) * plane + i;
        const typename V::Float threshold = V::broadcast(args.threshold != nullptr ? args.threshold[c] : 0.0f);
        bits = V::set_bit_where_less(bits, 1u << (c - first), n == 16 ? V::load(x) : V::load(x, n), threshold);
      }
      uint32_t lane[16];
      V::store(lane, bits);
      for (int j = 0; j < n; ++j) args.words[(p + j) * words + w] = lane[j];
    }
    p += n;
  }
}

template <class V>
void run_pack(const PackArgs& args, int64_t begin, int64_t end) {
  if (args.plane == 1) {
    pack_rows<V>(args, begin, end);
  } else {
    pack_planes<V>(args, begin, end);
  }
}

template <class V>
void run_unpack(const UnpackArgs& args, int64_t begin, int64_t end) {
  const int64_t channels = args.channels, words = word_count(channels);
  for (int64_t p = begin; p < end; ++p) {
    float* x = args.values + p * channels;
    for (int64_t c = 0; c < channels; c += 16) {
      const uint32_t bits = args.words[p * words + c / 32] >> (c % 32) & 0xffffu;
      if (channels - c >= 16) {
        V::store(x + c, V::signs(bits));
      } else {
        V::store(x + c, V::signs(bits), static_cast<int>(channels - c));
      }
    }
  }
}

template <class V>
void run_binarize(const float* x, float* y, int64_t begin, int64_t end) {
  const typename V::Float zero = V::broadcast(0.0f);
  int64_t i = begin;
  for (; end - i >= 16; i += 16) V::store(y + i, V::signs(V::less(V::load(x + i), zero)));
  const int rest = static_cast<int>(end - i);
  V::store(y + i, V::signs(V::less(V::load(x + i, rest), zero)), rest);
}

template <class V>
constexpr PackImplementation pack_of(const char* name, uint32_t flags) {
  return {name, flags, run_pack<V>, run_unpack<V>, run_binarize<V>};
}

}  // namespace
}  // namespace bittern
