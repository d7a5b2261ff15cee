// How many threads an engine runs on. ExecuTorch has one thread pool per process.
#pragma once

#include <executorch/extension/threadpool/threadpool_guard.h>

#include <cstdint>
#include <mutex>
#include <optional>

namespace bittern {

// While one exists, ExecuTorch calls of this thread use `threads` threads.
//
// One thread: the pool is not used, and engines may run in several Python threads at once. More: the pool is resized if
// needed, which ExecuTorch does by replacing it, and engines wait for one another. XNNPACK keeps a pointer to the pool
// that a program was loaded with, so a program must be loaded again when generation() has changed.
class ThreadPoolUse {
 public:
  explicit ThreadPoolUse(int threads);

  // The number of pools so far; 0 on one thread.
  uint64_t generation() const { return generation_; }

 private:
  std::optional<executorch::extension::threadpool::NoThreadPoolGuard> without_pool_;
  std::unique_lock<std::mutex> turn_;
  uint64_t generation_ = 0;
};

}  // namespace bittern
