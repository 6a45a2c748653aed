#!/bin/sh
# SPDX-License-Identifier: MIT
# Usage: test_deb.sh SUITE
# Builds the packages in a fresh chroot of a Debian SUITE; then installs, uses and purges them in
# a second chroot, which does not have the build dependencies. Needs root.
set -eu
cd "$(dirname "$0")/.."
: "${DEADBOLT_CACHE:=${XDG_CACHE_HOME:-$HOME/.cache}/deadbolt}"
# The one directory that both chroots see.
kept=$DEADBOLT_CACHE/debian/$1-archives/deadbolt
seen=/var/cache/apt/archives/deadbolt

rm -rf "$kept"
scripts/test_debian.sh "$1" "make deb && mkdir -p $seen && cp build/deb/*.deb $seen"
scripts/test_debian.sh "$1" "tests/install/use_packages.sh $seen"
