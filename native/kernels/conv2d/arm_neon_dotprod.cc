#include "kernels/conv2d/generic.h"
#include "kernels/lanes/neon.h"

namespace bittern {
namespace {

struct NeonDotprodCounter : NeonLanes {
  using Count = Int;
  static constexpr int kCountWords = 0;
  static constexpr int kPixels = 3, kBlocks = 2;

  static Count zero_count() { return broadcast(0u); }
  static uint32x4_t count_quarter(uint32x4_t c, uint32x4_t x) {
    return vdotq_u32(c, vcntq_u8(vreinterpretq_u8_u32(x)), vdupq_n_u8(1));
  }
  static Count count(Count c, Int x) { return each<Int>(c, x, count_quarter); }
  static Int total(Count c) { return c; }
  static Float dot(Int valid, Int count) { return to_float(sub(valid, add(count, count))); }
};

}  // namespace

constexpr Conv2dImplementation conv2d_arm_neon_dotprod =
    conv2d_of<NeonDotprodCounter>("conv2d_arm_neon_dotprod", kIsaNeonDotprod);

}  // namespace bittern
