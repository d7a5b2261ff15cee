// Which instructions this CPU has, and which kernels may therefore run.
//
// Kernels are grouped by instruction set. Each set names the feature bits it needs. One list holds the sets, fastest
// first, and a kernel is eligible if the set in use has all the bits that the kernel needs:
//
//     isa in use = the set named by BITTERN_ISA, or else the first set of the list whose bits this CPU has.
#pragma once

#include <cstdint>
#include <string>

#include "kernels/layout.h"

#if defined(__BYTE_ORDER__)
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "packed words are read as halves and bytes: little-endian only");
#endif

namespace bittern {

enum ArchFlag : uint32_t {
  kArchAvx2 = 1u << 0,             // and FMA: every core with AVX2 since Haswell has both
  kArchAvx512 = 1u << 1,           // F, BW, DQ and VL: what every server core since Skylake has
  kArchAvx512Vpopcntdq = 1u << 2,  // popcount of 32-bit lanes
  kArchNeon = 1u << 3,             // in every aarch64
  kArchNeonDotprod = 1u << 4,      // UDOT: Cortex-A55, A75, A76 and newer, Neoverse, Apple
};

constexpr uint32_t kArchPortable = 0;
constexpr uint32_t kIsaAvx2 = kArchAvx2;
constexpr uint32_t kIsaAvx512 = kArchAvx2 | kArchAvx512;
constexpr uint32_t kIsaAvx512Vpopcntdq = kIsaAvx512 | kArchAvx512Vpopcntdq;
constexpr uint32_t kIsaNeon = kArchNeon;
constexpr uint32_t kIsaNeonDotprod = kArchNeon | kArchNeonDotprod;

BITTERN_INLINE constexpr bool has(uint32_t flags, uint32_t needed) { return (flags & needed) == needed; }

struct Isa {
  const char* name;
  uint32_t flags;
};

constexpr Isa kIsas[] = {
#if defined(__aarch64__)
    {"neondotprod", kIsaNeonDotprod},
    {"neon", kIsaNeon},
#else
    {"avx512vpopcntdq", kIsaAvx512Vpopcntdq},
    {"avx512", kIsaAvx512},
    {"avx2", kIsaAvx2},
#endif
    {"portable", kArchPortable},
};

// Bits of the instructions that both the CPU and the operating system (saved registers) support.
uint32_t detect_arch_flags();

// The set to use on a CPU with `supported` bits: the one called `forced`, or the first supported one where `forced` is
// null or empty. Null if no set has that name or the CPU lacks its bits.
const Isa* choose_isa(uint32_t supported, const char* forced);

// choose_isa of this machine and of the variable BITTERN_ISA as it was at the first call.
const Isa* active_isa();

// Why active_isa() is null: the name asked for, the known names and those that this machine supports.
std::string active_isa_error();

// The first of a family's implementations that `flags` allow. Lists end with a portable one.
template <class Row, int kRows>
const Row& first_allowed(const Row* const (&rows)[kRows], uint32_t flags) {
  int i = 0;
  while (i + 1 < kRows && !has(flags, rows[i]->flags)) ++i;
  return *rows[i];
}

}  // namespace bittern
