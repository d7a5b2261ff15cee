#include "operators/conv2d_kernels.h"

#include <string>

#include "kernels/conv2d_lookup/conv2d_lookup.h"
#include "kernels/conv2d_pairs/conv2d_pairs.h"

namespace bittern {
namespace {

Conv2dOperands prepare_operands(Call&, const Conv2dDirect&, const Conv2dWork&, Conv2dArgs* args) {
  return {1, block_count(args->filters) * args->runs * args->run_words * kBlock};
}

// conv2d_lookup.h
Conv2dOperands prepare_operands(Call& call, const Conv2dLookup& kernel, const Conv2dWork& work, Conv2dArgs* args) {
  constexpr int64_t kScale = Conv2dLookup::kScale;
  const int64_t words = args->runs * args->run_words, blocks = block_count(args->filters);
  const int64_t set_weight = ceil_div(blocks, kernel.block_unit) * kernel.block_unit * words * kBlock * kScale;
  const int64_t strips = ceil_div(blocks, kernel.tile_blocks);
  uint32_t* weight = call.scratch_array<uint32_t>(work.sets * set_weight);
  uint32_t* input = call.scratch_array<uint32_t>(work.input_words * kScale);
  int64_t* offsets = call.scratch_array<int64_t>(args->runs);
  if (!call.ok()) return {};
  call.parallel(work.sets * strips, kernel.tile_blocks * words, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t set = i / strips, strip = i % strips;
      kernel.weight(args->weight + set * blocks * words * kBlock, blocks, words, strip, strip + 1,
                    weight + set * set_weight);
    }
  });
  call.parallel(work.input_words, 1, [&](int64_t begin, int64_t end) { kernel.input(args->input, input, begin, end); });
  for (int64_t r = 0; r < args->runs; ++r) offsets[r] = args->run_offsets[r] * kScale;
  args->weight = weight;
  args->input = input;
  args->run_offsets = offsets;
  args->image_stride *= kScale;
  args->row_stride *= kScale;
  args->pixel_stride *= kScale;
  return {kScale, set_weight};
}

// conv2d_pairs.h
Conv2dOperands prepare_operands(Call& call, const Conv2dPairs& kernel, const Conv2dWork& work, Conv2dArgs* args) {
  const int64_t words = args->runs * args->run_words, taps = words / work.pixel_words;
  const int64_t pixels = work.input_words / work.pixel_words;
  uint32_t* input = call.scratch_array<uint32_t>(work.input_words);
  uint32_t* counts = call.scratch_array<uint32_t>(pixels);
  uint32_t* pixel_counts = call.scratch_array<uint32_t>(work.pixels);
  if (!call.ok()) return {};
  call.parallel(pixels, work.pixel_words, [&](int64_t begin, int64_t end) {
    kernel.input(args->input, work.pixel_words, begin, end, input, counts);
  });
  call.parallel(work.pixels / args->out_width, args->out_width * taps / 4, [&](int64_t begin, int64_t end) {
    kernel.windows(*args, work.pixel_words, counts, begin, end, pixel_counts);
  });
  args->input = input;
  args->pixel_counts = pixel_counts;
  return {1, block_count(args->filters) * words * kBlock};
}

template <const auto& kKernel>
Conv2dOperands prepare(Call& call, const Conv2dWork& work, Conv2dArgs* args) {
  return prepare_operands(call, kKernel, work, args);
}

constexpr Conv2dRow kRows[] = {
#define BITTERN_CONV2D_DIRECT(isa) {&conv2d_##isa, prepare<conv2d_##isa>},
#define BITTERN_CONV2D_LOOKUP(isa) {&conv2d_lookup_##isa, prepare<conv2d_lookup_##isa>},
#define BITTERN_CONV2D_PAIRS(isa) {&conv2d_pairs_##isa, prepare<conv2d_pairs_##isa>},
#include "kernels/conv2d/kernels.inc"
};

// What the limits ask for, beside sizes from some number on.
std::string needs_of(const Conv2dLimits& limits) {
  std::string needs;
  const auto add = [&needs](bool needed, const std::string& what) {
    if (needed) needs += (needs.empty() ? "" : ", ") + what;
  };
  add(!limits.sets, "one group");
  add(!limits.odd_words, "an even number of words a pixel");
  add(limits.max_words < kMaxFilterBits, "at most " + std::to_string(limits.max_words) + " words");
  return needs;
}

}  // namespace

Conv2dLayer Conv2dWork::layer() const {
  return {pixels, args.filters, args.runs * args.run_words, pixel_words, sets, masks != nullptr};
}

Span<const Conv2dRow> conv2d_rows() { return {kRows, std::size(kRows)}; }

const Conv2dRow& choose_conv2d(uint32_t flags, const Conv2dLayer& layer) {
  const Conv2dRow* row = kRows;
  while (!has(flags, row->kernel->flags) || why_not(row->kernel->limits, layer) != nullptr) ++row;
  return *row;  // no later than the last one, which is portable and takes any layer
}

std::vector<KernelChoice> kernel_choices() {
  const Isa* isa = active_isa();
  std::vector<KernelChoice> choices;
  for (const Conv2dRow* row = kRows; isa != nullptr; ++row) {
    if (!has(isa->flags, row->kernel->flags)) continue;
    const Conv2dImplementation& kernel = *row->kernel;
    const Conv2dLimits& limits = kernel.limits;
    choices.push_back({kernel.name, kernel.tile_pixels, kernel.tile_blocks * kBlock, limits.min_pixels,
                       (limits.min_blocks - 1) * kBlock + 1, limits.min_words, needs_of(limits)});
    if (row->kernel == &get_conv2d_direct(isa->flags)) break;  // takes any layer
  }
  return choices;
}

}  // namespace bittern
