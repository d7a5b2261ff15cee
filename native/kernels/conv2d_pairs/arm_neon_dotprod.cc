// conv2d_pairs with NEON and UDOT, on cores from Cortex-A55 and A75 on: the loop of arm_neon.cc with another addition.
//
//     per pair of words of 2 pixels and 2 blocks  instructions   unit
//     ldp q, q, [weights]                                    8   load
//     ld1r {v.4s}, [input]                                   4   load, and vector to repeat the word
//     eor                                                   16   vector
//     bsl                                                   16   vector
//     cnt                                                   16   vector
//     udot, with bytes of 1                                 16   vector
//
// Bound: 68 vector instructions for 2 * 2 * 1024 MAC, 60 MAC for each cycle and vector pipe, where conv2d's loop has 41.
// The thresholds are estimates: no ARM machine was at hand to measure them.
// A counter holds popcounts below 2^32.
#include "kernels/conv2d_pairs/arm_count.h"
#include "kernels/conv2d_pairs/generic.h"
#include "kernels/lanes/neon_count.h"

namespace bittern {

constexpr Conv2dPairs conv2d_pairs_arm_neon_dotprod =
    conv2d_pairs_of<ArmPairs<NeonDotprodCount>>("conv2d_pairs_arm_neon_dotprod", kIsaNeonDotprod, 32, 2, 16);

}  // namespace bittern
