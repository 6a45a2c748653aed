#!/bin/sh
# SPDX-License-Identifier: MIT
# initramfs.sh ARCHIVE BUSYBOX COMPILER LIBRARIES PROGRAM...: packs a busybox, the PROGRAMs and every
# library that they are linked with, from below COMPILER or LIBRARIES. A PROGRAM in a directory named
# ksft comes to /ksft, one in a build directory whose name ends in -musl to /musl. TRIPLET in the
# environment names the architecture.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
archive=$1 busybox=$2 of_compiler=$3/usr/$TRIPLET/lib libraries=$4
shift 4

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"
mkdir -p "$root/bin" "$root/lib" "$root/tests" "$root/proc" "$root/sys" "$root/dev"
install -m 755 "$busybox" "$root/bin/busybox"
install -m 755 "$here/init" "$root/init"

# The machine cannot run ldd on these.
needed_by() {
  "$TRIPLET-readelf" --dynamic "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'
}
add_libraries() {
  for name in $(needed_by "$1"); do
    [ ! -e "$root/lib/$name" ] || continue
    for directory in "$of_compiler" "$libraries/usr/lib/$TRIPLET" "$libraries/lib/$TRIPLET" \
      "$libraries/lib"; do
      [ ! -e "$directory/$name" ] || { cp -L "$directory/$name" "$root/lib/$name"; break; }
    done
    [ -e "$root/lib/$name" ] || { echo "initramfs: no $name for $1" >&2; exit 1; }
    add_libraries "$root/lib/$name"
  done
}
cp -L "$of_compiler"/ld-linux-*.so.1 "$root/lib/"
for program; do
  # Tests look up their own local labels.
  directory=$root/tests
  case $program in
  */ksft/*) directory=$root/ksft ;;
  *-musl/tests/*) directory=$root/musl ;;
  esac
  mkdir -p "$directory"
  "$TRIPLET-strip" --strip-debug -o "$directory/$(basename "$program")" "$program"
  add_libraries "$program"
done
(cd "$root" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet) | gzip -1 >"$archive.$$"
mv "$archive.$$" "$archive"
