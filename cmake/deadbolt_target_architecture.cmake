# The architecture is chosen by build path: src/{base,robust}/arch/<architecture>. One that is
# not supported fails here; there is no fall-back that is not crash-safe.
if(CMAKE_SYSTEM_NAME STREQUAL "Linux" AND CMAKE_SIZEOF_VOID_P EQUAL 8)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$")
    set(DEADBOLT_ARCHITECTURE x86_64)
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
    set(DEADBOLT_ARCHITECTURE aarch64)
  endif()
endif()
if(NOT DEADBOLT_ARCHITECTURE)
  message(FATAL_ERROR
    "deadbolt supports 64-bit Linux on x86-64 and aarch64; this build is for "
    "${CMAKE_SYSTEM_NAME} ${CMAKE_SYSTEM_PROCESSOR} with ${CMAKE_SIZEOF_VOID_P}-byte pointers. "
    "Add src/{base,robust}/arch/<architecture> with its unlock blocks to support another.")
endif()

# For code that is built inside this tree: the sources, and what each part has for this
# architecture.
set(DEADBOLT_SOURCE_INCLUDES ${PROJECT_SOURCE_DIR}/src)
foreach(part IN ITEMS base robust trace guard)
  list(APPEND DEADBOLT_SOURCE_INCLUDES ${PROJECT_SOURCE_DIR}/src/${part}/arch/${DEADBOLT_ARCHITECTURE})
endforeach()
