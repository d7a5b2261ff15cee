// Memory of exactly the size that a kernel may touch, on the heap, so that AddressSanitizer sees the first byte past
// it.
#pragma once

#include <nanobind/ndarray.h>

#include <cstring>
#include <memory>
#include <vector>

namespace bittern {

template <class T>
using Array = nanobind::ndarray<const T, nanobind::c_contig, nanobind::device::cpu>;

template <class T>
class Buffer {
 public:
  explicit Buffer(const Array<T>& array) : size_(array.size()), data_(new T[size_]) {
    std::memcpy(data_.get(), array.data(), size_ * sizeof(T));
  }
  T* data() const { return data_.get(); }
  size_t size() const { return size_; }

  // The buffer as a flat numpy array that owns it.
  nanobind::object to_numpy() {
    T* data = data_.release();
    nanobind::capsule owner(data, [](void* p) noexcept { delete[] static_cast<T*>(p); });
    return nanobind::cast(nanobind::ndarray<nanobind::numpy, T>(data, {size_}, owner));
  }

 private:
  size_t size_;
  std::unique_ptr<T[]> data_;
};

}  // namespace bittern
