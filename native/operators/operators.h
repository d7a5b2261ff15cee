// The list of deployed operators as ExecuTorch calls them. Loading libbittern_operators registers them all.
//
// Schemas, equations and the reference of each operator are those of bittern.ops in Python; arguments come in the order
// of the schema, then the outputs.
#pragma once

#include <executorch/runtime/kernel/kernel_runtime_context.h>
#include <executorch/runtime/kernel/operator_registry.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#define BITTERN_EXPORT __attribute__((visibility("default")))

namespace bittern {

struct OperatorInfo {
  const char* name;
  size_t inputs, outputs;
};

#define BITTERN_OPERATOR(name, inputs, outputs)                                            \
  inline constexpr OperatorInfo name##_info = {"bittern::" #name ".out", inputs, outputs}; \
  void name(executorch::runtime::KernelRuntimeContext& context,                            \
            executorch::runtime::Span<executorch::runtime::EValue*> stack);
#include "operators/operators.inc"
#undef BITTERN_OPERATOR

BITTERN_EXPORT executorch::runtime::Span<const executorch::runtime::Kernel> operators();

// Name of the instruction set that the operators use; empty if BITTERN_ISA names one that this CPU cannot run.
BITTERN_EXPORT std::string isa_name();
// Why isa_name() is empty.
BITTERN_EXPORT std::string isa_error();
// Names of the instruction sets that this CPU can run, fastest first.
BITTERN_EXPORT std::vector<std::string> supported_isas();

// A kernel of convolutions and linear layers, and the layers it takes.
struct KernelChoice {
  const char* name;
  int64_t tile_pixels, tile_filters;           // outputs whose counters it keeps in registers
  int64_t min_pixels, min_filters, min_words;  // words of 32 bits of a filter
  std::string needs;                           // what else a layer must be; empty: nothing
};

// The kernels of the instruction set in use: the first that takes a layer runs it. Empty where isa_name() is.
BITTERN_EXPORT std::vector<KernelChoice> kernel_choices();

}  // namespace bittern
