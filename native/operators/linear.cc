// linear, linear_packed, linear_float_packed, linear_threshold:
//     (Tensor x, Tensor weight, int in_features, int out_features, ...) followed by those of operators/epilogue.h
//
// linear_weight_only, linear_weight_only_packed, linear_weight_only_float_packed: the same with float rows x.
//
// A row of features is a pixel of a convolution with one tap.
#include <cinttypes>

#include "kernels/conv2d/conv2d.h"
#include "operators/call.h"
#include "operators/conv2d_run.h"
#include "operators/epilogue.h"
#include "operators/kernel_flags.h"
#include "operators/operators.h"
#include "operators/weight_only_run.h"

namespace bittern {
namespace {

struct LinearOperator {
  const Tensor *x, *weight;
  int64_t in_features, out_features;
  int64_t row_size;  // words of a row of x: packed bits, or floats seen as words
  ResultShape result;

  int64_t rows() const { return x->numel() / row_size; }

  // Fills in all but the input: one run of words for each row.
  void set(const int64_t* run_offset, Conv2dArgs* args) const {
    args->pixel_stride = row_size;
    args->out_height = 1;
    args->out_width = rows();
    args->run_offsets = run_offset;
    args->runs = 1;
    args->run_words = row_size;
    args->weight = reinterpret_cast<const uint32_t*>(weight->const_data_ptr<int32_t>());
    args->filters = out_features;
  }
};

// x: packed bits [..., words] or, of type Float, [..., in_features].
bool read_operands(Call& call, ScalarType type, LinearOperator* op) {
  op->x = call.tensor("x", type);
  op->weight = call.tensor("weight", ScalarType::Int);
  op->in_features = call.integer("in_features", 1, kMaxFilterBits);
  op->out_features = call.integer("out_features", 1);
  if (!call.ok()) return false;

  const Tensor& x = *op->x;
  const int64_t words = word_count(op->in_features);
  op->result = {{}, static_cast<size_t>(x.dim()), false, op->out_features};
  if (!call.require(x.dim() >= 1 && op->result.rank <= 16, "x must have 1 to 16 dimensions, has %zd", x.dim())) {
    return false;
  }
  const bool binary = type == ScalarType::Int;
  op->row_size = binary ? words : op->in_features;
  call.require(x.size(x.dim() - 1) == op->row_size, "the last dimension of x must be %s = %" PRId64 ", is %zd",
               binary ? "ceil(in_features / 32)" : "in_features", op->row_size, x.size(x.dim() - 1));
  call.require(is_contiguous(x), "x must be contiguous in memory");
  check_packed_weight(call, *op->weight, block_count(op->out_features), words);
  for (ssize_t d = 0; d < x.dim(); ++d) op->result.sizes[d] = x.size(d);
  op->result.sizes[op->result.rank - 1] = op->out_features;
  return call.ok();
}

template <Form kForm>
void run(KernelRuntimeContext& context, Span<EValue*> stack, const OperatorInfo& info) {
  Call call(context, stack, info);
  const uint32_t flags = kernel_flags(call);
  LinearOperator op;
  if (!read_operands(call, ScalarType::Int, &op)) return;
  const int64_t run_offset = 0;
  Conv2dWork work{};
  read_epilogue(call, kForm, op.result, &work.args);
  if (!call.ok()) return;

  op.set(&run_offset, &work.args);
  work.args.input = reinterpret_cast<const uint32_t*>(op.x->const_data_ptr<int32_t>());
  work.args.valid_bits = static_cast<int32_t>(op.in_features);
  work.sets = 1;
  work.set_input = &run_offset;
  work.pixels = op.rows();
  work.input_words = op.rows() * op.row_size;
  work.pixel_words = op.row_size;
  run_conv2d_work(call, flags, work);
}

template <Form kForm>
void run_weight_only(KernelRuntimeContext& context, Span<EValue*> stack, const OperatorInfo& info) {
  Call call(context, stack, info);
  const uint32_t flags = kernel_flags(call);
  LinearOperator op;
  if (!read_operands(call, ScalarType::Float, &op)) return;
  const int64_t run_offset = 0;
  Conv2dWeightOnlyArgs args{};
  read_epilogue(call, kForm, op.result, &args.conv);
  if (!call.ok()) return;

  op.set(&run_offset, &args.conv);
  args.conv.input = reinterpret_cast<const uint32_t*>(op.x->const_data_ptr<float>());
  args.tap_channels = op.in_features;
  run_weight_only_work(call, flags, args, op.rows());
}

}  // namespace

BITTERN_OPERATOR_FORM(linear, run<Form::kFloat>)
BITTERN_OPERATOR_FORM(linear_packed, run<Form::kPacked>)
BITTERN_OPERATOR_FORM(linear_float_packed, run<Form::kFloatPacked>)
BITTERN_OPERATOR_FORM(linear_threshold, run<Form::kThreshold>)
BITTERN_OPERATOR_FORM(linear_weight_only, run_weight_only<Form::kFloat>)
BITTERN_OPERATOR_FORM(linear_weight_only_packed, run_weight_only<Form::kPacked>)
BITTERN_OPERATOR_FORM(linear_weight_only_float_packed, run_weight_only<Form::kFloatPacked>)

}  // namespace bittern
