#include "runtime/tracer.h"

#include <executorch/runtime/kernel/kernel_runtime_context.h>

#include <chrono>
#include <cstring>
#include <utility>

namespace bittern {
namespace {

using executorch::aten::Tensor;
using executorch::runtime::EValue;
using executorch::runtime::Kernel;
using executorch::runtime::KernelRuntimeContext;
using executorch::runtime::Span;

int64_t now_ns() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

TracedValue copy_value(const EValue& value) {
  if (value.isTensor()) return copy_tensor(value.toTensor());
  if (value.isBool()) return value.toBool();
  if (value.isInt()) return value.toInt();
  if (value.isDouble()) return value.toDouble();
  if (value.isIntList()) {
    const auto list = value.toIntList();
    return std::vector<int64_t>(list.begin(), list.end());
  }
  return std::monostate();
}

enum OperatorIndex : size_t {
#define BITTERN_OPERATOR(name, inputs, outputs) k_##name,
#include "operators/operators.inc"
#undef BITTERN_OPERATOR
};

// The context's tracer is a Tracer: these kernels run only in methods that were loaded with one.
#define BITTERN_OPERATOR(name, inputs, outputs)                             \
  void traced_##name(KernelRuntimeContext& context, Span<EValue*> values) { \
    auto* tracer = static_cast<Tracer*>(context.internal_event_tracer());   \
    tracer->call(operators()[k_##name], name##_info, context, values);      \
  }
#include "operators/operators.inc"
#undef BITTERN_OPERATOR

}  // namespace

std::vector<Kernel> traced_kernels() {
  return {
#define BITTERN_OPERATOR(name, inputs, outputs) Kernel(operators()[k_##name].name_, traced_##name),
#include "operators/operators.inc"
#undef BITTERN_OPERATOR
  };
}

TensorCopy copy_tensor(const Tensor& tensor) {
  TensorCopy copy;
  copy.type = static_cast<int8_t>(tensor.scalar_type());
  copy.sizes.assign(tensor.sizes().begin(), tensor.sizes().end());
  copy.strides.assign(tensor.strides().begin(), tensor.strides().end());
  copy.bytes.resize(tensor.nbytes());
  if (!copy.bytes.empty()) std::memcpy(copy.bytes.data(), tensor.const_data_ptr(), copy.bytes.size());
  return copy;
}

void Tracer::call(const Kernel& kernel, const OperatorInfo& info, KernelRuntimeContext& context, Span<EValue*> values) {
  if (!keep_values_ || values.size() < info.inputs + info.outputs) return kernel.op_(context, values);
  TracedCall traced = {info.name, {}, {}};
  for (size_t i = 0; i < info.inputs; ++i) traced.inputs.push_back(copy_value(*values[i]));
  kernel.op_(context, values);
  for (size_t i = 0; i < info.outputs; ++i) traced.outputs.push_back(copy_value(*values[info.inputs + i]));
  calls_.push_back(std::move(traced));
}

void Tracer::create_event_block(const char*) {}

Tracer::Entry Tracer::start_profiling(const char* name, executorch::runtime::ChainID,
                                      executorch::runtime::DebugHandle) {
  Entry entry{};
  entry.event_id = static_cast<int64_t>(events_.size());
  events_.push_back({name, chain_id_, debug_handle_, depth_++, now_ns(), 0});
  return entry;
}

void Tracer::end_profiling(Entry entry) {
  const int64_t end = now_ns();
  --depth_;
  if (static_cast<size_t>(entry.event_id) < events_.size()) events_[static_cast<size_t>(entry.event_id)].end_ns = end;
}

Tracer::Entry Tracer::start_profiling_delegate(const char* name, Delegate) {
  return start_profiling(name != nullptr ? name : "delegate", chain_id_, debug_handle_);
}

void Tracer::end_profiling_delegate(Entry entry, const void*, size_t) { end_profiling(entry); }

// Delegates that report after the fact use a clock of their own, whose ticks cannot be ordered with the rest.
void Tracer::log_profiling_delegate(const char*, Delegate, et_timestamp_t, et_timestamp_t, const void*, size_t) {}

void Tracer::track_allocation(executorch::runtime::AllocatorID, size_t) {}

executorch::runtime::AllocatorID Tracer::track_allocator(const char*) { return 0; }

// Values are recorded in call(), where the inputs are known too.
Tracer::Logged Tracer::log_evalue(const EValue&, executorch::runtime::LoggedEValueType) { return true; }

Tracer::Logged Tracer::log_intermediate_output_delegate(const char*, Delegate, const Tensor&) { return true; }
Tracer::Logged Tracer::log_intermediate_output_delegate(const char*, Delegate, executorch::runtime::ArrayRef<Tensor>) {
  return true;
}
Tracer::Logged Tracer::log_intermediate_output_delegate(const char*, Delegate, const int&) { return true; }
Tracer::Logged Tracer::log_intermediate_output_delegate(const char*, Delegate, const bool&) { return true; }
Tracer::Logged Tracer::log_intermediate_output_delegate(const char*, Delegate, const double&) { return true; }

void Tracer::set_delegation_intermediate_output_filter(executorch::runtime::EventTracerFilterBase*) {}

}  // namespace bittern
