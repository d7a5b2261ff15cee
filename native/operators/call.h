// One call of an operator by ExecuTorch: its arguments, read in the order of the schema, each with its checks.
//
// A program may be damaged or come from another exporter, so no argument is trusted. The first check that fails logs a
// line that names the value and the rule, and fails the kernel context; whatever is read after it is a harmless empty
// value. An operator reads all its arguments, asks ok() once, and only then touches memory.
#pragma once

#include <executorch/runtime/core/evalue.h>
#include <executorch/runtime/core/event_tracer.h>
#include <executorch/runtime/core/exec_aten/exec_aten.h>
#include <executorch/runtime/core/function_ref.h>
#include <executorch/runtime/core/span.h>
#include <executorch/runtime/kernel/kernel_runtime_context.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>

#include "kernels/window.h"
#include "operators/operators.h"

namespace bittern {

using executorch::aten::ScalarType;
using executorch::aten::Tensor;
using executorch::runtime::EValue;
using executorch::runtime::KernelRuntimeContext;
using executorch::runtime::Span;

class Call {
 public:
  Call(KernelRuntimeContext& context, Span<EValue*> stack, const OperatorInfo& info);
  // Hands the outputs to the event tracer, if there is one.
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  bool ok() const { return ok_; }
  // Fails the call with a message like printf's unless `condition` holds. Returns ok().
  bool require(bool condition, const char* format, ...) __attribute__((format(printf, 3, 4)));

  // The next argument. Tensors are null and numbers 0 when the call has failed.
  const Tensor* tensor(const char* name, ScalarType type);
  const Tensor* optional_tensor(const char* name, ScalarType type);
  int64_t integer(const char* name, int64_t min, int64_t max = std::numeric_limits<int32_t>::max());
  // `none` for None. NaN is refused.
  float optional_number(const char* name, float none);
  template <size_t kCount>
  std::array<int64_t, kCount> integers(const char* name, int64_t min) {
    std::array<int64_t, kCount> values{};
    read_integers(name, min, values.data(), kCount);
    return values;
  }
  // None, or float32 [count] in one piece.
  const float* optional_channel_floats(const char* name, int64_t count);

  // The next output, resized to `sizes`; a tensor of fixed shape must have them already.
  Tensor* output(const char* name, ScalarType type, const int64_t* sizes, size_t rank);

  // Memory that lasts until the operator returns; null if the call has failed or memory runs out.
  void* scratch(int64_t bytes);
  template <class T>
  T* scratch_array(int64_t count) {
    return static_cast<T*>(scratch(count * static_cast<int64_t>(sizeof(T))));
  }

  // Tells the event tracer, if there is one, which kernel does the work, by an event "kernel NAME" of no duration.
  void note_kernel(const char* name);

  // Calls f(begin, end) on ranges that cover [0, count), on the host's threads; `work` is the number of simple
  // operations per item, and keeps small calls on one thread.
  void parallel(int64_t count, int64_t work, executorch::runtime::FunctionRef<void(int64_t, int64_t)> f);

 private:
  EValue* next();
  const Tensor* check_type(const EValue& value, const char* name, ScalarType type);
  void read_integers(const char* name, int64_t min, int64_t* values, size_t count);
  void fail(executorch::runtime::Error error, const char* message);

  KernelRuntimeContext& context_;
  Span<EValue*> stack_;
  const OperatorInfo& info_;
  size_t next_ = 0;
  bool ok_ = true;
  executorch::runtime::EventTracerEntry event_{};
};

// Elements lie in memory in the order of dimensions `order`, without gaps; dimensions of size 1 may have any stride.
bool has_layout(const Tensor& tensor, const int* order);
bool is_contiguous(const Tensor& tensor);
bool is_channels_last(const Tensor& tensor);

// Product of non-negative numbers; -1 if it exceeds int64.
int64_t checked_product(std::initializer_list<int64_t> factors);

// Fails the call unless `weight` is int32 [blocks, words, 16] in one piece (src/bittern/ops/layout.py).
bool check_packed_weight(Call& call, const Tensor& weight, int64_t blocks, int64_t words);

// Fails the call unless the padded axis, called `name`, holds at least one window.
bool check_axis(Call& call, const WindowAxis& axis, const char* name);

}  // namespace bittern
