#!/bin/sh
# SPDX-License-Identifier: MIT
# Usage: cross_libraries.sh arm64|riscv64
#
# Unpacks the libraries that a cross build of the tools and the tests needs, of the Debian release
# that this machine runs, and prints where they are. They hold no libc: that comes with the
# compiler, see cross_compiler.sh.
#
# Debian 12 has no riscv64, so for riscv64 it is what fits every architecture: headers, and the
# source of GoogleTest.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck disable=SC1091
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
case $1 in
riscv64) set -- "$(dpkg --print-architecture)" googletest ;;
*) set -- "$1" libgtest-dev libbpf-dev 'libbpf[0-9]*' libelf1 zlib1g ;;
esac
exec "$here/debian_unpack.sh" "$suite" "$@" \
  libfmt-dev 'libfmt[0-9]*' libcli11-dev nlohmann-json3-dev
