// The epilogue's arguments, common to all convolutions and linear layers, and their forms of output.
#pragma once

#include <cstdint>

#include "kernels/conv2d/conv2d.h"
#include "operators/call.h"

namespace bittern {

enum class Form { kFloat, kPacked, kFloatPacked, kThreshold };

// Defines an operator of operators.inc as a call of `run`, of which each form is an instance.
#define BITTERN_OPERATOR_FORM(name, run) \
  void name(KernelRuntimeContext& context, Span<EValue*> stack) { run(context, stack, name##_info); }

// The result as the caller sees it: [rows..., channels] in memory order.
struct ResultShape {
  int64_t sizes[16];  // of the float tensor, in the order of its dimensions
  size_t rank;
  bool channels_first;  // [N, C, H, W] in channels_last memory; else channels are the last dimension
  int64_t channels;
};

// Reads the rest of the call: fills the epilogue and the outputs of `args`, for the first channel.
void read_epilogue(Call& call, Form form, const ResultShape& shape, Conv2dArgs* args);

// `args` of the group that starts at `channel`: everything per channel moved on.
Conv2dArgs at_channel(const Conv2dArgs& args, int64_t channel);

}  // namespace bittern
