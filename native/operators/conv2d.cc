// conv2d, conv2d_packed, conv2d_float_packed, conv2d_threshold:
//     (Tensor x, Tensor weight, int in_channels, int out_channels, int[2] kernel_size, int[2] stride, int[4] padding,
//      int[2] dilation, int groups, int pad_value, ...) followed by those of operators/epilogue.h
//
// conv2d_weight_only, conv2d_weight_only_packed, conv2d_weight_only_float_packed: the same with float images x,
// groups 1 and pad_value 0.
#include "kernels/conv2d/conv2d.h"

#include <cinttypes>

#include "operators/call.h"
#include "operators/conv2d_border.h"
#include "operators/conv2d_input.h"
#include "operators/conv2d_run.h"
#include "operators/depthwise.h"
#include "operators/epilogue.h"
#include "operators/kernel_flags.h"
#include "operators/operators.h"
#include "operators/weight_only_run.h"

namespace bittern {
namespace {

struct Conv2dOperator {
  const Tensor *x, *weight;
  Conv2dGeometry geometry;

  ResultShape result() const {
    const Conv2dGeometry& g = geometry;
    return {{g.images, g.out_channels, g.rows.outputs(), g.columns.outputs()}, 4, true, g.out_channels};
  }
};

// x: packed bits [N, H, W, words] or, of type Float, [N, C, H, W] in channels_last memory.
bool read_operands(Call& call, ScalarType type, Conv2dOperator* op) {
  const bool binary = type == ScalarType::Int;
  op->x = call.tensor("x", type);
  op->weight = call.tensor("weight", ScalarType::Int);
  Conv2dGeometry& g = op->geometry;
  g.in_channels = call.integer("in_channels", 1);
  g.out_channels = call.integer("out_channels", 1);
  const auto kernel = call.integers<2>("kernel_size", 1);
  const auto stride = call.integers<2>("stride", 1);
  const auto padding = call.integers<4>("padding", 0);
  const auto dilation = call.integers<2>("dilation", 1);
  g.groups = binary ? call.integer("groups", 1) : call.integer("groups", 1, 1);
  g.pad_value = binary ? call.integer("pad_value", -1, 1) : call.integer("pad_value", 0, 0);
  if (!call.ok()) return false;

  const Tensor& x = *op->x;
  if (!call.require(x.dim() == 4, "x must have 4 dimensions, has %zd", x.dim())) return false;
  const int height = binary ? 1 : 2;  // its dimension; the width comes next
  g.images = x.size(0);
  g.rows = {x.size(height), kernel[0], stride[0], dilation[0], padding[0], padding[1]};
  g.columns = {x.size(height + 1), kernel[1], stride[1], dilation[1], padding[2], padding[3]};
  call.require(g.in_channels % g.groups == 0 && g.out_channels % g.groups == 0,
               "groups must divide in_channels and out_channels, is %" PRId64 " for %" PRId64 " and %" PRId64, g.groups,
               g.in_channels, g.out_channels);
  if (binary) {
    call.require(is_contiguous(x), "x must be contiguous in memory");
    call.require(x.size(3) == g.in_words(),
                 "the last dimension of x must be ceil(in_channels / 32) = %" PRId64 ", is %zd", g.in_words(),
                 x.size(3));
  } else {
    call.require(is_channels_last(x), "x must be channels_last in memory");
    call.require(x.size(1) == g.in_channels, "x must have %" PRId64 " channels, has %zd", g.in_channels, x.size(1));
  }
  const int64_t bits = checked_product({g.group_channels(), kernel[0], kernel[1]});
  call.require(0 <= bits && bits <= kMaxFilterBits,
               "a filter must have at most 2^24 weights, has %" PRId64 " channels x %" PRId64 " x %" PRId64,
               g.group_channels(), kernel[0], kernel[1]);
  if (!call.ok()) return false;

  check_packed_weight(call, *op->weight, g.sets() * g.set_blocks(), g.taps() * g.tap_words());
  return call.ok() && check_axis(call, g.rows, "height") && check_axis(call, g.columns, "width");
}

template <Form kForm>
void run(KernelRuntimeContext& context, Span<EValue*> stack, const OperatorInfo& info) {
  Call call(context, stack, info);
  const uint32_t flags = kernel_flags(call);
  Conv2dOperator op;
  if (!read_operands(call, ScalarType::Int, &op)) return;
  Conv2dArgs args{};
  read_epilogue(call, kForm, op.result(), &args);
  if (!call.ok()) return;

  const Conv2dGeometry& g = op.geometry;
  const Conv2dDirect& kernels = get_conv2d_direct(flags);
  args.weight = reinterpret_cast<const uint32_t*>(op.weight->const_data_ptr<int32_t>());
  args.valid_bits = static_cast<int32_t>(g.taps() * g.group_channels());
  const uint32_t* words = reinterpret_cast<const uint32_t*>(op.x->const_data_ptr<int32_t>());
  Conv2dWork work{};
  work.input_words = set_conv2d_input(call, g, words, &args);
  work.pixel_words = g.in_words();
  work.pixels = g.pixels();
  args.border = make_conv2d_border(call, g, kernels, args.weight);
  if (is_depthwise(g)) {
    args.filters = g.out_channels;
    args.weight = pack_depthwise_weight(call, g, args.weight);
    work.args = args;
    return run_depthwise_work(call, kernels, work);
  }
  args.filters = g.set_filters();
  work.args = args;
  work.sets = g.sets();
  work.masks = make_conv2d_masks(call, g);
  int64_t* set_input = call.scratch_array<int64_t>(g.sets());
  if (!call.ok()) return;
  for (int64_t set = 0; set < g.sets(); ++set) set_input[set] = g.first_word(set);
  work.set_input = set_input;
  run_conv2d_work(call, flags, work);
}

template <Form kForm>
void run_weight_only(KernelRuntimeContext& context, Span<EValue*> stack, const OperatorInfo& info) {
  Call call(context, stack, info);
  const uint32_t flags = kernel_flags(call);
  Conv2dOperator op;
  if (!read_operands(call, ScalarType::Float, &op)) return;
  Conv2dWeightOnlyArgs args{};
  read_epilogue(call, kForm, op.result(), &args.conv);
  if (!call.ok()) return;

  Conv2dGeometry of_floats = op.geometry;  // of an input whose words are the floats
  of_floats.in_channels *= kWordBits;
  args.tap_channels = op.geometry.in_channels;
  set_conv2d_input(call, of_floats, reinterpret_cast<const uint32_t*>(op.x->const_data_ptr<float>()), &args.conv);
  args.conv.weight = reinterpret_cast<const uint32_t*>(op.weight->const_data_ptr<int32_t>());
  args.conv.filters = of_floats.out_channels;
  run_weight_only_work(call, flags, args, of_floats.pixels());
}

}  // namespace

BITTERN_OPERATOR_FORM(conv2d, run<Form::kFloat>)
BITTERN_OPERATOR_FORM(conv2d_packed, run<Form::kPacked>)
BITTERN_OPERATOR_FORM(conv2d_float_packed, run<Form::kFloatPacked>)
BITTERN_OPERATOR_FORM(conv2d_threshold, run<Form::kThreshold>)
BITTERN_OPERATOR_FORM(conv2d_weight_only, run_weight_only<Form::kFloat>)
BITTERN_OPERATOR_FORM(conv2d_weight_only_packed, run_weight_only<Form::kPacked>)
BITTERN_OPERATOR_FORM(conv2d_weight_only_float_packed, run_weight_only<Form::kFloatPacked>)

}  // namespace bittern
