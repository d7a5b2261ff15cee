#include "kernels/conv2d_lookup/conv2d_lookup.h"

namespace bittern {

const Conv2dLookup* get_conv2d_lookup([[maybe_unused]] uint32_t flags) {
#define BITTERN_CONV2D_LOOKUP(isa) \
  if (flags == conv2d_lookup_##isa.flags) return &conv2d_lookup_##isa;
#include "kernels/conv2d_lookup/kernels.inc"
#undef BITTERN_CONV2D_LOOKUP
  return nullptr;
}

const Conv2dLookup* choose_conv2d_lookup(uint32_t flags, int64_t pixels, int64_t blocks, int64_t words) {
  const Conv2dLookup* lookup = get_conv2d_lookup(flags);
  if (lookup == nullptr || pixels < lookup->least_pixels || blocks < lookup->least_blocks) return nullptr;
  return words <= Conv2dLookup::kMaxWords ? lookup : nullptr;
}

}  // namespace bittern
