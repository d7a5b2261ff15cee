// pack, unpack and binarize for any CPU: one comparison, shift and or per value. What the other files must equal.
#include "kernels/lanes/portable.h"

#include "kernels/pack/generic.h"

namespace bittern {

void pack_portable(const PackArgs& args, int64_t begin, int64_t end) { run_pack<PortableLanes>(args, begin, end); }

void unpack_portable(const UnpackArgs& args, int64_t begin, int64_t end) {
  run_unpack<PortableLanes>(args, begin, end);
}

void binarize_portable(const float* x, float* y, int64_t begin, int64_t end) {
  run_binarize<PortableLanes>(x, y, begin, end);
}

}  // namespace bittern
