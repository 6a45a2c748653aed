#!/bin/sh
# SPDX-License-Identifier: MIT
# Usage: build_examples.sh EXAMPLES PREFIX SCRATCH
# Builds every example that is one file by pkg-config alone, as a reader would.
set -eu

PKG_CONFIG_PATH=$(dirname "$(find "$2" -name deadbolt.pc)")
export PKG_CONFIG_PATH
rm -rf "$3"
mkdir -p "$3"
built=0
for example in "$1"/*.c "$1"/*.cpp; do
  case $example in
  *.cpp) compiler="c++ -std=c++20" ;;
  *) compiler="cc -std=c11" ;;
  esac
  # shellcheck disable=SC2046 # the flags are words
  $compiler -Wall -Wextra -Werror "$example" -o "$3/example" $(pkg-config --cflags --libs deadbolt)
  built=$((built + 1))
done
echo "$built examples built"
