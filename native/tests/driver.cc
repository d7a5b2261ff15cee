// Calls of operators over a pipe, for machines where Python's test binding does not run: another CPU under an emulator.
//
//     driver             reads requests from stdin and answers on stdout, until stdin ends
//     driver --about     prints three lines: the instruction sets of this architecture, those that this CPU runs, and
//                        the kernels in use
//
// A request is a u64 length and as many bytes; an answer too. All numbers are little-endian.
//
//     request   string name, u32 threads, u32 outputs, u32 values, then the values: the inputs and the outputs
//     value     u8 kind:  'n' None | 'b' u8 | 'i' i64 | 'd' f64 | 'l' u32 count, i64 each | 't' tensor
//     tensor    u8 type ('f' float32, 'i' int32, 'l' int64), u32 rank, i32 sizes, u8 order of dimensions in memory,
//               data
//     string    u32 length, bytes
//     answer    u8 1, data of the outputs after the call; or u8 0, the error as text
#include <executorch/extension/tensor/tensor_ptr.h>
#include <executorch/runtime/kernel/kernel_runtime_context.h>
#include <executorch/runtime/kernel/operator_registry.h>
#include <executorch/runtime/platform/runtime.h>

#include <cstdio>
#include <cstring>
#include <deque>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/arch.h"
#include "kernels/conv2d/conv2d.h"
#include "kernels/max_pool2d/max_pool2d.h"
#include "kernels/pack/pack.h"
#include "operators/operators.h"
#include "runtime/log.h"
#include "runtime/thread_pool.h"
#include "tests/scratch.h"

namespace bittern {
namespace {

using executorch::aten::ScalarType;
using executorch::extension::TensorPtr;
using executorch::runtime::BoxedEvalueList;
using executorch::runtime::EValue;

class Reader {
 public:
  explicit Reader(const std::vector<char>& bytes) : at_(bytes.data()), left_(bytes.size()) {}

  void read(void* to, size_t size) {
    if (size > left_) throw std::invalid_argument("the request ends early");
    std::memcpy(to, at_, size);
    at_ += size;
    left_ -= size;
  }
  template <class T>
  T number() {
    T x;
    read(&x, sizeof x);
    return x;
  }
  template <class T>
  std::vector<T> numbers(size_t count) {
    if (count > left_ / sizeof(T)) throw std::invalid_argument("the request ends early");
    std::vector<T> x(count);
    if (count > 0) read(x.data(), count * sizeof(T));
    return x;
  }

 private:
  const char* at_;
  size_t left_;
};

// A tensor on memory of its own, of exactly its size.
struct HostTensor {
  explicit HostTensor(Reader& from) {
    const char kind = from.number<char>();
    const auto rank = from.number<uint32_t>();
    auto sizes = from.numbers<int32_t>(rank);
    auto order = from.numbers<uint8_t>(rank);
    bytes = kind == 'l' ? 8 : 4;
    for (const int32_t size : sizes) bytes *= static_cast<size_t>(size);
    data.reset(new char[bytes]);
    from.read(data.get(), bytes);
    const ScalarType type = kind == 'f' ? ScalarType::Float : kind == 'i' ? ScalarType::Int : ScalarType::Long;
    tensor = executorch::extension::make_tensor_ptr(std::move(sizes), data.get(), std::move(order), {}, type,
                                                    executorch::aten::Device(executorch::aten::DeviceType::CPU),
                                                    executorch::aten::TensorShapeDynamism::STATIC);
  }

  size_t bytes;
  std::unique_ptr<char[]> data;
  TensorPtr tensor;
};

// What the values of one call point to. A deque does not move its elements.
struct Values {
  std::deque<EValue> values;
  std::deque<HostTensor> tensors;
  std::deque<std::vector<EValue*>> items;
  std::deque<std::vector<int64_t>> unboxed;
  std::deque<BoxedEvalueList<int64_t>> lists;
  std::vector<EValue*> stack;

  EValue* keep(EValue value) {
    values.push_back(std::move(value));
    return &values.back();
  }

  EValue integers(const std::vector<int64_t>& list) {
    items.emplace_back();
    items.back().reserve(list.size() + 1);  // not null when empty
    for (const int64_t i : list) items.back().push_back(keep(EValue(i)));
    unboxed.emplace_back(list.size() + 1);
    lists.emplace_back(items.back().data(), unboxed.back().data(), static_cast<int>(list.size()));
    return EValue(&lists.back());
  }

  EValue read(Reader& from) {
    switch (const char kind = from.number<char>()) {
      case 'n':
        return EValue();
      case 'b':
        return EValue(from.number<uint8_t>() != 0);
      case 'i':
        return EValue(from.number<int64_t>());
      case 'd':
        return EValue(from.number<double>());
      case 'l':
        return integers(from.numbers<int64_t>(from.number<uint32_t>()));
      case 't':
        tensors.emplace_back(from);
        return EValue(*tensors.back().tensor);
      default:
        throw std::invalid_argument(std::string("no value is of kind ") + kind);
    }
  }
};

std::string call(const std::vector<char>& request) {
  Reader from(request);
  const auto letters = from.numbers<char>(from.number<uint32_t>());
  const std::string name(letters.begin(), letters.end());
  const auto threads = from.number<uint32_t>(), outputs = from.number<uint32_t>(), count = from.number<uint32_t>();
  Values values;
  for (uint32_t i = 0; i < count; ++i) values.stack.push_back(values.keep(values.read(from)));
  if (outputs > values.tensors.size()) throw std::invalid_argument("the outputs must be tensors");
  const auto found = executorch::runtime::get_op_function_from_registry(name.c_str());
  if (!found.ok()) throw std::invalid_argument("no operator is named " + name);

  ExactScratch scratch;
  executorch::runtime::KernelRuntimeContext context(nullptr, &scratch);
  const ThreadPoolUse use(static_cast<int>(threads));
  const LogCapture log;
  (*found)(context, {values.stack.data(), values.stack.size()});
  log.check(context.failure_state(), name + " fails");
  std::string answer;
  for (size_t i = values.tensors.size() - outputs; i < values.tensors.size(); ++i) {
    answer.append(values.tensors[i].data.get(), values.tensors[i].bytes);
  }
  return answer;
}

bool read_request(std::vector<char>& request) {
  uint64_t length;
  if (std::fread(&length, sizeof length, 1, stdin) != 1) return false;
  request.resize(length);
  return std::fread(request.data(), 1, length, stdin) == length;
}

void write_answer(bool ok, const std::string& text) {
  const uint64_t length = text.size() + 1;
  std::fwrite(&length, sizeof length, 1, stdout);
  std::fputc(ok ? 1 : 0, stdout);
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

int about() {
  for (const Isa& isa : kIsas) std::printf("%s ", isa.name);
  std::printf("\n");
  for (const std::string& name : supported_isas()) std::printf("%s ", name.c_str());
  const Isa* isa = active_isa();
  if (isa == nullptr) {
    std::fprintf(stderr, "%s\n", active_isa_error().c_str());
    return 1;
  }
  std::printf("\n%s %s %s\n", get_conv2d_direct(isa->flags).name, get_pack(isa->flags).name,
              get_max_pool2d(isa->flags).name);
  return 0;
}

}  // namespace
}  // namespace bittern

int main(int argc, char** argv) {
  executorch::runtime::runtime_init();
  bittern::install_log();
  if (argc == 2 && std::strcmp(argv[1], "--about") == 0) return bittern::about();
  std::vector<char> request;
  while (bittern::read_request(request)) {
    try {
      bittern::write_answer(true, bittern::call(request));
    } catch (const std::exception& error) {
      bittern::write_answer(false, error.what());
    }
  }
  return 0;
}
