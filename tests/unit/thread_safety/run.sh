#!/bin/sh
# SPDX-License-Identifier: MIT
# Usage: run.sh SOURCE_ROOT
# Checks that clang -Wthread-safety accepts use.cpp and use.c, and rejects each wrong use in them
# for the reason that stands beside it. Exit status 77: there is no clang.
set -eu

clang=$(command -v clang || find /usr/bin -name "clang-[0-9]*" | head -n 1)
[ -n "$clang" ] || { echo "skipped: there is no clang"; exit 77; }
cd "$1/tests/unit/thread_safety"

compile() { # WRONG FILE STANDARD
  "$clang" "-std=$3" -Wall -Wextra -Wthread-safety -Werror -fsyntax-only -I ../../../include \
    -D "WRONG=$1" "$2"
}

check() { # FILE STANDARD
  compile 0 "$@"
  count=$(grep -c '^#.*WRONG == ' "$1")
  for wrong in $(seq "$count"); do
    reason=$(sed -n "s/^#.*WRONG == $wrong \/\/ //p" "$1")
    [ -n "$reason" ]
    if messages=$(compile "$wrong" "$@" 2>&1); then
      echo "$1: wrong use $wrong ($reason) was accepted"
      exit 1
    fi
    if ! echo "$messages" | grep -q "$reason"; then
      echo "$1: wrong use $wrong was not rejected as '$reason': $messages"
      exit 1
    fi
  done
  echo "$1: right use accepted, $count wrong uses rejected"
}

check use.cpp c++20
check use.c c11
