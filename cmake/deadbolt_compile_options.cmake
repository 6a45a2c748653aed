# Warnings and language level for everything of ours; consumers see none of it.
add_library(deadbolt_compile_options INTERFACE)
target_compile_features(deadbolt_compile_options INTERFACE cxx_std_20 c_std_11)
target_compile_options(deadbolt_compile_options INTERFACE
  $<$<COMPILE_LANGUAGE:C,CXX>:-Wall -Wextra -Wpedantic -Werror -Wshadow -Wconversion
    -Wsign-conversion -Wundef -Wvla>
  $<$<COMPILE_LANGUAGE:CXX>:-Wold-style-cast -Wnon-virtual-dtor -Woverloaded-virtual>
  $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wduplicated-cond -Wlogical-op>)
