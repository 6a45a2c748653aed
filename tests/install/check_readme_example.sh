#!/bin/sh
# SPDX-License-Identifier: MIT
# Usage: check_readme_example.sh README PREFIX SCRATCH
# The README's longer program, as a reader would build it. tests/languages runs the short ones.
set -eu

rm -rf "$3"
mkdir -p "$3"
# shellcheck disable=SC2016 # a literal fence
sed '1,/^## Data that stays whole$/d' "$1" | sed -n '/^```cpp$/,/^```$/p' |
  sed -e '/^```/d' -e "s|/dev/shm/bank|$3/bank|" >"$3/example.cpp"
[ -s "$3/example.cpp" ]
PKG_CONFIG_PATH=$(dirname "$(find "$2" -name deadbolt.pc)")
export PKG_CONFIG_PATH
# shellcheck disable=SC2046 # the flags are words
c++ -std=c++20 -Wall -Wextra -Werror "$3/example.cpp" -o "$3/example" \
  $(pkg-config --cflags --libs deadbolt) -Wl,-rpath,"$(pkg-config --variable=libdir deadbolt)"
timeout 30 "$3/example"
