#include "fuzz/run_call.h"

#include <executorch/runtime/core/exec_aten/util/dim_order_util.h>
#include <executorch/runtime/core/exec_aten/util/scalar_type_util.h>
#include <executorch/runtime/kernel/kernel_runtime_context.h>
#include <executorch/runtime/kernel/operator_registry.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <type_traits>

#include "runtime/log.h"
#include "runtime/thread_pool.h"
#include "tests/scratch.h"

namespace bittern {
namespace {

const Isa* isa_in_use = nullptr;

}  // namespace

const Isa* active_isa() { return isa_in_use; }

namespace fuzz {
namespace {

using executorch::aten::Tensor;
using executorch::aten::TensorImpl;
using executorch::runtime::BoxedEvalueList;
using executorch::runtime::EValue;

constexpr size_t kMaxScratch = size_t{16} << 20;  // a call that would fill gigabytes fails

// A tensor on a copy of its value's bytes, of exactly their number.
struct HostTensor {
  explicit HostTensor(const TensorValue& from) : value(from), memory(new uint8_t[from.bytes.size()]) {
    std::copy(from.bytes.begin(), from.bytes.end(), memory.get());
    const size_t rank = value.sizes.size();
    if (value.strides.size() != rank) {
      value.strides.resize(rank);
      executorch::runtime::dim_order_to_stride_nocheck(value.sizes.data(), value.order.data(), rank,
                                                       value.strides.data());
    }
    impl = std::make_unique<TensorImpl>(value.type, static_cast<ssize_t>(rank), value.sizes.data(),
                                        value.has_data ? memory.get() : nullptr, value.order.data(),
                                        value.strides.data(), value.dynamism);
  }

  // What is there after a call that has succeeded.
  TensorValue result() const {
    TensorValue after = value;
    after.sizes.assign(impl->sizes().begin(), impl->sizes().end());
    after.bytes.assign(memory.get(), memory.get() + impl->nbytes());
    return after;
  }

  TensorValue value;
  std::unique_ptr<uint8_t[]> memory;
  std::unique_ptr<TensorImpl> impl;
};

// A call's values as the runtime keeps them. Deques do not move their elements.
class Stack {
 public:
  explicit Stack(const CallValues& call) {
    for (const Value& value : call.values) {
      std::visit([this](const auto& x) { push(x); }, value);
    }
  }

  executorch::runtime::Span<EValue*> span() { return {stack_.data(), stack_.size()}; }

  // The values from position `first` on that are tensors.
  std::vector<TensorValue> results(size_t first) const {
    std::vector<TensorValue> found;
    for (size_t i = first; i < stack_.size(); ++i) {
      if (tensors_[i] != nullptr) found.push_back(tensors_[i]->result());
    }
    return found;
  }

 private:
  template <class T>
  void push(const T& x) {
    EValue* value = nullptr;
    std::unique_ptr<HostTensor> tensor;
    if constexpr (std::is_same_v<T, None>) {
      value = &values_.emplace_back();
    } else if constexpr (std::is_same_v<T, List>) {
      value = &values_.emplace_back(make_list(x));
    } else if constexpr (std::is_same_v<T, TensorValue>) {
      tensor = std::make_unique<HostTensor>(x);
      value = &values_.emplace_back(Tensor(tensor->impl.get()));
    } else if constexpr (!std::is_same_v<T, Missing>) {
      value = &values_.emplace_back(x);
    }
    stack_.push_back(value);
    tensors_.push_back(std::move(tensor));
  }

  BoxedEvalueList<int64_t>* make_list(const List& list) {
    auto& items = items_.emplace_back();
    items.reserve(list.items.size() + 1);  // not null when empty
    for (const int64_t item : list.items) {
      const bool wrong = list.holds_a_float && items.empty();
      items.push_back(wrong ? &values_.emplace_back(0.5) : &values_.emplace_back(item));
    }
    auto& unboxed = unboxed_.emplace_back(list.items.size() + 1);
    return &lists_.emplace_back(items.data(), unboxed.data(), static_cast<int>(list.items.size()));
  }

  std::deque<EValue> values_;
  std::deque<std::vector<EValue*>> items_;
  std::deque<std::vector<int64_t>> unboxed_;
  std::deque<BoxedEvalueList<int64_t>> lists_;
  std::vector<EValue*> stack_;
  std::vector<std::unique_ptr<HostTensor>> tensors_;
};

bool same_floats(const TensorValue& a, const TensorValue& b) {
  for (size_t at = 0; at < a.bytes.size(); at += sizeof(float)) {
    float x, y;
    std::memcpy(&x, &a.bytes[at], sizeof x);
    std::memcpy(&y, &b.bytes[at], sizeof y);
    if (!(x == y || (std::isnan(x) && std::isnan(y)))) return false;
  }
  return true;
}

}  // namespace

Outcome run(const CallValues& call, const Isa& isa, int threads) {
  isa_in_use = &isa;
  Stack stack(call);
  ExactScratch scratch(kMaxScratch);
  executorch::runtime::KernelRuntimeContext context(nullptr, &scratch);
  const ThreadPoolUse use(threads);
  const LogCapture log;
  const auto found = executorch::runtime::get_op_function_from_registry(call.name);
  if (!found.ok()) std::abort();
  (*found)(context, stack.span());
  const bool ok = context.failure_state() == executorch::runtime::Error::Ok;
  return {ok, ok ? stack.results(call.inputs) : std::vector<TensorValue>{}};
}

bool same(const Outcome& a, const Outcome& b) {
  if (a.outputs.size() != b.outputs.size()) return false;
  for (size_t i = 0; i < a.outputs.size(); ++i) {
    const TensorValue &x = a.outputs[i], &y = b.outputs[i];
    if (x.sizes != y.sizes || x.bytes.size() != y.bytes.size()) return false;
    if (x.type == ScalarType::Float ? !same_floats(x, y) : x.bytes != y.bytes) return false;
  }
  return true;
}

}  // namespace fuzz
}  // namespace bittern
