#include "kernels/conv2d/conv2d.h"

namespace bittern {
namespace {

constexpr const Conv2dDirect* kDirect[] = {
#define BITTERN_CONV2D_DIRECT(isa) &conv2d_##isa,
#include "kernels/conv2d/kernels.inc"
};

}  // namespace

const Conv2dDirect& get_conv2d_direct(uint32_t flags) { return first_allowed(kDirect, flags); }

const char* why_not(const Conv2dLimits& limits, const Conv2dLayer& layer) {
  if (layer.masked && !limits.masks) return "groups share words";
  if (layer.sets > 1 && !limits.sets) return "several sets of groups";
  if (layer.pixel_words % 2 != 0 && !limits.odd_words) return "an odd number of words a pixel";
  if (layer.words > limits.max_words) return "too many words";
  if (layer.words < limits.min_words) return "too few words";
  if (layer.pixels < limits.min_pixels) return "too few pixels";
  if (block_count(layer.filters) < limits.min_blocks) return "too few filters";
  return nullptr;
}

}  // namespace bittern
