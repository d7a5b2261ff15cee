#!/usr/bin/env bash
# Installs the system packages without which tests are skipped: where they are missing, there is apt-get, and we are
# root. Never fails, as the tests that lack a package say so and name it.
#
#     g++-aarch64-linux-gnu, qemu-user    the operators' tests on aarch64 (docs/arm.md)
#     clang, libclang-rt-dev              the fuzz target (docs/testing.md)
#     gcc-arm-none-eabi, libnewlib-arm-none-eabi, qemu-system-arm
#                                         networks in C on Cortex-M (docs/small.md)
#     chromium                            reports in a browser (docs/study.md)
set -uo pipefail

missing=()
command -v aarch64-linux-gnu-g++ >/dev/null || missing+=(g++-aarch64-linux-gnu)
command -v qemu-aarch64 >/dev/null || missing+=(qemu-user)
command -v arm-none-eabi-gcc >/dev/null || missing+=(gcc-arm-none-eabi libnewlib-arm-none-eabi)
command -v qemu-system-arm >/dev/null || missing+=(qemu-system-arm)
command -v clang++ >/dev/null || missing+=(clang)
fuzzer=libclang_rt.fuzzer-$(uname -m).a
[ -e "$(clang++ -print-file-name="$fuzzer" 2>/dev/null)" ] || missing+=(libclang-rt-dev)
command -v chromium >/dev/null || command -v chromium-browser >/dev/null || missing+=(chromium)

if [ ${#missing[@]} -eq 0 ]; then
  echo "System packages for tests: all there"
elif ! command -v apt-get >/dev/null || [ "$(id -u)" -ne 0 ]; then
  echo "System packages for tests: ${missing[*]} missing, and only root can install them, with apt-get"
else
  log=$(mktemp)
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >"$log" 2>&1
  failed=()
  for package in "${missing[@]}"; do # one by one: a distribution may lack one of them
    apt-get install -qq -y --no-install-recommends "$package" >>"$log" 2>&1 || failed+=("$package")
  done
  if [ ${#failed[@]} -eq 0 ]; then
    echo "System packages for tests: installed ${missing[*]}"
  else
    echo "System packages for tests: cannot install ${failed[*]} of ${missing[*]}: $(grep -m1 '^E:' "$log")"
  fi
  rm -f "$log"
fi
exit 0
