// One loaded program: a method that takes tensors and returns tensors.
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

// An input or output of the method. With a dynamic batch, sizes[0] is the largest one.
struct TensorSpec {
  std::vector<int32_t> sizes;
  std::vector<uint8_t> dim_order;  // dimensions from the outermost in memory to the innermost
  int8_t type;                     // executorch::aten::ScalarType
};

// The values of an input, in the memory order of its TensorSpec; its first size is `rows`, if it has one.
struct InputData {
  const void* data;
  int32_t rows;
};

// The name that Python gives to a type of inputs and outputs; empty for one that the engine does not take.
std::string dtype_name(int8_t type);

class Engine {
 public:
  // Copies the program, whose integrity the caller has checked: ExecuTorch's loader trusts it. Throws EngineError.
  Engine(const void* program, size_t size, int threads);

  const std::vector<TensorSpec>& inputs() const { return inputs_; }
  const std::vector<TensorSpec>& outputs() const { return outputs_; }
  // Result of the constant method `name`, or none if the program lacks it.
  std::optional<std::string> constant_string(const std::string& name);
  // Backends that the program delegates to, in order of appearance.
  const std::vector<std::string>& backends() const { return backends_; }

  // `inputs`: one for each of inputs(), with no more rows than its first size, and exactly that many if the program's
  // batch is fixed. Calls from several threads wait for one another. Throws EngineError.
  std::vector<TensorCopy> run(const std::vector<InputData>& inputs);
  // Intervals of every event of one run, on a copy of the method that recording slows down.
  std::vector<TimedEvent> profile(const std::vector<InputData>& inputs);
  // The Bittern operators called in one run, with copies of their inputs and outputs.
  std::vector<TracedCall> trace(const std::vector<InputData>& inputs);

 private:
  using Module = executorch::extension::Module;

  void load();
  void describe();
  void load_traced();
  void use_pool(uint64_t generation);
  std::vector<TensorCopy> execute(Module& module, const std::vector<InputData>& inputs);
  void execute_traced(const std::vector<InputData>& inputs, bool keep_values);

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
  std::vector<TensorSpec> inputs_, outputs_;
  std::vector<std::string> backends_;
};

}  // namespace bittern
