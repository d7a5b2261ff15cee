// pack, unpack and binarize with AVX-512F.
//
//     rows, per 16 channels       vcmpltps k, [mem] (the load is its operand), kmovw
//     planes, per 16 pixels       vcmpltps k, [mem], vpord under k; a row of 16 words is then scattered by scalar stores
//     unpack, per 16 channels     kmovw, vblendmps, vmovups
//
// Bound: reading the floats (64 bytes a load), or writing them. Nothing can overflow.
#include "kernels/lanes/avx512.h"
#include "kernels/pack/generic.h"

namespace bittern {

void pack_x86_avx512(const PackArgs& args, int64_t begin, int64_t end) { run_pack<Avx512Lanes>(args, begin, end); }

void unpack_x86_avx512(const UnpackArgs& args, int64_t begin, int64_t end) {
  run_unpack<Avx512Lanes>(args, begin, end);
}

void binarize_x86_avx512(const float* x, float* y, int64_t begin, int64_t end) {
  run_binarize<Avx512Lanes>(x, y, begin, end);
}

}  // namespace bittern
