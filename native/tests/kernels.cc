// Every row of every kernels.inc, called by its name.
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <chrono>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "kernels/conv2d/conv2d.h"
#include "kernels/conv2d_lookup/conv2d_lookup.h"
#include "kernels/conv2d_pairs/conv2d_pairs.h"
#include "kernels/conv2d_weight_only/conv2d_weight_only.h"
#include "kernels/max_pool2d/max_pool2d.h"
#include "kernels/pack/pack.h"
#include "tests/bindings.h"
#include "tests/buffer.h"

namespace nb = nanobind;
using nb::literals::operator""_a;

namespace bittern {
namespace {

template <class Row>
Row named(Row row, const char* name) {
  row.name = name;
  return row;
}

const Conv2dImplementation kConv2d[] = {
#define BITTERN_CONV2D_KERNEL(isa) named(conv2d_##isa, #isa),
#include "kernels/conv2d/kernels.inc"
#undef BITTERN_CONV2D_KERNEL
};
const std::vector<Conv2dLookup> kConv2dLookup = {
#define BITTERN_CONV2D_LOOKUP(isa) named(conv2d_lookup_##isa, "lookup_" #isa),
#include "kernels/conv2d_lookup/kernels.inc"
#undef BITTERN_CONV2D_LOOKUP
};
const std::vector<Conv2dPairs> kConv2dPairs = {
#define BITTERN_CONV2D_PAIRS(isa) named(conv2d_pairs_##isa, "pairs_" #isa),
#include "kernels/conv2d_pairs/kernels.inc"
#undef BITTERN_CONV2D_PAIRS
};
const Conv2dWeightOnlyImplementation kConv2dWeightOnly[] = {
#define BITTERN_CONV2D_WEIGHT_ONLY_KERNEL(isa) named(conv2d_weight_only_##isa, #isa),
#include "kernels/conv2d_weight_only/kernels.inc"
#undef BITTERN_CONV2D_WEIGHT_ONLY_KERNEL
};
constexpr PackImplementation kPack[] = {
#define BITTERN_PACK_KERNEL(isa, flags) {#isa, flags, pack_##isa, unpack_##isa, binarize_##isa},
#include "kernels/pack/kernels.inc"
#undef BITTERN_PACK_KERNEL
};
constexpr MaxPool2dImplementation kMaxPool2d[] = {
#define BITTERN_MAX_POOL2D_KERNEL(isa, flags) {#isa, flags, max_pool2d_##isa},
#include "kernels/max_pool2d/kernels.inc"
#undef BITTERN_MAX_POOL2D_KERNEL
};

template <class Row, size_t kRows>
const Row& row_named(const Row (&rows)[kRows], const std::string& name) {
  for (const Row& row : rows) {
    if (name == row.name) return row;
  }
  throw nb::value_error(("no kernel is named " + name).c_str());
}

using Names = std::vector<std::tuple<std::string, uint32_t>>;

template <class Rows>
Names names_of(const Rows& rows) {
  Names names;
  for (const auto& row : rows) names.emplace_back(row.name, row.flags);
  return names;
}

// Of all families that run a conv2d.
Names conv2d_names() {
  Names names;
  for (const Names& family : {names_of(kConv2dPairs), names_of(kConv2dLookup), names_of(kConv2d)}) {
    names.insert(names.end(), family.begin(), family.end());
  }
  return names;
}

template <class T>
class Optional {  // a Buffer or nothing, from a dictionary
 public:
  Optional(const nb::dict& from, const char* key) {
    if (from.contains(key) && !from[key].is_none()) buffer_.emplace(nb::cast<Array<T>>(from[key]));
  }
  T* data() const { return buffer_ ? buffer_->data() : nullptr; }
  nb::object to_numpy() { return buffer_ ? buffer_->to_numpy() : nb::none(); }

 private:
  std::optional<Buffer<T>> buffer_;
};

template <class T>
T number(const nb::dict& from, const char* key, T otherwise) {
  return from.contains(key) ? nb::cast<T>(from[key]) : otherwise;
}

// The shortest of `repeats` calls in nanoseconds.
template <class Call>
int64_t shortest(int repeats, const Call& call) {
  int64_t best = INT64_MAX;
  for (int i = 0; i < repeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    call();
    const auto elapsed = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start);
    if (elapsed.count() < best) best = elapsed.count();
  }
  return best;
}

// Calls f(args) on fields of Conv2dArgs, its epilogue and its border by their names; values and bits are what the
// outputs hold before. Returns values and bits after, and the shortest time of `repeats` calls in nanoseconds.
template <class F>
nb::tuple with_conv2d_args(const nb::dict& a, int repeats, const F& f) {
  const Buffer<uint32_t> input(nb::cast<Array<uint32_t>>(a["input"])), weight(nb::cast<Array<uint32_t>>(a["weight"]));
  const Buffer<int64_t> run_offsets(nb::cast<Array<int64_t>>(a["run_offsets"]));
  const Optional<int32_t> row_class(a, "row_class"), column_class(a, "column_class"),
      valid_bits(a, "border_valid_bits");
  const Optional<uint32_t> counts(a, "border_counts");
  const Optional<float> mul(a, "mul"), add(a, "add"), act_slope(a, "act_slope"), residual(a, "residual");
  const Optional<float> shift_in(a, "shift_in"), shift_slope(a, "shift_slope"), shift_out(a, "shift_out"),
      threshold(a, "threshold");
  const Optional<int32_t> bit_threshold(a, "bit_threshold");
  Optional<float> values(a, "values");
  Optional<uint32_t> bits(a, "bits");

  const Conv2dBorder border = {row_class.data(),
                               column_class.data(),
                               number<int64_t>(a, "column_classes", 0),
                               valid_bits.data(),
                               counts.data(),
                               (nb::cast<int64_t>(a["filters"]) + 15) / 16 * 16,
                               number<int64_t>(a, "first_whole", 0),
                               number<int64_t>(a, "last_whole", 0)};
  Conv2dArgs args{};
  args.input = input.data();
  args.image_stride = nb::cast<int64_t>(a["image_stride"]);
  args.row_stride = nb::cast<int64_t>(a["row_stride"]);
  args.pixel_stride = nb::cast<int64_t>(a["pixel_stride"]);
  args.out_height = nb::cast<int64_t>(a["out_height"]);
  args.out_width = nb::cast<int64_t>(a["out_width"]);
  args.run_offsets = run_offsets.data();
  args.runs = static_cast<int64_t>(run_offsets.size());
  args.run_words = nb::cast<int64_t>(a["run_words"]);
  args.weight = weight.data();
  args.filters = nb::cast<int64_t>(a["filters"]);
  args.valid_bits = number<int32_t>(a, "valid_bits", 0);
  args.border = row_class.data() != nullptr ? &border : nullptr;
  args.channels = nb::cast<int64_t>(a["channels"]);
  args.first_channel = number<int64_t>(a, "first_channel", 0);
  args.values = values.data();
  args.bits = bits.data();
  Epilogue& e = args.epilogue;
  e.dot_min = number(a, "dot_min", e.dot_min);
  e.dot_max = number(a, "dot_max", e.dot_max);
  e.mul = mul.data();
  e.add = add.data();
  e.act_min = number(a, "act_min", e.act_min);
  e.act_max = number(a, "act_max", e.act_max);
  e.act_slope = act_slope.data();
  e.residual = residual.data();
  e.shift_in = shift_in.data();
  e.shift_slope = shift_slope.data();
  e.shift_out = shift_out.data();
  e.threshold = threshold.data();
  e.bit_threshold = bit_threshold.data();

  const int64_t best = shortest(repeats, [&] { f(args); });
  return nb::make_tuple(values.to_numpy(), bits.to_numpy(), best);
}

// conv2d_lookup, with the time that its operands take.
nb::tuple run_conv2d_lookup(const Conv2dLookup& kernel, const nb::dict& a, int64_t begin, int64_t end, int repeats) {
  constexpr int64_t kBlock = 16, kScale = Conv2dLookup::kScale;
  const auto input_words = static_cast<int64_t>(nb::cast<Array<uint32_t>>(a["input"]).size());
  return with_conv2d_args(a, repeats, [&](Conv2dArgs args) {
    const int64_t words = args.runs * args.run_words, blocks = (args.filters + kBlock - 1) / kBlock;
    const int64_t units = (blocks + kernel.block_unit - 1) / kernel.block_unit;
    const int64_t strips = (blocks + kernel.strip_blocks - 1) / kernel.strip_blocks;
    std::vector<uint32_t> weight(static_cast<size_t>(units * kernel.block_unit * words * kBlock * kScale));
    std::vector<uint32_t> input(static_cast<size_t>(input_words * kScale));
    std::vector<int64_t> offsets(args.run_offsets, args.run_offsets + args.runs);
    kernel.weight(args.weight, blocks, words, 0, strips, weight.data());
    kernel.input(args.input, input.data(), 0, input_words);
    for (int64_t& offset : offsets) offset *= kScale;
    args.weight = weight.data();
    args.input = input.data();
    args.run_offsets = offsets.data();
    args.image_stride *= kScale;
    args.row_stride *= kScale;
    args.pixel_stride *= kScale;
    kernel.conv2d(args, begin, end);
  });
}

// conv2d_pairs, with the time that its operands take; "pixel_words" of `a` are those of a pixel of the input.
nb::tuple run_conv2d_pairs(const Conv2dPairs& kernel, const nb::dict& a, int64_t begin, int64_t end, int repeats) {
  const auto pixel_words = nb::cast<int64_t>(a["pixel_words"]);
  const auto input_words = static_cast<int64_t>(nb::cast<Array<uint32_t>>(a["input"]).size());
  const int64_t pixels = input_words / pixel_words;
  return with_conv2d_args(a, repeats, [&](Conv2dArgs args) {
    const int64_t rows = number<int64_t>(a, "images", 1) * args.out_height;
    std::vector<uint32_t> input(static_cast<size_t>(input_words)), counts(static_cast<size_t>(pixels));
    std::vector<uint32_t> pixel_counts(static_cast<size_t>(rows * args.out_width));
    kernel.input(args.input, pixel_words, 0, pixels, input.data(), counts.data());
    kernel.windows(args, pixel_words, counts.data(), 0, rows, pixel_counts.data());
    args.input = input.data();
    args.pixel_counts = pixel_counts.data();
    kernel.conv2d(args, begin, end);
  });
}

nb::tuple run_conv2d(const std::string& name, const nb::dict& a, int64_t begin, int64_t end, int repeats) {
  for (const Conv2dLookup& kernel : kConv2dLookup) {
    if (name == kernel.name) return run_conv2d_lookup(kernel, a, begin, end, repeats);
  }
  for (const Conv2dPairs& kernel : kConv2dPairs) {
    if (name == kernel.name) return run_conv2d_pairs(kernel, a, begin, end, repeats);
  }
  const Conv2dImplementation& kernel = row_named(kConv2d, name);
  return with_conv2d_args(a, repeats, [&](const Conv2dArgs& args) { kernel.conv2d(args, begin, end); });
}

// The input is of floats seen as words.
nb::tuple run_conv2d_weight_only(const std::string& name, const nb::dict& a, int64_t tap_channels, int64_t begin,
                                 int64_t end, int repeats) {
  const Conv2dWeightOnlyImplementation& kernel = row_named(kConv2dWeightOnly, name);
  return with_conv2d_args(a, repeats, [&](const Conv2dArgs& args) { kernel.conv2d({args, tap_channels}, begin, end); });
}

nb::object run_tap_counts(const std::string& name, const Array<uint32_t>& weight, int64_t blocks, int64_t taps,
                          int64_t tap_words, const Array<uint32_t>& before) {
  const Buffer<uint32_t> w(weight);
  Buffer<uint32_t> counts(before);
  row_named(kConv2d, name).tap_counts(w.data(), blocks, taps, tap_words, counts.data());
  return counts.to_numpy();
}

nb::object run_pack(const std::string& name, const Array<float>& values, const nb::dict& optional, int64_t channels,
                    int64_t plane, int64_t begin, int64_t end, const Array<uint32_t>& before) {
  const Buffer<float> x(values);
  const Optional<float> threshold(optional, "threshold");
  Buffer<uint32_t> words(before);
  row_named(kPack, name).pack({x.data(), threshold.data(), words.data(), channels, plane}, begin, end);
  return words.to_numpy();
}

nb::object run_unpack(const std::string& name, const Array<uint32_t>& words, int64_t channels, int64_t begin,
                      int64_t end, const Array<float>& before) {
  const Buffer<uint32_t> x(words);
  Buffer<float> values(before);
  row_named(kPack, name).unpack({x.data(), values.data(), channels}, begin, end);
  return values.to_numpy();
}

nb::object run_binarize(const std::string& name, const Array<float>& values, int64_t begin, int64_t end,
                        const Array<float>& before) {
  const Buffer<float> x(values);
  Buffer<float> y(before);
  row_named(kPack, name).binarize(x.data(), y.data(), begin, end);
  return y.to_numpy();
}

// An axis: size, kernel, stride, dilation, padding before and after.
using Axis = std::tuple<int64_t, int64_t, int64_t, int64_t, int64_t, int64_t>;

nb::object run_max_pool2d(const std::string& name, const Array<uint32_t>& input, int64_t words, const Axis& rows,
                          const Axis& columns, int64_t begin, int64_t end, const Array<uint32_t>& before) {
  const auto axis = [](const Axis& a) { return std::apply([](auto... x) { return WindowAxis{x...}; }, a); };
  const Buffer<uint32_t> x(input);
  Buffer<uint32_t> out(before);
  row_named(kMaxPool2d, name).max_pool2d({x.data(), out.data(), words, axis(rows), axis(columns)}, begin, end);
  return out.to_numpy();
}

// Times of a row of pack/kernels.inc on zeros, channels_last but for the third.
nb::dict pack_times(const std::string& name, int64_t pixels, int64_t channels, int repeats) {
  const PackImplementation& kernel = row_named(kPack, name);
  std::vector<float> values(static_cast<size_t>(pixels * channels)), signs(values.size());
  std::vector<uint32_t> words(static_cast<size_t>(pixels * ((channels + 31) / 32)));
  const std::vector<float> thresholds(static_cast<size_t>(channels));
  const auto size = static_cast<int64_t>(values.size());
  nb::dict times;
  const auto pack = [&](const float* threshold, int64_t plane) {
    const PackArgs args = {values.data(), threshold, words.data(), channels, plane};
    return shortest(repeats, [&] { kernel.pack(args, 0, pixels); });
  };
  times["pack"] = pack(nullptr, 1);
  times["pack, thresholds"] = pack(thresholds.data(), 1);
  times["pack, contiguous"] = pack(nullptr, pixels);
  times["unpack"] = shortest(repeats, [&] { kernel.unpack({words.data(), signs.data(), channels}, 0, pixels); });
  times["binarize"] = shortest(repeats, [&] { kernel.binarize(values.data(), signs.data(), 0, size); });
  return times;
}

// Time of a row of max_pool2d/kernels.inc for windows of 2 x 2 on size x size pixels.
int64_t max_pool2d_time(const std::string& name, int64_t size, int64_t words, int repeats) {
  const MaxPool2dImplementation& kernel = row_named(kMaxPool2d, name);
  std::vector<uint32_t> x(static_cast<size_t>(size * size * words)), out(x.size() / 4);
  const WindowAxis axis = {size, 2, 2, 1, 0, 0};
  return shortest(repeats, [&] { kernel.max_pool2d({x.data(), out.data(), words, axis, axis}, 0, size * size / 4); });
}

// Clock of this core: the fastest of some chains of additions, each of which waits a cycle for the one before.
double cycles_per_second() {
  constexpr int kAdds = 1 << 20;
  double best = 0;
  for (int round = 0; round < 20; ++round) {
    const auto start = std::chrono::steady_clock::now();
    uint64_t x = 0;
    for (int i = 0; i < kAdds; i += 4) {
      x += 1;
      __asm__ volatile("" : "+r"(x));
      x += 1;
      __asm__ volatile("" : "+r"(x));
      x += 1;
      __asm__ volatile("" : "+r"(x));
      x += 1;
      __asm__ volatile("" : "+r"(x));
    }
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    if (kAdds / elapsed.count() > best) best = kAdds / elapsed.count();
  }
  return best;
}

}  // namespace

void bind_kernels(nb::module_& m) {
  m.def("conv2d_kernels", conv2d_names);
  m.def("conv2d_weight_only_kernels", [] { return names_of(kConv2dWeightOnly); });
  m.def("pack_kernels", [] { return names_of(kPack); });
  m.def("max_pool2d_kernels", [] { return names_of(kMaxPool2d); });
  m.def("selected", [](uint32_t flags) {
    return std::make_tuple(std::string(get_conv2d(flags).name), std::string(get_pack(flags).name),
                           std::string(get_max_pool2d(flags).name));
  });
  m.def("cycles_per_second", cycles_per_second);
  m.def("conv2d", run_conv2d, "name"_a, "args"_a, "begin"_a, "end"_a, "repeats"_a = 1);
  m.def("conv2d_weight_only", run_conv2d_weight_only, "name"_a, "args"_a, "tap_channels"_a, "begin"_a, "end"_a,
        "repeats"_a = 1);
  m.def("pack_times", pack_times, "name"_a, "pixels"_a, "channels"_a, "repeats"_a);
  m.def("max_pool2d_time", max_pool2d_time, "name"_a, "size"_a, "words"_a, "repeats"_a);
  m.def("tap_counts", run_tap_counts, "name"_a, "weight"_a, "blocks"_a, "taps"_a, "tap_words"_a, "before"_a);
  m.def("pack", run_pack, "name"_a, "values"_a, "optional"_a, "channels"_a, "plane"_a, "begin"_a, "end"_a, "before"_a);
  m.def("unpack", run_unpack, "name"_a, "words"_a, "channels"_a, "begin"_a, "end"_a, "before"_a);
  m.def("binarize", run_binarize, "name"_a, "values"_a, "begin"_a, "end"_a, "before"_a);
  m.def("max_pool2d", run_max_pool2d, "name"_a, "input"_a, "words"_a, "rows"_a, "columns"_a, "begin"_a, "end"_a,
        "before"_a);
}

}  // namespace bittern
