#pragma once

#include <chrono>
#include <cstdint>

namespace bittern {

template <class Call>
int64_t nanoseconds(const Call& call) {
  const auto start = std::chrono::steady_clock::now();
  call();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start).count();
}

// The shortest of `repeats` calls in nanoseconds.
template <class Call>
int64_t shortest(int repeats, const Call& call) {
  int64_t best = INT64_MAX;
  for (int i = 0; i < repeats; ++i) {
    const int64_t elapsed = nanoseconds(call);
    if (elapsed < best) best = elapsed;
  }
  return best;
}

}  // namespace bittern
