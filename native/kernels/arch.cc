#include "kernels/arch.h"

#include <cstdlib>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace bittern {
namespace {

const char* forced_isa() {
  static const std::string name = [] {
    const char* value = std::getenv("BITTERN_ISA");
    return std::string(value == nullptr ? "" : value);
  }();
  return name.c_str();
}

}  // namespace

#if defined(__x86_64__)
// Intel SDM vol. 1, 14.3 and 15.2: a vector extension is usable if CPUID reports it and XCR0 shows that the system
// saves its registers (bits 1, 2: xmm, ymm; bits 5, 6, 7: mask registers and both parts of zmm).
uint32_t detect_arch_flags() {
  uint32_t eax, ebx, ecx, edx;
  if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx)) return 0;
  constexpr uint32_t kOsxsave = 1u << 27, kAvx = 1u << 28;
  if (!has(ecx, kOsxsave | kAvx)) return 0;
  constexpr uint32_t kFma = 1u << 12;
  const bool fma = has(ecx, kFma);
  uint32_t xcr0, high;
  __asm__("xgetbv" : "=a"(xcr0), "=d"(high) : "c"(0));
  if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) return 0;

  constexpr uint32_t kYmmSaved = 0x06, kZmmSaved = 0xe6;
  constexpr uint32_t kAvx2 = 1u << 5,
                     kAvx512 = 1u << 16 /* F */ | 1u << 17 /* DQ */ | 1u << 30 /* BW */ | 1u << 31 /* VL */;
  constexpr uint32_t kVpopcntdq = 1u << 14;
  uint32_t flags = 0;
  if (has(xcr0, kYmmSaved) && has(ebx, kAvx2) && fma) flags |= kArchAvx2;
  if (has(xcr0, kZmmSaved) && has(ebx, kAvx512)) {
    flags |= kArchAvx512;
    if (has(ecx, kVpopcntdq)) flags |= kArchAvx512Vpopcntdq;
  }
  return flags;
}
#elif defined(__aarch64__) && defined(__linux__)
uint32_t detect_arch_flags() {
  return has(static_cast<uint32_t>(getauxval(AT_HWCAP)), HWCAP_ASIMDDP) ? kIsaNeonDotprod : kIsaNeon;
}
#elif defined(__aarch64__) && defined(__APPLE__)
uint32_t detect_arch_flags() {
  int dotprod = 0;
  size_t size = sizeof dotprod;
  sysctlbyname("hw.optional.arm.FEAT_DotProd", &dotprod, &size, nullptr, 0);  // leaves 0 where the name is unknown
  return dotprod != 0 ? kIsaNeonDotprod : kIsaNeon;
}
#elif defined(__aarch64__)
uint32_t detect_arch_flags() { return kIsaNeon; }
#else
uint32_t detect_arch_flags() { return 0; }
#endif

const Isa* choose_isa(uint32_t supported, const char* forced) {
  const bool any = forced == nullptr || *forced == '\0';
  for (const Isa& isa : kIsas) {
    if ((any || std::strcmp(isa.name, forced) == 0) && has(supported, isa.flags)) return &isa;
  }
  return nullptr;
}

const Isa* active_isa() {
  static const Isa* const isa = choose_isa(detect_arch_flags(), forced_isa());
  return isa;
}

std::string active_isa_error() {
  std::string known, supported;
  const uint32_t flags = detect_arch_flags();
  for (const Isa& isa : kIsas) {
    known += std::string(known.empty() ? "" : ", ") + isa.name;
    if (has(flags, isa.flags)) supported += std::string(supported.empty() ? "" : ", ") + isa.name;
  }
  return std::string("BITTERN_ISA must name an instruction set that this CPU supports (") + supported +
         "; known: " + known + "), got '" + forced_isa() + "'; unset it to use the fastest";
}

}  // namespace bittern
