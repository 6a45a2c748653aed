#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Everything `make test-kernel` needs on a bare Debian 12.
set -eu
. "$(dirname "$0")/env.sh"

packages="linux-source-6.12 qemu-system-x86 busybox-static gcc-multilib
	libc6-dev-i386 libc6-dev-x32 make flex bison bc libelf-dev libssl-dev cpio xz-utils
	gzip git ccache util-linux perl python3"

# shellcheck disable=SC2086
"$tree/../scripts/require_packages.sh" $packages >&2
# And for the library's side, what its own tests need.
"${MAKE:-make}" -s -C "$tree/.." packages-test >&2
