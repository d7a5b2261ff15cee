// Scratch memory for operators in blocks of exactly the size asked for, so that AddressSanitizer sees the first byte
// past one.
#pragma once

#include <executorch/runtime/core/memory_allocator.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

namespace bittern {

class ExactScratch : public executorch::runtime::MemoryAllocator {
 public:
  // Gives out `limit` bytes and then nothing.
  explicit ExactScratch(size_t limit = SIZE_MAX) : MemoryAllocator(0, nullptr), left_(limit) {}
  ~ExactScratch() override { reset(); }
  ExactScratch(const ExactScratch&) = delete;
  ExactScratch& operator=(const ExactScratch&) = delete;

  void* allocate(size_t size, size_t alignment = kDefaultAlignment) override {
    void* block = nullptr;
    if (size > left_ || posix_memalign(&block, alignment, size) != 0) return nullptr;
    left_ -= size;
    blocks_.push_back(block);
    return block;
  }
  void reset() override {
    for (void* block : blocks_) std::free(block);
    blocks_.clear();
  }

 private:
  size_t left_;
  std::vector<void*> blocks_;
};

}  // namespace bittern
