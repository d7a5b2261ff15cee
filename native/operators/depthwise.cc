#include "operators/depthwise.h"

#include "kernels/conv2d/conv2d.h"

namespace bittern {

bool is_depthwise(const Conv2dGeometry& g) {
  return g.groups > 1 && g.groups == g.in_channels && g.groups == g.out_channels &&
         g.taps() <= Conv2dDirect::kMaxDepthwiseTaps;
}

const uint32_t* pack_depthwise_weight(Call& call, const Conv2dGeometry& g, const uint32_t* weight) {
  const int64_t words = g.in_words(), blocks = g.sets(), taps = g.taps();
  uint32_t* packed = call.scratch_array<uint32_t>(taps * words);
  if (packed == nullptr) return nullptr;
  for (int64_t tap = 0; tap < taps; ++tap) {
    for (int64_t w = 0; w < words; ++w) {
      // Both blocks of a word read this word of the input, and their filters' bits do not overlap.
      uint32_t bits = 0;
      for (int64_t b = 2 * w; b < 2 * w + 2 && b < blocks; ++b) {
        for (int64_t lane = 0; lane < kBlock; ++lane) bits |= weight[(b * taps + tap) * kBlock + lane];
      }
      packed[tap * words + w] = bits;
    }
  }
  return packed;
}

}  // namespace bittern
