# Builds for 64-bit Arm on another machine, with Debian's cross compiler. The compiler and the arm64
# libraries that the tools and the tests need are unpacked into the cache: only
# binutils-aarch64-linux-gnu is installed (see scripts/cross_compiler.sh).
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)

# CMake reads this file again for each of its trial compilations.
foreach(part IN ITEMS compiler libraries)
  string(TOUPPER DEADBOLT_ARM64_${part} variable)
  if(NOT DEFINED ENV{${variable}})
    execute_process(COMMAND ${CMAKE_CURRENT_LIST_DIR}/../scripts/cross_${part}.sh arm64
      OUTPUT_VARIABLE directory OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
    set(ENV{${variable}} ${directory})
  endif()
endforeach()
set(CMAKE_SYSROOT $ENV{DEADBOLT_ARM64_COMPILER})
file(GLOB CMAKE_C_COMPILER ${CMAKE_SYSROOT}/usr/bin/aarch64-linux-gnu-gcc-[0-9][0-9])
file(GLOB CMAKE_CXX_COMPILER ${CMAKE_SYSROOT}/usr/bin/aarch64-linux-gnu-g++-[0-9][0-9])
foreach(language IN ITEMS C CXX ASM)
  set(CMAKE_${language}_FLAGS_INIT -B/usr/aarch64-linux-gnu/bin) # the assembler and the linker
endforeach()
set(CMAKE_FIND_ROOT_PATH $ENV{DEADBOLT_ARM64_LIBRARIES})
# What libbpf is linked with.
foreach(directory IN ITEMS usr/lib lib)
  string(APPEND CMAKE_EXE_LINKER_FLAGS_INIT
    " -Wl,-rpath-link,$ENV{DEADBOLT_ARM64_LIBRARIES}/${directory}/aarch64-linux-gnu")
endforeach()
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
