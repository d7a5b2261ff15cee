// pack, unpack and binarize for any CPU: one comparison, shift and or per value. What the other files must equal.
#include "kernels/lanes/portable.h"

#include "kernels/pack/generic.h"

namespace bittern {

constexpr PackImplementation pack_portable = pack_of<PortableLanes>("pack_portable", kArchPortable);

}  // namespace bittern
