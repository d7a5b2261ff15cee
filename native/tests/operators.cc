// Any operator of ExecuTorch's registry, called with Python values as a program would call it.
#include "operators/operators.h"

#include <executorch/extension/tensor/tensor_ptr.h>
#include <executorch/runtime/kernel/kernel_runtime_context.h>
#include <executorch/runtime/kernel/operator_registry.h>
#include <executorch/runtime/kernel/thread_parallel_interface.h>
#include <nanobind/nanobind.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runtime/log.h"
#include "runtime/thread_pool.h"
#include "tests/bindings.h"
#include "tests/buffer.h"
#include "tests/scratch.h"

namespace nb = nanobind;
using nb::literals::operator""_a;

namespace bittern {
namespace {

using executorch::aten::ScalarType;
using executorch::extension::TensorPtr;
using executorch::runtime::BoxedEvalueList;
using executorch::runtime::EValue;
using executorch::runtime::KernelRuntimeContext;

template <class T>
constexpr ScalarType kTypeOf = std::is_same_v<T, float>     ? ScalarType::Float
                               : std::is_same_v<T, int32_t> ? ScalarType::Int
                                                            : ScalarType::Long;

// A tensor on a buffer of its own: a flat array in memory order, and that order.
class HostTensor {
 public:
  template <class T>
  static std::shared_ptr<HostTensor> make(const Array<T>& data, std::vector<int32_t> sizes,
                                          std::vector<uint8_t> dim_order) {
    auto buffer = std::make_shared<Buffer<T>>(data);
    auto host = std::make_shared<HostTensor>();
    host->tensor = executorch::extension::make_tensor_ptr(
        std::move(sizes), buffer->data(), std::move(dim_order), {}, kTypeOf<T>,
        executorch::aten::Device(executorch::aten::DeviceType::CPU), executorch::aten::TensorShapeDynamism::STATIC);
    host->to_numpy = [buffer] { return buffer->to_numpy(); };
    return host;
  }

  TensorPtr tensor;
  std::function<nb::object()> to_numpy;  // gives the buffer away
};

using HostTensorPtr = std::shared_ptr<HostTensor>;

// What the values of one call point to.
struct Arguments {
  std::deque<EValue> values;  // a deque does not move its elements
  std::deque<std::vector<EValue*>> items;
  std::deque<std::vector<int64_t>> unboxed;
  std::deque<BoxedEvalueList<int64_t>> lists;
  std::vector<EValue*> stack;

  void push(EValue value) {
    values.push_back(std::move(value));
    stack.push_back(&values.back());
  }

  void push_python(nb::handle x) {
    if (x.is_none()) return push(EValue());
    if (nb::isinstance<nb::bool_>(x)) return push(EValue(nb::cast<bool>(x)));
    if (nb::isinstance<nb::int_>(x)) return push(EValue(nb::cast<int64_t>(x)));
    if (nb::isinstance<nb::float_>(x)) return push(EValue(nb::cast<double>(x)));
    if (nb::isinstance<HostTensor>(x)) return push(EValue(*nb::cast<HostTensorPtr>(x)->tensor));
    const auto integers = nb::cast<std::vector<int64_t>>(x);
    items.emplace_back();
    items.back().reserve(integers.size() + 1);  // not null when empty
    for (const int64_t i : integers) {
      values.push_back(EValue(i));
      items.back().push_back(&values.back());
    }
    unboxed.emplace_back(integers.size() + 1);
    lists.emplace_back(items.back().data(), unboxed.back().data(), static_cast<int>(integers.size()));
    push(EValue(&lists.back()));
  }
};

void call_operator(const std::string& name, const nb::list& arguments, int threads) {
  const auto found = executorch::runtime::get_op_function_from_registry(name.c_str());
  if (!found.ok()) throw nb::value_error(("no operator is named " + name).c_str());
  Arguments args;
  for (nb::handle x : arguments) args.push_python(x);
  ExactScratch scratch;
  KernelRuntimeContext context(nullptr, &scratch);
  const ThreadPoolUse use(threads);
  const LogCapture log;
  (*found)(context, {args.stack.data(), args.stack.size()});
  log.check(context.failure_state(), name + " fails");
}

}  // namespace

void bind_operators(nb::module_& m) {
  nb::class_<HostTensor>(m, "HostTensor").def("to_numpy", [](HostTensor& host) { return host.to_numpy(); });
  m.def("tensor", &HostTensor::make<float>, "data"_a, "sizes"_a, "dim_order"_a);
  m.def("tensor", &HostTensor::make<int32_t>, "data"_a, "sizes"_a, "dim_order"_a);
  m.def("tensor", &HostTensor::make<int64_t>, "data"_a, "sizes"_a, "dim_order"_a);
  m.def("operators", [] {
    std::vector<std::string> names;
    for (const auto& kernel : operators()) names.emplace_back(kernel.name_);
    return names;
  });
  m.def("pool_threads", [](int threads) {
    const ThreadPoolUse use(threads);
    return executorch::extension::get_thread_count();
  });
  m.def("call_operator", call_operator, "name"_a, "arguments"_a, "threads"_a = 1);
}

}  // namespace bittern
