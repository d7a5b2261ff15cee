#include "fuzz/call_values.h"

#include <executorch/runtime/core/exec_aten/util/scalar_type_util.h>
#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <string>

#include "fuzz/change.h"
#include "kernels/window.h"
#include "operators/conv2d_input.h"
#include "operators/operators.h"

namespace bittern::fuzz {
namespace {

using Input = FuzzedDataProvider;

std::vector<uint8_t> plain_order(size_t rank) {
  std::vector<uint8_t> order(rank);
  std::iota(order.begin(), order.end(), uint8_t{0});
  return order;
}

TensorValue tensor(ScalarType type, std::vector<int32_t> sizes, std::vector<uint8_t> order = {}) {
  TensorValue t;
  t.type = type;
  t.order = order.empty() ? plain_order(sizes.size()) : std::move(order);
  t.sizes = std::move(sizes);
  t.bytes.assign(static_cast<size_t>(t.elements()) * executorch::runtime::elementSize(type), 0x5a);
  return t;
}

const std::vector<uint8_t> kChannelsLast = {0, 2, 3, 1};

// Builds the values of a call; the contents of tensors follow from one seed.
class Builder {
 public:
  Builder(Input& in, CallValues* call) : in_(in), call_(call), state_(in.ConsumeIntegral<uint32_t>() | 1) {}

  int64_t number(int64_t min, int64_t max) { return in_.ConsumeIntegralInRange<int64_t>(min, max); }
  void invalidate() { call_->valid = false; }
  void push(Value value) { call_->values.push_back(std::move(value)); }
  void output(TensorValue value) {
    const int kind = static_cast<int>(number(0, 3));
    if (kind == 2) value.dynamism = TensorShapeDynamism::DYNAMIC_BOUND;
    if (kind == 3) value.dynamism = TensorShapeDynamism::DYNAMIC_UNBOUND;
    push(std::move(value));
  }

  uint32_t random() {  // xorshift32
    state_ ^= state_ << 13;
    state_ ^= state_ >> 17;
    return state_ ^= state_ << 5;
  }

  TensorValue floats(std::vector<int32_t> sizes, std::vector<uint8_t> order = {}) {
    constexpr float kInf = std::numeric_limits<float>::infinity();
    constexpr float kSpecial[] = {0.0f, -0.0f, kInf, -kInf, 1e38f, -1e-45f, std::numeric_limits<float>::quiet_NaN(), 1};
    TensorValue t = tensor(ScalarType::Float, std::move(sizes), std::move(order));
    const bool special = random() % 2 == 0;
    for (size_t at = 0; at < t.bytes.size(); at += sizeof(float)) {
      const uint32_t r = random();
      const float x = special && r % 4 == 0 ? kSpecial[r / 4 % 8] : static_cast<float>(static_cast<int32_t>(r)) * 1e-9f;
      std::memcpy(&t.bytes[at], &x, sizeof x);
    }
    return t;
  }

  // int32 [..., words], unused bits 0
  TensorValue packed(std::vector<int32_t> sizes, int64_t channels) {
    TensorValue t = tensor(ScalarType::Int, std::move(sizes));
    for (int64_t i = 0; i < t.elements(); ++i) {
      store(&t, static_cast<size_t>(i), random() & mask(channels, i % word_count(channels)));
    }
    return t;
  }

  // int32 [blocks, K, 16], unused bits and filters 0
  TensorValue weight(const Conv2dGeometry& g) {
    const int64_t depth = g.taps() * g.tap_words(), filters = g.out_channels / g.groups;
    TensorValue t = tensor(ScalarType::Int, {int32_t(g.sets() * g.set_blocks()), int32_t(depth), 16});
    for (int64_t i = 0; i < t.elements(); ++i) {
      const int64_t block = i / 16 / depth, set = block / g.set_blocks();
      const int64_t filter = block % g.set_blocks() * 16 + i % 16, group = set * g.set_groups() + filter / filters;
      if (filter >= g.set_filters() || group >= g.groups) {
        store(&t, static_cast<size_t>(i), 0);
        continue;
      }
      const int64_t word = g.first_word(set) + i / 16 % g.tap_words(), first = group * g.group_channels();
      const uint32_t used = mask(first + g.group_channels(), word) & ~mask(first, word);
      store(&t, static_cast<size_t>(i), random() & used);
    }
    return t;
  }

  TensorValue limits(int64_t count) {
    TensorValue t = tensor(ScalarType::Int, {int32_t(count)});
    for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
      const uint32_t r = random();
      store(&t, i, r % 8 == 0 ? 0x80000000u - (r >> 31) : static_cast<uint32_t>(static_cast<int32_t>(r) % 64));
    }
    return t;
  }

  void epilogue(const TensorValue& result, int64_t channels, bool with_threshold) {
    const int steps = static_cast<int>(number(0, 4095));
    int step = 0;
    const auto present = [&] { return (steps >> step++ & 1) != 0; };
    const auto bound = [&] { push(present() ? Value(static_cast<double>(number(-300, 300)) / 8) : Value(None())); };
    const auto channel = [&] { push(present() ? Value(floats({int32_t(channels)})) : Value(None())); };
    bound(), bound();
    channel(), channel();
    bound(), bound();
    channel();
    push(present() ? Value(floats(result.sizes, result.order)) : Value(None()));
    channel(), channel(), channel();
    if (with_threshold) channel();
  }

  // What comes after the operands of conv2d and linear, in all forms.
  void finish(const std::string& form, const TensorValue& result, const TensorValue& bits, int64_t channels) {
    const bool integer = form == "threshold";
    if (integer) push(limits(channels));
    if (!integer) epilogue(result, channels, !form.empty());
    if (form.empty() || form == "float_packed") output(result);
    if (!form.empty()) output(bits);
  }

  List list(std::vector<int64_t> items) { return {std::move(items)}; }

 private:
  // Bits of `word` that are one of the first `channels`.
  static uint32_t mask(int64_t channels, int64_t word) {
    const int64_t left = channels - 32 * word;
    return left >= 32 ? ~0u : left <= 0 ? 0 : (1u << left) - 1;
  }
  static void store(TensorValue* t, size_t i, uint32_t word) { std::memcpy(&t->bytes[i * 4], &word, sizeof word); }

  Input& in_;
  CallValues* call_;
  uint32_t state_;
};

// At least one window.
WindowAxis make_axis(Builder& b) {
  WindowAxis a;
  a.kernel = b.number(1, 5);
  a.stride = b.number(1, 3);
  a.dilation = b.number(1, 3);
  a.before = b.number(0, 6);
  a.after = b.number(0, 6);
  a.size = std::max<int64_t>(1, a.extent() - a.before - a.after) + b.number(0, 9);
  return a;
}

bool has_empty_window(const WindowAxis& axis) {
  for (int64_t i = 0; i < axis.outputs(); ++i) {
    const WindowAxis::Taps taps = axis.taps(i);
    if (taps.first >= taps.last) return true;
  }
  return false;
}

std::vector<int32_t> some_rows(Builder& b, int64_t last) {
  std::vector<int32_t> sizes;
  for (int64_t rank = b.number(0, 3); rank > 0; --rank) sizes.push_back(static_cast<int32_t>(b.number(1, 6)));
  sizes.push_back(static_cast<int32_t>(last));
  return sizes;
}

std::vector<int32_t> with_last(std::vector<int32_t> sizes, int64_t last) {
  sizes.back() = static_cast<int32_t>(last);
  return sizes;
}

// What follows x and the weight of a convolution.
void finish_conv2d(Builder& b, const Conv2dGeometry& g, bool binary, const std::string& form) {
  const WindowAxis &y = g.rows, &x = g.columns;
  b.push(g.in_channels);
  b.push(g.out_channels);
  b.push(b.list({y.kernel, x.kernel}));
  b.push(b.list({y.stride, x.stride}));
  b.push(b.list({y.before, y.after, x.before, x.after}));
  b.push(b.list({y.dilation, x.dilation}));
  b.push(g.groups);
  b.push(binary ? b.number(-1, 1) : int64_t{0});
  const auto images = static_cast<int32_t>(g.images), out = static_cast<int32_t>(g.out_channels);
  const int32_t height = static_cast<int32_t>(y.outputs()), width = static_cast<int32_t>(x.outputs());
  const TensorValue bits = tensor(ScalarType::Int, {images, height, width, int32_t(word_count(out))});
  b.finish(form, tensor(ScalarType::Float, {images, out, height, width}, kChannelsLast), bits, out);
}

void make_conv2d(Builder& b, const std::string& form) {
  const int64_t groups = b.number(1, 5), channels = b.number(1, 70), filters = b.number(1, 70);
  const WindowAxis y = make_axis(b), x = make_axis(b);
  const Conv2dGeometry g = {b.number(1, 2), groups * channels, groups * filters, groups, 0, y, x};
  const auto words = static_cast<int32_t>(g.in_words());
  b.push(b.packed({int32_t(g.images), int32_t(y.size), int32_t(x.size), words}, g.in_channels));
  b.push(b.weight(g));
  finish_conv2d(b, g, true, form);
}

void make_conv2d_weight_only(Builder& b, const std::string& form) {
  const int64_t channels = b.number(1, 70), filters = b.number(1, 70);
  const WindowAxis y = make_axis(b), x = make_axis(b);
  const Conv2dGeometry g = {b.number(1, 2), channels, filters, 1, 0, y, x};
  b.push(b.floats({int32_t(g.images), int32_t(channels), int32_t(y.size), int32_t(x.size)}, kChannelsLast));
  b.push(b.weight(g));
  finish_conv2d(b, g, false, form);
}

void make_linear_of(Builder& b, bool binary, const std::string& form) {
  const int64_t features = b.number(1, 300), filters = b.number(1, 100);
  const std::vector<int32_t> rows = some_rows(b, binary ? word_count(features) : features);
  b.push(binary ? b.packed(rows, features) : b.floats(rows));
  const WindowAxis one = {1, 1, 1, 1, 0, 0};
  b.push(b.weight({1, features, filters, 1, 0, one, one}));
  b.push(features);
  b.push(filters);
  const TensorValue bits = tensor(ScalarType::Int, with_last(rows, word_count(filters)));
  b.finish(form, tensor(ScalarType::Float, with_last(rows, filters)), bits, filters);
}

void make_linear(Builder& b, const std::string& form) { make_linear_of(b, true, form); }

void make_linear_weight_only(Builder& b, const std::string& form) { make_linear_of(b, false, form); }

std::vector<int32_t> map_sizes(Builder& b, int64_t channels) {
  return {int32_t(b.number(1, 2)), int32_t(channels), int32_t(b.number(1, 9)), int32_t(b.number(1, 9))};
}

void make_pack(Builder& b, const std::string&) {
  const int64_t channels = b.number(1, 100);
  const bool map = b.number(0, 1) == 1;
  const std::vector<int32_t> sizes = map ? map_sizes(b, channels) : some_rows(b, channels);
  b.push(b.floats(sizes, map && b.number(0, 1) == 1 ? kChannelsLast : plain_order(sizes.size())));
  b.push(b.number(0, 1) == 1 ? Value(b.floats({int32_t(channels)})) : Value(None()));
  b.push(int64_t{map ? 1 : -1});
  const auto out = map ? std::vector<int32_t>{sizes[0], sizes[2], sizes[3], 0} : sizes;
  b.output(tensor(ScalarType::Int, with_last(out, word_count(channels))));
}

void make_unpack(Builder& b, const std::string&) {
  const int64_t channels = b.number(1, 100);
  const bool map = b.number(0, 1) == 1;
  const std::vector<int32_t> sizes = map ? map_sizes(b, channels) : some_rows(b, channels);
  const auto in = map ? std::vector<int32_t>{sizes[0], sizes[2], sizes[3], 0} : sizes;
  b.push(b.packed(with_last(in, word_count(channels)), channels));
  b.push(channels);
  b.push(int64_t{map ? 1 : -1});
  b.output(tensor(ScalarType::Float, sizes, map ? kChannelsLast : plain_order(sizes.size())));
}

void make_binarize(Builder& b, const std::string&) {
  const bool map = b.number(0, 1) == 1;
  const std::vector<int32_t> sizes = map ? map_sizes(b, b.number(1, 40)) : some_rows(b, b.number(1, 40));
  const std::vector<uint8_t> order = map ? kChannelsLast : plain_order(sizes.size());
  b.push(b.floats(sizes, order));
  b.output(tensor(ScalarType::Float, sizes, order));
}

void make_max_pool2d(Builder& b, const std::string&) {
  const WindowAxis y = make_axis(b), x = make_axis(b);
  if (has_empty_window(y) || has_empty_window(x)) b.invalidate();
  const int32_t images = static_cast<int32_t>(b.number(1, 2)), depth = static_cast<int32_t>(b.number(1, 35));
  b.push(b.packed({images, int32_t(y.size), int32_t(x.size), depth}, 32 * depth));
  b.push(b.list({y.kernel, x.kernel}));
  b.push(b.list({y.stride, x.stride}));
  b.push(b.list({y.before, y.after, x.before, x.after}));
  b.push(b.list({y.dilation, x.dilation}));
  b.output(tensor(ScalarType::Int, {images, int32_t(y.outputs()), int32_t(x.outputs()), depth}));
}

void make_cat(Builder& b, const std::string&) {
  const int64_t left = b.number(1, 20), right = b.number(1, 20);
  const std::vector<int32_t> sizes = some_rows(b, left);
  b.push(b.packed(sizes, 32 * left));
  b.push(b.packed(with_last(sizes, right), 32 * right));
  b.output(tensor(ScalarType::Int, with_last(sizes, left + right)));
}

void make_slice(Builder& b, const std::string&) {
  const int64_t depth = b.number(1, 20), first = b.number(0, depth - 1), words = b.number(1, depth - first);
  const std::vector<int32_t> sizes = some_rows(b, depth);
  b.push(b.packed(sizes, 32 * depth));
  b.push(first);
  b.push(words);
  b.output(tensor(ScalarType::Int, with_last(sizes, words)));
}

void make_negate(Builder& b, const std::string&) {
  const int64_t channels = b.number(1, 300);
  const std::vector<int32_t> sizes = some_rows(b, word_count(channels));
  b.push(b.packed(sizes, channels));
  b.push(b.packed({int32_t(word_count(channels))}, channels));
  b.output(tensor(ScalarType::Int, sizes));
}

struct Maker {
  const char* prefix;
  void (*make)(Builder& b, const std::string& form);
};

// The first row whose prefix an operator's name has.
constexpr Maker kMakers[] = {{"conv2d_weight_only", make_conv2d_weight_only},
                             {"linear_weight_only", make_linear_weight_only},
                             {"conv2d", make_conv2d},
                             {"linear", make_linear},
                             {"pack", make_pack},
                             {"unpack", make_unpack},
                             {"binarize", make_binarize},
                             {"max_pool2d", make_max_pool2d},
                             {"cat", make_cat},
                             {"slice", make_slice},
                             {"negate", make_negate}};

void make(Builder& b, const OperatorInfo& info) {
  std::string name = info.name;
  name = name.substr(name.find("::") + 2);
  name = name.substr(0, name.rfind('.'));
  for (const Maker& maker : kMakers) {
    const std::string prefix = maker.prefix;
    if (name.compare(0, prefix.size(), prefix) != 0) continue;
    return maker.make(b, name.size() > prefix.size() ? name.substr(prefix.size() + 1) : "");
  }
  std::abort();  // an operator that this file does not know
}

}  // namespace

int64_t TensorValue::elements() const {
  return std::accumulate(sizes.begin(), sizes.end(), int64_t{1}, std::multiplies<int64_t>());
}

CallValues decode(const uint8_t* data, size_t size) {
  static constexpr const OperatorInfo* kOperators[] = {
#define BITTERN_OPERATOR(name, inputs, outputs) &name##_info,
#include "operators/operators.inc"
#undef BITTERN_OPERATOR
  };
  Input in(data, size);
  const OperatorInfo& info = *in.PickValueInArray(kOperators);
  CallValues call;
  call.name = info.name;
  call.inputs = info.inputs;
  call.threads = in.ConsumeIntegral<uint8_t>();
  const auto changes = in.ConsumeIntegralInRange<int>(0, 7);
  Builder builder(in, &call);
  make(builder, info);
  for (int i = 4; i <= changes; ++i) change(in, &call);
  return call;
}

}  // namespace bittern::fuzz
