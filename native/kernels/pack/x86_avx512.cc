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

constexpr PackImplementation pack_x86_avx512 = pack_of<Avx512Lanes>("pack_x86_avx512", kIsaAvx512);

}  // namespace bittern
