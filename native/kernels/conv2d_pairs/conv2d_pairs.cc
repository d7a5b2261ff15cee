#include "kernels/conv2d_pairs/conv2d_pairs.h"

namespace bittern {

const Conv2dPairs* get_conv2d_pairs([[maybe_unused]] uint32_t flags) {
#define BITTERN_CONV2D_PAIRS(isa) \
  if (flags == conv2d_pairs_##isa.flags) return &conv2d_pairs_##isa;
#include "kernels/conv2d_pairs/kernels.inc"
#undef BITTERN_CONV2D_PAIRS
  return nullptr;
}

const Conv2dPairs* choose_conv2d_pairs(uint32_t flags, int64_t pixels, int64_t blocks, int64_t words,
                                       int64_t pixel_words) {
  const Conv2dPairs* pairs = get_conv2d_pairs(flags);
  if (pairs == nullptr || pixel_words % 2 != 0 || words > Conv2dPairs::kMostWords) return nullptr;
  const bool small = pixels < pairs->least_pixels || blocks < pairs->least_blocks || words < pairs->least_words;
  return small ? nullptr : pairs;
}

}  // namespace bittern
