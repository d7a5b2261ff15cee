#include "kernels/pack/pack.h"

namespace bittern {
namespace {

constexpr const PackImplementation* kImplementations[] = {
#define BITTERN_PACK_KERNEL(isa) &pack_##isa,
#include "kernels/pack/kernels.inc"
};

}  // namespace

const PackImplementation& get_pack(uint32_t flags) { return first_allowed(kImplementations, flags); }

}  // namespace bittern
