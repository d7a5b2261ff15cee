# Toolchain file: from another Linux machine to 64-bit ARM Linux (Raspberry Pi 3 and newer with a 64-bit system), with
# Debian's and Ubuntu's cross-compiler, g++-aarch64-linux-gnu. docs/arm.md shows its use.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_FIND_ROOT_PATH /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
