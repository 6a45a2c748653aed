#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# source.sh VARIANT: brings $cache/VARIANT/src to the state that VARIANT names
# and prints the key of its content.
#
#   base      Debian's source
#   patched   with the series, applied by `git am`
#   noreplay  patched, with the replay of a consumed wake taken out again
#   late, nostatus, moved  patched, and broken by mutate-arm64.sh
#
# The tree is hard links to one unpacked copy plus the files that the variant
# changes. Only files whose content differs are replaced, so make rebuilds no
# more than it must and a file is never older than the object made from it.
set -eu
. "$(dirname "$0")/env.sh"

variant=$1
[ -r "$KERNEL_TARBALL" ] || die "$KERNEL_TARBALL is missing (package linux-source-6.12)"

tarball_key=$(sha256sum < "$KERNEL_TARBALL" | cut -c1-16)
case $variant in
base)
	key=$(echo "base $tarball_key" | text_key)
	series= ;;
patched|noreplay|late|nostatus|moved)
	series=$(find "$KERNEL_PATCHES" -maxdepth 1 -name '[0-9]*.patch' ! -name '0000-*' | sort)
	[ -n "$series" ] || die "no patches in $KERNEL_PATCHES"
	key=$(echo "$variant $tarball_key $(content_key $series "$here/revert-replay.sh" "$here/mutate-arm64.sh")" | text_key) ;;
*)
	die "no such variant: $variant" ;;
esac

with_lock source
pristine=$cache/linux-$tarball_key
if [ ! -d "$pristine" ]; then
	say "unpacking $KERNEL_TARBALL"
	rm -rf "$pristine.new"
	mkdir -p "$pristine.new"
	tar -xf "$KERNEL_TARBALL" -C "$pristine.new" --strip-components=1
	mv "$pristine.new" "$pristine"
fi

src=$cache/$variant/src
state=$cache/$variant/state
mkdir -p "$state"
if [ "$(cat "$state/pristine" 2>/dev/null)" != "$tarball_key" ]; then
	rm -rf "$src" "$state/key" "$state/touched"
	cp -al "$pristine" "$src"
	echo "$tarball_key" > "$state/pristine"
fi
if [ "$(cat "$state/key" 2>/dev/null)" = "$key" ]; then
	echo "$key"
	exit 0
fi
rm -f "$state/key"

# A repository of only the files that the series names: git am is then a matter
# of milliseconds and judges the patches as it would in the whole tree.
work=$state/am
rm -rf "$work"
mkdir -p "$work"
: > "$state/touched.new"
if [ -n "$series" ]; then
	sed -n 's|^diff --git a/\(.*\) b/\(.*\)$|\1\n\2|p' $series | sort -u > "$state/touched.new"
	echo kernel/futex/core.c >> "$state/touched.new"
	sort -u -o "$state/touched.new" "$state/touched.new"
	git -C "$work" init -q
	while read -r file; do
		[ -e "$pristine/$file" ] || continue
		mkdir -p "$work/$(dirname "$file")"
		cp -p "$pristine/$file" "$work/$file"
	done < "$state/touched.new"
	git -C "$work" add -A -f
	GIT_AUTHOR_DATE='2026-01-01T00:00:00Z' GIT_COMMITTER_DATE='2026-01-01T00:00:00Z' \
		git -C "$work" -c user.name=t -c user.email=t@localhost commit -q -m base
	say "git am: $(echo "$series" | wc -l) patches"
	git -C "$work" -c user.name=t -c user.email=t@localhost am -q --whitespace=error $series >&2 ||
		die "the series does not apply"
	case $variant in
	noreplay) "$here/revert-replay.sh" "$work/kernel/futex/core.c" ;;
	late|nostatus|moved) "$here/mutate-arm64.sh" "$variant" "$work" ;;
	esac
fi

# A file that the variant whose objects build-kernel.sh will start from has, too, is as old as
# it is there: a header of many objects would have all of them compiled again. Not if there are
# objects already, which may be younger than that file and made from another.
same=
if [ "$variant" = noreplay ] && [ ! -e "$src/obj" ]; then
	same=$cache/patched/src
fi
cat "$state/touched.new" "$state/touched" 2>/dev/null | sort -u | while read -r file; do
	want=$pristine/$file
	if grep -qxF -- "$file" "$state/touched.new"; then
		want=$work/$file
	fi
	if [ ! -e "$want" ]; then
		rm -f "$src/$file"
	elif ! cmp -s "$want" "$src/$file"; then
		mkdir -p "$src/$(dirname "$file")"
		rm -f "$src/$file"
		if [ -n "$same" ] && cmp -s "$want" "$same/$file"; then
			cp -p "$same/$file" "$src/$file"
		else
			cp "$want" "$src/$file"
		fi
		[ ! -x "$want" ] || chmod +x "$src/$file"
	fi
done
mv "$state/touched.new" "$state/touched"
echo "$key" > "$state/key"
echo "$key"
