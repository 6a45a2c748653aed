#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# in-7.3.sh COMMAND...: runs one of the scripts beside it for the series for Linux 7.3
# (kernel/patches/7.3), with sources, builds and images of its own in the cache.
# SERIES_VERSION=7.2 does so for Linux 7.2: the same series, but for the patches that are
# in kernel/patches/7.2.
set -eu
. "$(dirname "$0")/env.sh"

: "${SERIES_VERSION:=7.3}"
case $SERIES_VERSION in
7.2) suites="sid forky" ;;
7.3) suites="experimental sid forky" ;;
*) die "no such version: $SERIES_VERSION" ;;
esac
export CCACHE_DIR
tarball=$cache/sources/linux-source-$SERIES_VERSION.tar.xz
"$here/debian-file.sh" "$suites" "linux-source-$SERIES_VERSION" \
	"*/linux-source-$SERIES_VERSION.tar.xz" "$tarball"
patches=$tree/patches/7.3
if [ $SERIES_VERSION = 7.2 ]; then
	patches=$cache/sources/patches-7.2
	rm -rf "$patches"
	cp -r "$tree/patches/7.3" "$patches"
	for patch in "$tree"/patches/7.2/*.patch; do
		rm "$patches/$(basename "$patch" | cut -c1-4)"-*
		cp "$patch" "$patches/"
	done
fi
export KERNEL_TARBALL="$tarball" KERNEL_PATCHES="$patches"
export DEADBOLT_CACHE="$DEADBOLT_CACHE/linux-$SERIES_VERSION"
exec "$@"
