// Runs a model file without Python: float32 input from stdin, in the order of memory (channels_last), logits to stdout
// as text. docs/arm.md says how to build it.
//
//     run net.pte < image.f32
//
// Python's loader checks the file's digest first (docs/conventions.md); a program that takes files from strangers
// should do the same.
#include <executorch/extension/module/module.h>
#include <executorch/extension/tensor/tensor.h>
#include <executorch/runtime/platform/platform.h>
#include <executorch/runtime/platform/runtime.h>

#include <cstdint>
#include <cstdio>
#include <utility>
#include <vector>

using executorch::extension::make_tensor_ptr;
using executorch::extension::Module;

// ExecuTorch reports also what is no error, such as a file that this machine's kernel lacks.
void log_errors(et_timestamp_t, et_pal_log_level_t level, const char*, const char*, size_t, const char* message,
                size_t) {
  if (level == kError || level == kFatal) std::fprintf(stderr, "%s\n", message);
}

int main(int argc, char** argv) {
  if (argc != 2) return std::fprintf(stderr, "usage: run MODEL < INPUT\n"), 2;
  executorch::runtime::runtime_init();
  executorch::runtime::register_pal(executorch::runtime::PalImpl::create(log_errors, "run"));
  Module module(argv[1]);
  const auto meta = module.method_meta("forward");
  if (!meta.ok()) return std::fprintf(stderr, "cannot load %s\n", argv[1]), 1;
  const auto input = meta->input_tensor_meta(0);
  if (!input.ok()) return std::fprintf(stderr, "%s takes no tensor\n", argv[1]), 1;

  std::vector<int32_t> sizes(input->sizes().begin(), input->sizes().end());
  std::vector<uint8_t> order(input->dim_order().begin(), input->dim_order().end());
  std::vector<float> values(input->nbytes() / sizeof(float));
  if (std::fread(values.data(), sizeof(float), values.size(), stdin) != values.size()) {
    return std::fprintf(stderr, "the input must be %zu float32 values\n", values.size()), 1;
  }
  const auto result = module.forward(make_tensor_ptr(std::move(sizes), values.data(), std::move(order), {}));
  if (!result.ok()) return std::fprintf(stderr, "%s does not run\n", argv[1]), 1;
  const executorch::aten::Tensor logits = result->at(0).toTensor();
  for (ssize_t i = 0; i < logits.numel(); ++i) std::printf("%.9g\n", logits.const_data_ptr<float>()[i]);
  return 0;
}
