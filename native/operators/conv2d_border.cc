#include "operators/conv2d_border.h"

#include <cstring>

namespace bittern {
namespace {

// Windows along one axis, classified by which of their taps lie inside the image. Class 0: all of them.
struct AxisClasses {
  int32_t* of_window;        // [axis.outputs()]
  WindowAxis::Taps* inside;  // [count]
  int64_t count;
};

AxisClasses classify(Call& call, const WindowAxis& axis) {
  AxisClasses classes = {call.scratch_array<int32_t>(axis.outputs()), nullptr, 1};
  classes.inside = call.scratch_array<WindowAxis::Taps>(axis.outputs() + 1);
  if (!call.ok()) return classes;
  classes.inside[0] = {0, axis.kernel};
  for (int64_t i = 0; i < axis.outputs(); ++i) {
    const WindowAxis::Taps taps = axis.taps(i);
    int64_t c = 0;
    while (c < classes.count && (classes.inside[c].first != taps.first || classes.inside[c].last != taps.last)) ++c;
    if (c == classes.count) classes.inside[classes.count++] = taps;
    classes.of_window[i] = static_cast<int32_t>(c);
  }
  return classes;
}

// counts[o] = sum over taps outside `rows` x `columns` of tap_counts[tap, o]
void sum_outer_taps(const Conv2dGeometry& g, WindowAxis::Taps rows, WindowAxis::Taps columns,
                    const uint32_t* tap_counts, int64_t filters, uint32_t* counts) {
  std::memset(counts, 0, static_cast<size_t>(filters) * sizeof(uint32_t));
  for (int64_t i = 0; i < g.rows.kernel; ++i) {
    for (int64_t j = 0; j < g.columns.kernel; ++j) {
      if (rows.first <= i && i < rows.last && columns.first <= j && j < columns.last) continue;
      const uint32_t* tap = tap_counts + (i * g.columns.kernel + j) * filters;
      for (int64_t o = 0; o < filters; ++o) counts[o] += tap[o];
    }
  }
}

}  // namespace

const Conv2dBorder* make_conv2d_border(Call& call, const Conv2dGeometry& g, const Conv2dDirect& kernels,
                                       const uint32_t* weight) {
  if (g.pad_value != 0 || !g.padded()) return nullptr;
  const AxisClasses rows = classify(call, g.rows), columns = classify(call, g.columns);
  const int64_t classes = rows.count * columns.count;
  if (!call.ok() || classes == 1) return nullptr;

  const int64_t blocks = g.sets() * g.set_blocks(), filters = blocks * kBlock;
  const int64_t table_bytes = checked_product({classes, filters, sizeof(uint32_t)});
  if (!call.require(table_bytes >= 0, "the table of border corrections is too large to address")) return nullptr;
  uint32_t* tap_counts = call.scratch_array<uint32_t>(g.taps() * filters);
  uint32_t* table = static_cast<uint32_t*>(call.scratch(table_bytes));
  int32_t* valid_bits = call.scratch_array<int32_t>(classes);
  Conv2dBorder* border = call.scratch_array<Conv2dBorder>(1);
  if (!call.ok()) return nullptr;

  kernels.tap_counts(weight, blocks, g.taps(), g.tap_words(), tap_counts);
  for (int64_t c = 0; c < classes; ++c) {
    const WindowAxis::Taps i = rows.inside[c / columns.count], j = columns.inside[c % columns.count];
    valid_bits[c] = static_cast<int32_t>(g.group_channels() * (i.last - i.first) * (j.last - j.first));
    sum_outer_taps(g, i, j, tap_counts, filters, table + c * filters);
  }
  *border = {rows.of_window, columns.of_window, columns.count, valid_bits, table, filters, 0, 0};
  const int64_t width = g.columns.outputs();
  while (border->first_whole < width && columns.of_window[border->first_whole] != 0) ++border->first_whole;
  border->last_whole = border->first_whole;
  while (border->last_whole < width && columns.of_window[border->last_whole] == 0) ++border->last_whole;
  return border;
}

}  // namespace bittern
