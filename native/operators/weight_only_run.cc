#include "operators/weight_only_run.h"

#include <algorithm>

#include "operators/conv2d_run.h"
#include "operators/epilogue.h"

namespace bittern {

void run_weight_only_work(Call& call, uint32_t flags, const Conv2dWeightOnlyArgs& args, int64_t pixels) {
  constexpr int64_t kChunk = 96;  // pixels: enough to share the expansion of the signs
  if (!call.ok()) return;
  const Conv2dWeightOnlyImplementation& implementation = get_conv2d_weight_only(flags);
  call.note_kernel(implementation.name);
  if (args.conv.bits != nullptr) clear_bits(args.conv, pixels, false);

  const int64_t taps = args.conv.runs * (args.conv.run_words / args.tap_channels);
  const int64_t filter_words = taps * word_count(args.tap_channels), filters = args.conv.filters;
  const int64_t strip = implementation.strip_blocks * kBlock;
  const int64_t strips = ceil_div(filters, strip), chunks = ceil_div(pixels, kChunk);
  const int64_t chunk_pixels = std::min(kChunk, pixels);
  const auto run = [&](int64_t first, int64_t last, int64_t begin, int64_t end) {
    Conv2dWeightOnlyArgs part = args;
    part.conv = at_channel(args.conv, first);
    part.conv.filters = std::min(last, filters) - first;
    part.conv.weight += first * filter_words;
    implementation.conv2d(part, begin, std::min(end, pixels));
  };
  // Item strip * chunks + chunk: a range of them is part of a strip, whole strips, part of a strip.
  const int64_t work = chunk_pixels * std::min(strip, filters) / kBlock * args.conv.runs * args.conv.run_words;
  call.parallel(strips * chunks, work, [&](int64_t begin, int64_t end) {
    while (begin < end) {
      const int64_t first = begin / chunks, chunk = begin % chunks;
      const int64_t whole = chunk == 0 ? (end - begin) / chunks : 0;
      const int64_t count = whole > 0 ? chunks : std::min(end - begin, chunks - chunk);
      run(first * strip, (first + std::max<int64_t>(whole, 1)) * strip, chunk * kChunk, (chunk + count) * kChunk);
      begin += whole > 0 ? whole * chunks : count;
    }
  });
}

}  // namespace bittern
