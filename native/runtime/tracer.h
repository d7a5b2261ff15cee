// What happens during a run: when each node starts and ends, and the inputs and outputs of each Bittern operator.
#pragma once

#include <executorch/runtime/core/event_tracer.h>
#include <executorch/runtime/kernel/operator_registry.h>

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "operators/operators.h"

namespace bittern {

// One interval. Intervals nest: an instruction of the program (OPERATOR_CALL, DELEGATE_CALL) holds the kernel's own.
struct TimedEvent {
  std::string name;
  int32_t chain;         // -1 outside instructions
  uint32_t instruction;  // index within the chain
  int32_t depth;
  int64_t start_ns, end_ns;
};

struct TensorCopy {
  int8_t type;                          // executorch::aten::ScalarType
  std::vector<int64_t> sizes, strides;  // in elements
  std::vector<uint8_t> bytes;
};

using TracedValue = std::variant<std::monostate, bool, int64_t, double, std::vector<int64_t>, TensorCopy>;

struct TracedCall {
  const char* name;
  std::vector<TracedValue> inputs, outputs;
};

TensorCopy copy_tensor(const executorch::aten::Tensor& tensor);

// Collects events and calls until take_*().
class Tracer final : public executorch::runtime::EventTracer {
 public:
  std::vector<TimedEvent> take_events() { return std::move(events_); }
  std::vector<TracedCall> take_calls() { return std::move(calls_); }
  void set_keep_values(bool keep) { keep_values_ = keep; }

  // Runs `kernel` on `values`, recording them if values are kept.
  void call(const executorch::runtime::Kernel& kernel, const OperatorInfo& info,
            executorch::runtime::KernelRuntimeContext& context,
            executorch::runtime::Span<executorch::runtime::EValue*> values);

  using Entry = executorch::runtime::EventTracerEntry;
  using Delegate = executorch::runtime::DelegateDebugIntId;
  using Logged = executorch::runtime::Result<bool>;
  void create_event_block(const char* name) override;
  Entry start_profiling(const char* name, executorch::runtime::ChainID chain,
                        executorch::runtime::DebugHandle handle) override;
  void end_profiling(Entry entry) override;
  Entry start_profiling_delegate(const char* name, Delegate index) override;
  void end_profiling_delegate(Entry entry, const void* metadata, size_t size) override;
  void log_profiling_delegate(const char* name, Delegate index, et_timestamp_t start, et_timestamp_t end,
                              const void* metadata, size_t size) override;
  void track_allocation(executorch::runtime::AllocatorID id, size_t size) override;
  executorch::runtime::AllocatorID track_allocator(const char* name) override;
  Logged log_evalue(const executorch::runtime::EValue& value, executorch::runtime::LoggedEValueType type) override;
  Logged log_intermediate_output_delegate(const char*, Delegate, const executorch::aten::Tensor&) override;
  Logged log_intermediate_output_delegate(const char*, Delegate,
                                          executorch::runtime::ArrayRef<executorch::aten::Tensor>) override;
  Logged log_intermediate_output_delegate(const char*, Delegate, const int&) override;
  Logged log_intermediate_output_delegate(const char*, Delegate, const bool&) override;
  Logged log_intermediate_output_delegate(const char*, Delegate, const double&) override;
  void set_delegation_intermediate_output_filter(executorch::runtime::EventTracerFilterBase* filter) override;

 private:
  std::vector<TimedEvent> events_;
  std::vector<TracedCall> calls_;
  int32_t depth_ = 0;
  bool keep_values_ = false;
};

// Kernels of all Bittern operators that report to their context's Tracer, for Module::load_method.
std::vector<executorch::runtime::Kernel> traced_kernels();

}  // namespace bittern
