# Builds for 64-bit RISC-V on another machine, with clang and the libc and libstdc++ of Debian's
# cross compiler. These, and what the command and the tests need, are unpacked into the cache:
# clang and binutils-riscv64-linux-gnu are installed (see scripts/cross_compiler.sh and
# scripts/cross_libraries.sh).
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR riscv64)

# CMake reads this file again for each of its trial compilations.
foreach(part IN ITEMS compiler libraries)
  string(TOUPPER DEADBOLT_RISCV64_${part} variable)
  if(NOT DEFINED ENV{${variable}})
    execute_process(COMMAND ${CMAKE_CURRENT_LIST_DIR}/../scripts/cross_${part}.sh riscv64
      OUTPUT_VARIABLE directory OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
    set(ENV{${variable}} ${directory})
  endif()
endforeach()
# Not Debian 12's GCC: see deadbolt_target_architecture.cmake.
set(CMAKE_SYSROOT $ENV{DEADBOLT_RISCV64_COMPILER})
foreach(language IN ITEMS C CXX ASM)
  set(CMAKE_${language}_COMPILER clang)
  set(CMAKE_${language}_COMPILER_TARGET riscv64-linux-gnu)
  set(CMAKE_${language}_COMPILER_EXTERNAL_TOOLCHAIN ${CMAKE_SYSROOT}/usr)
  set(CMAKE_${language}_FLAGS_INIT -B/usr/riscv64-linux-gnu/bin) # the assembler and the linker
endforeach()
set(CMAKE_CXX_COMPILER clang++)
set(CMAKE_FIND_ROOT_PATH $ENV{DEADBOLT_RISCV64_LIBRARIES})
set(CMAKE_LIBRARY_ARCHITECTURE riscv64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
# fmt's headers, which CMake finds by the configuration of the other architecture's library.
file(GLOB fmt_DIR $ENV{DEADBOLT_RISCV64_LIBRARIES}/usr/lib/*/cmake/fmt)
set(DEADBOLT_GTEST_SOURCE $ENV{DEADBOLT_RISCV64_LIBRARIES}/usr/src/googletest/googletest)
