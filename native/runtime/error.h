// What the engine throws: a sentence for the user, ExecuTorch's own log lines included.
#pragma once

#include <stdexcept>

namespace bittern {

class EngineError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace bittern
