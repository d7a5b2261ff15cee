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
using executorch::runtime::Program;
using executorch::runtime::Result;
using executorch::runtime::TensorInfo;

constexpr char kMethod[] = "forward";

TensorSpec spec_of(const LogCapture& log, const Result<TensorInfo>& info, const std::string& which) {
  log.check(info.error(), "the program's " + which + " is not a tensor");
  if (info->scalar_type() != ScalarType::Float) log.fail("the program's " + which + " is not float32");
  return {{info->sizes().begin(), info->sizes().end()}, {info->dim_order().begin(), info->dim_order().end()}};
}

}  // namespace

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
  if (meta->num_inputs() != 1 || meta->num_outputs() != 1) {
    log.fail("the program takes " + std::to_string(meta->num_inputs()) + " inputs and returns " +
             std::to_string(meta->num_outputs()) + " outputs, an engine needs one of each");
  }
  memory_ = std::make_unique<PlannedMemory>(*meta);
  log.check(module_->load_forward(memory_->allocator()), "ExecuTorch cannot load the program");
}

void Engine::describe() {
  const LogCapture log;
  const auto meta = module_->method_meta(kMethod);
  log.check(meta.error(), "the program has no method 'forward'");
  input_ = spec_of(log, meta->input_tensor_meta(0), "input");
  output_ = spec_of(log, meta->output_tensor_meta(0), "output");
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

TensorCopy Engine::execute(Module& module, const float* input, int32_t images) {
  const LogCapture log;
  std::vector<executorch::aten::SizesType> sizes(input_.sizes.begin(), input_.sizes.end());
  if (!sizes.empty()) sizes[0] = images;
  // ExecuTorch reads inputs only; its tensors have no const form.
  const auto tensor = executorch::extension::make_tensor_ptr(
      std::move(sizes), const_cast<float*>(input),
      std::vector<executorch::aten::DimOrderType>(input_.dim_order.begin(), input_.dim_order.end()), {},
      ScalarType::Float);
  const auto result = module.execute(kMethod, std::vector<executorch::runtime::EValue>{*tensor});
  log.check(result.error(), "the program fails");
  if (result->size() != 1 || !(*result)[0].isTensor()) log.fail("the program does not return one tensor");
  return copy_tensor((*result)[0].toTensor());
}

TensorCopy Engine::run(const float* input, int32_t images) {
  const std::lock_guard lock(busy_);
  const ThreadPoolUse use(threads_);
  use_pool(use.generation());
  return execute(*module_, input, images);
}

TensorCopy Engine::execute_traced(const float* input, int32_t images, bool keep_values) {
  const ThreadPoolUse use(threads_);
  use_pool(use.generation());
  if (traced_ == nullptr) load_traced();
  tracer_->take_events();
  tracer_->take_calls();
  tracer_->set_keep_values(keep_values);
  return execute(*traced_, input, images);
}

std::vector<TimedEvent> Engine::profile(const float* input, int32_t images) {
  const std::lock_guard lock(busy_);
  execute_traced(input, images, false);
  return tracer_->take_events();
}

std::vector<TracedCall> Engine::trace(const float* input, int32_t images) {
  const std::lock_guard lock(busy_);
  execute_traced(input, images, true);
  return tracer_->take_calls();
}

}  // namespace bittern
