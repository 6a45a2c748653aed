# Warnings and language level for everything of ours; consumers see none of it.
add_library(deadbolt_compile_options INTERFACE)
target_compile_features(deadbolt_compile_options INTERFACE cxx_std_20 c_std_11)
target_compile_options(deadbolt_compile_options INTERFACE
  $<$<COMPILE_LANGUAGE:C,CXX>:-Wall -Wextra -Wpedantic -Wshadow -Wconversion
    -Wsign-conversion -Wundef -Wvla>
  $<$<COMPILE_LANGUAGE:CXX>:-Wold-style-cast -Wnon-virtual-dtor -Woverloaded-virtual>
  $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wduplicated-cond -Wlogical-op>)
# Not where another project, with a compiler that we may not know, has this tree in its own.
if(PROJECT_IS_TOP_LEVEL)
  target_compile_options(deadbolt_compile_options INTERFACE
    $<$<COMPILE_LANGUAGE:C,CXX>:-Werror>)
endif()

# clang-tidy's checks are no prerequisite that Ninja knows of: a change of them is
# made a change of every command line.
if(CMAKE_CXX_CLANG_TIDY)
  set_property(DIRECTORY ${PROJECT_SOURCE_DIR} APPEND PROPERTY
    CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/.clang-tidy)
  file(SHA256 ${PROJECT_SOURCE_DIR}/.clang-tidy clang_tidy_checks)
  add_compile_definitions(DEADBOLT_CLANG_TIDY_CHECKS_${clang_tidy_checks})
endif()
