#!/bin/sh
# SPDX-License-Identifier: MIT
# Usage: run.sh SOURCE_ROOT
# Checks that clang++ -Wthread-safety accepts use.cpp, and rejects each wrong use in it for the
# reason that use.cpp gives beside it. Exit status 77: there is no clang++.
set -eu

clang=$(command -v clang++ || find /usr/bin -name "clang++-[0-9]*" | head -n 1)
[ -n "$clang" ] || { echo "skipped: there is no clang++"; exit 77; }
cd "$1/tests/unit/thread_safety"

compile() {
  "$clang" -std=c++20 -Wall -Wextra -Wthread-safety -Werror -fsyntax-only -I "$1/include" \
    -D "WRONG=$2" use.cpp
}

compile "$1" 0
count=$(grep -c '^#.*WRONG == ' use.cpp)
for wrong in $(seq "$count"); do
  reason=$(sed -n "s/^#.*WRONG == $wrong \/\/ //p" use.cpp)
  [ -n "$reason" ]
  if messages=$(compile "$1" "$wrong" 2>&1); then
    echo "wrong use $wrong ($reason) was accepted"
    exit 1
  fi
  if ! echo "$messages" | grep -q "$reason"; then
    echo "wrong use $wrong was not rejected as '$reason': $messages"
    exit 1
  fi
done
echo "right use accepted, $count wrong uses rejected"
