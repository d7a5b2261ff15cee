// Arguments of kernels from a Python dictionary.
#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>
#include <optional>

#include "tests/buffer.h"

namespace bittern {

// A buffer, or nothing where the dictionary has no such key or None.
template <class T>
class Optional {
 public:
  Optional(const nanobind::dict& from, const char* key) {
    if (from.contains(key) && !from[key].is_none()) buffer_.emplace(nanobind::cast<Array<T>>(from[key]));
  }
  T* data() const { return buffer_ ? buffer_->data() : nullptr; }
  nanobind::object to_numpy() { return buffer_ ? buffer_->to_numpy() : nanobind::none(); }

 private:
  std::optional<Buffer<T>> buffer_;
};

// `missing` where the dictionary has no such key.
template <class T>
T number(const nanobind::dict& from, const char* key, T missing) {
  return from.contains(key) ? nanobind::cast<T>(from[key]) : missing;
}

}  // namespace bittern
