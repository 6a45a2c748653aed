#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# build-ksft.sh SRC OBJ OUT ARCH: the kernel's own futex selftests, from the same
# source as the kernel they will run on, which was built in the directory OBJ of
# SRC, statically linked, with `list` naming each command line: those of the
# suite's run.sh, and every program that run.sh does not mention.
set -eu
src=$1 obj=$2 out=$3 arch=$4

compiler=gcc strip=strip
if [ "$arch" = arm64 ]; then
	sysroot=$("$(dirname "$0")/../../scripts/cross_compiler.sh" arm64)
	compiler=$(ls "$sysroot"/usr/bin/aarch64-linux-gnu-gcc-[0-9][0-9])
	compiler="$compiler --sysroot=$sysroot -B/usr/aarch64-linux-gnu/bin"
	strip=aarch64-linux-gnu-strip
else
	arch=x86
fi
suite=$src/tools/testing/selftests/futex/functional
make -C "$src" O="$obj" ARCH="$arch" headers
rm -rf "$out"
mkdir -p "$out"
CFLAGS='-static -w' KHDR_INCLUDES="-isystem $src/$obj/usr/include" \
	make -C "$suite" OUTPUT="$out" CC="$compiler" all
find "$out" -type f ! -perm -u+x -delete
# run.sh has "$COLOR" after each program's name up to Linux 6.12, and not later.
sed -n 's/^\.\/\([a-z0-9_]*\) *\(\$COLOR\)\? */\1 /p' "$suite/run.sh" | sed 's/ *$//' > "$out/list.new"
[ -s "$out/list.new" ]
for program in "$out"/futex_* "$out"/robust_*; do
	[ -x "$program" ] || continue
	name=$(basename "$program")
	grep -q "^$name\( \|\$\)" "$out/list.new" || echo "$name" >> "$out/list.new"
	$strip "$program"
done
# A suite that lost a program must not look like one that passed.
while read -r program _; do
	[ -x "$out/$program" ] || { echo "run.sh names $program, which was not built"; exit 1; }
done < "$out/list.new"
mv "$out/list.new" "$out/list"
