// conv2d, conv2d_packed, conv2d_float_packed, conv2d_threshold:
//     (Tensor x, Tensor weight, int in_channels, int out_channels, int[2] kernel_size, int[2] stride, int[4] padding,
//      int[2] dilation, int groups, int pad_value, ...) as operators/epilogue.h goes on
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

namespace bittern {
namespace {

constexpr int64_t kMostBits = 1 << 24;  // float(dot) is exact

bool read_geometry(Call& call, const Tensor** x, const Tensor** weight, Conv2dGeometry* g) {
  *x = call.tensor("x", ScalarType::Int);
  *weight = call.tensor("weight", ScalarType::Int);
  g->in_channels = call.integer("in_channels", 1);
  g->out_channels = call.integer("out_channels", 1);
  const auto kernel = call.integers<2>("kernel_size", 1);
  const auto stride = call.integers<2>("stride", 1);
  const auto padding = call.integers<4>("padding", 0);
  const auto dilation = call.integers<2>("dilation", 1);
  g->groups = call.integer("groups", 1);
  g->pad_value = call.integer("pad_value", -1, 1);
  if (!call.ok()) return false;

  if (!call.require((*x)->dim() == 4, "x must have 4 dimensions, has %zd", (*x)->dim())) return false;
  call.require(is_contiguous(**x), "x must be contiguous in memory");
  g->images = (*x)->size(0);
  g->rows = {(*x)->size(1), kernel[0], stride[0], dilation[0], padding[0], padding[1]};
  g->columns = {(*x)->size(2), kernel[1], stride[1], dilation[1], padding[2], padding[3]};
  call.require(g->in_channels % g->groups == 0 && g->out_channels % g->groups == 0,
               "groups must divide in_channels and out_channels, is %" PRId64 " for %" PRId64 " and %" PRId64,
               g->groups, g->in_channels, g->out_channels);
  call.require((*x)->size(3) == g->in_words(),
               "the last dimension of x must be ceil(in_channels / 32) = %" PRId64 ", is %zd", g->in_words(),
               (*x)->size(3));
  const int64_t bits = checked_product({g->group_channels(), kernel[0], kernel[1]});
  call.require(0 <= bits && bits <= kMostBits,
               "a filter must have at most 2^24 weights, has %" PRId64 " channels x %" PRId64 " x %" PRId64,
               g->group_channels(), kernel[0], kernel[1]);
  if (!call.ok()) return false;

  const int64_t blocks = g->sets() * g->set_blocks(), words = g->taps() * g->tap_words();
  check_packed_weight(call, **weight, blocks, words);
  return call.ok() && check_axis(call, g->rows, "height") && check_axis(call, g->columns, "width");
}

template <Form kForm>
void run(KernelRuntimeContext& context, Span<EValue*> stack, const OperatorInfo& info) {
  Call call(context, stack, info);
  const uint32_t flags = kernel_flags(call);
  const Conv2dImplementation& kernels = get_conv2d(flags);
  const Tensor *x, *weight;
  Conv2dGeometry g;
  if (!read_geometry(call, &x, &weight, &g)) return;
  Conv2dArgs args{};
  const ResultShape shape = {
      {g.images, g.out_channels, g.rows.outputs(), g.columns.outputs()}, 4, true, g.out_channels};
  read_epilogue(call, kForm, shape, &args);
  if (!call.ok()) return;

  args.weight = reinterpret_cast<const uint32_t*>(weight->const_data_ptr<int32_t>());
  args.valid_bits = static_cast<int32_t>(g.taps() * g.group_channels());
  const uint32_t* words = reinterpret_cast<const uint32_t*>(x->const_data_ptr<int32_t>());
  Conv2dWork work{};
  work.input_words = set_conv2d_input(call, g, words, &args);
  work.pixel_words = g.in_words();
  work.pixels = g.pixels();
  work.implementation = &kernels;
  args.border = make_conv2d_border(call, g, kernels, args.weight);
  if (is_depthwise(g)) {
    args.filters = g.out_channels;
    args.weight = pack_depthwise_weight(call, g, args.weight);
    work.args = args;
    return run_depthwise_work(call, work);
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

}  // namespace

void conv2d(KernelRuntimeContext& context, Span<EValue*> stack) { run<Form::kFloat>(context, stack, conv2d_info); }

void conv2d_packed(KernelRuntimeContext& context, Span<EValue*> stack) {
  run<Form::kPacked>(context, stack, conv2d_packed_info);
}

void conv2d_float_packed(KernelRuntimeContext& context, Span<EValue*> stack) {
  run<Form::kFloatPacked>(context, stack, conv2d_float_packed_info);
}

void conv2d_threshold(KernelRuntimeContext& context, Span<EValue*> stack) {
  run<Form::kThreshold>(context, stack, conv2d_threshold_info);
}

}  // namespace bittern
