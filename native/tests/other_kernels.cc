// Every row of pack/kernels.inc and max_pool2d/kernels.inc, called by its name; and the CPU's clock.
#include <nanobind/nanobind.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <chrono>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "kernels/conv2d/conv2d.h"
#include "kernels/conv2d_weight_only/conv2d_weight_only.h"
#include "kernels/max_pool2d/max_pool2d.h"
#include "kernels/pack/pack.h"
#include "tests/bindings.h"
#include "tests/buffer.h"
#include "tests/dict.h"
#include "tests/rows.h"
#include "tests/timing.h"

namespace nb = nanobind;
using nb::literals::operator""_a;

namespace bittern {
namespace {

const std::vector<const PackImplementation*> kPack = {
#define BITTERN_PACK_KERNEL(isa) &pack_##isa,
#include "kernels/pack/kernels.inc"
};
const std::vector<const MaxPool2dImplementation*> kMaxPool2d = {
#define BITTERN_MAX_POOL2D_KERNEL(isa) &max_pool2d_##isa,
#include "kernels/max_pool2d/kernels.inc"
};

const PackImplementation& pack_row(const std::string& name) { return row_named(kPack, "pack", name); }

const MaxPool2dImplementation& max_pool2d_row(const std::string& name) {
  return row_named(kMaxPool2d, "max_pool2d", name);
}

// Family -> the row that a set with these feature bits uses, for conv2d the direct one.
std::map<std::string, std::string> selected(uint32_t flags) {
  return {{"conv2d", suffix(get_conv2d_direct(flags).name, "conv2d")},
          {"conv2d_weight_only", suffix(get_conv2d_weight_only(flags).name, "conv2d_weight_only")},
          {"pack", suffix(get_pack(flags).name, "pack")},
          {"max_pool2d", suffix(get_max_pool2d(flags).name, "max_pool2d")}};
}

nb::object run_pack(const std::string& name, const Array<float>& values, const nb::dict& optional, int64_t channels,
                    int64_t plane, int64_t begin, int64_t end, const Array<uint32_t>& before) {
  const Buffer<float> x(values);
  const Optional<float> threshold(optional, "threshold");
  Buffer<uint32_t> words(before);
  pack_row(name).pack({x.data(), threshold.data(), words.data(), channels, plane}, begin, end);
  return words.to_numpy();
}

nb::object run_unpack(const std::string& name, const Array<uint32_t>& words, int64_t channels, int64_t begin,
                      int64_t end, const Array<float>& before) {
  const Buffer<uint32_t> x(words);
  Buffer<float> values(before);
  pack_row(name).unpack({x.data(), values.data(), channels}, begin, end);
  return values.to_numpy();
}

nb::object run_binarize(const std::string& name, const Array<float>& values, int64_t begin, int64_t end,
                        const Array<float>& before) {
  const Buffer<float> x(values);
  Buffer<float> y(before);
  pack_row(name).binarize(x.data(), y.data(), begin, end);
  return y.to_numpy();
}

// An axis: size, kernel, stride, dilation, padding before and after.
using Axis = std::tuple<int64_t, int64_t, int64_t, int64_t, int64_t, int64_t>;

nb::object run_max_pool2d(const std::string& name, const Array<uint32_t>& input, int64_t words, const Axis& rows,
                          const Axis& columns, int64_t begin, int64_t end, const Array<uint32_t>& before) {
  const auto axis = [](const Axis& a) { return std::apply([](auto... x) { return WindowAxis{x...}; }, a); };
  const Buffer<uint32_t> x(input);
  Buffer<uint32_t> out(before);
  max_pool2d_row(name).max_pool2d({x.data(), out.data(), words, axis(rows), axis(columns)}, begin, end);
  return out.to_numpy();
}

// Times of a row of pack/kernels.inc on zeros, channels_last but for the third.
nb::dict pack_times(const std::string& name, int64_t pixels, int64_t channels, int repeats) {
  const PackImplementation& kernel = pack_row(name);
  std::vector<float> values(static_cast<size_t>(pixels * channels)), signs(values.size());
  std::vector<uint32_t> words(static_cast<size_t>(pixels * (word_count(channels))));
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
  const MaxPool2dImplementation& kernel = max_pool2d_row(name);
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

void bind_other_kernels(nb::module_& m) {
  m.def("pack_kernels", [] { return names_of(kPack, "pack"); });
  m.def("max_pool2d_kernels", [] { return names_of(kMaxPool2d, "max_pool2d"); });
  m.def("selected", selected, "flags"_a);
  m.def("cycles_per_second", cycles_per_second);
  m.def("pack_times", pack_times, "name"_a, "pixels"_a, "channels"_a, "repeats"_a);
  m.def("max_pool2d_time", max_pool2d_time, "name"_a, "size"_a, "words"_a, "repeats"_a);
  m.def("pack", run_pack, "name"_a, "values"_a, "optional"_a, "channels"_a, "plane"_a, "begin"_a, "end"_a, "before"_a);
  m.def("unpack", run_unpack, "name"_a, "words"_a, "channels"_a, "begin"_a, "end"_a, "before"_a);
  m.def("binarize", run_binarize, "name"_a, "values"_a, "begin"_a, "end"_a, "before"_a);
  m.def("max_pool2d", run_max_pool2d, "name"_a, "input"_a, "words"_a, "rows"_a, "columns"_a, "begin"_a, "end"_a,
        "before"_a);
}

}  // namespace bittern
