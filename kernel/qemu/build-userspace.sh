#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# build-userspace.sh [deadbolt]: prints a directory with the deadbolt command, the tests
# that run in the guest unless only the command is asked for, and the shared libraries
# that they need, as the dynamic linker finds them on this machine. Built in build/guest of this checkout; the result is
# kept in the cache by the content of the sources.
set -eu
. "$(dirname "$0")/env.sh"

root=$(cd "$tree/.." && pwd)
build=$root/build/guest
tests="priority_inheritance_test priority_queue_test robust_pi_mutex_test
	robust_mutex_results_test robust_mutex_waiters_test unlock_bad_words_test
	storm_test"
sources="$root/tests/pi $root/tests/unit $root/tests/support $root/tests/storm $root/tests/crash"
if [ "${1:-}" = deadbolt ]; then
	tests='' sources=''
fi

# shellcheck disable=SC2086
key=$( { g++ -dumpfullversion; content_key "$root/include" "$root/src" "$root/cmake" \
		"$root/CMakeLists.txt" "$root/CMakePresets.json" "$root/tests/CMakeLists.txt" \
		$sources "$here/build-userspace.sh"; } | text_key)
out=$cache/userspace/$key
if [ -s "$out/lib64/ld-linux-x86-64.so.2" ]; then
	echo "$out"
	exit 0
fi

with_lock userspace
mkdir -p "$build" "$cache/userspace"
start=$(date +%s)
say "building the library's side"
run() {
	"$@" >> "$build/build.log" 2>&1 || { tail -n 40 "$build/build.log" >&2; die "failed: $*"; }
}
: > "$build/build.log"
# shellcheck disable=SC2046,SC2086
run cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo \
	-DDEADBOLT_BUILD_TOOLS=ON -DDEADBOLT_BUILD_TESTS=ON \
	-DDEADBOLT_BUILD_BENCH=OFF -DDEADBOLT_BUILD_EXAMPLES=OFF \
	-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache
# shellcheck disable=SC2086
run cmake --build "$build" --parallel "$KERNEL_JOBS" --target deadbolt $tests

rm -rf "$out" "$out.new"
mkdir -p "$out.new/bin" "$out.new/lib64"
for program in deadbolt $tests; do
	found=$(find "$build/src" "$build/tests" -type f -perm -u+x -name "$program")
	[ "$(echo "$found" | wc -l)" = 1 ] && [ -n "$found" ] || die "not one $program: $found"
	strip -o "$out.new/bin/$program" "$found"
	# The loader by its own name, the others by where it will look for them.
	ldd "$found" | sed -n 's/^[^/]*\(\/[^ ]*\) (0x.*/\1/p'
done | sort -u | while read -r library; do
	cp -L "$library" "$out.new/lib64/"
done
mv "$out.new" "$out"
say "built the library's side in $(($(date +%s) - start)) s"
echo "$out"
