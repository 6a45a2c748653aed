#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Everything `make test-kernel` needs on a bare Debian 12; with `cross`, what
# kernel-check-series needs; with `arm64`, what an arm64 kernel of `make test-arm64` needs
# beside the packages of that target.
# gcc-12-multilib and not gcc-multilib, beside which Debian's compilers for other
# architectures cannot be installed. All that is missed is /usr/include/asm.
set -eu
. "$(dirname "$0")/env.sh"

build="make flex bison bc libelf-dev libssl-dev cpio xz-utils gzip git ccache util-linux perl
	python3"
# Linux 7.3 wants Clang 17; Debian 12 has 16 and 19.
clang="clang-19 lld-19 llvm-19"
if [ "${1:-}" = arm64 ]; then
	# shellcheck disable=SC2086
	"$tree/../scripts/require_packages.sh" $build $clang >&2
	exit 0
fi
packages="linux-source-6.12 qemu-system-x86 busybox-static gcc-12-multilib
	libc6-dev-i386 libc6-dev-x32 $build"
[ "${1:-}" != cross ] || packages="$packages $clang"

# shellcheck disable=SC2086
"$tree/../scripts/require_packages.sh" $packages >&2
# And for the library's side, what its own tests need.
"${MAKE:-make}" -s -C "$tree/.." packages-test >&2
