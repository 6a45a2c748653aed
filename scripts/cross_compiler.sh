#!/bin/sh
# SPDX-License-Identifier: MIT
# Usage: cross_compiler.sh arm64|riscv64
#
# Unpacks Debian's GCC for another architecture, with that architecture's libc and libstdc++, into
# a directory of the cache, and prints the directory: a sysroot, with the compiler in its usr/bin.
# The package of the compiler cannot be installed beside g++-multilib, which `make test` needs; GCC
# finds its own files wherever it lies. The assembler and the linker come from the installed
# package binutils-aarch64-linux-gnu or binutils-riscv64-linux-gnu.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
architecture=$1
case $architecture in
arm64) triplet=aarch64-linux-gnu ;;
riscv64) triplet=riscv64-linux-gnu ;;
*) echo "cross_compiler: no compiler for $architecture is known" >&2; exit 1 ;;
esac
# shellcheck disable=SC1091
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
exec "$here/debian_unpack.sh" "$suite" "$(dpkg --print-architecture)" \
  "cpp-[0-9][0-9]-$triplet" "gcc-[0-9][0-9]-$triplet" "g++-[0-9][0-9]-$triplet" \
  "libc6-$architecture-cross" "libc6-dev-$architecture-cross" \
  "linux-libc-dev-$architecture-cross" "libgcc-[0-9][0-9]-dev-$architecture-cross" \
  "libgcc-s1-$architecture-cross" "libstdc++-[0-9][0-9]-dev-$architecture-cross" \
  "libstdc++6-$architecture-cross" "libatomic1-$architecture-cross"
