// The feature bits that kernels of this process may use.
#pragma once

#include "kernels/arch.h"
#include "operators/call.h"

namespace bittern {

// Fails the call if BITTERN_ISA names a set that this CPU cannot run.
inline uint32_t kernel_flags(Call& call) {
  const Isa* isa = active_isa();
  if (isa == nullptr) call.require(false, "%s", active_isa_error().c_str());
  return isa != nullptr ? isa->flags : kArchPortable;
}

}  // namespace bittern
