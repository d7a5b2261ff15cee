#include "fuzz/change.h"

#include <executorch/runtime/core/exec_aten/util/scalar_type_util.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

namespace bittern::fuzz {
namespace {

using Input = FuzzedDataProvider;

constexpr int64_t kMaxElements = 1 << 16;

int64_t hostile_integer(Input& in, int64_t near) {
  constexpr int64_t k32 = std::numeric_limits<int32_t>::max(), k64 = std::numeric_limits<int64_t>::max();
  constexpr int64_t kSpecial[] = {0,   -1,      1,   2,       3,        32,         33,   1 << 16, 1 << 24, k32 - 1,
                                  k32, k32 + 1, k64, k64 / 2, -k64 - 1, k64 / 1000, -k32, 1 << 20, 1 << 30};
  switch (in.ConsumeIntegralInRange(0, 3)) {
    case 0:
      return in.ConsumeIntegral<int64_t>();
    case 1:
      return in.PickValueInArray(kSpecial);
    default:
      return static_cast<int64_t>(static_cast<uint64_t>(near) + in.ConsumeIntegralInRange<uint64_t>(0, 16) - 8);
  }
}

// The tensor with memory for its sizes and type again.
void refill(TensorValue* t) {
  while (t->elements() > kMaxElements) *std::max_element(t->sizes.begin(), t->sizes.end()) /= 2;
  const size_t had = t->bytes.size();
  t->bytes.resize(static_cast<size_t>(t->elements()) * executorch::runtime::elementSize(t->type));
  for (size_t i = had; i < t->bytes.size(); ++i) t->bytes[i] = static_cast<uint8_t>(i * 37);
}

ScalarType any_type(Input& in) {
  constexpr ScalarType kTypes[] = {ScalarType::Float, ScalarType::Int,    ScalarType::Long, ScalarType::Byte,
                                   ScalarType::Bool,  ScalarType::Double, ScalarType::Half, ScalarType::Short};
  return in.PickValueInArray(kTypes);
}

TensorValue any_tensor(Input& in) {
  TensorValue t;
  t.type = any_type(in);
  const int rank = in.ConsumeIntegralInRange(0, 6);
  for (int d = 0; d < rank; ++d) {
    t.sizes.push_back(in.ConsumeIntegralInRange(0, 40));
    t.order.push_back(static_cast<uint8_t>(d));
  }
  refill(&t);
  return t;
}

void change_value(Input&, None*) {}
void change_value(Input&, Missing*) {}
void change_value(Input&, bool* x) { *x = !*x; }
void change_value(Input& in, int64_t* x) { *x = hostile_integer(in, *x); }
void change_value(Input& in, double* x) { *x = in.ConsumeFloatingPoint<double>(); }

void change_value(Input& in, List* list) {
  const int what = in.ConsumeIntegralInRange(0, 7);
  if (what == 0) list->holds_a_float = true;
  if (what == 1) list->items.push_back(in.ConsumeIntegral<int64_t>());
  if (list->items.empty()) return;
  if (what == 2) list->items.pop_back();
  if (what > 2) {
    int64_t& item = list->items[in.ConsumeIntegralInRange<size_t>(0, list->items.size() - 1)];
    item = hostile_integer(in, item);
  }
}

void change_value(Input& in, TensorValue* t) {
  const int what = in.ConsumeIntegralInRange(0, 9);
  if (what == 0) t->type = any_type(in);
  if (what == 1) t->has_data = false;
  if (what == 2 && t->sizes.size() < 16) {
    t->order.push_back(static_cast<uint8_t>(t->sizes.size()));
    t->sizes.push_back(in.ConsumeIntegralInRange(0, 2));
  }
  if (what == 3) {
    for (size_t d = 0; d < t->sizes.size(); ++d) t->strides.push_back(in.ConsumeIntegralInRange(-1, 64));
  }
  if (!t->sizes.empty()) {
    const size_t last = t->sizes.size() - 1;
    const auto axis = [&] { return in.ConsumeIntegralInRange<size_t>(0, last); };
    if (what == 4) std::swap(t->order[axis()], t->order[axis()]);
    if (what == 5) {
      const uint8_t gone = static_cast<uint8_t>(last);
      t->sizes.pop_back();
      t->order.erase(std::find(t->order.begin(), t->order.end(), gone));
    }
    if (what == 6) std::swap(t->sizes[axis()], t->sizes[axis()]);
    if (what == 7) t->sizes[axis()] = in.ConsumeIntegralInRange(0, 4096);
    if (what > 7) {
      int32_t& size = t->sizes[axis()];
      size = std::max(0, size + in.ConsumeIntegralInRange(-2, 2));
    }
  }
  refill(t);
}

Value other_value(Input& in) {
  switch (in.ConsumeIntegralInRange(0, 6)) {
    case 0:
      return None();
    case 1:
      return Missing();
    case 2:
      return in.ConsumeBool();
    case 3:
      return hostile_integer(in, 0);
    case 4:
      return in.ConsumeFloatingPoint<double>();
    case 5: {
      List list;
      for (int i = in.ConsumeIntegralInRange(0, 6); i > 0; --i) list.items.push_back(hostile_integer(in, i));
      return list;
    }
    default:
      return any_tensor(in);
  }
}

// Operands of conv2d and linear, and the integers that say which of their bits are used.
bool says_which_bits_are_used(size_t position) { return position < 5 || position == 8; }

}  // namespace

void change(Input& in, CallValues* call) {
  if (call->values.empty()) return;
  const size_t position = in.ConsumeIntegralInRange<size_t>(0, call->values.size() - 1);
  call->valid = false;
  call->comparable = call->comparable && !says_which_bits_are_used(position);
  const int what = in.ConsumeIntegralInRange(0, 15);
  if (what == 0) {
    call->values.resize(position);
  } else if (what == 1) {
    call->values.push_back(other_value(in));
  } else if (what == 2) {
    std::swap(call->values[position], call->values[in.ConsumeIntegralInRange<size_t>(0, call->values.size() - 1)]);
    call->comparable = false;
  } else if (what < 6) {
    call->values[position] = other_value(in);
  } else {
    std::visit([&in](auto& x) { change_value(in, &x); }, call->values[position]);
  }
}

}  // namespace bittern::fuzz
