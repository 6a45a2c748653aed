#!/bin/sh
# SPDX-License-Identifier: MIT
# Fails if clang-format would change a C or C++ file. Leaves out kernel/, which follows the
# kernel's style and has a checker of its own, and unlock_block.h, which is assembly.
set -eu
cd "$(dirname "$0")/.."

find . \( -path ./build -o -path ./kernel -o -path ./.git \) -prune -o \
  -name unlock_block.h -o \
  \( -name '*.c' -o -name '*.cpp' -o -name '*.h' -o -name '*.hpp' \) -print0 |
  xargs -0 clang-format --dry-run -Werror
