// Times of conv2d and of conv2d_lookup on the same layer, from which the thresholds of the latter are chosen.
#include <nanobind/nanobind.h>
#include <nanobind/stl/pair.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <utility>
#include <vector>

#include "kernels/arch.h"
#include "kernels/conv2d/conv2d.h"
#include "kernels/conv2d_lookup/conv2d_lookup.h"
#include "tests/bindings.h"

namespace nb = nanobind;
using nb::literals::operator""_a;

namespace bittern {
namespace {

template <class Call>
int64_t nanoseconds(const Call& call) {
  const auto start = std::chrono::steady_clock::now();
  call();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start).count();
}

// The shortest of `repeats` times, taken in turn, of a linear layer with float output: (conv2d, conv2d_lookup with the
// time to bring weights and input into its form). 0 for the second where this CPU's set has no lookup.
std::pair<int64_t, int64_t> linear_times(int64_t rows, int64_t blocks, int64_t words, int repeats) {
  constexpr int64_t kBlock = 16, kScale = Conv2dLookup::kScale;
  const uint32_t flags = active_isa()->flags;
  const Conv2dLookup* lookup = get_conv2d_lookup(flags);
  std::vector<uint32_t> input(static_cast<size_t>(rows * words)), weight(static_cast<size_t>(blocks * words * kBlock));
  std::vector<uint32_t> wide_input(input.size() * kScale);
  std::vector<float> values(static_cast<size_t>(rows * blocks * kBlock));
  const int64_t offset = 0;
  Conv2dArgs args{};
  args.input = input.data();
  args.pixel_stride = words;
  args.out_height = 1;
  args.out_width = rows;
  args.run_offsets = &offset;
  args.runs = 1;
  args.run_words = words;
  args.weight = weight.data();
  args.filters = args.channels = blocks * kBlock;
  args.valid_bits = static_cast<int32_t>(words * 32);
  args.values = values.data();
  std::vector<uint32_t> wide_weight;
  Conv2dArgs wide = args;
  int64_t strips = 0;
  if (lookup != nullptr) {
    const int64_t units = (blocks + lookup->block_unit - 1) / lookup->block_unit;
    strips = (blocks + lookup->strip_blocks - 1) / lookup->strip_blocks;
    wide_weight.resize(static_cast<size_t>(units * lookup->block_unit * words * kBlock * kScale));
    wide.input = wide_input.data();
    wide.weight = wide_weight.data();
    wide.pixel_stride *= kScale;
  }
  int64_t direct = INT64_MAX, looked_up = lookup != nullptr ? INT64_MAX : 0;
  for (int i = 0; i < repeats; ++i) {
    direct = std::min(direct, nanoseconds([&] { get_conv2d(flags).conv2d(args, 0, rows); }));
    if (lookup == nullptr) continue;
    looked_up = std::min(looked_up, nanoseconds([&] {
                           lookup->weight(weight.data(), blocks, words, 0, strips, wide_weight.data());
                           lookup->input(input.data(), wide_input.data(), 0, rows * words);
                           lookup->conv2d(wide, 0, rows);
                         }));
  }
  return {direct, looked_up};
}

}  // namespace

void bind_choices(nb::module_& m) { m.def("linear_times", linear_times, "rows"_a, "blocks"_a, "words"_a, "repeats"_a); }

}  // namespace bittern
