// A whole ExecuTorch program, timed call by call without Python in between: what benchmarks/ measures. Inputs of any
// type and number, filled with random bits or values in [-1, 1).
#include <executorch/extension/data_loader/buffer_data_loader.h>
#include <executorch/extension/module/module.h>
#include <executorch/extension/tensor/tensor_ptr.h>
#include <nanobind/nanobind.h>
#include <nanobind/stl/vector.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "runtime/log.h"
#include "runtime/planned_memory.h"
#include "runtime/thread_pool.h"
#include "tests/bindings.h"

namespace nb = nanobind;

namespace bittern {
namespace {

using executorch::aten::ScalarType;
using executorch::extension::Module;

long preemptions() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_nivcsw;
}

class Program {
 public:
  Program(const nb::bytes& program, int threads) : threads_(threads) {
    constexpr size_t kPage = 4096;  // segments of a program are aligned relative to its start
    const size_t size = program.size();
    program_.reset(std::aligned_alloc(kPage, (size + kPage - 1) / kPage * kPage));
    std::memcpy(program_.get(), program.c_str(), size);
    const ThreadPoolUse use(threads_);
    const LogCapture log;
    module_ = std::make_unique<Module>(std::make_unique<executorch::extension::BufferDataLoader>(program_.get(), size));
    const auto meta = module_->method_meta("forward");
    log.check(meta.error(), "the program has no method 'forward'");
    memory_ = std::make_unique<PlannedMemory>(*meta);
    log.check(module_->load_forward(memory_->allocator()), "ExecuTorch cannot load the program");
    for (size_t i = 0; i < meta->num_inputs(); ++i) add_input(*meta->input_tensor_meta(i));
  }

  // Seconds of every call, for at least `seconds` and `calls` calls. Calls in which the system gave the core to
  // somebody else are left out, and repeated for up to five times as long, as long calls would suffer from them more
  // than short ones.
  std::vector<double> times(double seconds, int calls) {
    using Clock = std::chrono::steady_clock;
    const auto since = [](Clock::time_point start) {
      return std::chrono::duration<double>(Clock::now() - start).count();
    };
    const nb::gil_scoped_release release;
    const ThreadPoolUse use(threads_);
    const LogCapture log;
    std::vector<double> all, undisturbed;
    const auto begin = Clock::now();
    const auto enough = [&](const std::vector<double>& times) { return static_cast<int>(times.size()) >= calls; };
    while (since(begin) < seconds || !enough(all) || (!enough(undisturbed) && since(begin) < 5 * seconds)) {
      const long switches = preemptions();
      const auto start = Clock::now();
      log.check(module_->execute("forward", inputs_).error(), "the program fails");
      all.push_back(since(start));
      if (preemptions() == switches) undisturbed.push_back(all.back());
    }
    return undisturbed.empty() ? all : undisturbed;
  }

 private:
  struct Free {
    void operator()(void* p) const { std::free(p); }
  };
  using Memory = std::unique_ptr<void, Free>;

  void add_input(const executorch::runtime::TensorInfo& info) {
    const size_t bytes = info.nbytes();
    buffers_.emplace_back(std::aligned_alloc(64, (bytes + 63) / 64 * 64));
    std::mt19937 random(0);
    for (size_t i = 0; i < bytes / 4; ++i) {
      const auto word = static_cast<uint32_t>(random());
      const float value = static_cast<float>(word) * 0x1p-31f - 1.0f;
      auto* to = static_cast<uint8_t*>(buffers_.back().get()) + i * 4;
      std::memcpy(to, info.scalar_type() == ScalarType::Float ? static_cast<const void*>(&value) : &word, 4);
    }
    tensors_.push_back(executorch::extension::make_tensor_ptr(
        std::vector<executorch::aten::SizesType>(info.sizes().begin(), info.sizes().end()), buffers_.back().get(),
        std::vector<executorch::aten::DimOrderType>(info.dim_order().begin(), info.dim_order().end()), {},
        info.scalar_type()));
    inputs_.emplace_back(*tensors_.back());
  }

  int threads_;
  Memory program_;
  std::unique_ptr<PlannedMemory> memory_;
  std::unique_ptr<Module> module_;
  std::vector<Memory> buffers_;
  std::vector<executorch::extension::TensorPtr> tensors_;
  std::vector<executorch::runtime::EValue> inputs_;
};

}  // namespace

void bind_programs(nb::module_& m) {
  nb::class_<Program>(m, "Program")
      .def(nb::init<const nb::bytes&, int>(), nb::arg("program"), nb::arg("threads"))
      .def("times", &Program::times, nb::arg("seconds"), nb::arg("calls"));
}

}  // namespace bittern
