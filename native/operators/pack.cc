// pack(Tensor x, Tensor? threshold, int channel_dim), unpack(Tensor x, int channels, int channel_dim),
// binarize(Tensor x)
#include "kernels/pack/pack.h"

#include "operators/call.h"
#include "operators/kernel_flags.h"
#include "operators/operators.h"

namespace bittern {
namespace {

constexpr size_t kMaxRank = 16;

// channel_dim 1: a feature map, channels of a pixel in one row when packed; -1: rows.
bool check_channel_dim(Call& call, const Tensor* x, int64_t channel_dim) {
  if (!call.ok()) return false;
  call.require(channel_dim == 1 || channel_dim == -1, "channel_dim must be 1 or -1, is %d",
               static_cast<int>(channel_dim));
  if (channel_dim == 1) call.require(x->dim() == 4, "x must have 4 dimensions for channel_dim 1, has %zd", x->dim());
  return call.require(x->dim() >= 1 && x->dim() <= static_cast<ssize_t>(kMaxRank),
                      "x must have 1 to %zu dimensions, has %zd", kMaxRank, x->dim());
}

void copy_sizes(const Tensor& x, int64_t* sizes) {
  for (ssize_t d = 0; d < x.dim(); ++d) sizes[d] = x.size(d);
}

}  // namespace

void pack(KernelRuntimeContext& context, Span<EValue*> stack) {
  Call call(context, stack, pack_info);
  const PackImplementation& kernels = get_pack(kernel_flags(call));
  const Tensor* x = call.tensor("x", ScalarType::Float);
  const Tensor* threshold = call.optional_tensor("threshold", ScalarType::Float);
  const int64_t channel_dim = call.integer("channel_dim", -1, 1);
  if (!check_channel_dim(call, x, channel_dim)) return;

  const bool map = channel_dim == 1;
  const int64_t channels = x->size(map ? 1 : x->dim() - 1), words = word_count(channels);
  const bool rows = !map || is_channels_last(*x);
  call.require(map ? rows || is_contiguous(*x) : is_contiguous(*x), "x must be contiguous%s in memory",
               map ? " or channels_last" : "");
  if (threshold != nullptr) {
    call.require(threshold->dim() == 1 && threshold->size(0) == channels,
                 "threshold must be of shape [%zd], has %zd values in %zd dimensions", static_cast<ssize_t>(channels),
                 threshold->numel(), threshold->dim());
  }
  int64_t sizes[kMaxRank];
  copy_sizes(*x, sizes);
  if (map) {
    sizes[1] = x->size(2);
    sizes[2] = x->size(3);
  }
  sizes[x->dim() - 1] = words;
  Tensor* out = call.output("out", ScalarType::Int, sizes, x->dim());
  if (!call.ok() || !call.require(is_contiguous(*out), "out must be contiguous in memory")) return;

  PackArgs args;
  args.values = x->const_data_ptr<float>();
  args.threshold = threshold != nullptr ? threshold->const_data_ptr<float>() : nullptr;
  args.words = reinterpret_cast<uint32_t*>(out->mutable_data_ptr<int32_t>());
  args.channels = channels;
  args.plane = rows ? 1 : static_cast<int64_t>(x->size(2)) * x->size(3);
  call.parallel(x->numel() / channels, channels / 4 + 1,
                [&](int64_t begin, int64_t end) { kernels.pack(args, begin, end); });
}

void unpack(KernelRuntimeContext& context, Span<EValue*> stack) {
  Call call(context, stack, unpack_info);
  const PackImplementation& kernels = get_pack(kernel_flags(call));
  const Tensor* x = call.tensor("x", ScalarType::Int);
  const int64_t channels = call.integer("channels", 1);
  const int64_t channel_dim = call.integer("channel_dim", -1, 1);
  if (!check_channel_dim(call, x, channel_dim)) return;

  const int64_t words = x->size(x->dim() - 1);
  call.require(words == word_count(channels), "the last dimension of x must be ceil(channels / 32) = %zd, is %zd",
               static_cast<ssize_t>(word_count(channels)), static_cast<ssize_t>(words));
  call.require(is_contiguous(*x), "x must be contiguous in memory");
  int64_t sizes[kMaxRank];
  copy_sizes(*x, sizes);
  const bool map = channel_dim == 1;
  if (map) {
    sizes[2] = x->size(1);
    sizes[3] = x->size(2);
  }
  sizes[map ? 1 : x->dim() - 1] = channels;
  Tensor* out = call.output("out", ScalarType::Float, sizes, x->dim());
  if (!call.ok()) return;
  const bool in_rows = map ? is_channels_last(*out) : is_contiguous(*out);
  if (!call.require(in_rows, "out must be %s in memory", map ? "channels_last" : "contiguous")) return;

  UnpackArgs args;
  args.words = reinterpret_cast<const uint32_t*>(x->const_data_ptr<int32_t>());
  args.values = out->mutable_data_ptr<float>();
  args.channels = channels;
  call.parallel(x->numel() / words, channels / 4 + 1,
                [&](int64_t begin, int64_t end) { kernels.unpack(args, begin, end); });
}

void binarize(KernelRuntimeContext& context, Span<EValue*> stack) {
  Call call(context, stack, binarize_info);
  const PackImplementation& kernels = get_pack(kernel_flags(call));
  const Tensor* x = call.tensor("x", ScalarType::Float);
  if (!call.ok()) return;
  int64_t sizes[kMaxRank];
  if (!call.require(x->dim() <= static_cast<ssize_t>(kMaxRank), "x must have at most %zu dimensions", kMaxRank)) return;
  copy_sizes(*x, sizes);
  Tensor* out = call.output("out", ScalarType::Float, sizes, x->dim());
  if (!call.ok()) return;
  bool same_layout = true;
  for (ssize_t d = 0; d < x->dim(); ++d) {
    same_layout = same_layout && (x->size(d) == 1 || x->strides()[d] == out->strides()[d]);
  }
  if (!call.require(same_layout, "x and out must have the same layout in memory")) return;
  const float* values = x->const_data_ptr<float>();
  float* signs = out->mutable_data_ptr<float>();
  call.parallel(x->numel(), 1, [&](int64_t begin, int64_t end) { kernels.binarize(values, signs, begin, end); });
}

}  // namespace bittern
