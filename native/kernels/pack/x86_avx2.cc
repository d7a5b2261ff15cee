// pack, unpack and binarize with AVX2.
//
//     rows, per 8 channels        vmovups, vcmpltps, vmovmskps (and a shift, an or in general registers)
//     planes, per 8 pixels        vmovups, vcmpltps, vpand, vpor; a row of 16 words is then scattered by scalar stores
//     unpack, per 8 channels      vpsllvd, vpand, vorps, vmovups
//
// Bound: reading the floats (32 bytes a load), or writing them. Nothing can overflow.
#include "kernels/lanes/avx2.h"
#include "kernels/pack/generic.h"

namespace bittern {

void pack_x86_avx2(const PackArgs& args, int64_t begin, int64_t end) { run_pack<Avx2Lanes>(args, begin, end); }

void unpack_x86_avx2(const UnpackArgs& args, int64_t begin, int64_t end) { run_unpack<Avx2Lanes>(args, begin, end); }

void binarize_x86_avx2(const float* x, float* y, int64_t begin, int64_t end) {
  run_binarize<Avx2Lanes>(x, y, begin, end);
}

}  // namespace bittern
