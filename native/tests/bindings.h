#pragma once

#include <nanobind/nanobind.h>

namespace bittern {

void bind_bounds(nanobind::module_& m);
void bind_choices(nanobind::module_& m);
void bind_kernels(nanobind::module_& m);
void bind_operators(nanobind::module_& m);
void bind_programs(nanobind::module_& m);

}  // namespace bittern
