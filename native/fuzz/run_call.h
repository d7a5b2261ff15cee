// Runs decoded calls on any instruction set of this machine, each on memory of its own.
#pragma once

#include <cstdint>
#include <vector>

#include "fuzz/call_values.h"
#include "kernels/arch.h"

namespace bittern::fuzz {

struct Outcome {
  bool ok;
  std::vector<TensorValue> outputs;  // nothing where the call failed
};

Outcome run(const CallValues& call, const Isa& isa, int threads);

// Every size, bit and float; NaN equals NaN.
bool same(const Outcome& a, const Outcome& b);

}  // namespace bittern::fuzz
