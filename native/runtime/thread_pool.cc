#include "runtime/thread_pool.h"

#include <executorch/runtime/kernel/thread_parallel_interface.h>

#include <string>

#include "runtime/log.h"

// ExecuTorch 1.5.1 has a public function to read the number of threads, and none to set it: its wheel exports this
// class but not its header, extension/threadpool/threadpool.h. Only a pointer to it is held, so its layout does not
// matter. tests/native/test_thread_pool.py fails if another version is pinned or a symbol is missing.
namespace executorch::extension::threadpool {
class ThreadPool {
 public:
  bool _unsafe_reset_threadpool(uint32_t threads);
};
ThreadPool* get_threadpool();
}  // namespace executorch::extension::threadpool

namespace bittern {
namespace {

std::mutex pool_turn;
uint64_t pool_generation = 1;  // guarded by pool_turn

}  // namespace

ThreadPoolUse::ThreadPoolUse(int threads) {
  if (threads == 1) {
    without_pool_.emplace();
    return;
  }
  const LogCapture log;
  turn_ = std::unique_lock(pool_turn);
  auto* pool = executorch::extension::threadpool::get_threadpool();
  if (pool == nullptr) log.fail("ExecuTorch cannot start its thread pool");
  if (executorch::extension::get_thread_count() != threads) {
    if (!pool->_unsafe_reset_threadpool(static_cast<uint32_t>(threads))) {
      log.fail("ExecuTorch cannot start " + std::to_string(threads) + " threads");
    }
    ++pool_generation;
  }
  generation_ = pool_generation;
}

}  // namespace bittern
