# Builds the library and its musl tests on Debian with musl-tools and the system's
# g++: libstdc++'s headers over musl's, and no C++ run-time library. Programs are
# static, linked as C.
set(DEADBOLT_LIBC musl)

find_program(musl_gcc musl-gcc REQUIRED)
find_program(musl_host_cxx NAMES g++ REQUIRED)
set(CMAKE_C_COMPILER ${musl_gcc})
set(CMAKE_CXX_COMPILER ${musl_host_cxx})
# A whole C++ program cannot be linked here, and need not be.
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)

execute_process(COMMAND ${musl_host_cxx} -print-multiarch
  OUTPUT_VARIABLE musl_multiarch OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${musl_host_cxx} -dumpversion
  OUTPUT_VARIABLE musl_gcc_version OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
string(REPLACE "-gnu" "-musl" musl_triplet ${musl_multiarch})

# The kernel's headers lie among glibc's; these links keep the two apart.
set(musl_linux_headers ${CMAKE_BINARY_DIR}/linux_headers)
file(MAKE_DIRECTORY ${musl_linux_headers})
foreach(directory IN ITEMS /usr/include/linux /usr/include/asm-generic
    /usr/include/${musl_multiarch}/asm)
  get_filename_component(name ${directory} NAME)
  if(NOT EXISTS ${musl_linux_headers}/${name})
    file(CREATE_LINK ${directory} ${musl_linux_headers}/${name} SYMBOLIC)
  endif()
endforeach()

set(CMAKE_C_FLAGS_INIT "-idirafter ${musl_linux_headers}")
string(JOIN " " CMAKE_CXX_FLAGS_INIT
  -specs=/usr/lib/${musl_triplet}/musl-gcc.specs
  -nostdinc++
  -isystem ${CMAKE_CURRENT_LIST_DIR}/musl
  -isystem /usr/include/c++/${musl_gcc_version}
  -isystem /usr/include/${musl_multiarch}/c++/${musl_gcc_version}
  -idirafter ${musl_linux_headers})
set(CMAKE_ASM_FLAGS_INIT "-idirafter ${musl_linux_headers}")
set(CMAKE_EXE_LINKER_FLAGS_INIT -static)
