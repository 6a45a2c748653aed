# The architecture is chosen by build path: src/{base,robust}/arch/<architecture>. One that is
# not supported fails here; there is no fall-back that is not crash-safe.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$" AND CMAKE_SIZEOF_VOID_P EQUAL 8
   AND CMAKE_SYSTEM_NAME STREQUAL "Linux")
  set(DEADBOLT_ARCHITECTURE x86_64)
else()
  message(FATAL_ERROR
    "deadbolt supports 64-bit x86-64 Linux; this build is for "
    "${CMAKE_SYSTEM_NAME} ${CMAKE_SYSTEM_PROCESSOR} with ${CMAKE_SIZEOF_VOID_P}-byte pointers. "
    "Add src/{base,robust}/arch/<architecture> with its unlock blocks to support another.")
endif()
