// conv2d_pairs with NEON, on any 64-bit ARM core: 16 filters are four registers, popcount is of bytes.
//
//     per pair of words of 2 pixels and 2 blocks  instructions   unit
//     ldp q, q, [weights]                                    8   load
//     ld1r {v.4s}, [input]                                   4   load, and vector to repeat the word
//     eor                                                   16   vector
//     bsl                                                   16   vector
//     cnt                                                   16   vector
//     add, of bytes                                         16   vector
//
// Bound: 68 vector instructions for 2 * 2 * 1024 MAC, 60 MAC for each cycle and vector pipe, where conv2d's loop has 41.
// The thresholds are estimates: no ARM machine was at hand to measure them.
// Counters are bytes and grow by at most 8 a pair, so they are added into 32-bit lanes after 31 pairs (248 <= 255).
#include "kernels/conv2d_pairs/arm_count.h"
#include "kernels/conv2d_pairs/generic.h"
#include "kernels/lanes/neon_count.h"

namespace bittern {

constexpr Conv2dPairs conv2d_pairs_arm_neon =
    conv2d_pairs_of<ArmPairs<NeonByteCount>>("conv2d_pairs_arm_neon", kIsaNeon, 32, 2, 16);

}  // namespace bittern
