#include "operators/epilogue.h"

namespace bittern {
namespace {

bool has_result_layout(const Tensor& tensor, const ResultShape& shape) {
  return shape.channels_first ? is_channels_last(tensor) : is_contiguous(tensor);
}

const char* layout_name(const ResultShape& shape) { return shape.channels_first ? "channels_last" : "contiguous"; }

const float* read_residual(Call& call, const ResultShape& shape) {
  const Tensor* residual = call.optional_tensor("residual", ScalarType::Float);
  if (residual == nullptr) return nullptr;
  bool same = residual->dim() == static_cast<ssize_t>(shape.rank);
  for (size_t d = 0; same && d < shape.rank; ++d) same = residual->size(d) == shape.sizes[d];
  call.require(same, "residual must have the shape of the result");
  call.require(same && has_result_layout(*residual, shape), "residual must be %s in memory", layout_name(shape));
  return call.ok() ? residual->const_data_ptr<float>() : nullptr;
}

void read_steps(Call& call, const ResultShape& shape, Epilogue* e) {
  const int64_t channels = shape.channels;
  e->dot_min = call.optional_number("dot_min", -Epilogue::kInf);
  e->dot_max = call.optional_number("dot_max", Epilogue::kInf);
  e->mul = call.optional_channel_floats("mul", channels);
  e->add = call.optional_channel_floats("add", channels);
  e->act_min = call.optional_number("act_min", -Epilogue::kInf);
  e->act_max = call.optional_number("act_max", Epilogue::kInf);
  e->act_slope = call.optional_channel_floats("act_slope", channels);
  e->residual = read_residual(call, shape);
  e->shift_in = call.optional_channel_floats("shift_in", channels);
  e->shift_slope = call.optional_channel_floats("shift_slope", channels);
  e->shift_out = call.optional_channel_floats("shift_out", channels);
}

float* read_float_output(Call& call, const char* name, const ResultShape& shape) {
  Tensor* out = call.output(name, ScalarType::Float, shape.sizes, shape.rank);
  if (!call.ok()) return nullptr;
  call.require(has_result_layout(*out, shape), "%s must be %s in memory", name, layout_name(shape));
  return call.ok() ? out->mutable_data_ptr<float>() : nullptr;
}

uint32_t* read_packed_output(Call& call, const char* name, const ResultShape& shape) {
  int64_t sizes[16];
  for (size_t d = 0; d < shape.rank; ++d) sizes[d] = shape.sizes[d];
  if (shape.channels_first) {
    sizes[1] = shape.sizes[2];
    sizes[2] = shape.sizes[3];
  }
  sizes[shape.rank - 1] = word_count(shape.channels);
  Tensor* out = call.output(name, ScalarType::Int, sizes, shape.rank);
  if (!call.ok() || !call.require(is_contiguous(*out), "%s must be contiguous in memory", name)) return nullptr;
  return reinterpret_cast<uint32_t*>(out->mutable_data_ptr<int32_t>());
}

const int32_t* read_bit_threshold(Call& call, int64_t channels) {
  const Tensor* threshold = call.tensor("threshold", ScalarType::Int);
  if (threshold == nullptr) return nullptr;
  call.require(threshold->dim() == 1 && threshold->size(0) == channels,
               "threshold must be of shape [%zd], has %zd values in %zd dimensions", static_cast<ssize_t>(channels),
               threshold->numel(), threshold->dim());
  return call.ok() ? threshold->const_data_ptr<int32_t>() : nullptr;
}

}  // namespace

void read_epilogue(Call& call, Form form, const ResultShape& shape, Conv2dArgs* args) {
  Epilogue& e = args->epilogue;
  args->channels = shape.channels;
  args->values = nullptr;
  args->bits = nullptr;
  args->first_channel = 0;
  if (form == Form::kThreshold) {
    e.bit_threshold = read_bit_threshold(call, shape.channels);
    args->bits = read_packed_output(call, "out", shape);
    return;
  }
  read_steps(call, shape, &e);
  if (form != Form::kFloat) e.threshold = call.optional_channel_floats("threshold", shape.channels);
  if (form == Form::kFloatPacked) {
    args->values = read_float_output(call, "out0", shape);
    args->bits = read_packed_output(call, "out1", shape);
  } else if (form == Form::kFloat) {
    args->values = read_float_output(call, "out", shape);
  } else {
    args->bits = read_packed_output(call, "out", shape);
  }
}

Conv2dArgs at_channel(const Conv2dArgs& args, int64_t channel) {
  Conv2dArgs moved = args;
  Epilogue& e = moved.epilogue;
  for (const float** operand :
       {&e.mul, &e.add, &e.act_slope, &e.residual, &e.shift_in, &e.shift_slope, &e.shift_out, &e.threshold}) {
    if (*operand != nullptr) *operand += channel;
  }
  if (e.bit_threshold != nullptr) e.bit_threshold += channel;
  if (moved.values != nullptr) moved.values += channel;
  moved.first_channel += channel;
  return moved;
}

}  // namespace bittern
