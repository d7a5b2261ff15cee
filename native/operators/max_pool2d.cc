// max_pool2d(Tensor x, int[2] kernel_size, int[2] stride, int[4] padding, int[2] dilation)
#include "kernels/max_pool2d/max_pool2d.h"

#include <cinttypes>

#include "operators/call.h"
#include "operators/kernel_flags.h"
#include "operators/operators.h"

namespace bittern {
namespace {

bool check_no_empty_window(Call& call, const WindowAxis& axis) {
  for (int64_t i = 0; call.ok() && i < axis.outputs(); ++i) {
    const WindowAxis::Taps taps = axis.taps(i);
    call.require(taps.first < taps.last, "window %" PRId64 " of %" PRId64 " holds padding only", i, axis.outputs());
  }
  return call.ok();
}

}  // namespace

void max_pool2d(KernelRuntimeContext& context, Span<EValue*> stack) {
  Call call(context, stack, max_pool2d_info);
  const MaxPool2dImplementation& kernels = get_max_pool2d(kernel_flags(call));
  const Tensor* x = call.tensor("x", ScalarType::Int);
  const auto kernel = call.integers<2>("kernel_size", 1);
  const auto stride = call.integers<2>("stride", 1);
  const auto padding = call.integers<4>("padding", 0);
  const auto dilation = call.integers<2>("dilation", 1);
  if (!call.ok()) return;
  if (!call.require(x->dim() == 4, "x must have 4 dimensions, has %zd", x->dim())) return;
  call.require(is_contiguous(*x), "x must be contiguous in memory");
  const WindowAxis rows = {x->size(1), kernel[0], stride[0], dilation[0], padding[0], padding[1]};
  const WindowAxis columns = {x->size(2), kernel[1], stride[1], dilation[1], padding[2], padding[3]};
  if (!check_axis(call, rows, "height") || !check_axis(call, columns, "width")) return;
  const int64_t sizes[] = {x->size(0), rows.outputs(), columns.outputs(), x->size(3)};
  Tensor* out = call.output("out", ScalarType::Int, sizes, 4);
  if (!call.ok() || !call.require(is_contiguous(*out), "out must be contiguous in memory")) return;
  if (!check_no_empty_window(call, rows) || !check_no_empty_window(call, columns)) return;

  MaxPool2dArgs args;
  args.input = reinterpret_cast<const uint32_t*>(x->const_data_ptr<int32_t>());
  args.output = reinterpret_cast<uint32_t*>(out->mutable_data_ptr<int32_t>());
  args.words = x->size(3);
  args.rows = rows;
  args.columns = columns;
  const int64_t work = kernel[0] * kernel[1] * (args.words / 16 + 1);
  call.parallel(sizes[0] * sizes[1] * sizes[2], work,
                [&](int64_t begin, int64_t end) { kernels.max_pool2d(args, begin, end); });
}

}  // namespace bittern
