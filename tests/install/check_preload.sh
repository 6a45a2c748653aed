#!/bin/sh
# SPDX-License-Identifier: MIT
# Usage: check_preload.sh PREFIX
# The installed command finds the installed preload library, which needs libc alone, is loaded
# by every libc from 2.17 on, and works in a program that LD_PRELOAD brings it to.
set -eu

library=$("$1/bin/deadbolt" preload --print)
echo "$library"
[ "$library" = "$(find "$1" -name libdeadbolt-pthread.so)" ]
[ "$(readelf -d "$library" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')" = libc.so.6 ]
newest=$(readelf -W --version-info "$library" | grep -o 'GLIBC_[0-9.]*' | sort -u -V | tail -n 1)
echo "needs $newest"
[ "$(printf '%s\n' "$newest" GLIBC_2.31 | sort -V | tail -n 1)" = GLIBC_2.31 ]
DEADBOLT_PRELOAD=verbose LD_PRELOAD=$library /bin/true 2>&1 | grep '^deadbolt: preload: level hook,'
