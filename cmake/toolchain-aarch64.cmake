# Builds for 64-bit Arm on another machine, with Debian's cross compiler (packages
# gcc-aarch64-linux-gnu and g++-aarch64-linux-gnu). The arm64 packages that the tools and the tests
# need are unpacked into the cache: nothing of another architecture is installed.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)

# CMake reads this file again for each of its trial compilations.
if(NOT DEFINED ENV{DEADBOLT_ARM64_PACKAGES})
  execute_process(COMMAND ${CMAKE_CURRENT_LIST_DIR}/../scripts/arm64_packages.sh
    OUTPUT_VARIABLE packages OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  set(ENV{DEADBOLT_ARM64_PACKAGES} ${packages})
endif()
set(CMAKE_FIND_ROOT_PATH $ENV{DEADBOLT_ARM64_PACKAGES})
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
