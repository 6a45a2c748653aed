#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Each patch of the series on its own: checkpatch.pl has nothing to say, and the
# kernel builds when the series ends there. Takes some minutes; not part of
# test-kernel, whose one build is of the whole series.
set -eu
. "$(dirname "$0")/env.sh"

"$here/source.sh" base > /dev/null
all=$(find "$KERNEL_PATCHES" -maxdepth 1 -name '[0-9]*.patch' ! -name '0000-*' | sort)
bad=0
for patch in $all; do
	(cd "$cache/base/src" && perl scripts/checkpatch.pl --no-tree --strict --no-summary \
		--terse "$patch") || bad=1
done
prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT
for patch in $all; do
	cp "$patch" "$prefix/"
	KERNEL_PATCHES=$prefix "$here/build-kernel.sh" patched > /dev/null || {
		say "does not build: $(basename "$patch")"
		bad=1
		break
	}
	say "builds: $(basename "$patch")"
done
exit $bad
