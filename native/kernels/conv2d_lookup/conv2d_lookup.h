// conv2d for instruction sets that count bits by a table of nibbles: the same result, from operands in another form.
//
// A byte shuffle looks up sixteen 4-bit indices in a table of sixteen bytes. conv2d's kernel uses one table, popcounts,
// and indices a xor w. Here each nibble a of the input has a table of its own,
//
//     table(a)[w] = popcount(a ^ w)
//
// so that the nibbles of the weights are the indices as they are: no xor, no splitting of bytes in the loop, half the
// instructions. It needs a register whose bytes all belong to the same eight channels of different filters, and weights
// and input split into nibbles beforehand, which costs as much as a few pixels: for a layer of some pixels.
//
//     input    every byte a of a packed word becomes the two bytes 16 * (a & 15), a & 240: offsets of tables in bytes
//     weight   [strips, K * 4 bytes of a word, low and high nibble, registers, filters of a register]: one nibble
//              a byte
//
// Both take twice the room of the packed form: in Conv2dArgs every distance in words doubles, but run_words.
//
// Limits: K <= kMaxWords, so that counts fit into 16 bits; else as conv2d.h says.
#pragma once

#include <cstdint>

#include "kernels/conv2d/conv2d.h"

namespace bittern {

// `args` of its kernels are of operands in this form, and start at a filter that is a multiple of a tile.
struct Conv2dLookup : Conv2dImplementation {
  static constexpr int64_t kScale = 2;  // words of an operand here per packed word
  static constexpr int64_t kMaxWords = 2047;

  int64_t block_unit;  // blocks are filled up with zeros to a multiple of this
  // to[2 * i ...] from words[i], begin <= i < end
  void (*input)(const uint32_t* words, uint32_t* to, int64_t begin, int64_t end);
  // Strips [begin, end), of tile_blocks each, of weight[blocks, words, 16]; `to` has ceil(blocks / block_unit) *
  // block_unit * words * 32 words.
  void (*weight)(const uint32_t* weight, int64_t blocks, int64_t words, int64_t begin, int64_t end, uint32_t* to);
};

#define BITTERN_CONV2D_LOOKUP(isa) extern const Conv2dLookup conv2d_lookup_##isa;
#include "kernels/conv2d/kernels.inc"

}  // namespace bittern
