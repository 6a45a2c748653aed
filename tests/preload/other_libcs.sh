#!/bin/sh
# SPDX-License-Identifier: MIT
# other_libcs.sh LIBRARY [SUITE...]: compares what robust mutexes come to with the preload
# library and without (compare_states.sh), with the libcs of Debian's suites: unpacked, not
# installed, and run by their own loaders. One build of the test program, against the oldest
# of them, runs with all. A libc whose shape is not known fails here, and not at a user's.
# At last jemalloc and tcmalloc are preloaded too.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
library=$1
shift
[ $# -gt 0 ] || set -- bullseye trixie forky experimental
unpack=$here/../../scripts/debian_unpack.sh

oldest=$("$unpack" bullseye amd64 libc6 libc6-dev linux-libc-dev)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
libc=$oldest/lib/x86_64-linux-gnu
crt=$oldest/usr/lib/x86_64-linux-gnu
gcc --sysroot="$oldest" -isystem "$oldest/usr/include" \
  -isystem "$oldest/usr/include/x86_64-linux-gnu" -O1 -no-pie -nostdlib \
  "$crt/crt1.o" "$crt/crti.o" "$here/mutex_states.c" "$libc/libpthread.so.0" "$libc/libc.so.6" \
  "$crt/libc_nonshared.a" "$libc/ld-linux-x86-64.so.2" -lgcc "$crt/crtn.o" \
  -o "$work/mutex_states"

bad=0
for suite; do
  case $suite in
  bullseye) root=$oldest ;;
  *) root=$("$unpack" "$suite" amd64 libc6) ;;
  esac
  loader=$(find "$root" -path '*x86_64-linux-gnu/ld-linux-x86-64.so.2' | head -n 1)
  echo "$suite:"
  for level in hook interpose; do
    "$here/compare_states.sh" "$work/mutex_states" "$library" "$level" \
      "$loader" --library-path "$(dirname "$loader")" || { echo "$suite: $level FAILED"; bad=1; }
  done
done
# This machine's libc, with another malloc on either side of the library.
# shellcheck disable=SC1091 # it is the machine's
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
root=$("$unpack" "$suite" amd64 libjemalloc2 'libtcmalloc-minimal[0-9]*')
mallocs=$(find "$root" -name 'libjemalloc.so.2' -o -name 'libtcmalloc_minimal.so.[0-9]')
[ "$(echo "$mallocs" | wc -l)" = 2 ]
for malloc in $mallocs; do
  for libraries in "$malloc $library" "$library $malloc"; do
    echo "$(basename "$malloc"):"
    "$here/compare_states.sh" "$work/mutex_states" "$libraries" hook ||
      { echo "$libraries FAILED"; bad=1; }
  done
done
exit $bad
