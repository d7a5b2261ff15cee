#include "runtime/planned_memory.h"

#include <cstring>
#include <string>

#include "runtime/error.h"

namespace bittern {

PlannedMemory::PlannedMemory(const executorch::runtime::MethodMeta& meta) {
  constexpr size_t kCacheLine = 64;
  for (size_t i = 0; i < meta.num_memory_planned_buffers(); ++i) {
    const auto planned = meta.memory_planned_buffer_size(i);
    const size_t size = planned.ok() && *planned > 0 ? static_cast<size_t>(*planned) : 0;
    // Rounding up must not wrap around: such a size is more than any allocator has.
    const size_t rounded = size <= SIZE_MAX - kCacheLine ? (size + kCacheLine - 1) / kCacheLine * kCacheLine : size;
    uint8_t* buffer = static_cast<uint8_t*>(std::aligned_alloc(kCacheLine, rounded > 0 ? rounded : kCacheLine));
    if (buffer == nullptr) {
      throw EngineError("the program needs " + std::to_string(size) + " bytes of planned memory, more than are free");
    }
    std::memset(buffer, 0, size);
    buffers_.emplace_back(buffer);
    spans_.emplace_back(buffer, size);
  }
  allocator_ = std::make_unique<executorch::runtime::HierarchicalAllocator>(
      executorch::runtime::Span<executorch::runtime::Span<uint8_t>>(spans_.data(), spans_.size()));
}

}  // namespace bittern
