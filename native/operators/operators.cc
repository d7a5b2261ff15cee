#include "operators/operators.h"

#include "kernels/arch.h"

namespace bittern {
namespace {

using executorch::runtime::Kernel;

constexpr Kernel kOperators[] = {
#define BITTERN_OPERATOR(operator_name, inputs, outputs) Kernel(operator_name##_info.name, operator_name),
#include "operators/operators.inc"
#undef BITTERN_OPERATOR
};

[[maybe_unused]] const executorch::runtime::Error kRegistered = executorch::runtime::register_kernels(operators());

}  // namespace

executorch::runtime::Span<const Kernel> operators() { return {kOperators, std::size(kOperators)}; }

std::string isa_name() {
  const Isa* isa = active_isa();
  return isa != nullptr ? isa->name : "";
}

std::string isa_error() { return active_isa_error(); }

std::vector<std::string> supported_isas() {
  const uint32_t flags = detect_arch_flags();
  std::vector<std::string> names;
  for (const Isa& isa : kIsas) {
    if (choose_isa(flags, isa.name) != nullptr) names.emplace_back(isa.name);
  }
  return names;
}

}  // namespace bittern
