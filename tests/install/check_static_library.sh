#!/bin/sh
# SPDX-License-Identifier: MIT
# Usage: check_static_library.sh PREFIX
# Linked whole, with libc alone, the static library leaves nothing undefined.
set -eu

library=$(find "$1" -name libdeadbolt.a)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
echo 'int main(void) { return 0; }' >"$scratch/main.c"
cc "$scratch/main.c" -o "$scratch/main" -Wl,--whole-archive "$library" -Wl,--no-whole-archive \
  -nodefaultlibs -lc
"$scratch/main"
