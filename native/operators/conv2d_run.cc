#include "operators/conv2d_run.h"

#include <algorithm>
#include <cstring>

#include "operators/epilogue.h"

namespace bittern {
namespace {

constexpr int64_t kChunk = 12;        // pixels: a multiple of most tiles
constexpr int64_t kManyPixels = 512;  // measured: 28x28 with 128 filters gains from it

// The part of a set's `args` for `filters` filters from `first` on, which are entry `border_first` of the border.
Conv2dArgs at_filters(const Conv2dArgs& args, int64_t scale, int64_t first, int64_t filters, int64_t border_first,
                      Conv2dBorder* border) {
  Conv2dArgs part = at_channel(args, first);
  part.filters = filters;
  part.weight += first * args.runs * args.run_words * scale;
  if (args.border != nullptr) {
    *border = *args.border;
    border->counts += border_first;
    part.border = border;
  }
  return part;
}

}  // namespace

void clear_bits(const Conv2dArgs& args, int64_t pixels, bool all) {
  const int64_t words = word_count(args.channels);
  if (all) {
    std::memset(args.bits, 0, static_cast<size_t>(pixels * words) * sizeof(uint32_t));
  } else if (block_count(args.channels) % 2 == 1) {
    for (int64_t p = 1; p <= pixels; ++p) args.bits[p * words - 1] = 0;
  }
}

void run_conv2d_work(Call& call, uint32_t flags, const Conv2dWork& work) {
  Conv2dArgs args = work.args;
  const int64_t words = args.runs * args.run_words, blocks = block_count(args.filters);
  const Conv2dRow& row = choose_conv2d(flags, work.layer());
  const Conv2dOperands operands = row.prepare(call, work, &args);
  if (!call.ok()) return;
  call.note_kernel(row.kernel->name);

  // Sets that share words of bits must not run side by side.
  const bool shared = args.bits != nullptr && work.sets > 1 && args.filters % kBlock != 0;
  if (args.bits != nullptr) clear_bits(args, work.pixels, shared);
  const int64_t strip_filters = row.kernel->tile_blocks * kBlock;  // where another thread may start
  const int64_t chunks = ceil_div(work.pixels, kChunk), strips = ceil_div(args.filters, strip_filters);
  const auto run = [&](int64_t set, int64_t first_strip, int64_t last_strip, int64_t begin, int64_t end) {
    Conv2dArgs of_set = at_channel(args, set * args.filters);
    of_set.input += work.set_input[set] * operands.scale;
    of_set.weight += set * operands.set_weight;
    of_set.mask = work.masks != nullptr ? work.masks + set * args.run_words * kBlock : nullptr;
    const int64_t filters = std::min(args.filters, args.channels - set * args.filters);
    const int64_t first = first_strip * strip_filters, last = std::min(last_strip * strip_filters, filters);
    Conv2dBorder border;
    const int64_t border_first = set * blocks * kBlock + first;
    row.kernel->conv2d(at_filters(of_set, operands.scale, first, last - first, border_first, &border), begin * kChunk,
                       std::min(end * kChunk, work.pixels));
  };
  const int64_t chunk_work = kChunk * (std::min(strip_filters, args.filters) * words + strip_filters);
  // Of large maps every thread takes its own pixels, which it reads again in the next layer, and writes whole lines of
  // the cache; of small ones its own filters, so that no thread reads all weights.
  if (shared || work.pixels >= kManyPixels) {
    call.parallel(chunks, work.sets * strips * chunk_work, [&](int64_t begin, int64_t end) {
      for (int64_t set = 0; set < work.sets; ++set) run(set, 0, strips, begin, end);
    });
    return;
  }
  // Item (set * strips + strip) * chunks + chunk: a range of them is part of a strip, whole strips, part of a strip.
  call.parallel(work.sets * strips * chunks, chunk_work, [&](int64_t begin, int64_t end) {
    while (begin < end) {
      const int64_t set = begin / chunks / strips, strip = begin / chunks % strips, chunk = begin % chunks;
      const int64_t whole = chunk == 0 ? std::min((end - begin) / chunks, strips - strip) : 0;
      const int64_t count = whole > 0 ? whole * chunks : std::min(end - begin, chunks - chunk);
      run(set, strip, strip + std::max<int64_t>(whole, 1), chunk, whole > 0 ? chunks : chunk + count);
      begin += count;
    }
  });
}

void run_depthwise_work(Call& call, const Conv2dDirect& kernels, const Conv2dWork& work) {
  const Conv2dArgs& args = work.args;
  if (!call.ok()) return;
  call.note_kernel("conv2d depthwise");
  if (args.bits != nullptr) clear_bits(args, work.pixels, false);
  call.parallel(work.pixels, args.filters / 4 * (args.runs + 4),
                [&](int64_t begin, int64_t end) { kernels.depthwise(args, begin, end); });
}

}  // namespace bittern
