// A call of an operator as plain values, decoded from bytes: a valid call of small size, and up to four changes
// (change.h) that no exporter would make.
#pragma once

#include <executorch/runtime/core/exec_aten/exec_aten.h>

#include <cstddef>
#include <cstdint>
#include <variant>
#include <vector>

namespace bittern::fuzz {

using executorch::aten::ScalarType;
using executorch::aten::TensorShapeDynamism;

struct None {};
struct Missing {};  // no value at all: a null pointer on the stack

struct List {
  std::vector<int64_t> items;
  bool holds_a_float = false;  // in place of its first item
};

struct TensorValue {
  ScalarType type = ScalarType::Int;
  std::vector<int32_t> sizes;
  std::vector<uint8_t> order;  // of dimensions in memory
  std::vector<uint8_t> bytes;
  std::vector<int32_t> strides;  // those of `order` if empty
  TensorShapeDynamism dynamism = TensorShapeDynamism::STATIC;
  bool has_data = true;

  int64_t elements() const;
};

using Value = std::variant<None, Missing, bool, int64_t, double, List, TensorValue>;

struct CallValues {
  const char* name;
  std::vector<Value> values;
  size_t inputs;
  uint32_t threads;   // bit i: the i-th run is on two threads
  bool valid = true;  // nothing has been changed
  // Unused bits of packed operands are 0, as the operators ask: all instruction sets must give the same result.
  bool comparable = true;
};

CallValues decode(const uint8_t* data, size_t size);

}  // namespace bittern::fuzz
