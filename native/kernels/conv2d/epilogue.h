// What happens to a dot product before it leaves the registers.
//
//     v = dot
//     v = min(max(v, dot_min), dot_max)
//     v = v * mul[o] + add[o]                             (rounded after the product and after the sum)
//     v = min(max(v, act_min), act_max)
//     v = v > 0 ? v : v * act_slope[o]
//     v = v + residual[pixel, o]
//     v = v + shift_in[o];  v = v > 0 ? v : v * shift_slope[o];  v = v + shift_out[o]
//     values[pixel, o] = v,   bit[pixel, o] = v < threshold[o]
//
// Every step is float32, optional, and rounded by itself, so that all implementations agree in every bit. A NaN in v
// stays and gives bit 0. Pointers are null where a step is absent; bounds are -inf and +inf.
//
// `bit_threshold` replaces all of it by bit[pixel, o] = dot < bit_threshold[o] in integers.
#pragma once

#include <cstdint>
#include <limits>

namespace bittern {

struct Epilogue {
  static constexpr float kInf = std::numeric_limits<float>::infinity();

  float dot_min = -kInf, dot_max = kInf;
  const float* mul = nullptr;  // [filters], as all that follow but residual
  const float* add = nullptr;
  float act_min = -kInf, act_max = kInf;
  const float* act_slope = nullptr;
  const float* residual = nullptr;  // [pixels, channels], at the first filter
  const float* shift_in = nullptr;
  const float* shift_slope = nullptr;
  const float* shift_out = nullptr;
  const float* threshold = nullptr;  // null: 0
  const int32_t* bit_threshold = nullptr;
};

}  // namespace bittern
