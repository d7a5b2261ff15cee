#include "operators/conv2d_input.h"

#include <cstring>

namespace bittern {
namespace {

// Copies `count` bits from bit `first` of `from` to bit 0 of `to`; the rest of the last word becomes 0.
void copy_bits(const uint32_t* from, int64_t first, int64_t count, uint32_t* to) {
  const int64_t words = (count + 31) / 32, last_word = (first + count - 1) / 32;
  const int shift = static_cast<int>(first % 32);
  for (int64_t i = 0, w = first / 32; i < words; ++i, ++w) {
    const uint32_t low = from[w] >> shift;
    to[i] = shift > 0 && w < last_word ? low | from[w + 1] << (32 - shift) : low;
  }
  if (count % 32 != 0) to[words - 1] &= (1u << (count % 32)) - 1;
}

// One pixel that holds pad_value in every channel of a group: +1 for zero padding too, which the border then corrects.
void fill_border(const Conv2dGeometry& g, uint32_t* to, int64_t pixels) {
  const int64_t words = g.group_words(), channels = g.group_channels();
  if (g.pad_value != -1) {
    std::memset(to, 0, static_cast<size_t>(pixels * words) * sizeof(uint32_t));
    return;
  }
  const uint32_t last = channels % 32 == 0 ? ~0u : (1u << (channels % 32)) - 1;
  for (int64_t p = 0; p < pixels; ++p, to += words) {
    for (int64_t w = 0; w < words; ++w) to[w] = w + 1 < words ? ~0u : last;
  }
}

// Row `y` of the padded map of one image and group.
void copy_row(const Conv2dGeometry& g, const uint32_t* image, int64_t group, int64_t y, uint32_t* to) {
  const int64_t words = g.group_words(), source = y - g.rows.before;
  if (source < 0 || source >= g.rows.size) return fill_border(g, to, g.columns.padded());
  fill_border(g, to, g.columns.before);
  to += g.columns.before * words;
  const uint32_t* from = image + source * g.columns.size * g.in_words();
  if (g.groups == 1) {
    std::memcpy(to, from, static_cast<size_t>(g.columns.size * words) * sizeof(uint32_t));
  } else {
    for (int64_t x = 0; x < g.columns.size; ++x) {
      copy_bits(from + x * g.in_words(), group * g.group_channels(), g.group_channels(), to + x * words);
    }
  }
  fill_border(g, to + g.columns.size * words, g.columns.after);
}

// [groups, images, padded height, padded width, words of a group]
uint32_t* copy_input(Call& call, const Conv2dGeometry& g, const uint32_t* x) {
  const int64_t height = g.rows.padded(), row_words = checked_product({g.columns.padded(), g.group_words()});
  const int64_t bytes = checked_product({g.groups, g.images, height, row_words, sizeof(uint32_t)});
  if (!call.require(row_words >= 0 && bytes >= 0, "the padded input is too large to address")) return nullptr;
  uint32_t* copy = static_cast<uint32_t*>(call.scratch(bytes));
  if (copy == nullptr) return nullptr;
  const int64_t image_words = g.rows.size * g.columns.size * g.in_words();
  call.parallel(g.groups * g.images * height, g.groups == 1 ? row_words / 8 : row_words * 4,
                [&](int64_t begin, int64_t end) {
                  for (int64_t i = begin; i < end; ++i) {
                    const int64_t y = i % height, image = i / height % g.images, group = i / height / g.images;
                    copy_row(g, x + image * image_words, group, y, copy + i * row_words);
                  }
                });
  return copy;
}

}  // namespace

Conv2dInput set_conv2d_input(Call& call, const Conv2dGeometry& g, const uint32_t* x, Conv2dArgs* args) {
  const bool copied = g.padded() || (g.groups > 1 && g.group_channels() % 32 != 0);
  const int64_t words = g.group_words(), pixel = copied ? words : g.in_words();
  const int64_t row = pixel * (copied ? g.columns.padded() : g.columns.size);
  const int64_t image = row * (copied ? g.rows.padded() : g.rows.size);
  args->input = copied ? copy_input(call, g, x) : x;
  args->image_stride = image;
  args->row_stride = row * g.rows.stride;
  args->pixel_stride = pixel * g.columns.stride;
  args->out_height = g.rows.outputs();
  args->out_width = g.columns.outputs();

  // Taps of one kernel row are one run where they are neighbours in memory.
  const bool joined = g.columns.dilation == 1 && pixel == words;
  const int64_t per_row = joined ? 1 : g.columns.kernel;
  args->runs = g.rows.kernel * per_row;
  args->run_words = joined ? g.columns.kernel * words : words;
  int64_t* offsets = call.scratch_array<int64_t>(args->runs);
  args->run_offsets = offsets;
  for (int64_t r = 0; call.ok() && r < args->runs; ++r) {
    offsets[r] = r / per_row * g.rows.dilation * row + r % per_row * g.columns.dilation * pixel;
  }
  return {(copied ? g.groups : 1) * g.images * image, copied ? g.images * image : words};
}

}  // namespace bittern
