#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# build-kernel.sh VARIANT [um|arm64]: prints the directory that holds VARIANT's bzImage and
# the futex selftests from the same source, building them when none with this
# source, configuration and compiler is in the cache. With um, User Mode Linux: a
# 64-bit kernel without COMPAT, which is a program and is called bzImage, too. With
# arm64, a kernel for QEMU's machine virt, called bzImage as well.
set -eu
. "$(dirname "$0")/env.sh"

variant=$1 arch=${2:-x86}
config=$here/small.config target=arch/x86/boot/bzImage directory=obj headers=obj llvm=
compiler=gcc
# UML has no headers for programs: those of x86.
case $arch in
um)
	config=$here/um.config target=linux directory=obj-um headers=obj-um-headers ;;
arm64)
	config=$here/arm64.config target=arch/arm64/boot/Image directory=obj-arm64 headers=obj-arm64
	compiler=clang-19 llvm=LLVM=-19 ;;
esac
source_key=$("$here/source.sh" "$variant")
key=$( { echo "$source_key"; $compiler --version | head -n1; ld --version | head -n1
	 content_key "$config" "$here/build-kernel.sh" \
		"$here/build-ksft.sh"; } | text_key)
image=$cache/images/$key
if [ -s "$image/bzImage" ]; then
	echo "$image"
	exit 0
fi

with_lock "build-$variant-$arch"
src=$cache/$variant/src
# Inside the source: kbuild then names it `..`, no object depends on where the
# variant lies, and ccache serves one variant from another's results.
obj=$src/$directory
# Start from the objects of the variant that differs least: make rebuilds only those whose source
# source.sh has replaced, because such a source is newer than its object.
case $variant in
patched) like=base ;;
noreplay|late|nostatus|moved) like=patched ;;
*) like= ;;
esac
if [ ! -e "$obj" ] && [ -n "$like" ] && [ -e "$cache/$like/src/$directory/vmlinux" ]; then
	rm -rf "$obj.new"
	cp -a "$cache/$like/src/$directory" "$obj.new"
	mv "$obj.new" "$obj"
fi
mkdir -p "$obj"
export CCACHE_NOHASHDIR=1 KBUILD_BUILD_TIMESTAMP='Thu Jan  1 00:00:00 UTC 2026'
export KBUILD_BUILD_USER=deadbolt KBUILD_BUILD_HOST=deadbolt KBUILD_BUILD_VERSION=1

run_make() {
	make -C "$src" O=$directory ARCH="$arch" $llvm CC="ccache $compiler" HOSTCC='ccache gcc' "$@" \
		>> "$obj/build.log" 2>&1 || {
		tail -n 60 "$obj/build.log" >&2
		die "make $* failed for $variant: $obj/build.log"
	}
}

: > "$obj/build.log"
run_make tinyconfig
ARCH=$arch "$src/scripts/kconfig/merge_config.sh" -m -O "$obj" "$obj/.config" "$config" >> "$obj/build.log" 2>&1
run_make olddefconfig
lost=$(grep '^CONFIG_' "$config" | grep -vxFf "$obj/.config" || true)
[ -z "$lost" ] || die "not in the resulting configuration:
$lost"

say "building $variant for $arch ($KERNEL_JOBS jobs, log in $obj/build.log)"
start=$(date +%s)
run_make -j"$KERNEL_JOBS" "$(basename $target)"
say "built $variant for $arch in $(($(date +%s) - start)) s"

mkdir -p "$image"
cp "$obj/.config" "$image/config"
cp "$obj/System.map" "$image/System.map"
"$here/build-ksft.sh" "$src" $headers "$image/ksft" "$arch" >> "$obj/build.log" 2>&1 || {
	tail -n 30 "$obj/build.log" >&2
	die "the kernel's selftests did not build for $variant: $obj/build.log"
}
cp "$obj/$target" "$image/bzImage.new"
mv "$image/bzImage.new" "$image/bzImage"
echo "$image"
