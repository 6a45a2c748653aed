#!/bin/sh
# SPDX-License-Identifier: MIT
# Usage: check_cases.sh SOURCE_DIRECTORY
# Every test that cases.md names is there.
set -u
cd "$1" || exit 2

# shellcheck disable=SC2016 # the backquotes are text
names=$(grep -o '`[a-z_0-9]*\.[a-z_0-9]*`\|`[a-z_]*\.py::[a-z_]*`' tests/region/cases.md | tr -d '`' | sort -u)
count=0 missing=0
for name in $names; do
  case $name in
  *.py::*) grep -q "^def ${name#*::}(" "bindings/python/tests/${name%%::*}" ;;
  *) grep -rqE "^TEST(_F|_P)?\(${name%.*}, ${name#*.}\)" tests --include=*_test.cpp ||
    grep -rqzE "TEST(_F|_P)?\(${name%.*},[[:space:]]*${name#*.}\)" tests --include=*_test.cpp ;;
  esac || { echo "cases.md: there is no test $name"; missing=$((missing + 1)); }
  count=$((count + 1))
done
[ "$count" -gt 40 ] || { echo "cases.md: only $count tests are named"; exit 1; }
# A row has a test, or says why it has none.
# shellcheck disable=SC2016
grep '^| [a-z0-9]*[._]' tests/region/cases.md | grep -v '`[a-z_0-9.:]*`\|| none' && missing=$((missing + 1))
echo "$count tests, $missing missing"
[ "$missing" -eq 0 ]
