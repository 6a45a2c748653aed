#!/bin/sh
# SPDX-License-Identifier: MIT
# One region shared by programs of different libcs and word sizes: every ordered pair of
# those that this machine's compilers can build. Usage: run.sh SOURCE_DIRECTORY
set -u
source=$1
scratch=$(mktemp -d) || exit 2
region=/dev/shm/deadbolt-region-pairs-$$
trap 'rm -rf "$scratch" "$region"' EXIT INT TERM
multiarch=$(g++ -print-multiarch)
common="-std=c++20 -O1 -fno-exceptions -fno-rtti -fno-threadsafe-statics -fvisibility=hidden
  -I$source/include -I$source/src"
units="$source/src/region/*.cpp $source/src/base/file.cpp $source/src/base/file_identity.cpp $source/src/base/fork_page.cpp $source/src/base/message.cpp $source/src/base/random.cpp $source/src/base/spin.cpp
  $source/src/base/robust_list.cpp $source/src/robust/lock_result.cpp $source/tests/region/pairs/pair_member.cpp"
kinds=""
failed=0
echo "int main() {}" > "$scratch/empty.cpp"

# kind, flags, linker driver...
build() {
  kind=$1 flags=$2
  shift 2
  mkdir "$scratch/$kind"
  # Only where the compiler can build no program of the kind at all is it left out.
  # shellcheck disable=SC2086 # the flags are words
  if ! { g++ $common $flags -c "$scratch/empty.cpp" -o "$scratch/empty.o" &&
    "$@" "$scratch/empty.o" -o "$scratch/empty"; } 2>"$scratch/error"; then
    echo "SKIP $kind: no compiler for it here: $(head -3 "$scratch/error" | tr '\n' ' ')"
    return
  fi
  # shellcheck disable=SC2086
  if (cd "$scratch/$kind" && g++ $common $flags -c $units) 2>"$scratch/error" &&
    "$@" "$scratch/$kind"/*.o -o "$scratch/$kind/member" 2>>"$scratch/error"; then
    kinds="$kinds $kind"
  else
    echo "FAIL $kind: not built: $(head -5 "$scratch/error" | tr '\n' ' ')"
    failed=$((failed + 1))
  fi
}

headers=$scratch/linux_headers
mkdir "$headers"
ln -s /usr/include/linux /usr/include/asm-generic "/usr/include/$multiarch/asm" "$headers/"
version=$(g++ -dumpversion)
x86_64="-I$source/src/base/arch/x86_64"
build glibc64 "$x86_64" gcc -pthread
build glibc32 "-m32 -D_FILE_OFFSET_BITS=64 -I$source/tests/region/pairs/i386" gcc -m32 -pthread
build musl64 "$x86_64 -specs=/usr/lib/$(echo "$multiarch" | sed 's/-gnu$/-musl/')/musl-gcc.specs
  -nostdinc++ -isystem $source/cmake/musl -isystem /usr/include/c++/$version
  -isystem /usr/include/$multiarch/c++/$version -idirafter $headers" musl-gcc -static -no-pie

fail() {
  echo "FAIL $first with $second: $1"
  failed=$((failed + 1))
}

pairs=0
for first in $kinds; do
  for second in $kinds; do
    pairs=$((pairs + 1))
    rm -f "$region"
    "$scratch/$first/member" "$region" create || fail create
    for lock in mutex shared_mutex semaphore; do
      "$scratch/$first/member" "$region" count $lock 10000 & one=$!
      "$scratch/$second/member" "$region" count $lock 10000 & two=$!
      wait $one || fail "counting with $lock, $first"
      wait $two || fail "counting with $lock, $second"
      "$scratch/$second/member" "$region" total 20000 || fail "exclusion by $lock"
    done
    "$scratch/$first/member" "$region" turns 200 0 & one=$!
    "$scratch/$second/member" "$region" turns 200 1 & two=$!
    wait $one || fail "turns, $first"
    wait $two || fail "turns, $second"
    "$scratch/$second/member" "$region" total 400 || fail "exclusion in turns"
    for lock in mutex=owner_died shared_mutex=owner_died reader=acquired semaphore=acquired; do
      for way in hold exit; do
        "$scratch/$first/member" "$region" $way ${lock%=*} & one=$!
        "$scratch/$second/member" "$region" await || fail "$way ${lock%=*}"
        "$scratch/$second/member" "$region" expect ${lock%=*} ${lock#*=} & two=$!
        [ $way = hold ] && kill -KILL $one
        wait $two || fail "after $way ${lock%=*}"
        kill -KILL $one 2>/dev/null
        wait $one 2>/dev/null
      done
    done
  done
done
echo "kinds:$kinds; $pairs ordered pairs, $failed failures"
[ "$pairs" -gt 0 ] && [ $failed -eq 0 ]
