#include "kernels/pack/pack.h"

namespace bittern {
namespace {

constexpr PackImplementation kImplementations[] = {
#define BITTERN_PACK_KERNEL(isa, flags) {"pack_" #isa, flags, pack_##isa, unpack_##isa, binarize_##isa},
#include "kernels/pack/kernels.inc"
#undef BITTERN_PACK_KERNEL
};

}  // namespace

const PackImplementation& get_pack(uint32_t flags) { return first_allowed(kImplementations, flags); }

}  // namespace bittern
