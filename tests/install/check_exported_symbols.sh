#!/bin/sh
# SPDX-License-Identifier: MIT
# Usage: check_exported_symbols.sh PREFIX BASELINE
# The shared library's dynamic symbols must be those of the baseline. To accept a
# change: make the new list the baseline, and say in the commit whether it breaks
# programs that were linked before.
set -eu

library=$(find "$1" -name libdeadbolt.so.0.1)
exported=$(nm --dynamic --defined-only --extern-only --demangle "$library" |
  sed 's/^[^ ]* //' | LC_ALL=C sort)
[ -n "$exported" ]
if ! printf '%s\n' "$exported" | diff -u "$2" -; then
  echo "exported symbols differ from $2" >&2
  exit 1
fi
echo "$(printf '%s\n' "$exported" | wc -l) exported symbols, as in the baseline"
