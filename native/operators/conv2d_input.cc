#include "operators/conv2d_input.h"

#include <algorithm>
#include <cstring>

namespace bittern {
namespace {

// Pixels that hold pad_value in every channel; +1 for zeros too, which the border then corrects.
void fill_border(const Conv2dGeometry& g, uint32_t* to, int64_t pixels) {
  const int64_t words = g.in_words();
  if (g.pad_value != -1) {
    std::memset(to, 0, static_cast<size_t>(pixels * words) * sizeof(uint32_t));
    return;
  }
  const uint32_t last = g.in_channels % 32 == 0 ? ~0u : (1u << (g.in_channels % 32)) - 1;
  for (int64_t p = 0; p < pixels; ++p, to += words) {
    for (int64_t w = 0; w < words; ++w) to[w] = w + 1 < words ? ~0u : last;
  }
}

// Row `y` of the padded map of one image.
void copy_row(const Conv2dGeometry& g, const uint32_t* image, int64_t y, uint32_t* to) {
  const int64_t words = g.in_words(), source = y - g.rows.before;
  if (source < 0 || source >= g.rows.size) return fill_border(g, to, g.columns.padded());
  fill_border(g, to, g.columns.before);
  to += g.columns.before * words;
  std::memcpy(to, image + source * g.columns.size * words,
              static_cast<size_t>(g.columns.size * words) * sizeof(uint32_t));
  fill_border(g, to + g.columns.size * words, g.columns.after);
}

// [images, padded height, padded width, words]
uint32_t* copy_input(Call& call, const Conv2dGeometry& g, const uint32_t* x) {
  const int64_t height = g.rows.padded(), row_words = checked_product({g.columns.padded(), g.in_words()});
  const int64_t bytes = checked_product({g.images, height, row_words, sizeof(uint32_t)});
  if (!call.require(row_words >= 0 && bytes >= 0, "the padded input is too large to address")) return nullptr;
  uint32_t* copy = static_cast<uint32_t*>(call.scratch(bytes));
  if (copy == nullptr) return nullptr;
  const int64_t image_words = g.rows.size * g.columns.size * g.in_words();
  call.parallel(g.images * height, row_words / 8, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      copy_row(g, x + i / height * image_words, i % height, copy + i * row_words);
    }
  });
  return copy;
}

}  // namespace

int64_t Conv2dGeometry::set_groups() const {
  const int64_t filters = out_channels / groups;
  return filters < kBlock ? kBlock / filters : 1;
}

int64_t Conv2dGeometry::tap_words() const {
  const int64_t channels = set_groups() * group_channels(), count = std::min<int64_t>(sets(), 32);
  int64_t words = 0;
  for (int64_t i = 0; i < count; ++i) words = std::max(words, word_count(i * channels % kWordBits + channels));
  return std::min(words, in_words());
}

int64_t Conv2dGeometry::first_word(int64_t set) const {
  return std::min(set * set_groups() * group_channels() / 32, in_words() - tap_words());
}

int64_t set_conv2d_input(Call& call, const Conv2dGeometry& g, const uint32_t* x, Conv2dArgs* args) {
  const int64_t words = g.tap_words(), pixel = g.in_words();
  const int64_t row = pixel * g.columns.padded(), image = row * g.rows.padded();
  args->input = g.padded() ? copy_input(call, g, x) : x;
  args->image_stride = image;
  args->row_stride = row * g.rows.stride;
  args->pixel_stride = pixel * g.columns.stride;
  args->out_height = g.rows.outputs();
  args->out_width = g.columns.outputs();

  // The taps of a kernel row are one run if they are neighbours in memory.
  const bool joined = g.columns.dilation == 1 && pixel == words && !g.masked();
  const int64_t per_row = joined ? 1 : g.columns.kernel;
  args->runs = g.rows.kernel * per_row;
  args->run_words = joined ? g.columns.kernel * words : words;
  int64_t* offsets = call.scratch_array<int64_t>(args->runs);
  args->run_offsets = offsets;
  for (int64_t r = 0; call.ok() && r < args->runs; ++r) {
    offsets[r] = r / per_row * g.rows.dilation * row + r % per_row * g.columns.dilation * pixel;
  }
  return g.images * image;
}

const uint32_t* make_conv2d_masks(Call& call, const Conv2dGeometry& g) {
  if (!g.masked()) return nullptr;
  const int64_t words = g.tap_words(), filters = g.out_channels / g.groups, set_filters = g.set_filters();
  const int64_t channels = g.group_channels();
  const int64_t size = checked_product({g.sets(), words, kBlock, sizeof(uint32_t)});
  if (!call.require(size >= 0, "the masks of the groups are too large to address")) return nullptr;
  uint32_t* masks = static_cast<uint32_t*>(call.scratch(size));
  if (masks == nullptr) return nullptr;
  std::memset(masks, 0, static_cast<size_t>(size));
  for (int64_t set = 0; set < g.sets(); ++set) {
    uint32_t* mask = masks + set * words * kBlock;
    const int64_t first_bit = g.first_word(set) * 32;
    // A group of 16 filters or more has its blocks to itself: every lane reads the same channels.
    for (int64_t lane = 0; lane < std::min(kBlock, std::min(set_filters, g.out_channels - set * set_filters)); ++lane) {
      const int64_t group = set * g.set_groups() + (filters < kBlock ? lane / filters : 0);
      for (int64_t c = group * channels - first_bit, end = c + channels; c < end;) {
        const int64_t next = std::min(end, (c / 32 + 1) * 32), bits = next - c;
        mask[c / 32 * kBlock + lane] |= (bits == 32 ? ~0u : (1u << bits) - 1) << (c % 32);
        c = next;
      }
    }
  }
  return masks;
}

}  // namespace bittern
