# The architecture is chosen by build path: src/{base,robust}/arch/<architecture>. One that is
# not supported fails here; there is no fall-back that is not crash-safe.
if(CMAKE_SYSTEM_NAME STREQUAL "Linux" AND CMAKE_SIZEOF_VOID_P EQUAL 8)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$")
    set(DEADBOLT_ARCHITECTURE x86_64)
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
    set(DEADBOLT_ARCHITECTURE aarch64)
  elseif(CMAKE_SYSTEM_PROCESSOR STREQUAL "riscv64")
    set(DEADBOLT_ARCHITECTURE riscv64)
  endif()
endif()
if(NOT DEADBOLT_ARCHITECTURE)
  message(FATAL_ERROR
    "deadbolt supports 64-bit Linux on x86-64 and aarch64, and its regions on riscv64; this build "
    "is for ${CMAKE_SYSTEM_NAME} ${CMAKE_SYSTEM_PROCESSOR} with ${CMAKE_SIZEOF_VOID_P}-byte "
    "pointers. Add src/base/arch/<architecture> to have regions on another, and "
    "src/robust/arch/<architecture> with the unlock blocks to have robust_mutex there.")
endif()

# For riscv64, GCC before 14 looks at the failure order alone when it chooses a compare-exchange's
# fence: if that is relaxed or acquire there is none, although success is to be a release.
if(DEADBOLT_ARCHITECTURE STREQUAL riscv64 AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND
   CMAKE_CXX_COMPILER_VERSION VERSION_LESS 14)
  message(FATAL_ERROR "deadbolt on riscv64 needs GCC 14 or newer, or clang: the compare-exchanges "
    "of GCC ${CMAKE_CXX_COMPILER_VERSION} do not have the memory order that the locks ask for.")
endif()

# Without unlock blocks there are the regions and their locks, and `deadbolt inspect`. The headers
# of all else say so (deadbolt/detail/robust_architectures.h), and the command says it of its other
# subcommands.
set(DEADBOLT_ONLY_REGIONS ON)
if(EXISTS ${PROJECT_SOURCE_DIR}/src/robust/arch/${DEADBOLT_ARCHITECTURE})
  set(DEADBOLT_ONLY_REGIONS OFF)
else()
  message(STATUS "No unlock blocks for ${DEADBOLT_ARCHITECTURE}: regions only, without "
    "robust_mutex, guards, crash-test and benchmarks")
endif()

# For code that is built inside this tree: the sources, and what each part has for this
# architecture.
set(DEADBOLT_SOURCE_INCLUDES ${PROJECT_SOURCE_DIR}/src)
foreach(part IN ITEMS base robust trace guard)
  list(APPEND DEADBOLT_SOURCE_INCLUDES ${PROJECT_SOURCE_DIR}/src/${part}/arch/${DEADBOLT_ARCHITECTURE})
endforeach()
