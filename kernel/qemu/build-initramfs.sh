#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# build-initramfs.sh IMAGE_DIR [DIRECTORY...]: prints the path of an initramfs
# with busybox, the guest tests for three ABIs, and the kernel selftests
# that were built from the same source as IMAGE_DIR's kernel (- is none). What is in the
# DIRECTORYs (build-userspace.sh, build-mainline.sh) is in its root too.
# DEADBOLT_BIN, if set, takes the place of its /bin/deadbolt.
set -eu
. "$(dirname "$0")/env.sh"

ksft=
[ "$1" = - ] || ksft=$1/ksft
shift
busybox=/bin/busybox
scripts="$here/ksft $here/ksft-faults $here/broken-boot $here/crash-matrix
	$here/doctor $here/gtest $here/mainline"
# shellcheck disable=SC2086
key=$( { gcc -dumpfullversion; content_key "$tree/selftests" "$here/init" \
		$scripts "$here/build-initramfs.sh" "$busybox" ${ksft:+"$ksft"} \
		"$@" ${DEADBOLT_BIN:+"$DEADBOLT_BIN"}; } | text_key)
archive=$cache/initramfs/$key.cpio.gz
if [ -s "$archive" ]; then
	echo "$archive"
	exit 0
fi

mkdir -p "$cache/initramfs"
root=$(mktemp -d "$cache/initramfs/root.XXXXXX")
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/bin" "$root/proc" "$root/sys" "$root/dev"
cp "$busybox" "$root/bin/busybox"
cp "$here/init" "$root/init"
# shellcheck disable=SC2086
cp $scripts "$root/bin/"
[ -z "$ksft" ] || cp -r "$ksft" "$root/ksft"
chmod 755 "$root/init" "$root/bin"/*
for directory; do
	cp -r "$directory/." "$root/"
done
# mktemp makes it for root alone. What measures a libc's unlock windows becomes nobody first.
chmod 755 "$root"
[ ! -d "$root/lib64" ] || ln -s lib64 "$root/lib"
[ -z "${DEADBOLT_BIN:-}" ] || install -m 755 "$DEADBOLT_BIN" "$root/bin/deadbolt"
for abi in 64 32 x32; do
	"${MAKE:-make}" -s -C "$tree/selftests" ABI=$abi OUT="$root/bin/guest$abi" >&2
done
(cd "$root" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet) | gzip -1 > "$archive.$$"
mv "$archive.$$" "$archive"
echo "$archive"
