// libFuzzer's target for operators: whatever the arguments, no sanitizer may have anything to say, all instruction sets
// must agree with the portable one, and a valid call must not be refused.
#include <executorch/runtime/platform/runtime.h>

#include <cstdio>
#include <cstdlib>

#include "fuzz/run_call.h"
#include "runtime/log.h"

namespace fuzz = bittern::fuzz;

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  executorch::runtime::runtime_init();
  bittern::install_log();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const fuzz::CallValues call = fuzz::decode(data, size);
  const uint32_t flags = bittern::detect_arch_flags();
  const bittern::Isa* portable = bittern::choose_isa(0, nullptr);
  const fuzz::Outcome expected = fuzz::run(call, *portable, 1);
  if (call.valid && !expected.ok) {
    std::fprintf(stderr, "%s: a valid call is refused\n", call.name);
    std::abort();
  }
  int i = 0;
  for (const bittern::Isa& isa : bittern::kIsas) {
    if (!bittern::has(flags, isa.flags)) continue;
    const fuzz::Outcome outcome = fuzz::run(call, isa, 1 + (call.threads >> i++ & 1));
    if (outcome.ok == expected.ok && (!call.comparable || fuzz::same(outcome, expected))) continue;
    std::fprintf(stderr, "%s: %s and portable differ (%s, %s)\n", call.name, isa.name, outcome.ok ? "ok" : "refused",
                 expected.ok ? "ok" : "refused");
    std::abort();
  }
  return 0;
}
