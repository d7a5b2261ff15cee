// cat(Tensor a, Tensor b), slice(Tensor x, int first, int words), negate(Tensor x, Tensor mask): channels of packed
// activations, int32 [..., words], by whole words.
#include <cinttypes>
#include <cstring>

#include "operators/call.h"
#include "operators/operators.h"

namespace bittern {
namespace {

constexpr size_t kMaxRank = 16;

struct Packed {
  const uint32_t* words = nullptr;
  int64_t pixels = 0, depth = 0;  // [pixels, depth]
  int64_t sizes[kMaxRank];
  size_t rank = 0;
};

Packed read_packed(Call& call, const char* name) {
  Packed p;
  const Tensor* x = call.tensor(name, ScalarType::Int);
  if (!call.ok()) return p;
  if (!call.require(x->dim() >= 1 && x->dim() <= static_cast<ssize_t>(kMaxRank),
                    "%s must have 1 to %zu dimensions, has %zd", name, kMaxRank, x->dim())) {
    return p;
  }
  call.require(is_contiguous(*x), "%s must be contiguous in memory", name);
  p.words = reinterpret_cast<const uint32_t*>(x->const_data_ptr<int32_t>());
  p.rank = static_cast<size_t>(x->dim());
  p.depth = x->size(x->dim() - 1);
  p.pixels = x->numel() / p.depth;
  for (ssize_t d = 0; d < x->dim(); ++d) p.sizes[d] = x->size(d);
  return p;
}

// The output, shaped like `like` but for its last dimension.
uint32_t* write_packed(Call& call, const Packed& like, int64_t depth) {
  if (!call.ok()) return nullptr;
  int64_t sizes[kMaxRank];
  std::memcpy(sizes, like.sizes, sizeof sizes);
  sizes[like.rank - 1] = depth;
  Tensor* out = call.output("out", ScalarType::Int, sizes, like.rank);
  if (!call.ok() || !call.require(is_contiguous(*out), "out must be contiguous in memory")) return nullptr;
  return reinterpret_cast<uint32_t*>(out->mutable_data_ptr<int32_t>());
}

// Words [0, n) of every pixel; pixels are `from_depth` and `to_depth` words apart.
void copy_words(const uint32_t* from, int64_t from_depth, uint32_t* to, int64_t to_depth, int64_t n, int64_t begin,
                int64_t end) {
  for (int64_t p = begin; p < end; ++p) {
    for (int64_t w = 0; w < n; ++w) to[p * to_depth + w] = from[p * from_depth + w];
  }
}

}  // namespace

void cat(KernelRuntimeContext& context, Span<EValue*> stack) {
  Call call(context, stack, cat_info);
  const Packed a = read_packed(call, "a"), b = read_packed(call, "b");
  if (!call.ok()) return;
  bool same = a.rank == b.rank;
  for (size_t d = 0; same && d + 1 < a.rank; ++d) same = a.sizes[d] == b.sizes[d];
  call.require(same, "a and b must agree in all dimensions but the last");
  const int64_t depth = a.depth + b.depth;
  uint32_t* out = write_packed(call, a, depth);
  if (!call.ok()) return;
  call.parallel(a.pixels, depth, [&](int64_t begin, int64_t end) {
    copy_words(a.words, a.depth, out, depth, a.depth, begin, end);
    copy_words(b.words, b.depth, out + a.depth, depth, b.depth, begin, end);
  });
}

void slice(KernelRuntimeContext& context, Span<EValue*> stack) {
  Call call(context, stack, slice_info);
  const Packed x = read_packed(call, "x");
  const int64_t first = call.integer("first", 0), words = call.integer("words", 1);
  if (!call.ok()) return;
  call.require(first + words <= x.depth, "words %" PRId64 " to %" PRId64 " are not all in the %" PRId64 " words of x",
               first, first + words, x.depth);
  uint32_t* out = write_packed(call, x, words);
  if (!call.ok()) return;
  call.parallel(x.pixels, words, [&](int64_t begin, int64_t end) {
    copy_words(x.words + first, x.depth, out, words, words, begin, end);
  });
}

void negate(KernelRuntimeContext& context, Span<EValue*> stack) {
  Call call(context, stack, negate_info);
  const Packed x = read_packed(call, "x"), mask = read_packed(call, "mask");
  if (!call.ok()) return;
  call.require(mask.rank == 1 && mask.depth == x.depth,
               "mask must be of shape [%" PRId64 "], has %" PRId64 " words in %zu dimensions", x.depth,
               mask.pixels * mask.depth, mask.rank);
  uint32_t* out = write_packed(call, x, x.depth);
  if (!call.ok()) return;
  call.parallel(x.pixels, x.depth, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      for (int64_t w = 0; w < x.depth; ++w) out[p * x.depth + w] = x.words[p * x.depth + w] ^ mask.words[w];
    }
  });
}

}  // namespace bittern
