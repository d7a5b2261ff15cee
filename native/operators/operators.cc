#include "operators/operators.h"

#include "kernels/arch.h"
#include "kernels/conv2d/conv2d.h"
#include "kernels/conv2d_lookup/conv2d_lookup.h"
#include "kernels/conv2d_pairs/conv2d_pairs.h"

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

std::vector<KernelChoice> kernel_choices() {
  constexpr int64_t kBlock = 16;
  const Isa* isa = active_isa();
  std::vector<KernelChoice> choices;
  if (isa == nullptr) return choices;
  const auto above = [](int64_t blocks) { return (blocks - 1) * kBlock + 1; };
  if (const Conv2dLookup* lookup = get_conv2d_lookup(isa->flags)) {
    choices.push_back({lookup->name, lookup->tile_pixels, lookup->strip_blocks * kBlock, lookup->least_pixels,
                       above(lookup->least_blocks), 1, "at most 2047 words"});
    static_assert(Conv2dLookup::kMaxWords == 2047);
  }
  if (const Conv2dPairs* pairs = get_conv2d_pairs(isa->flags)) {
    choices.push_back({pairs->name, pairs->tile_pixels, pairs->tile_blocks * kBlock, pairs->least_pixels,
                       above(pairs->least_blocks), pairs->least_words,
                       "one group, an even number of words a pixel, at most 512 words"});
    static_assert(Conv2dPairs::kMostWords == 512);
  }
  const Conv2dImplementation& direct = get_conv2d(isa->flags);
  choices.push_back({direct.name, direct.tile_pixels, direct.tile_blocks * kBlock, 1, 1, 1, ""});
  return choices;
}

}  // namespace bittern
