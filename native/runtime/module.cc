// The Python module bittern.runtime._engine. Everything that needs no ExecuTorch is in Python beside it.
#include <executorch/runtime/core/portable_type/scalar_type.h>
#include <executorch/runtime/platform/runtime.h>
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <tuple>
#include <type_traits>

#include "operators/operators.h"
#include "runtime/engine.h"
#include "runtime/error.h"
#include "runtime/log.h"

namespace nb = nanobind;

namespace bittern {
namespace {

using executorch::aten::ScalarType;
using Input = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;

nb::dlpack::dtype dtype_of(int8_t type) {
  switch (static_cast<ScalarType>(type)) {
    case ScalarType::Float:
      return nb::dtype<float>();
    case ScalarType::Int:
      return nb::dtype<int32_t>();
    case ScalarType::Long:
      return nb::dtype<int64_t>();
    case ScalarType::Double:
      return nb::dtype<double>();
    case ScalarType::Byte:
      return nb::dtype<uint8_t>();
    case ScalarType::Bool:
      return nb::dtype<bool>();
    default:
      throw EngineError("a tensor is of a type that numpy lacks");
  }
}

nb::object to_numpy(TensorCopy copy) {
  auto* owner = new TensorCopy(std::move(copy));
  nb::capsule release(owner, [](void* p) noexcept { delete static_cast<TensorCopy*>(p); });
  const std::vector<size_t> sizes(owner->sizes.begin(), owner->sizes.end());
  return nb::cast(nb::ndarray<nb::numpy>(owner->bytes.data(), sizes.size(), sizes.data(), release,
                                         owner->strides.data(), dtype_of(owner->type)));
}

nb::object to_python(TracedValue value) {
  return std::visit(
      [](auto&& x) -> nb::object {
        using T = std::decay_t<decltype(x)>;
        if constexpr (std::is_same_v<T, std::monostate>) {
          return nb::none();
        } else if constexpr (std::is_same_v<T, TensorCopy>) {
          return to_numpy(std::move(x));
        } else {
          return nb::cast(x);
        }
      },
      std::move(value));
}

nb::tuple to_tuple(std::vector<TracedValue> values) {
  nb::list list;
  for (TracedValue& value : values) list.append(to_python(std::move(value)));
  return nb::tuple(list);
}

// The arrays of a call, each in the memory order and of the type of its input, as pointers into them.
std::vector<InputData> checked(const Engine& engine, const std::vector<Input>& arrays) {
  const std::vector<TensorSpec>& specs = engine.inputs();
  if (arrays.size() != specs.size()) {
    throw EngineError("the program takes " + std::to_string(specs.size()) + " inputs, not " +
                      std::to_string(arrays.size()));
  }
  std::vector<InputData> inputs;
  for (size_t i = 0; i < specs.size(); ++i) {
    const std::vector<int32_t>& sizes = specs[i].sizes;
    const size_t max_rows = sizes.empty() ? 1 : static_cast<size_t>(sizes[0]);
    const size_t rows = sizes.empty() || arrays[i].ndim() == 0 ? 1 : arrays[i].shape(0);
    size_t size = rows;
    for (size_t d = 1; d < sizes.size(); ++d) size *= static_cast<size_t>(sizes[d]);
    const std::string which = "input " + std::to_string(i) + " holds ";
    if (arrays[i].dtype() != dtype_of(specs[i].type)) throw EngineError(which + "no " + dtype_name(specs[i].type));
    if (rows < 1 || rows > max_rows)
      throw EngineError(which + std::to_string(rows) + " rows, not 1 to " + std::to_string(max_rows));
    if (arrays[i].size() != size)
      throw EngineError(which + std::to_string(arrays[i].size()) + " values, not " + std::to_string(size));
    inputs.push_back({arrays[i].data(), static_cast<int32_t>(rows)});
  }
  return inputs;
}

using SpecRow = std::tuple<std::vector<int32_t>, std::vector<int>, std::string>;

std::vector<SpecRow> rows_of(const std::vector<TensorSpec>& specs) {
  std::vector<SpecRow> rows;
  for (const TensorSpec& spec : specs) {
    rows.emplace_back(spec.sizes, std::vector<int>(spec.dim_order.begin(), spec.dim_order.end()),
                      dtype_name(spec.type));
  }
  return rows;
}

std::string isa() {
  const std::string name = isa_name();
  if (name.empty()) throw nb::value_error(isa_error().c_str());
  return name;
}

using KernelRow = std::tuple<std::string, int64_t, int64_t, int64_t, int64_t, int64_t, std::string>;

std::vector<KernelRow> kernels() {
  isa();  // throws if BITTERN_ISA is unusable
  std::vector<KernelRow> rows;
  for (const KernelChoice& k : kernel_choices()) {
    rows.emplace_back(k.name, k.tile_pixels, k.tile_filters, k.min_pixels, k.min_filters, k.min_words, k.needs);
  }
  return rows;
}

}  // namespace

NB_MODULE(_engine, m) {
  executorch::runtime::runtime_init();
  install_log();
  nb::exception<EngineError>(m, "EngineError");

  m.def("isa", isa,
        "Name of the instruction set that Bittern's kernels use. ValueError if BITTERN_ISA is not usable here.");

  m.def("supported_isas", supported_isas, "Names of the instruction sets that this CPU can run, fastest first.");

  m.def(
      "kernels", kernels,
      "Convolution kernels of the instruction set in use, in order of preference: (name, pixels of a tile, filters of "
      "a tile, min pixels, min filters, min words of a filter, what else a layer must be).");

  nb::class_<TimedEvent>(m, "TimedEvent")
      .def_ro("name", &TimedEvent::name)
      .def_ro("chain", &TimedEvent::chain)
      .def_ro("instruction", &TimedEvent::instruction)
      .def_ro("depth", &TimedEvent::depth)
      .def_ro("start_ns", &TimedEvent::start_ns)
      .def_ro("end_ns", &TimedEvent::end_ns);

  nb::class_<Engine>(m, "Engine")
      .def(
          "__init__",
          [](Engine* self, nb::bytes program, int threads) {
            const char* data = program.c_str();
            const size_t size = program.size();
            const nb::gil_scoped_release release;
            new (self) Engine(data, size, threads);
          },
          nb::arg("program"), nb::arg("threads"))
      .def_prop_ro(
          "inputs", [](const Engine& e) { return rows_of(e.inputs()); }, "(sizes, dim_order, dtype) of each input.")
      .def_prop_ro(
          "outputs", [](const Engine& e) { return rows_of(e.outputs()); }, "(sizes, dim_order, dtype) of each output.")
      .def("constant_string", &Engine::constant_string, nb::arg("name"), nb::call_guard<nb::gil_scoped_release>())
      .def("backends", &Engine::backends)
      .def(
          "run",
          [](Engine& engine, const std::vector<Input>& inputs) {
            const std::vector<InputData> data = checked(engine, inputs);
            std::vector<TensorCopy> results;
            {
              const nb::gil_scoped_release release;
              results = engine.run(data);
            }
            nb::list list;
            for (TensorCopy& result : results) list.append(to_numpy(std::move(result)));
            return list;
          },
          nb::arg("inputs"))
      .def(
          "profile",
          [](Engine& engine, const std::vector<Input>& inputs) {
            const std::vector<InputData> data = checked(engine, inputs);
            const nb::gil_scoped_release release;
            return engine.profile(data);
          },
          nb::arg("inputs"))
      .def(
          "trace",
          [](Engine& engine, const std::vector<Input>& inputs) {
            const std::vector<InputData> data = checked(engine, inputs);
            std::vector<TracedCall> calls;
            {
              const nb::gil_scoped_release release;
              calls = engine.trace(data);
            }
            nb::list list;
            for (TracedCall& call : calls) {
              list.append(
                  nb::make_tuple(call.name, to_tuple(std::move(call.inputs)), to_tuple(std::move(call.outputs))));
            }
            return list;
          },
          nb::arg("inputs"));
}

}  // namespace bittern
