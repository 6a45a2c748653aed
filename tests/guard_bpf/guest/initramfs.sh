#!/bin/sh
# SPDX-License-Identifier: MIT
# initramfs.sh ARCHIVE COMMAND PRELOAD TEST...: packs busybox, the deadbolt COMMAND, the PRELOAD
# library and the TEST programs with every library that they are linked with, of this Debian,
# unmodified.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
archive=$1 command=$2 preload=$3
shift 3

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"
mkdir -p "$root/bin" "$root/tests" "$root/proc" "$root/sys" "$root/dev" "$root/var/cache"
cp /bin/busybox "$root/bin/busybox"
install -m 755 "$here/init" "$root/init"
install -m 755 -s "$command" "$root/bin/deadbolt"
# The command and the tests find it where a build has it: beside their own directory.
install -m 644 -D "$preload" "$root/preload/$(basename "$preload")"
for test; do
  install -m 755 -s "$test" "$root/tests/"
done
libraries=$("$here/../../support/libraries.sh" "$command" "$@")
for library in $libraries; do
  mkdir -p "$root$(dirname "$library")"
  cp -L "$library" "$root$library"
done
[ ! -e /lib/ld-musl-x86_64.so.1 ] || cp -L /lib/ld-musl-x86_64.so.1 "$root/lib/"
(cd "$root" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet) | gzip -1 > "$archive.$$"
mv "$archive.$$" "$archive"
