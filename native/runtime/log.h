// ExecuTorch's log, caught where the engine calls it, so that it reaches the text of a Python exception.
#pragma once

#include <executorch/runtime/core/error.h>

#include <string>

namespace bittern {

// Routes ExecuTorch's log through this file. Lines that no LogCapture catches go to stderr, as before.
void install_log();

// Catches what this thread logs during its lifetime and keeps the error lines. The innermost one catches.
class LogCapture {
 public:
  LogCapture();
  ~LogCapture();
  LogCapture(const LogCapture&) = delete;
  LogCapture& operator=(const LogCapture&) = delete;

  // Throws EngineError with `what`, the error's name and the lines caught, unless `error` is Ok.
  void check(executorch::runtime::Error error, const std::string& what) const;
  [[noreturn]] void fail(const std::string& what) const;

 private:
  std::string lines_;
  std::string* outer_;
};

}  // namespace bittern
