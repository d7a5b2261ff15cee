#!/usr/bin/env bash
# Makes .venv with everything that training, export, tests and benchmarks need. Called by make.
#
# PYTHON: the Python to use.  TORCH_INDEX: index of PyTorch's CPU builds, asked only if the default index brings CUDA.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
  echo "bittern: $1" >&2
  exit 1
}

"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
  fail "needs Python 3.11 or newer; '$PYTHON' is not. Name another: make PYTHON=python3.12"
"$PYTHON" -c 'import venv, ensurepip' 2>/dev/null ||
  fail "Python's venv module is missing. Install it, on Debian or Ubuntu: apt-get install python3-venv"
echo 'int main() {}' | "${CXX:-c++}" -std=c++17 -x c++ -o /dev/null - 2>/dev/null ||
  fail "a C++17 compiler is missing. Install one, on Debian or Ubuntu: apt-get install g++"
"$PYTHON" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' ||
  fail "Python's C headers are missing. Install them, on Debian or Ubuntu: apt-get install python3-dev"

[ -x .venv/bin/python ] || "$PYTHON" -m venv .venv
pip=(.venv/bin/python -m pip --disable-pip-version-check)
requirements=(.venv/bin/python scripts/requirements.py)
torch=$("${requirements[@]}" export-light | grep '^torch==')
executorch=$("${requirements[@]}" export | grep '^executorch==')

if ! .venv/bin/python -c 'import torch' 2>/dev/null; then
  echo "Installing PyTorch ..."
  index=()
  if ! command -v nvidia-smi >/dev/null; then
    # Read as a whole: grep -q in a pipe would end pip, and with it the answer.
    plan=$("${pip[@]}" install --quiet --dry-run --ignore-installed --report - "$torch" 2>/dev/null || true)
    if grep -Eq '"name": "(nvidia|cuda|triton)' <<<"$plan"; then
      index=(--index-url "$TORCH_INDEX")
    fi
  fi
  "${pip[@]}" install --quiet "${index[@]}" "$torch" ||
    fail "cannot install $torch. Name an index of PyTorch's CPU builds: make TORCH_INDEX=URL"
fi
echo "Installing ExecuTorch and tools ..."
# Without its dependencies: this project imports none of the rest of what ExecuTorch's metadata lists.
"${pip[@]}" install --quiet --no-deps "$executorch"
"${pip[@]}" install --quiet --no-warn-conflicts $("${requirements[@]}" cli train import export-light dev)
