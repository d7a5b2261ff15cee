// Every convolution kernel, called by its name with its operands in its form; and how long it takes beside the direct
// one, from which the limits of the others are chosen.
#include "operators/conv2d_kernels.h"

#include <executorch/runtime/kernel/kernel_runtime_context.h>
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "kernels/conv2d/conv2d.h"
#include "kernels/conv2d_weight_only/conv2d_weight_only.h"
#include "runtime/log.h"
#include "runtime/thread_pool.h"
#include "tests/bindings.h"
#include "tests/buffer.h"
#include "tests/dict.h"
#include "tests/rows.h"
#include "tests/scratch.h"
#include "tests/timing.h"

namespace nb = nanobind;
using nb::literals::operator""_a;

namespace bittern {
namespace {

constexpr char kFamily[] = "conv2d";

const std::vector<const Conv2dDirect*> kDirect = {
#define BITTERN_CONV2D_DIRECT(isa) &conv2d_##isa,
#include "kernels/conv2d/kernels.inc"
};
const std::vector<const Conv2dWeightOnlyImplementation*> kWeightOnly = {
#define BITTERN_CONV2D_WEIGHT_ONLY_KERNEL(isa) &conv2d_weight_only_##isa,
#include "kernels/conv2d_weight_only/kernels.inc"
};

std::vector<const Conv2dImplementation*> kernels() {
  std::vector<const Conv2dImplementation*> kernels;
  for (const Conv2dRow& row : conv2d_rows()) kernels.push_back(row.kernel);
  return kernels;
}

const Conv2dRow& conv2d_row(const std::string& name) {
  const Conv2dImplementation* kernel = &row_named(kernels(), kFamily, name);
  return *std::find_if(conv2d_rows().begin(), conv2d_rows().end(),
                       [&](const Conv2dRow& row) { return row.kernel == kernel; });
}

// Pixels [begin, end) of one set of groups, and whatever the kernel needs beforehand.
void run_row(const Conv2dRow& row, const Conv2dWork& work, executorch::runtime::MemoryAllocator& scratch, int64_t begin,
             int64_t end) {
  static constexpr OperatorInfo kInfo = {"a kernel", 0, 0};
  KernelRuntimeContext context(nullptr, &scratch);
  Call call(context, {}, kInfo);
  Conv2dArgs args = work.args;
  row.prepare(call, work, &args);
  if (!call.ok()) throw std::bad_alloc();
  row.kernel->conv2d(args, begin, end);
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
                               block_count(nb::cast<int64_t>(a["filters"])) * kBlock,
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

nb::tuple run_conv2d(const std::string& name, const nb::dict& a, int64_t begin, int64_t end, int repeats) {
  const Conv2dRow& row = conv2d_row(name);
  const ThreadPoolUse one_thread(1);
  return with_conv2d_args(a, repeats, [&](const Conv2dArgs& args) {
    Conv2dWork work{};
    work.args = args;
    work.sets = 1;
    work.pixels = number<int64_t>(a, "images", 1) * args.out_height * args.out_width;
    work.input_words = static_cast<int64_t>(nb::cast<Array<uint32_t>>(a["input"]).size());
    work.pixel_words = nb::cast<int64_t>(a["pixel_words"]);
    ExactScratch scratch;
    run_row(row, work, scratch, begin, end);
  });
}

// Why a layer of these sizes is not for the kernel; none where it is.
std::optional<std::string> conv2d_why_not(const std::string& name, int64_t pixels, int64_t filters, int64_t words,
                                          int64_t pixel_words, int64_t sets, bool masked) {
  const char* rule =
      why_not(row_named(kernels(), kFamily, name).limits, {pixels, filters, words, pixel_words, sets, masked});
  return rule != nullptr ? std::optional<std::string>(rule) : std::nullopt;
}

std::string choose_conv2d_kernel(uint32_t flags, int64_t pixels, int64_t filters, int64_t words, int64_t pixel_words,
                                 int64_t sets, bool masked) {
  const Conv2dRow& row = choose_conv2d(flags, {pixels, filters, words, pixel_words, sets, masked});
  return suffix(row.kernel->name, kFamily);
}

// The input is of floats seen as words.
nb::tuple run_conv2d_weight_only(const std::string& name, const nb::dict& a, int64_t tap_channels, int64_t begin,
                                 int64_t end, int repeats) {
  const Conv2dWeightOnlyImplementation& kernel = row_named(kWeightOnly, "conv2d_weight_only", name);
  return with_conv2d_args(a, repeats, [&](const Conv2dArgs& args) { kernel.conv2d({args, tap_channels}, begin, end); });
}

nb::object run_tap_counts(const std::string& name, const Array<uint32_t>& weight, int64_t blocks, int64_t taps,
                          int64_t tap_words, const Array<uint32_t>& before) {
  const Buffer<uint32_t> w(weight);
  Buffer<uint32_t> counts(before);
  row_named(kDirect, kFamily, name).tap_counts(w.data(), blocks, taps, tap_words, counts.data());
  return counts.to_numpy();
}

// The first kernel that an instruction set would use for large layers, if that is not the direct one.
const Conv2dRow* other_row(uint32_t flags) {
  for (const Conv2dRow& row : conv2d_rows()) {
    if (has(flags, row.kernel->flags)) return row.kernel == &get_conv2d_direct(flags) ? nullptr : &row;
  }
  return nullptr;
}

// For a linear layer with float output: (name of the set's other kernel, nanoseconds of the direct kernel, nanoseconds
// of the other, which include bringing the operands into its form), each the shortest of `repeats` taken in turn; no
// name where the set of this name has no other kernel.
std::tuple<std::string, int64_t, int64_t> linear_times(const std::string& isa_name, int64_t rows, int64_t blocks,
                                                       int64_t words, int repeats) {
  const Isa* isa = choose_isa(detect_arch_flags(), isa_name.c_str());
  if (isa == nullptr) throw nb::value_error(("this CPU has no instruction set " + isa_name).c_str());
  const Conv2dRow* other = other_row(isa->flags);
  if (other == nullptr) return {"", 0, 0};

  const auto size = [](int64_t n) { return static_cast<size_t>(n); };
  const std::vector<uint32_t> input(size(rows * words)), weight(size(blocks * words * kBlock));
  std::vector<float> values(size(rows * blocks * kBlock));
  const int64_t run_offset = 0;
  Conv2dWork work{};
  work.sets = 1;
  work.pixels = rows;
  work.input_words = rows * words;
  work.pixel_words = words;
  Conv2dArgs& args = work.args;
  args.input = input.data();
  args.pixel_stride = words;
  args.out_height = 1;
  args.out_width = rows;
  args.run_offsets = &run_offset;
  args.runs = 1;
  args.run_words = words;
  args.weight = weight.data();
  args.filters = args.channels = blocks * kBlock;
  args.valid_bits = static_cast<int32_t>(words * kWordBits);
  args.values = values.data();

  // Four times the operands and cache lines to align them: memory that is there before the clock starts.
  std::vector<uint8_t> memory(4 * 4 * (input.size() + 4 * weight.size()) + 4096);
  executorch::runtime::MemoryAllocator scratch(static_cast<uint32_t>(memory.size()), memory.data());
  const Conv2dDirect& direct = get_conv2d_direct(isa->flags);
  const ThreadPoolUse one_thread(1);
  int64_t of_direct = INT64_MAX, of_other = INT64_MAX;
  for (int i = 0; i < repeats; ++i) {
    scratch.reset();
    of_direct = std::min(of_direct, nanoseconds([&] { direct.conv2d(args, 0, rows); }));
    of_other = std::min(of_other, nanoseconds([&] { run_row(*other, work, scratch, 0, rows); }));
  }
  return {other->kernel->name, of_direct, of_other};
}

}  // namespace

void bind_conv2d_kernels(nb::module_& m) {
  m.def("conv2d_kernels", [] { return names_of(kernels(), kFamily); });
  m.def("conv2d_weight_only_kernels", [] { return names_of(kWeightOnly, "conv2d_weight_only"); });
  m.def("conv2d", run_conv2d, "name"_a, "args"_a, "begin"_a, "end"_a, "repeats"_a = 1);
  m.def("conv2d_why_not", conv2d_why_not, "name"_a, "pixels"_a, "filters"_a, "words"_a, "pixel_words"_a, "sets"_a = 1,
        "masked"_a = false);
  m.def("choose_conv2d", choose_conv2d_kernel, "flags"_a, "pixels"_a, "filters"_a, "words"_a, "pixel_words"_a,
        "sets"_a = 1, "masked"_a = false);
  m.def("conv2d_weight_only", run_conv2d_weight_only, "name"_a, "args"_a, "tap_channels"_a, "begin"_a, "end"_a,
        "repeats"_a = 1);
  m.def("tap_counts", run_tap_counts, "name"_a, "weight"_a, "blocks"_a, "taps"_a, "tap_words"_a, "before"_a);
  m.def("linear_times", linear_times, "isa"_a, "rows"_a, "blocks"_a, "words"_a, "repeats"_a);
}

}  // namespace bittern
