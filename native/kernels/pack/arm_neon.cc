// pack, unpack and binarize with NEON, which has no instruction that gathers the signs of lanes.
//
//     rows, per 16 channels       4 fcmgt (fcmlt with 0), 4 and, 3 orr, addv, a move to a general register
//     planes, per 16 pixels       4 fcmgt, 4 and, 4 orr; a row of 16 words is then scattered by scalar stores
//     unpack, per 16 channels     dup, 4 cmtst, 4 bsl
//
// each beside 4 loads or stores of 16 bytes (fewer as pairs). Bound: the vector instructions. Nothing can overflow.
#include "kernels/lanes/neon.h"
#include "kernels/pack/generic.h"

namespace bittern {

constexpr PackImplementation pack_arm_neon = pack_of<NeonLanes>("pack_arm_neon", kIsaNeon);

}  // namespace bittern
