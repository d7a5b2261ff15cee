#include "runtime/engine.h"

#include <executorch/extension/data_loader/buffer_data_loader.h>
#include <executorch/extension/tensor/tensor_ptr.h>

#include <cstring>
#include <utility>

#include "runtime/error.h"
#include "runtime/log.h"
#include "runtime/thread_pool.h"

namespace bittern {
namespace {

using executorch::aten::ScalarType;
using executorch::extension::BufferDataLoader;
using executorch::extension::TensorPtr;
using executorch::runtime::EValue;
using executorch::runtime::Program;
using executorch::runtime::Result;
using executorch::runtime::TensorInfo;

constexpr char kMethod[] = "forward";

TensorSpec spec_of(const LogCapture& log, const Result<TensorInfo>& info, const std::string& which) {
  log.check(info.error(), "the program's " + which + " is not a tensor");
  if (dtype_name(static_cast<int8_t>(info->scalar_type())).empty()) {
    log.fail("the program's " + which + " is of a type that the engine does not take");
  }
  return {{info->sizes().begin(), info->sizes().end()},
          {info->dim_order().begin(), info->dim_order().end()},
          static_cast<int8_t>(info->scalar_type())};
}

}  // namespace

std::string dtype_name(int8_t type) {
  switch (static_cast<ScalarType>(type)) {
    case ScalarType::Float:
      return "float32";
    case ScalarType::Long:
      return "int64";
    case ScalarType::Int:
      return "int32";
    case ScalarType::Byte:
      return "uint8";
    case ScalarType::Bool:
      return "bool";
    default:
      return "";
  }
}

Engine::Engine(const void* program, size_t size, int threads) : size_(size), threads_(threads) {
  constexpr size_t kPage = 4096;  // segments of a program are aligned relative to its start
  program_.reset(static_cast<uint8_t*>(std::aligned_alloc(kPage, (size + kPage - 1) / kPage * kPage)));
  if (program_ == nullptr) throw std::bad_alloc();
  std::memcpy(program_.get(), program, size);
  const ThreadPoolUse use(threads_);
  generation_ = use.generation();
  load();
  describe();
}

void Engine::load() {
  const LogCapture log;
  module_ = std::make_unique<Module>(std::make_unique<BufferDataLoader>(program_.get(), size_));
  log.check(module_->load(Program::Verification::InternalConsistency), "ExecuTorch cannot read the program");
  const auto meta = module_->method_meta(kMethod);
  log.check(meta.error(), "the program has no method 'forward'");
  memory_ = std::make_unique<PlannedMemory>(*meta);
  log.check(module_->load_forward(memory_->allocator()), "ExecuTorch cannot load the program");
}

void Engine::describe() {
  const LogCapture log;
  const auto meta = module_->method_meta(kMethod);
  log.check(meta.error(), "the program has no method 'forward'");
  for (size_t i = 0; i < meta->num_inputs(); ++i) {
    inputs_.push_back(spec_of(log, meta->input_tensor_meta(i), "input " + std::to_string(i)));
  }
  for (size_t i = 0; i < meta->num_outputs(); ++i) {
    outputs_.push_back(spec_of(log, meta->output_tensor_meta(i), "output " + std::to_string(i)));
  }
  for (size_t i = 0; i < meta->num_backends(); ++i) {
    const auto name = meta->get_backend_name(i);
    log.check(name.error(), "the program names no backend " + std::to_string(i));
    backends_.emplace_back(*name);
  }
}

void Engine::load_traced() {
  const LogCapture log;
  auto tracer = std::make_unique<Tracer>();
  tracer_ = tracer.get();
  traced_ = std::make_unique<Module>(module_->program(), nullptr, nullptr, std::move(tracer));
  log.check(traced_->load_method(kMethod, memory_->allocator(), nullptr, nullptr, traced_kernels()),
            "ExecuTorch cannot load the program");
}

void Engine::use_pool(uint64_t generation) {
  if (generation == generation_) return;
  traced_.reset();
  load();
  generation_ = generation;
}

std::optional<std::string> Engine::constant_string(const std::string& name) {
  const std::lock_guard lock(busy_);
  const LogCapture log;
  const auto names = module_->method_names();
  log.check(names.error(), "ExecuTorch cannot list the program's methods");
  if (names->count(name) == 0) return std::nullopt;
  const auto result = module_->execute(name);
  log.check(result.error(), "the method '" + name + "' fails");
  if (result->size() != 1 || !(*result)[0].isString()) log.fail("the method '" + name + "' does not return a string");
  return std::string((*result)[0].toString());
}

std::vector<TensorCopy> Engine::execute(Module& module, const std::vector<InputData>& inputs) {
  const LogCapture log;
  std::vector<TensorPtr> tensors;
  std::vector<EValue> values;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const TensorSpec& spec = inputs_[i];
    std::vector<executorch::aten::SizesType> sizes(spec.sizes.begin(), spec.sizes.end());
    if (!sizes.empty()) sizes[0] = inputs[i].rows;
    // ExecuTorch reads inputs only; its tensors have no const form.
    tensors.push_back(executorch::extension::make_tensor_ptr(
        std::move(sizes), const_cast<void*>(inputs[i].data),
        std::vector<executorch::aten::DimOrderType>(spec.dim_order.begin(), spec.dim_order.end()), {},
        static_cast<ScalarType>(spec.type)));
    values.emplace_back(*tensors.back());
  }
  const auto results = module.execute(kMethod, values);
  log.check(results.error(), "the program fails");
  if (results->size() != outputs_.size()) log.fail("the program returns another number of values than it says");
  std::vector<TensorCopy> copies;
  for (const EValue& result : *results) {
    if (!result.isTensor()) log.fail("the program returns something else than tensors");
    copies.push_back(copy_tensor(result.toTensor()));
  }
  return copies;
}

std::vector<TensorCopy> Engine::run(const std::vector<InputData>& inputs) {
  const std::lock_guard lock(busy_);
  const ThreadPoolUse use(threads_);
  use_pool(use.generation());
  return execute(*module_, inputs);
}

void Engine::execute_traced(const std::vector<InputData>& inputs, bool keep_values) {
  const ThreadPoolUse use(threads_);
  use_pool(use.generation());
  if (traced_ == nullptr) load_traced();
  tracer_->take_events();
  tracer_->take_calls();
  tracer_->set_keep_values(keep_values);
  execute(*traced_, inputs);
}

std::vector<TimedEvent> Engine::profile(const std::vector<InputData>& inputs) {
  const std::lock_guard lock(busy_);
  execute_traced(inputs, false);
  return tracer_->take_events();
}

std::vector<TracedCall> Engine::trace(const std::vector<InputData>& inputs) {
  const std::lock_guard lock(busy_);
  execute_traced(inputs, true);
  return tracer_->take_calls();
}

}  // namespace bittern
