// The loops of conv2d_lookup over a type L of bytes and its type V of sixteen lanes (lanes/*.h):
//
//     L::kBlocks                     blocks of 16 filters in a register of bytes
//     L::Bytes                       that register
//     L::kRegisters                  registers of filters in a tile; a power of two
//     L::pixels(registers)           output pixels in a tile of that many registers
//     L::add_looked_up(c, table, i)  c[j] + table[i[j]], bytes
//     L::add_to(sums, c)             sums[j] += c[j] in 16 bits
//     L::transpose(from, to)         from[b]: 16 words of block b; to[t]: byte t of each, block after block
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/conv2d/tile.h"
#include "kernels/conv2d_lookup/conv2d_lookup.h"
#include "kernels/lanes/unroll.h"

namespace bittern {
namespace {  // internal linkage: see lanes/portable.h

struct PopcountTables {
  uint8_t of[16][16];
};

constexpr PopcountTables make_popcount_tables() {
  PopcountTables tables{};
  for (int a = 0; a < 16; ++a) {
    for (int w = 0; w < 16; ++w) {
      for (int x = a ^ w; x != 0; x >>= 1) tables.of[a][w] = static_cast<uint8_t>(tables.of[a][w] + (x & 1));
    }
  }
  return tables;
}

alignas(256) constexpr PopcountTables kTables = make_popcount_tables();

constexpr int64_t kBytesOfWord = 4;
constexpr int64_t kByteRoom = 31;  // bytes of at most 8 in a counter of 255

// Steps of one byte of K: acc[p][r] += popcounts of R registers of filters with P pixels.
template <class L, int P, int R>
BITTERN_INLINE const uint8_t* look_up(const uint8_t* const (&x)[P], int64_t begin, int64_t end, const uint8_t* weight,
                                      typename L::Bytes (&acc)[P][R]) {
  constexpr int64_t kRegister = sizeof(typename L::Bytes);
  const uint8_t* tables = kTables.of[0];
  for (int64_t i = begin; i < end; ++i) {
    unroll<2>([&](auto half) BITTERN_LAMBDA {
      typename L::Bytes w[R];
      unroll<R>([&](auto r) BITTERN_LAMBDA { w[r] = L::load_once(weight + r * kRegister); });
      weight += R * kRegister;
      unroll<P>([&](auto p) BITTERN_LAMBDA {
        const typename L::Bytes table = L::load_table(tables + x[p][2 * i + half]);
        unroll<R>([&](auto r) BITTERN_LAMBDA { acc[p][r] = L::add_looked_up(acc[p][r], table, w[r]); });
      });
    });
  }
  return weight;
}

inline const uint8_t* strip_of(const Conv2dArgs& args, int64_t filter) {
  return reinterpret_cast<const uint8_t*>(args.weight + filter * args.runs * args.run_words * Conv2dLookup::kScale);
}

// From sums of 8 or 16 bits in memory, blocks of 16 filters side by side, to outputs.
template <class V, int P, int kBlocks, class Sum>
BITTERN_INLINE void finish_sums(const Conv2dArgs& args, const TilePixels<P>& pixels, int64_t filter,
                                const Sum (&sums)[P][kBlocks * kBlock]) {
  for (int b = 0; b < kBlocks; ++b) {
    const int64_t first = filter + b * kBlock;
    if (first >= args.filters) break;
    typename V::Int counts[P][1];
    unroll<P>([&](auto p) BITTERN_LAMBDA { counts[p][0] = V::load_wide(sums[p] + b * kBlock); });
    finish_block<V, P>(args, pixels, first, counts);
  }
}

// A tile of so few words, as in 1x1 layers, that counters of a byte hold the whole dot product.
template <class V, class L, int P, int R>
BITTERN_INLINE void run_short_lookup_tile(const Conv2dArgs& args, const TilePixels<P>& pixels, int64_t filter) {
  constexpr int64_t kFilters = L::kBlocks * kBlock;
  alignas(64) uint8_t sums[P][R * kFilters];
  typename L::Bytes acc[P][R];
  unroll<P, R>([&](auto p, auto r) BITTERN_LAMBDA { acc[p][r] = L::zero_bytes(); });
  const uint8_t* weight = strip_of(args, filter);
  for (int64_t run = 0; run < args.runs; ++run) {
    const uint8_t* x[P];
    unroll<P>([&](auto p)
                  BITTERN_LAMBDA { x[p] = reinterpret_cast<const uint8_t*>(pixels.first[p] + args.run_offsets[run]); });
    weight = look_up<L, P, R>(x, 0, args.run_words * kBytesOfWord, weight, acc);
  }
  unroll<P, R>([&](auto p, auto r) BITTERN_LAMBDA { L::store(sums[p] + r * kFilters, acc[p][r]); });
  finish_sums<V, P, R * L::kBlocks>(args, pixels, filter, sums);
}

template <class V, class L, int P, int R>
BITTERN_INLINE void run_lookup_tile(const Conv2dArgs& args, Pixel& at, int64_t filter) {
  constexpr int64_t kFilters = L::kBlocks * kBlock;  // of a register
  const TilePixels<P> pixels(args, at);
  const int64_t run_bytes = args.run_words * kBytesOfWord;
  if (args.runs * run_bytes <= kByteRoom) return run_short_lookup_tile<V, L, P, R>(args, pixels, filter);
  alignas(64) uint16_t sums[P][R * kFilters] = {};
  typename L::Bytes acc[P][R];
  const auto clear = [&]() BITTERN_LAMBDA {
    unroll<P, R>([&](auto p, auto r) BITTERN_LAMBDA { acc[p][r] = L::zero_bytes(); });
  };
  const auto flush = [&]() BITTERN_LAMBDA {
    unroll<P, R>([&](auto p, auto r) BITTERN_LAMBDA { L::add_to(sums[p] + r * kFilters, acc[p][r]); });
  };
  clear();
  const uint8_t* weight = strip_of(args, filter);
  int64_t room = kByteRoom;
  for (int64_t run = 0; run < args.runs; ++run) {
    const uint8_t* x[P];
    unroll<P>([&](auto p)
                  BITTERN_LAMBDA { x[p] = reinterpret_cast<const uint8_t*>(pixels.first[p] + args.run_offsets[run]); });
    for (int64_t i = 0; i < run_bytes;) {
      const int64_t rest = run_bytes - i, n = rest < kByteRoom ? rest : kByteRoom;
      if (n > room) {
        flush();
        clear();
        room = kByteRoom;
      }
      weight = look_up<L, P, R>(x, i, i + n, weight, acc);
      i += n;
      room -= n;
    }
  }
  flush();
  finish_sums<V, P, R * L::kBlocks>(args, pixels, filter, sums);
}

// Pixels up to `end`: P at a time, then half as many.
template <class V, class L, int P, int R>
void run_lookup_pixels(const Conv2dArgs& args, Pixel& at, int64_t end, int64_t filter) {
  if constexpr (P > 0) {
    while (end - at.index() >= P) run_lookup_tile<V, L, P, R>(args, at, filter);
    run_lookup_pixels<V, L, P / 2, R>(args, at, end, filter);
  }
}

// Strips of R registers, then of half as many.
template <class V, class L, int R>
void run_lookup(const Conv2dArgs& args, int64_t begin, int64_t end, int64_t filter) {
  if constexpr (R > 0) {
    constexpr int64_t kFilters = R * L::kBlocks * kBlock;
    for (; args.filters - filter > kFilters - L::kBlocks * kBlock; filter += kFilters) {
      Pixel at(args, begin);
      run_lookup_pixels<V, L, L::pixels(R), R>(args, at, end, filter);
    }
    run_lookup<V, L, R / 2>(args, begin, end, filter);
  }
}

template <class V, class L>
void run_conv2d_lookup(const Conv2dArgs& args, int64_t begin, int64_t end) {
  run_lookup<V, L, L::kRegisters>(args, begin, end, 0);
}

// One strip of `registers` registers from block `block` on.
template <class L>
uint8_t* split_strip(const uint32_t* weight, int64_t blocks, int64_t words, int64_t block, int64_t registers,
                     uint8_t* to) {
  constexpr int64_t kRegister = sizeof(typename L::Bytes);
  static constexpr uint32_t kNoFilters[kBlock] = {};
  for (int64_t k = 0; k < words; ++k, to += kBytesOfWord * 2 * registers * kRegister) {
    for (int64_t r = 0; r < registers; ++r) {
      const uint32_t* from[L::kBlocks];
      for (int64_t b = 0; b < L::kBlocks; ++b) {
        const int64_t at = block + r * L::kBlocks + b;
        from[b] = at < blocks ? weight + (at * words + k) * kBlock : kNoFilters;
      }
      typename L::Bytes bytes[kBytesOfWord];
      L::transpose(from, bytes);
      for (int64_t t = 0; t < kBytesOfWord; ++t) {
        L::store(to + ((2 * t) * registers + r) * kRegister, L::low_nibbles(bytes[t]));
        L::store(to + ((2 * t + 1) * registers + r) * kRegister, L::high_nibbles(bytes[t]));
      }
    }
  }
  return to;
}

template <class L>
void run_lookup_weight(const uint32_t* weight, int64_t blocks, int64_t words, int64_t begin, int64_t end,
                       uint32_t* to) {
  constexpr int64_t kStrip = L::kRegisters * L::kBlocks;
  uint8_t* bytes = reinterpret_cast<uint8_t*>(to + begin * kStrip * words * kBlock * Conv2dLookup::kScale);
  const int64_t last = end * kStrip < blocks ? end * kStrip : blocks;
  int64_t registers = L::kRegisters;
  for (int64_t block = begin * kStrip; block < last;) {
    while ((last - block + L::kBlocks - 1) / L::kBlocks < registers) registers /= 2;
    bytes = split_strip<L>(weight, blocks, words, block, registers, bytes);
    block += registers * L::kBlocks;
  }
}

inline void lookup_input(const uint32_t* words, uint32_t* to, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) {
    // Byte t of the word becomes bytes 2t, 2t + 1.
    uint64_t spread = words[i];
    spread = (spread | spread << 16) & 0x0000ffff0000ffffull;
    spread = (spread | spread << 8) & 0x00ff00ff00ff00ffull;
    const uint64_t offsets = (spread & 0x000f000f000f000full) << 4 | (spread & 0x00f000f000f000f0ull) << 8;
    std::memcpy(to + 2 * i, &offsets, sizeof offsets);
  }
}

template <class V, class L>
constexpr Conv2dLookup conv2d_lookup_of(const char* name, uint32_t flags, int64_t min_pixels, int64_t min_blocks) {
  Conv2dLimits limits;
  limits.min_pixels = min_pixels;
  limits.min_blocks = min_blocks;
  limits.max_words = Conv2dLookup::kMaxWords;
  limits.masks = false;
  return {{name, flags, run_conv2d_lookup<V, L>, L::pixels(L::kRegisters), L::kRegisters * L::kBlocks, limits},
          L::kBlocks,
          lookup_input,
          run_lookup_weight<L>};
}

}  // namespace
}  // namespace bittern
