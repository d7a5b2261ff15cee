// conv2d for instruction sets that select bits by a mask in one instruction: the same result, two words at a time.
//
// For the bits x0, x1 of two channels and w0, w1 of a filter,
//
//     [x0 != w0] + [x1 != w1]  =  2 * (x1 != w0 ? x0 == x1 : w0 != w1)  +  [x0 != x1]  -  [w0 != w1]
//
// whose last two terms depend on the input alone and on the filter alone. (Among the bits x0 == w0, w0 == w1, x0 != x1
// the majority is the complement of the selected bit, and their parity is x1 != w1: a full adder.) So a pair of words
// costs xor, selection, popcount and addition instead of twice xor, popcount, addition: 4 instructions for 6.
// Winograd's inner product (IEEE Trans. Computers C-17, 1968) halves multiplications in the same way.
//
//     count(p, o) = 2 * sum popcount(x'0 ^ w'0 ? x'1 : w'1) + pixel_counts[p] - filter_counts[o]
//
//     x'0, x'1 = x1, ~(x0 ^ x1)    pixel_counts: popcounts of x0 ^ x1 in the window of a pixel
//     w'0, w'1 = w0, w0 ^ w1       filter_counts: popcounts of w0 ^ w1 in a filter
//
// The input is brought into this form beforehand, in its layout and its size. The kernel converts the weights of one
// strip of filters after the other on the stack, where they stay in the nearest cache of the core that uses them; that
// costs as much as about three pixels. Unused bits, 0 in input and weights, add nothing here either: w'1 is selected.
//
// Limits: one group; words of a pixel are the words of a tap, and even; K <= kMaxWords, for 132 kB on the stack. Else
// as conv2d.h says.
#pragma once

#include <cstdint>

#include "kernels/conv2d/conv2d.h"

namespace bittern {

// `args` of its kernels are of the input in this form, with pixel_counts.
struct Conv2dPairs : Conv2dImplementation {
  static constexpr int64_t kMaxWords = 512;

  // Pixels [begin, end) of words[.., pixel_words] to `to`, and the popcount of x0 ^ x1 of each.
  void (*input)(const uint32_t* words, int64_t pixel_words, int64_t begin, int64_t end, uint32_t* to, uint32_t* counts);
  // The sum of `counts`, one for each pixel of the input, over the window of every output pixel of the rows
  // [begin, end) of all images' outputs.
  void (*windows)(const Conv2dArgs& args, int64_t pixel_words, const uint32_t* counts, int64_t begin, int64_t end,
                  uint32_t* pixel_counts);
};

#define BITTERN_CONV2D_PAIRS(isa) extern const Conv2dPairs conv2d_pairs_##isa;
#include "kernels/conv2d/kernels.inc"

}  // namespace bittern
