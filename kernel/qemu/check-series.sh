#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Each patch of the series on its own: checkpatch.pl has nothing new to say, and the
# kernel builds when the series ends there. Takes some minutes; not part of
# test-kernel, whose one build is of the whole series.
set -eu
. "$(dirname "$0")/env.sh"

"$here/source.sh" base > /dev/null
all=$(find "$KERNEL_PATCHES" -maxdepth 1 -name '[0-9]*.patch' ! -name '0000-*' | sort)
bad=0
# What it says of each patch, without the line numbers, must be what checkpatch-accepted
# lists: no more, and no less. docs/kernel.md has the reasons.
said=$(for patch in $all; do
	(cd "$cache/base/src" && perl scripts/checkpatch.pl --no-tree --strict --no-summary \
		--terse "$patch") || true
done | sed -E 's|^.*/([0-9]{4})-[^:]*:[0-9]+: |\1 |' | sort -u)
accepted=$(grep -v '^#' "$KERNEL_PATCHES/checkpatch-accepted")
if [ "$said" = "$accepted" ]; then
	say "checkpatch.pl --strict: $(echo "$said" | wc -l) kinds of remarks, all known"
else
	say "checkpatch.pl --strict: > is new, < is gone"
	echo "$accepted" > "$cache/accepted"
	echo "$said" | diff "$cache/accepted" - >&2 || bad=1
fi
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
