// One loaded program: a method of one float32 tensor that returns one float32 tensor.
#pragma once

#include <executorch/extension/module/module.h>
#include <executorch/runtime/core/data_loader.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "runtime/planned_memory.h"
#include "runtime/tracer.h"

namespace bittern {

struct TensorSpec {
  std::vector<int32_t> sizes;
  std::vector<uint8_t> dim_order;  // dimensions from the outermost in memory to the innermost
};

class Engine {
 public:
  // Copies the program, whose integrity the caller has checked: ExecuTorch's loader trusts it. Throws EngineError.
  Engine(const void* program, size_t size, int threads);

  const TensorSpec& input() const { return input_; }
  const TensorSpec& output() const { return output_; }
  // Result of the constant method `name`, or none if the program lacks it.
  std::optional<std::string> constant_string(const std::string& name);
  // Backends that the program delegates to, in order of appearance.
  const std::vector<std::string>& backends() const { return backends_; }

  // `input`: `images` images in the memory order of input(), no more than its first dimension, and exactly that many if
  // the program's batch is fixed. Calls from several threads wait for one another. Throws EngineError.
  TensorCopy run(const float* input, int32_t images);
  // Intervals of every event of one run, on a copy of the method that recording slows down.
  std::vector<TimedEvent> profile(const float* input, int32_t images);
  // The Bittern operators called in one run, with copies of their inputs and outputs.
  std::vector<TracedCall> trace(const float* input, int32_t images);

 private:
  using Module = executorch::extension::Module;

  void load();
  void describe();
  void load_traced();
  void use_pool(uint64_t generation);
  TensorCopy execute(Module& module, const float* input, int32_t images);
  TensorCopy execute_traced(const float* input, int32_t images, bool keep_values);

  struct Free {
    void operator()(void* p) const { std::free(p); }
  };
  std::unique_ptr<uint8_t, Free> program_;
  size_t size_;
  int threads_;
  std::mutex busy_;
  uint64_t generation_ = 0;                // of the thread pool that the modules were loaded with
  std::unique_ptr<PlannedMemory> memory_;  // of both modules, only one of which runs at a time
  std::unique_ptr<Module> module_;
  std::unique_ptr<Module> traced_;  // loaded when first asked for
  Tracer* tracer_ = nullptr;        // of traced_
  // Set by the constructor only, and read without a lock.
  TensorSpec input_, output_;
  std::vector<std::string> backends_;
};

}  // namespace bittern
