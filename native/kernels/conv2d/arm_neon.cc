#include "kernels/conv2d/generic.h"
#include "kernels/lanes/neon.h"

namespace bittern {
namespace {

struct NeonCounter : NeonLanes {
  struct Count {
    uint8x16_t a, b, c, d;
  };
  static constexpr int kCountWords = 31;
  static constexpr int kPixels = 3, kBlocks = 2;

  static Count zero_count() { return {vdupq_n_u8(0), vdupq_n_u8(0), vdupq_n_u8(0), vdupq_n_u8(0)}; }
  static uint8x16_t count_quarter(uint8x16_t c, uint32x4_t x) { return vaddq_u8(c, vcntq_u8(vreinterpretq_u8_u32(x))); }
  static Count count(Count c, Int x) {
    return {count_quarter(c.a, x.a), count_quarter(c.b, x.b), count_quarter(c.c, x.c), count_quarter(c.d, x.d)};
  }
  static uint32x4_t total_quarter(uint8x16_t c) { return vpaddlq_u16(vpaddlq_u8(c)); }
  static Int total(Count c) { return {total_quarter(c.a), total_quarter(c.b), total_quarter(c.c), total_quarter(c.d)}; }
  static Float dot(Int valid, Int count) { return to_float(sub(valid, add(count, count))); }
};

}  // namespace

constexpr Conv2dImplementation conv2d_arm_neon = conv2d_of<NeonCounter>("conv2d_arm_neon", kIsaNeon);

}  // namespace bittern
