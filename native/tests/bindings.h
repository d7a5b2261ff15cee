// The parts of the Python module _bittern_native_tests.
#pragma once

#include <nanobind/nanobind.h>

namespace bittern {

void bind_bounds(nanobind::module_& m);
void bind_conv2d_kernels(nanobind::module_& m);
void bind_other_kernels(nanobind::module_& m);
void bind_operators(nanobind::module_& m);
void bind_programs(nanobind::module_& m);

}  // namespace bittern
