// linear_weight_only, linear_weight_only_packed, linear_weight_only_float_packed: arguments as of linear
// (operators/linear.cc), but float rows x.
//
// A row of features is a pixel of a convolution with one tap.
#include <cinttypes>

#include "operators/call.h"
#include "operators/epilogue.h"
#include "operators/kernel_flags.h"
#include "operators/operators.h"
#include "operators/weight_only_run.h"

namespace bittern {
namespace {

constexpr int64_t kMostBits = 1 << 24;

template <Form kForm>
void run(KernelRuntimeContext& context, Span<EValue*> stack, const OperatorInfo& info) {
  Call call(context, stack, info);
  const uint32_t flags = kernel_flags(call);
  const Tensor* x = call.tensor("x", ScalarType::Float);
  const Tensor* weight = call.tensor("weight", ScalarType::Int);
  const int64_t in_features = call.integer("in_features", 1, kMostBits), out_features = call.integer("out_features", 1);
  if (!call.ok()) return;

  ResultShape shape = {{}, static_cast<size_t>(x->dim()), false, out_features};
  const int64_t words = (in_features + 31) / 32, blocks = (out_features + 15) / 16;
  if (!call.require(x->dim() >= 1 && shape.rank <= 16, "x must have 1 to 16 dimensions, has %zd", x->dim())) return;
  call.require(x->size(x->dim() - 1) == in_features,
               "the last dimension of x must be in_features = %" PRId64 ", is %zd", in_features, x->size(x->dim() - 1));
  call.require(is_contiguous(*x), "x must be contiguous in memory");
  check_packed_weight(call, *weight, blocks, words);
  for (ssize_t d = 0; d < x->dim(); ++d) shape.sizes[d] = x->size(d);
  shape.sizes[shape.rank - 1] = out_features;
  Conv2dWeightOnlyArgs args{};
  read_epilogue(call, kForm, shape, &args.conv);
  if (!call.ok()) return;

  const int64_t rows = x->numel() / in_features, run_offset = 0;
  args.tap_channels = in_features;
  args.conv.input = reinterpret_cast<const uint32_t*>(x->const_data_ptr<float>());
  args.conv.pixel_stride = in_features;
  args.conv.out_height = 1;
  args.conv.out_width = rows;
  args.conv.run_offsets = &run_offset;
  args.conv.runs = 1;
  args.conv.run_words = in_features;
  args.conv.weight = reinterpret_cast<const uint32_t*>(weight->const_data_ptr<int32_t>());
  args.conv.filters = out_features;
  run_weight_only(call, flags, args, rows);
}

}  // namespace

void linear_weight_only(KernelRuntimeContext& context, Span<EValue*> stack) {
  run<Form::kFloat>(context, stack, linear_weight_only_info);
}

void linear_weight_only_packed(KernelRuntimeContext& context, Span<EValue*> stack) {
  run<Form::kPacked>(context, stack, linear_weight_only_packed_info);
}

void linear_weight_only_float_packed(KernelRuntimeContext& context, Span<EValue*> stack) {
  run<Form::kFloatPacked>(context, stack, linear_weight_only_float_packed_info);
}

}  // namespace bittern
