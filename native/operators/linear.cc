// linear, linear_packed, linear_float_packed, linear_threshold:
//     (Tensor x, Tensor weight, int in_features, int out_features, ...) as operators/epilogue.h goes on
//
// A row of features is a pixel of a convolution with one tap.
#include <cinttypes>

#include "kernels/conv2d/conv2d.h"
#include "operators/call.h"
#include "operators/conv2d_run.h"
#include "operators/epilogue.h"
#include "operators/kernel_flags.h"
#include "operators/operators.h"

namespace bittern {
namespace {

constexpr int64_t kMostBits = 1 << 24;  // float(dot) is exact

template <Form kForm>
void run(KernelRuntimeContext& context, Span<EValue*> stack, const OperatorInfo& info) {
  Call call(context, stack, info);
  const uint32_t flags = kernel_flags(call);
  const Tensor* x = call.tensor("x", ScalarType::Int);
  const Tensor* weight = call.tensor("weight", ScalarType::Int);
  const int64_t in_features = call.integer("in_features", 1, kMostBits), out_features = call.integer("out_features", 1);
  if (!call.ok()) return;

  ResultShape shape = {{}, static_cast<size_t>(x->dim()), false, out_features};
  const int64_t words = (in_features + 31) / 32, blocks = (out_features + 15) / 16;
  if (!call.require(x->dim() >= 1 && shape.rank <= 16, "x must have 1 to 16 dimensions, has %zd", x->dim())) return;
  call.require(x->size(x->dim() - 1) == words,
               "the last dimension of x must be ceil(in_features / 32) = %" PRId64 ", is %zd", words,
               x->size(x->dim() - 1));
  call.require(is_contiguous(*x), "x must be contiguous in memory");
  check_packed_weight(call, *weight, blocks, words);
  for (ssize_t d = 0; d < x->dim(); ++d) shape.sizes[d] = x->size(d);
  shape.sizes[shape.rank - 1] = out_features;
  Conv2dArgs args{};
  read_epilogue(call, kForm, shape, &args);
  if (!call.ok()) return;

  const int64_t rows = x->numel() / words, run_offset = 0;
  args.input = reinterpret_cast<const uint32_t*>(x->const_data_ptr<int32_t>());
  args.pixel_stride = words;
  args.out_height = 1;
  args.out_width = rows;
  args.run_offsets = &run_offset;
  args.runs = 1;
  args.run_words = words;
  args.weight = reinterpret_cast<const uint32_t*>(weight->const_data_ptr<int32_t>());
  args.filters = out_features;
  args.valid_bits = static_cast<int32_t>(in_features);
  Conv2dWork work{};
  work.args = args;
  work.sets = 1;
  work.set_input = &run_offset;
  work.pixels = rows;
  work.input_words = rows * words;
  work.pixel_words = words;
  work.implementation = &get_conv2d(flags);
  run_conv2d_work(call, flags, work);
}

}  // namespace

void linear(KernelRuntimeContext& context, Span<EValue*> stack) { run<Form::kFloat>(context, stack, linear_info); }

void linear_packed(KernelRuntimeContext& context, Span<EValue*> stack) {
  run<Form::kPacked>(context, stack, linear_packed_info);
}

void linear_float_packed(KernelRuntimeContext& context, Span<EValue*> stack) {
  run<Form::kFloatPacked>(context, stack, linear_float_packed_info);
}

void linear_threshold(KernelRuntimeContext& context, Span<EValue*> stack) {
  run<Form::kThreshold>(context, stack, linear_threshold_info);
}

}  // namespace bittern
