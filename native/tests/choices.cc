// Times of conv2d and of the kernel that wants its operands in another form, from which the thresholds of the latter are
// chosen.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "kernels/arch.h"
#include "kernels/conv2d/conv2d.h"
#include "kernels/conv2d_lookup/conv2d_lookup.h"
#include "kernels/conv2d_pairs/conv2d_pairs.h"
#include "tests/bindings.h"

namespace nb = nanobind;
using nb::literals::operator""_a;

namespace bittern {
namespace {

constexpr int64_t kBlock = 16;

template <class Call>
int64_t nanoseconds(const Call& call) {
  const auto start = std::chrono::steady_clock::now();
  call();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start).count();
}

size_t size(int64_t n) { return static_cast<size_t>(n); }

// A linear layer with float output.
struct Linear {
  int64_t rows, blocks, words, offset = 0;
  std::vector<uint32_t> input = std::vector<uint32_t>(size(rows * words));
  std::vector<uint32_t> weight = std::vector<uint32_t>(size(blocks * words * kBlock));
  std::vector<float> values = std::vector<float>(size(rows * blocks * kBlock));

  Conv2dArgs args() {
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
    return args;
  }
};

class LookedUp {
 public:
  LookedUp(const Conv2dLookup& kernel, Linear& layer) : kernel_(kernel), layer_(layer), args_(layer.args()) {
    const int64_t units = (layer.blocks + kernel.block_unit - 1) / kernel.block_unit;
    weight_.resize(size(units * kernel.block_unit * layer.words * kBlock * Conv2dLookup::kScale));
    input_.resize(layer.input.size() * Conv2dLookup::kScale);
    args_.input = input_.data();
    args_.weight = weight_.data();
    args_.pixel_stride *= Conv2dLookup::kScale;
  }
  void operator()() {
    const int64_t strips = (layer_.blocks + kernel_.strip_blocks - 1) / kernel_.strip_blocks;
    kernel_.weight(layer_.weight.data(), layer_.blocks, layer_.words, 0, strips, weight_.data());
    kernel_.input(layer_.input.data(), input_.data(), 0, layer_.rows * layer_.words);
    kernel_.conv2d(args_, 0, layer_.rows);
  }

 private:
  const Conv2dLookup& kernel_;
  Linear& layer_;
  Conv2dArgs args_;
  std::vector<uint32_t> weight_, input_;
};

class Paired {
 public:
  Paired(const Conv2dPairs& kernel, Linear& layer)
      : kernel_(kernel),
        layer_(layer),
        plain_(layer.args()),
        args_(plain_),
        input_(layer.input.size()),
        counts_(size(layer.rows)),
        pixel_counts_(size(layer.rows)) {
    args_.input = input_.data();
    args_.pixel_counts = pixel_counts_.data();
  }
  void operator()() {
    kernel_.input(layer_.input.data(), layer_.words, 0, layer_.rows, input_.data(), counts_.data());
    kernel_.windows(plain_, layer_.words, counts_.data(), 0, 1, pixel_counts_.data());
    kernel_.conv2d(args_, 0, layer_.rows);
  }

 private:
  const Conv2dPairs& kernel_;
  Linear& layer_;
  Conv2dArgs plain_, args_;
  std::vector<uint32_t> input_, counts_, pixel_counts_;
};

// Nanoseconds, the shortest of `repeats` taken in turn.
template <class Other>
std::pair<int64_t, int64_t> in_turn(const Conv2dImplementation& direct, Linear& layer, Other other, int repeats) {
  const Conv2dArgs args = layer.args();
  int64_t first = INT64_MAX, second = INT64_MAX;
  for (int i = 0; i < repeats; ++i) {
    first = std::min(first, nanoseconds([&] { direct.conv2d(args, 0, layer.rows); }));
    second = std::min(second, nanoseconds([&] { other(); }));
  }
  return {first, second};
}

// (name of the set's other kernel, nanoseconds of conv2d, nanoseconds of the other with the time that its operands
// take); no name where the set of this name has no other kernel.
std::tuple<std::string, int64_t, int64_t> linear_times(const std::string& name, int64_t rows, int64_t blocks,
                                                       int64_t words, int repeats) {
  const Isa* isa = choose_isa(detect_arch_flags(), name.c_str());
  if (isa == nullptr) throw nb::value_error(("this CPU has no instruction set " + name).c_str());
  Linear layer{rows, blocks, words};
  const Conv2dImplementation& direct = get_conv2d(isa->flags);
  if (const Conv2dLookup* lookup = get_conv2d_lookup(isa->flags)) {
    const auto [first, second] = in_turn(direct, layer, LookedUp(*lookup, layer), repeats);
    return {lookup->name, first, second};
  }
  if (const Conv2dPairs* pairs = get_conv2d_pairs(isa->flags)) {
    const auto [first, second] = in_turn(direct, layer, Paired(*pairs, layer), repeats);
    return {pairs->name, first, second};
  }
  return {"", 0, 0};
}

}  // namespace

void bind_choices(nb::module_& m) {
  m.def("linear_times", linear_times, "isa"_a, "rows"_a, "blocks"_a, "words"_a, "repeats"_a);
}

}  // namespace bittern
