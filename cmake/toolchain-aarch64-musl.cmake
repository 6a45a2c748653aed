# Builds the library and its musl tests for 64-bit Arm on another machine: Debian's cross compiler
# (see toolchain-aarch64.cmake) with Debian's musl for arm64, unpacked into the cache. As in
# toolchain-musl.cmake, libstdc++'s headers lie over musl's, there is no C++ run-time library, and
# programs are static, linked as C.
include(${CMAKE_CURRENT_LIST_DIR}/toolchain-aarch64.cmake)
set(DEADBOLT_LIBC musl)
set(compiler_root ${CMAKE_SYSROOT})
unset(CMAKE_SYSROOT) # it holds glibc
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)

if(NOT DEFINED ENV{DEADBOLT_ARM64_MUSL})
  execute_process(COMMAND ${CMAKE_CURRENT_LIST_DIR}/../scripts/cross_musl.sh arm64
    OUTPUT_VARIABLE directory OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  set(ENV{DEADBOLT_ARM64_MUSL} ${directory})
endif()
set(musl_root $ENV{DEADBOLT_ARM64_MUSL})

# musl's own specs file, with the paths of the unpacked package.
set(musl_specs ${CMAKE_BINARY_DIR}/musl.specs)
file(READ ${musl_root}/usr/lib/aarch64-linux-musl/musl-gcc.specs specs)
string(REPLACE " /usr/" " ${musl_root}/usr/" specs "${specs}")
string(REPLACE "-L/usr/" "-L${musl_root}/usr/" specs "${specs}")
file(CONFIGURE OUTPUT ${musl_specs} CONTENT "${specs}" @ONLY) # writes only what has changed

# The kernel's headers lie among glibc's; these links keep the two apart.
set(headers ${compiler_root}/usr/aarch64-linux-gnu/include)
set(linux_headers ${CMAKE_BINARY_DIR}/linux_headers)
file(MAKE_DIRECTORY ${linux_headers})
foreach(name IN ITEMS linux asm-generic asm)
  if(NOT EXISTS ${linux_headers}/${name})
    file(CREATE_LINK ${headers}/${name} ${linux_headers}/${name} SYMBOLIC)
  endif()
endforeach()

file(GLOB cxx_headers ${headers}/c++/[0-9][0-9])
string(APPEND CMAKE_C_FLAGS_INIT " -specs=${musl_specs} -idirafter ${linux_headers}")
string(APPEND CMAKE_ASM_FLAGS_INIT " -specs=${musl_specs} -idirafter ${linux_headers}")
string(JOIN " " cxx_flags
  -specs=${musl_specs}
  -nostdinc++
  -isystem ${CMAKE_CURRENT_LIST_DIR}/musl
  -isystem ${cxx_headers}
  -isystem ${cxx_headers}/aarch64-linux-gnu
  -idirafter ${linux_headers})
string(APPEND CMAKE_CXX_FLAGS_INIT " ${cxx_flags}")
set(CMAKE_EXE_LINKER_FLAGS_INIT -static)
