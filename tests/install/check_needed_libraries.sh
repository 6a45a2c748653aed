#!/bin/sh
# SPDX-License-Identifier: MIT
# Usage: check_needed_libraries.sh PREFIX
# The shared library may need libc alone, and has its versioned name. The dynamic
# linker, which thread-local storage needs, is part of libc.
set -eu

library=$(find "$1" -name libdeadbolt.so.0.1)
needed=$(readelf -d "$library" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
soname=$(readelf -d "$library" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')
echo "soname: $soname; needed: $needed"
[ "$soname" = libdeadbolt.so.0.1 ]
echo "$needed" | grep -qx 'libc\.so\.6'
! echo "$needed" | grep -qvx -e 'libc\.so\.6' -e 'ld-linux-x86-64\.so\.2'
