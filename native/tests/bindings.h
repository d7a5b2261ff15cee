#pragma once

#include <nanobind/nanobind.h>

namespace bittern {

void bind_kernels(nanobind::module_& m);
void bind_operators(nanobind::module_& m);

}  // namespace bittern
