#include "operators/conv2d_operands.h"

#include "kernels/conv2d_lookup/conv2d_lookup.h"
#include "kernels/conv2d_pairs/conv2d_pairs.h"

namespace bittern {
namespace {

constexpr int64_t kBlock = 16;

// conv2d_lookup.h
Conv2dOperands split(Call& call, const Conv2dLookup& lookup, const Conv2dWork& work, Conv2dArgs* args) {
  constexpr int64_t kScale = Conv2dLookup::kScale;
  const int64_t words = args->runs * args->run_words, blocks = (args->filters + kBlock - 1) / kBlock;
  const int64_t units = (blocks + lookup.block_unit - 1) / lookup.block_unit;
  const int64_t set_weight = units * lookup.block_unit * words * kBlock * kScale;
  const int64_t strips = (blocks + lookup.strip_blocks - 1) / lookup.strip_blocks;
  uint32_t* weight = call.scratch_array<uint32_t>(work.sets * set_weight);
  uint32_t* input = call.scratch_array<uint32_t>(work.input_words * kScale);
  int64_t* offsets = call.scratch_array<int64_t>(args->runs);
  if (!call.ok()) return {};
  call.parallel(work.sets * strips, lookup.strip_blocks * words, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t set = i / strips, strip = i % strips;
      lookup.weight(args->weight + set * blocks * words * kBlock, blocks, words, strip, strip + 1,
                    weight + set * set_weight);
    }
  });
  call.parallel(work.input_words, 1, [&](int64_t begin, int64_t end) { lookup.input(args->input, input, begin, end); });
  for (int64_t r = 0; r < args->runs; ++r) offsets[r] = args->run_offsets[r] * kScale;
  args->weight = weight;
  args->input = input;
  args->run_offsets = offsets;
  args->image_stride *= kScale;
  args->row_stride *= kScale;
  args->pixel_stride *= kScale;
  return {lookup.name, lookup.conv2d, lookup.strip_blocks * kBlock, kScale, set_weight};
}

// conv2d_pairs.h
Conv2dOperands pair(Call& call, const Conv2dPairs& pairs, const Conv2dWork& work, Conv2dArgs* args) {
  const int64_t words = args->runs * args->run_words, blocks = (args->filters + kBlock - 1) / kBlock;
  const int64_t pixels = work.input_words / work.pixel_words, taps = words / work.pixel_words;
  uint32_t* input = call.scratch_array<uint32_t>(work.input_words);
  uint32_t* counts = call.scratch_array<uint32_t>(pixels);
  uint32_t* pixel_counts = call.scratch_array<uint32_t>(work.pixels);
  if (!call.ok()) return {};
  call.parallel(pixels, work.pixel_words, [&](int64_t begin, int64_t end) {
    pairs.input(args->input, work.pixel_words, begin, end, input, counts);
  });
  call.parallel(work.pixels / args->out_width, args->out_width * taps / 4, [&](int64_t begin, int64_t end) {
    pairs.windows(*args, work.pixel_words, counts, begin, end, pixel_counts);
  });
  args->input = input;
  args->pixel_counts = pixel_counts;
  return {pairs.name, pairs.conv2d, pairs.tile_blocks * kBlock, 1, blocks * words * kBlock};
}

}  // namespace

Conv2dOperands choose_conv2d_operands(Call& call, uint32_t flags, const Conv2dWork& work, Conv2dArgs* args) {
  const int64_t words = args->runs * args->run_words, blocks = (args->filters + kBlock - 1) / kBlock;
  if (work.masks == nullptr) {
    if (const Conv2dLookup* lookup = choose_conv2d_lookup(flags, work.pixels, blocks, words)) {
      return split(call, *lookup, work, args);
    }
    if (const Conv2dPairs* pairs = choose_conv2d_pairs(flags, work.pixels, blocks, words, work.pixel_words);
        pairs != nullptr && work.sets == 1) {
      return pair(call, *pairs, work, args);
    }
  }
  return {work.implementation->name, work.implementation->conv2d, work.implementation->tile_blocks * kBlock, 1,
          blocks * words * kBlock};
}

}  // namespace bittern
