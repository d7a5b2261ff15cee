// What the arithmetic of a binary dot product costs at least: each instruction set's inner loop on operands that stay
// in the first-level cache, with its additions into wide counters, borders and stores left out.
//
// The tile of count.h, written in assembly so that no compiler stands between the loop and the bound. A row of
// kBounds gives MAC per pass over kWords words; the operands are zeros, as no instruction's time depends on them.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <chrono>
#include <cstdint>
#include <cstring>
#include <string>
#include <tuple>
#include <vector>

#include "kernels/arch.h"
#include "tests/bindings.h"

namespace bittern {
namespace {

constexpr int64_t kWords = 64;             // words of a filter: weights of 4 blocks are 16 kB
constexpr int64_t kRowBytes = kWords * 4;  // one pixel's words

struct Operands {
  alignas(64) uint8_t weights[4 * kWords * 64] = {};
  alignas(64) uint8_t pixels[8 * kRowBytes] = {};
};

struct Bound {
  const char* isa;  // and the kernel, where the set has several
  uint32_t flags;
  int64_t macs;  // of one pass
  void (*pass)(const Operands&);
};

#if defined(__x86_64__)

#define LOW_REGISTERS(r) \
  r "0", r "1", r "2", r "3", r "4", r "5", r "6", r "7", r "8", r "9", r "10", r "11", r "12", r "13", r "14", r "15"
#define HIGH_REGISTERS                                                                                                 \
  "zmm16", "zmm17", "zmm18", "zmm19", "zmm20", "zmm21", "zmm22", "zmm23", "zmm24", "zmm25", "zmm26", "zmm27", "zmm28", \
      "zmm29", "zmm30", "zmm31"

// Defines a pass: `turns` turns of a loop whose body reads weights at %[w] and pixels at %[x], which `advance` moves.
#define PASS(name, isa, turns, body, advance, end, ...)                 \
  __attribute__((target(isa))) void name(const Operands& operands) {    \
    const uint8_t *weight = operands.weights, *x = operands.pixels;     \
    int64_t left = turns;                                               \
    __asm__ volatile("1:\n\t" body advance "dec %[n]\n\tjnz 1b\n\t" end \
                     : [w] "+r"(weight), [x] "+r"(x), [n] "+r"(left)    \
                     : "m"(operands)                                    \
                     : "cc", __VA_ARGS__);                              \
  }
#define ADVANCE(weight_bytes, pixel_bytes) "add $" #weight_bytes ", %[w]\n\tadd $" #pixel_bytes ", %[x]\n\t"
#define LOAD(move, from, to) move " " #from "(%[w]), %%" to "\n\t"

// 6 pixels x 4 blocks: zmm0 to zmm23 count, zmm24 to zmm27 hold weights, zmm28 to zmm31 take turns as intermediates.
#define XOR_COUNT_ADD(offset, weight, count, t)                   \
  "vpxord " #offset "(%[x])%{1to16%}, %%zmm" #weight ", %%zmm" #t \
  "\n\t"                                                          \
  "vpopcntd %%zmm" #t ", %%zmm" #t                                \
  "\n\t"                                                          \
  "vpaddd %%zmm" #t ", %%zmm" #count ", %%zmm" #count "\n\t"
#define PIXEL(offset, c0, c1, c2, c3) \
  XOR_COUNT_ADD(offset, 24, c0, 28)   \
  XOR_COUNT_ADD(offset, 25, c1, 29) XOR_COUNT_ADD(offset, 26, c2, 30) XOR_COUNT_ADD(offset, 27, c3, 31)

PASS(pass_avx512_vpopcntdq, "avx512f,avx512vpopcntdq", kWords,
     LOAD("vmovdqa64", 0, "zmm24") LOAD("vmovdqa64", 4096, "zmm25") LOAD("vmovdqa64", 8192, "zmm26")
         LOAD("vmovdqa64", 12288, "zmm27") PIXEL(0, 0, 1, 2, 3) PIXEL(256, 4, 5, 6, 7) PIXEL(512, 8, 9, 10, 11)
             PIXEL(768, 12, 13, 14, 15) PIXEL(1024, 16, 17, 18, 19) PIXEL(1280, 20, 21, 22, 23),
     ADVANCE(64, 4), "", LOW_REGISTERS("zmm"), HIGH_REGISTERS)

// conv2d_pairs' loop, 7 pixels x 2 blocks: zmm0 to zmm13 count, zmm14 to zmm17 hold pairs of weights, zmm18 the second
// word of a pixel, zmm20 to zmm31 take turns as intermediates.
#define PAIR_PIXEL(offset, second, c0, c1, t0, t1)        \
  "vpbroadcastd " #second                                 \
  "(%[x]), %%zmm18\n\t"                                   \
  "vpxord " #offset "(%[x])%{1to16%}, %%zmm14, %%zmm" #t0 \
  "\n\t"                                                  \
  "vpxord " #offset "(%[x])%{1to16%}, %%zmm15, %%zmm" #t1 \
  "\n\t"                                                  \
  "vpternlogd $0xca, %%zmm16, %%zmm18, %%zmm" #t0         \
  "\n\t"                                                  \
  "vpternlogd $0xca, %%zmm17, %%zmm18, %%zmm" #t1         \
  "\n\t"                                                  \
  "vpopcntd %%zmm" #t0 ", %%zmm" #t0                      \
  "\n\t"                                                  \
  "vpopcntd %%zmm" #t1 ", %%zmm" #t1                      \
  "\n\t"                                                  \
  "vpaddd %%zmm" #t0 ", %%zmm" #c0 ", %%zmm" #c0          \
  "\n\t"                                                  \
  "vpaddd %%zmm" #t1 ", %%zmm" #c1 ", %%zmm" #c1 "\n\t"

PASS(pass_avx512_vpopcntdq_pairs, "avx512f,avx512vpopcntdq", kWords / 2,
     LOAD("vmovdqa64", 0, "zmm14") LOAD("vmovdqa64", 4096, "zmm15") LOAD("vmovdqa64", 64, "zmm16")
         LOAD("vmovdqa64", 4160, "zmm17") PAIR_PIXEL(0, 4, 0, 1, 20, 21) PAIR_PIXEL(256, 260, 2, 3, 22, 23)
             PAIR_PIXEL(512, 516, 4, 5, 24, 25) PAIR_PIXEL(768, 772, 6, 7, 26, 27) PAIR_PIXEL(1024, 1028, 8, 9, 28, 29)
                 PAIR_PIXEL(1280, 1284, 10, 11, 30, 31) PAIR_PIXEL(1536, 1540, 12, 13, 20, 21),
     ADVANCE(128, 8), "", LOW_REGISTERS("zmm"), HIGH_REGISTERS)

// Popcount of bytes by a table of nibbles, for registers of either width: 8 instructions a register of weights.
#define NIBBLES(r, logic, count, weight, x, low, high, table, mask) \
  "vpxor" logic " %%" r #x ", %%" r #weight ", %%" r #low           \
  "\n\t"                                                            \
  "vpsrlw $4, %%" r #low ", %%" r #high                             \
  "\n\t"                                                            \
  "vpand" logic " %%" r #mask ", %%" r #low ", %%" r #low           \
  "\n\t"                                                            \
  "vpand" logic " %%" r #mask ", %%" r #high ", %%" r #high         \
  "\n\t"                                                            \
  "vpshufb %%" r #low ", %%" r #table ", %%" r #low                 \
  "\n\t"                                                            \
  "vpshufb %%" r #high ", %%" r #table ", %%" r #high               \
  "\n\t"                                                            \
  "vpaddb %%" r #low ", %%" r #count ", %%" r #count                \
  "\n\t"                                                            \
  "vpaddb %%" r #high ", %%" r #count ", %%" r #count "\n\t"

// 4 pixels x 2 blocks: zmm0 to zmm7 count, zmm8 and zmm9 hold weights, zmm10 and zmm11 table and mask.
#define BYTES_PIXEL(offset, c0, c1)                                                            \
  "vpbroadcastd " #offset "(%[x]), %%zmm12\n\t" NIBBLES("zmm", "d", c0, 8, 12, 14, 15, 10, 11) \
      NIBBLES("zmm", "d", c1, 9, 12, 16, 17, 10, 11)

PASS(pass_avx512, "avx512f,avx512bw", kWords,
     LOAD("vmovdqa64", 0, "zmm8") LOAD("vmovdqa64", 4096, "zmm9") BYTES_PIXEL(0, 0, 1) BYTES_PIXEL(256, 2, 3)
         BYTES_PIXEL(512, 4, 5) BYTES_PIXEL(768, 6, 7),
     ADVANCE(64, 4), "", LOW_REGISTERS("zmm"), HIGH_REGISTERS)

// 4 pixels x 16 filters, which are two registers: ymm0 to ymm7 count, ymm8 and ymm9 hold weights.
#define AVX2_PIXEL(offset, c0, c1)                                                            \
  "vpbroadcastd " #offset "(%[x]), %%ymm12\n\t" NIBBLES("ymm", "", c0, 8, 12, 13, 14, 10, 11) \
      NIBBLES("ymm", "", c1, 9, 12, 13, 15, 10, 11)

PASS(pass_avx2, "avx2", kWords,
     LOAD("vmovdqa", 0, "ymm8") LOAD("vmovdqa", 32, "ymm9") AVX2_PIXEL(0, 0, 1) AVX2_PIXEL(256, 2, 3)
         AVX2_PIXEL(512, 4, 5) AVX2_PIXEL(768, 6, 7),
     ADVANCE(64, 4), "vzeroupper", LOW_REGISTERS("ymm"))

// conv2d_lookup's loop: a table for every nibble of the input, the nibbles of the weights as they are. One byte of two
// pixels and four registers of filters: registers 0 to 7 count, 8 to 11 hold weights, 12 a table, 13 to 15 the results.
#define LOOKED_UP(r, index, count, t)          \
  "vpshufb %%" r #index ", %%" r "12, %%" r #t \
  "\n\t"                                       \
  "vpaddb %%" r #t ", %%" r #count ", %%" r #count "\n\t"
#define TABLE(r, broadcast, offset, c0, c1, c2, c3)                                             \
  broadcast " " #offset "(%[x]), %%" r "12\n\t" LOOKED_UP(r, 8, c0, 13) LOOKED_UP(r, 9, c1, 14) \
      LOOKED_UP(r, 10, c2, 15) LOOKED_UP(r, 11, c3, 13)
#define NIBBLE(r, move, broadcast, w0, w1, w2, w3, x0, x1) \
  LOAD(move, w0, r "8")                                    \
  LOAD(move, w1, r "9")                                    \
  LOAD(move, w2, r "10") LOAD(move, w3, r "11") TABLE(r, broadcast, x0, 0, 1, 2, 3) TABLE(r, broadcast, x1, 4, 5, 6, 7)

PASS(pass_avx2_lookup, "avx2", kWords,
     NIBBLE("ymm", "vmovdqa", "vbroadcasti128", 0, 32, 64, 96, 0, 16)
         NIBBLE("ymm", "vmovdqa", "vbroadcasti128", 128, 160, 192, 224, 32, 48),
     "add $256, %[w]\n\t", "vzeroupper", LOW_REGISTERS("ymm"))

PASS(pass_avx512_lookup, "avx512f,avx512bw", kWords / 2,
     NIBBLE("zmm", "vmovdqa64", "vbroadcasti32x4", 0, 64, 128, 192, 0, 16)
         NIBBLE("zmm", "vmovdqa64", "vbroadcasti32x4", 256, 320, 384, 448, 32, 48),
     "add $512, %[w]\n\t", "", LOW_REGISTERS("zmm"), HIGH_REGISTERS)

constexpr Bound kBounds[] = {
    {"avx512vpopcntdq", kIsaAvx512Vpopcntdq, 6 * 4 * 512 * kWords, pass_avx512_vpopcntdq},
    {"avx512vpopcntdq pairs", kIsaAvx512Vpopcntdq, 7 * 2 * 512 * kWords, pass_avx512_vpopcntdq_pairs},
    {"avx512", kIsaAvx512, 4 * 2 * 512 * kWords, pass_avx512},
    {"avx512 lookup", kIsaAvx512, 2 * 256 * 8 * kWords / 2, pass_avx512_lookup},
    {"avx2", kIsaAvx2, 4 * 512 * kWords, pass_avx2},
    {"avx2 lookup", kIsaAvx2, 2 * 128 * 8 * kWords, pass_avx2_lookup},
};

const Bound* bound_named(const std::string& isa) {
  for (const Bound& row : kBounds) {
    if (isa == row.isa) return &row;
  }
  return nullptr;
}

std::vector<std::string> bounds() {
  std::vector<std::string> names;
  const uint32_t supported = detect_arch_flags();
  for (const Bound& row : kBounds) {
    if (has(supported, row.flags)) names.emplace_back(row.isa);
  }
  return names;
}

#else

const Bound* bound_named(const std::string&) { return nullptr; }
std::vector<std::string> bounds() { return {}; }

#endif

// MAC per second of the loop of `isa`: the shortest of `repeats` stretches of tens of microseconds.
double bound(const std::string& isa, int repeats) {
  const Bound* row = bound_named(isa);
  if (row == nullptr) throw nanobind::value_error(("no bound is known for " + isa).c_str());
  static const Operands operands;
  constexpr int kPasses = 32;
  double best = 0;
  for (int i = 0; i < repeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    for (int pass = 0; pass < kPasses; ++pass) row->pass(operands);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    const double rate = static_cast<double>(row->macs * kPasses) / elapsed.count();
    if (rate > best) best = rate;
  }
  return best;
}

// Bytes per second, read and written, of copying one half of `bytes` to the other again and again: what a layer of that
// footprint can be fed with.
double copy_rate(int64_t bytes, int repeats) {
  std::vector<uint8_t> from(static_cast<size_t>(bytes / 2), 1), to(from.size());
  double best = 0;
  for (int i = 0; i < repeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    std::memcpy(to.data(), from.data(), from.size());
    __asm__ volatile("" : : "r"(to.data()) : "memory");
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    const double rate = static_cast<double>(bytes) / elapsed.count();
    if (rate > best) best = rate;
  }
  return best;
}

}  // namespace

void bind_bounds(nanobind::module_& m) {
  using nanobind::literals::operator""_a;
  m.def("bounds", bounds);
  m.def("bound", bound, "isa"_a, "repeats"_a);
  m.def("copy_rate", copy_rate, "bytes"_a, "repeats"_a);
}

}  // namespace bittern
