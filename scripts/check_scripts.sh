#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs shellcheck on every shell script outside kernel/; a guest's init is one of busybox's shell.
set -eu
cd "$(dirname "$0")/.."

find . \( -path ./build -o -path ./kernel -o -path ./.git \) -prune -o \
  \( -name '*.sh' -o -path './.ci/run' \) -print0 | xargs -0 shellcheck
find tests -name init -print0 | xargs -0 shellcheck --shell=dash
