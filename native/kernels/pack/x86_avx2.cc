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

constexpr PackImplementation pack_x86_avx2 = pack_of<Avx2Lanes>("pack_x86_avx2", kIsaAvx2);

}  // namespace bittern
