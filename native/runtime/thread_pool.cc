#include "runtime/thread_pool.h"

#include <cstddef>
#include <string>

#include "runtime/log.h"

// The wheel exports these from libexecutorch_threadpool.so but has no header for them (ExecuTorch 1.5.1,
// extension/threadpool/threadpool.h).
namespace executorch::extension::threadpool {
class ThreadPool {
 public:
  size_t get_thread_count() const;
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
  if (pool->get_thread_count() != static_cast<size_t>(threads)) {
    if (!pool->_unsafe_reset_threadpool(static_cast<uint32_t>(threads))) {
      log.fail("ExecuTorch cannot start " + std::to_string(threads) + " threads");
    }
    ++pool_generation;
  }
  generation_ = pool_generation;
}

}  // namespace bittern
