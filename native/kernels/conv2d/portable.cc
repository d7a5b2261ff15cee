// conv2d for any CPU: what the other files must equal.
//
// Popcount by halving, as the baseline x86-64 has no popcount instruction: pairs, nibbles and bytes are added in place,
// and a product gathers the four bytes. 12 operations for 16 words, each in as many registers as the CPU's vectors
// need: 4 on x86-64 and aarch64.
#include "kernels/lanes/portable.h"

#include "kernels/conv2d/generic.h"

namespace bittern {
namespace {

struct PortableCounter : PortableLanes {
  using Count = Int;
  static constexpr int kCountWords = 0;  // 32-bit counters
  static constexpr int kPixels = 2, kBlocks = 1;

  static Count zero_count() { return Count{}; }
  static Count count(Count c, Int x) {
    x -= x >> 1 & 0x55555555u;
    x = (x & 0x33333333u) + (x >> 2 & 0x33333333u);
    x = (x + (x >> 4)) & 0x0f0f0f0fu;
    return c + (x * 0x01010101u >> 24);
  }
  static Int total(Count c) { return c; }
  static Float dot(Int valid, Int count) { return to_float(sub(valid, add(count, count))); }
};

}  // namespace

constexpr Conv2dDirect conv2d_portable = conv2d_of<PortableCounter>("conv2d_portable", kArchPortable);

}  // namespace bittern
