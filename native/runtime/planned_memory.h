// The memory in which a program computes, aligned to cache lines.
//
// ExecuTorch's Module takes it from std::vector, whose contents begin where malloc says: 16 bytes past the start of a
// line, so that every 64-byte vector straddles two.
#pragma once

#include <executorch/runtime/core/hierarchical_allocator.h>
#include <executorch/runtime/executor/method_meta.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

namespace bittern {

class PlannedMemory {
 public:
  // For the method that `meta` describes. Throws EngineError if there is too little memory.
  explicit PlannedMemory(const executorch::runtime::MethodMeta& meta);

  // Must outlive the methods loaded with it, which may share it if they never run at the same time.
  executorch::runtime::HierarchicalAllocator* allocator() { return allocator_.get(); }

 private:
  struct Free {
    void operator()(uint8_t* p) const { std::free(p); }
  };
  std::vector<std::unique_ptr<uint8_t, Free>> buffers_;
  std::vector<executorch::runtime::Span<uint8_t>> spans_;
  std::unique_ptr<executorch::runtime::HierarchicalAllocator> allocator_;
};

}  // namespace bittern
