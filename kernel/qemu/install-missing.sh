#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Everything `make test-kernel` needs on a bare Debian 12. As root what is
# missing is installed; otherwise the one line that does it is printed.
set -eu
. "$(dirname "$0")/env.sh"

packages="linux-source-6.12 qemu-system-x86 busybox-static gcc-multilib
	libc6-dev-i386 libc6-dev-x32 make flex bison bc libelf-dev cpio xz-utils
	gzip git ccache util-linux"

missing=
for package in $packages; do
	case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true) in
	"install ok installed") ;;
	*) missing="$missing $package" ;;
	esac
done
[ -n "$missing" ] || exit 0

line="apt-get install -y --no-install-recommends$missing"
if [ "$(id -u)" != 0 ]; then
	say "packages are missing; as root run"
	echo "$line"
	exit 1
fi
say "installing:$missing"
apt-get update -q >&2
DEBIAN_FRONTEND=noninteractive $line >&2
