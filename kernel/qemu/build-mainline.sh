#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# build-mainline.sh: prints a directory with mainline's own test of the robust unlock,
# tools/testing/selftests/futex/functional/robust_list.c of Linux 7.3, unmodified, as a
# 64-bit and a 32-bit program, and the libraries they need: they find the vDSO through
# the dynamic linker. The source is Debian's linux-source-7.3.
set -eu
. "$(dirname "$0")/env.sh"

tests=tools/testing/selftests
source=$cache/mainline-selftests.tar
if [ ! -s "$source" ]; then
	tarball=$cache/sources/linux-source-7.3.tar.xz # in-7.3.sh needs it, too
	"$here/debian-file.sh" "experimental sid forky" 'linux-source-7\.3' \
		'*/linux-source-7.3.tar.xz' "$tarball"
	# All of it is in the archive once; the rest is not needed here.
	work=$(mktemp -d "$cache/mainline.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	tar -xf "$tarball" -C "$work" --strip-components=1 --wildcards \
		"*/$tests/futex/functional/robust_list.c" "*/$tests/futex/include/*" "*/$tests/*.h"
	tar -cf "$source.$$" -C "$work" "$tests"
	mv "$source.$$" "$source"
	rm -rf "$work"
fi

key=$( { gcc -dumpfullversion; content_key "$source" "$here/build-mainline.sh"; } | text_key)
out=$cache/mainline/$key
if [ ! -x "$out/mainline/robust_list32" ]; then
	rm -rf "$out.new"
	mkdir -p "$out.new/mainline" "$out.new/lib64" "$out.new/lib32" "$out.new/source"
	tar -xf "$source" -C "$out.new/source"
	for bits in 64 32; do
		# The uapi headers of the native ABI serve both.
		gcc -m$bits -w -g0 -O2 -pthread -I "$out.new/source/$tests/futex/include" \
			-I "$out.new/source/$tests" \
			-idirafter "/usr/include/$(gcc -print-multiarch)" \
			-Wl,-rpath,/lib$bits -o "$out.new/mainline/robust_list$bits" \
			"$out.new/source/$tests/futex/functional/robust_list.c" >&2
		cp -L "$(gcc -m$bits -print-file-name=libc.so.6)" "$out.new/lib$bits/" 2>/dev/null ||
			cp -L "/lib$bits/libc.so.6" "$out.new/lib$bits/"
	done
	# The loaders by their own names; /lib is another name of /lib64 in the guest.
	cp -L /lib64/ld-linux-x86-64.so.2 /lib/ld-linux.so.2 "$out.new/lib64/"
	rm -rf "$out.new/source"
	mv "$out.new" "$out"
fi
echo "$out"
