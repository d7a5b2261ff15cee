// conv2d_weight_only, conv2d_weight_only_packed, conv2d_weight_only_float_packed: arguments as of conv2d
// (operators/conv2d.cc), but float images x, groups 1 and pad_value 0.
#include <cinttypes>

#include "operators/call.h"
#include "operators/conv2d_input.h"
#include "operators/epilogue.h"
#include "operators/kernel_flags.h"
#include "operators/operators.h"
#include "operators/weight_only_run.h"

namespace bittern {
namespace {

constexpr int64_t kMostBits = 1 << 24;
constexpr int64_t kWordBits = 32;

// `g` is that of an input whose words are the floats: 32 bits for each channel.
bool read_geometry(Call& call, const Tensor** x, const Tensor** weight, Conv2dGeometry* g) {
  *x = call.tensor("x", ScalarType::Float);
  *weight = call.tensor("weight", ScalarType::Int);
  const int64_t in_channels = call.integer("in_channels", 1);
  g->out_channels = call.integer("out_channels", 1);
  const auto kernel = call.integers<2>("kernel_size", 1);
  const auto stride = call.integers<2>("stride", 1);
  const auto padding = call.integers<4>("padding", 0);
  const auto dilation = call.integers<2>("dilation", 1);
  g->groups = call.integer("groups", 1, 1);
  g->pad_value = call.integer("pad_value", 0, 0);
  if (!call.ok()) return false;

  if (!call.require((*x)->dim() == 4, "x must have 4 dimensions, has %zd", (*x)->dim())) return false;
  call.require(is_channels_last(**x), "x must be channels_last in memory");
  call.require((*x)->size(1) == in_channels, "x must have %" PRId64 " channels, has %zd", in_channels, (*x)->size(1));
  g->images = (*x)->size(0);
  g->in_channels = in_channels * kWordBits;
  g->rows = {(*x)->size(2), kernel[0], stride[0], dilation[0], padding[0], padding[1]};
  g->columns = {(*x)->size(3), kernel[1], stride[1], dilation[1], padding[2], padding[3]};
  const int64_t bits = checked_product({in_channels, kernel[0], kernel[1]});
  call.require(0 <= bits && bits <= kMostBits,
               "a filter must have at most 2^24 weights, has %" PRId64 " channels x %" PRId64 " x %" PRId64,
               in_channels, kernel[0], kernel[1]);
  if (!call.ok()) return false;

  const int64_t blocks = (g->out_channels + 15) / 16, words = g->taps() * ((in_channels + 31) / 32);
  check_packed_weight(call, **weight, blocks, words);
  return call.ok() && check_axis(call, g->rows, "height") && check_axis(call, g->columns, "width");
}

template <Form kForm>
void run(KernelRuntimeContext& context, Span<EValue*> stack, const OperatorInfo& info) {
  Call call(context, stack, info);
  const uint32_t flags = kernel_flags(call);
  const Tensor *x, *weight;
  Conv2dGeometry g;
  if (!read_geometry(call, &x, &weight, &g)) return;
  Conv2dWeightOnlyArgs args{};
  const ResultShape shape = {
      {g.images, g.out_channels, g.rows.outputs(), g.columns.outputs()}, 4, true, g.out_channels};
  read_epilogue(call, kForm, shape, &args.conv);
  if (!call.ok()) return;

  args.tap_channels = g.in_words();
  set_conv2d_input(call, g, reinterpret_cast<const uint32_t*>(x->const_data_ptr<float>()), &args.conv);
  args.conv.weight = reinterpret_cast<const uint32_t*>(weight->const_data_ptr<int32_t>());
  args.conv.filters = g.out_channels;
  run_weight_only(call, flags, args, g.pixels());
}

}  // namespace

void conv2d_weight_only(KernelRuntimeContext& context, Span<EValue*> stack) {
  run<Form::kFloat>(context, stack, conv2d_weight_only_info);
}

void conv2d_weight_only_packed(KernelRuntimeContext& context, Span<EValue*> stack) {
  run<Form::kPacked>(context, stack, conv2d_weight_only_packed_info);
}

void conv2d_weight_only_float_packed(KernelRuntimeContext& context, Span<EValue*> stack) {
  run<Form::kFloatPacked>(context, stack, conv2d_weight_only_float_packed_info);
}

}  // namespace bittern
