#!/bin/sh
# SPDX-License-Identifier: MIT
# check_headers.sh COMPILER INCLUDE: compiles each public header by itself for riscv64. Those of
# what riscv64 does not have are refused by the sentence that says so; all others compile.
set -eu
bin=$1/usr/bin sysroot=$1 include=$2
bad=0 refused=0 compiled=0
for header in "$include"/deadbolt/*.h "$include"/deadbolt/*.hpp; do
  name=deadbolt/${header##*/}
  [ "$name" != deadbolt/region_thread_sanitizer.h ] || continue # a part of region.h
  case $name in
  *.hpp) set -- "$bin"/riscv64-linux-gnu-g++-[0-9][0-9] -std=c++20 -x c++ ;;
  *) set -- "$bin"/riscv64-linux-gnu-gcc-[0-9][0-9] -std=c11 -x c ;;
  esac
  found=yes
  errors=$(echo "#include <$name>" | "$@" --sysroot="$sysroot" -I"$include" \
    -Wall -Wextra -Werror -fsyntax-only - 2>&1) || found=no
  case $name in
  deadbolt/robust_* | deadbolt/protection.* | deadbolt/quiescence.*)
    refused=$((refused + 1))
    case $found$errors in
    no*'not there on this architecture'*) ;;
    *) echo "$name is not refused by its sentence: $errors"; bad=1 ;;
    esac ;;
  *)
    compiled=$((compiled + 1))
    [ $found = yes ] || { echo "$name does not compile: $errors"; bad=1; } ;;
  esac
done
echo "headers on riscv64: $compiled compile, $refused are refused"
[ "$refused" -ge 8 ] && [ "$compiled" -ge 8 ] || bad=1
exit $bad
