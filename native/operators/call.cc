#include "operators/call.h"

#include <executorch/runtime/core/event_tracer_hooks.h>
#include <executorch/runtime/core/exec_aten/util/scalar_type_util.h>
#include <executorch/runtime/core/exec_aten/util/tensor_util.h>
#include <executorch/runtime/kernel/thread_parallel_interface.h>
#include <executorch/runtime/platform/log.h>

#include <cinttypes>
#include <cmath>
#include <cstdarg>
#include <cstdio>

namespace bittern {

using executorch::runtime::Error;
namespace hooks = executorch::runtime::internal;

Call::Call(KernelRuntimeContext& context, Span<EValue*> stack, const OperatorInfo& info)
    : context_(context), stack_(stack), info_(info) {
  event_ = hooks::event_tracer_begin_profiling_event(context_.internal_event_tracer(), info_.name);
  // Programs list the outputs again, as the results of the call.
  const size_t values = info_.inputs + info_.outputs;
  require(stack_.size() >= values, "called with %zu values, its schema has %zu", stack_.size(), values);
}

Call::~Call() {
  executorch::runtime::EventTracer* tracer = context_.internal_event_tracer();
  hooks::event_tracer_end_profiling_event(tracer, event_);
  for (size_t i = 0; ok_ && i < info_.outputs; ++i) hooks::event_tracer_log_evalue(tracer, *stack_[info_.inputs + i]);
}

void Call::note_kernel(const char* name) {
  executorch::runtime::EventTracer* tracer = context_.internal_event_tracer();
  if (tracer == nullptr) return;
  char text[64];
  std::snprintf(text, sizeof text, "kernel %s", name);
  hooks::event_tracer_end_profiling_event(tracer, hooks::event_tracer_begin_profiling_event(tracer, text));
}

void Call::fail(Error error, const char* message) {
  ET_LOG(Error, "%s: %s", info_.name, message);
  context_.fail(error);
  ok_ = false;
}

bool Call::require(bool condition, const char* format, ...) {
  if (ok_ && !condition) {
    char message[512];
    va_list values;
    va_start(values, format);
    std::vsnprintf(message, sizeof message, format, values);
    va_end(values);
    fail(Error::InvalidArgument, message);
  }
  return ok_;
}

EValue* Call::next() {
  if (!ok_) return nullptr;
  EValue* value = stack_[next_++];
  return require(value != nullptr, "argument %zu is missing", next_ - 1) ? value : nullptr;
}

const Tensor* Call::check_type(const EValue& value, const char* name, ScalarType type) {
  if (!require(value.isTensor(), "%s must be a tensor", name)) return nullptr;
  const Tensor& tensor = value.toTensor();
  if (!require(tensor.scalar_type() == type, "%s must be of type %s, is %s", name, executorch::runtime::toString(type),
               executorch::runtime::toString(tensor.scalar_type()))) {
    return nullptr;
  }
  for (ssize_t d = 0; d < tensor.dim(); ++d) {
    require(tensor.size(d) >= 1, "%s must not be empty, dimension %zd is %zd", name, d, tensor.size(d));
  }
  require(tensor.const_data_ptr() != nullptr, "%s has no data", name);
  return ok_ ? &tensor : nullptr;
}

const Tensor* Call::tensor(const char* name, ScalarType type) {
  const EValue* value = next();
  return value != nullptr ? check_type(*value, name, type) : nullptr;
}

const Tensor* Call::optional_tensor(const char* name, ScalarType type) {
  const EValue* value = next();
  return value != nullptr && !value->isNone() ? check_type(*value, name, type) : nullptr;
}

int64_t Call::integer(const char* name, int64_t min, int64_t max) {
  const EValue* value = next();
  if (value == nullptr || !require(value->isInt(), "%s must be an integer", name)) return 0;
  const int64_t x = value->toInt();
  const bool inside = min <= x && x <= max;
  require(inside, "%s must be in [%" PRId64 ", %" PRId64 "], is %" PRId64, name, min, max, x);
  return ok_ ? x : 0;
}

float Call::optional_number(const char* name, float none) {
  const EValue* value = next();
  if (value == nullptr || value->isNone()) return none;
  if (!require(value->isDouble() || value->isInt(), "%s must be a number or None", name)) return none;
  const double x = value->isDouble() ? value->toDouble() : static_cast<double>(value->toInt());
  require(!std::isnan(x), "%s must not be NaN", name);
  return static_cast<float>(x);
}

void Call::read_integers(const char* name, int64_t min, int64_t* values, size_t count) {
  const EValue* value = next();
  if (value == nullptr || !require(value->isIntList(), "%s must be a list of integers", name)) return;
  const auto list = value->tryToIntList();
  if (!require(list.ok(), "%s must be a list of integers", name)) return;
  if (!require(list->size() == count, "%s must hold %zu integers, holds %zu", name, count, list->size())) return;
  constexpr int64_t kMax = std::numeric_limits<int32_t>::max();
  for (size_t i = 0; i < count; ++i) {
    const int64_t x = (*list)[i];
    const bool inside = min <= x && x <= kMax;
    if (!require(inside, "%s[%zu] must be in [%" PRId64 ", %" PRId64 "], is %" PRId64, name, i, min, kMax, x)) return;
    values[i] = x;
  }
}

const float* Call::optional_channel_floats(const char* name, int64_t count) {
  const Tensor* tensor = optional_tensor(name, ScalarType::Float);
  if (tensor == nullptr) return nullptr;
  require(tensor->dim() == 1 && tensor->size(0) == count,
          "%s must be of shape [%" PRId64 "], has %zd values in %zd dimensions", name, count, tensor->numel(),
          tensor->dim());
  return ok_ ? tensor->const_data_ptr<float>() : nullptr;
}

Tensor* Call::output(const char* name, ScalarType type, const int64_t* sizes, size_t rank) {
  EValue* value = next();
  if (value == nullptr || check_type(*value, name, type) == nullptr) return nullptr;
  Tensor& tensor = value->toTensor();
  if (!require(tensor.dim() == static_cast<ssize_t>(rank), "%s must have %zu dimensions, has %zd", name, rank,
               tensor.dim())) {
    return nullptr;
  }
  Tensor::SizesType resized[executorch::runtime::kTensorDimensionLimit];
  bool same = true;
  for (size_t d = 0; d < rank; ++d) {
    if (!require(sizes[d] >= 1 && sizes[d] <= std::numeric_limits<Tensor::SizesType>::max(),
                 "dimension %zu of %s would be %" PRId64, d, name, sizes[d])) {
      return nullptr;
    }
    resized[d] = static_cast<Tensor::SizesType>(sizes[d]);
    if (same) same = tensor.size(d) == sizes[d];
    if (!same && tensor.shape_dynamism() == executorch::aten::TensorShapeDynamism::STATIC) {
      require(false, "dimension %zu of %s must be %" PRId64 ", is %zd", d, name, sizes[d], tensor.size(d));
      return nullptr;
    }
  }
  if (!same) {
    const Error error = executorch::runtime::resize_tensor(tensor, {resized, rank});
    if (!require(error == Error::Ok, "%s cannot be resized", name)) return nullptr;
  }
  return &tensor;
}

void* Call::scratch(int64_t bytes) {
  constexpr int64_t kMaxBytes = int64_t{1} << 31;
  if (!require(bytes >= 0 && bytes <= kMaxBytes, "needs %" PRId64 " bytes of scratch memory, more than %" PRId64, bytes,
               kMaxBytes)) {
    return nullptr;
  }
  constexpr size_t kCacheLine = 64;
  const auto memory = context_.allocate_temp(static_cast<size_t>(bytes), kCacheLine);
  if (!memory.ok()) {
    fail(Error::MemoryAllocationFailed, "no scratch memory left");
    return nullptr;
  }
  return *memory;
}

void Call::parallel(int64_t count, int64_t work, executorch::runtime::FunctionRef<void(int64_t, int64_t)> f) {
  constexpr int64_t kMinWork = 1 << 16;  // operations: about the cost of waking another thread
  const int64_t grain = work >= kMinWork ? 1 : kMinWork / (work < 1 ? 1 : work);
  if (count <= grain) {
    f(0, count);
  } else if (!executorch::extension::parallel_for(0, count, grain, f)) {
    fail(Error::Internal, "the thread pool refused the work");
  }
}

bool has_layout(const Tensor& tensor, const int* order) {
  int64_t stride = 1;
  for (ssize_t i = tensor.dim() - 1; i >= 0; --i) {
    const int d = order[i];
    if (tensor.size(d) != 1 && tensor.strides()[d] != stride) return false;
    stride *= tensor.size(d);
  }
  return true;
}

bool is_contiguous(const Tensor& tensor) {
  int order[executorch::runtime::kTensorDimensionLimit];
  for (int d = 0; d < tensor.dim(); ++d) order[d] = d;
  return has_layout(tensor, order);
}

bool is_channels_last(const Tensor& tensor) {
  constexpr int kOrder[] = {0, 2, 3, 1};
  return tensor.dim() == 4 && has_layout(tensor, kOrder);
}

int64_t checked_product(std::initializer_list<int64_t> factors) {
  int64_t product = 1;
  for (const int64_t factor : factors) {
    if (__builtin_mul_overflow(product, factor, &product)) return -1;
  }
  return product;
}

bool check_packed_weight(Call& call, const Tensor& weight, int64_t blocks, int64_t words) {
  call.require(weight.dim() == 3 && weight.size(0) == blocks && weight.size(1) == words && weight.size(2) == kBlock,
               "weight must be of shape [%" PRId64 ", %" PRId64 ", 16]", blocks, words);
  return call.require(is_contiguous(weight), "weight must be contiguous in memory");
}

bool check_axis(Call& call, const WindowAxis& axis, const char* name) {
  return call.require(axis.extent() <= axis.padded(),
                      "the window of %" PRId64 " along the %s is larger than the padded input of %" PRId64,
                      axis.extent(), name, axis.padded());
}

}  // namespace bittern
