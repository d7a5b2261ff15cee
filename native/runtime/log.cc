#include "runtime/log.h"

#include <executorch/runtime/platform/platform.h>

#include <cstdio>

#include "runtime/error.h"

namespace bittern {
namespace {

thread_local std::string* caught = nullptr;

void emit(et_timestamp_t, et_pal_log_level_t level, const char* file, const char*, size_t line, const char* message,
          size_t length) {
  if (caught == nullptr) {
    std::fprintf(stderr, "%c executorch:%s:%zu] %.*s\n", static_cast<char>(level), file, line, static_cast<int>(length),
                 message);
  } else if (level == kError || level == kFatal) {
    if (!caught->empty()) caught->append("; ");
    caught->append(message, length);
  }
}

}  // namespace

void install_log() { executorch::runtime::register_pal(executorch::runtime::PalImpl::create(emit, "bittern")); }

LogCapture::LogCapture() : outer_(caught) { caught = &lines_; }

LogCapture::~LogCapture() { caught = outer_; }

void LogCapture::check(executorch::runtime::Error error, const std::string& what) const {
  if (error != executorch::runtime::Error::Ok) fail(what + " (" + executorch::runtime::to_string(error) + ")");
}

void LogCapture::fail(const std::string& what) const {
  throw EngineError(lines_.empty() ? what : what + ": " + lines_);
}

}  // namespace bittern
