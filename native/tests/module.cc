// The Python module _bittern_native_tests: kernels and operators by name, each on memory of its own.
#include <executorch/runtime/platform/runtime.h>
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <optional>
#include <string>

#include "kernels/arch.h"
#include "runtime/error.h"
#include "runtime/log.h"
#include "tests/bindings.h"

namespace nb = nanobind;

NB_MODULE(_bittern_native_tests, m) {
  executorch::runtime::runtime_init();
  bittern::install_log();
  nb::exception<bittern::EngineError>(m, "CallError");

  m.def("detect_arch_flags", bittern::detect_arch_flags);
  m.def("isas", [] {
    nb::dict isas;
    for (const bittern::Isa& isa : bittern::kIsas) isas[isa.name] = isa.flags;
    return isas;
  });
  m.def(
      "choose_isa",
      [](uint32_t supported, const std::optional<std::string>& forced) -> nb::object {
        const bittern::Isa* isa = bittern::choose_isa(supported, forced ? forced->c_str() : nullptr);
        return isa != nullptr ? nb::cast(std::string(isa->name)) : nb::none();
      },
      nb::arg("supported"), nb::arg("forced") = nb::none());
  bittern::bind_bounds(m);
  bittern::bind_conv2d_kernels(m);
  bittern::bind_other_kernels(m);
  bittern::bind_operators(m);
  bittern::bind_programs(m);
}
