#!/bin/sh
# SPDX-License-Identifier: MIT
# Usage: build_tree_consumer.sh add_subdirectory|fetch_content static|shared TREE SCRATCH
# Builds a project that has deadbolt's TREE in its own; it may get the one library that it links,
# and no test, tool, option or installed file of deadbolt's.
set -eu

method=$1 kind=$2 tree=$3 scratch=$4
source=$(cd "$(dirname "$0")" && pwd)/consumer_tree
shared=ON wanted='libdeadbolt.so*'
[ "$kind" = shared ] || shared=OFF wanted=libdeadbolt.a

fail() {
  echo "$1" >&2
  exit 1
}

rm -rf "$scratch"
cmake -G Ninja -S "$source" -B "$scratch" -D METHOD="$method" -D DEADBOLT_TREE="$tree" \
  -D BUILD_SHARED_LIBS=$shared
cmake --build "$scratch"
timeout 30 "$scratch/consumer"

[ -z "$(find "$scratch" -name 'libdeadbolt*' ! -name "$wanted")" ] || fail "a library that nothing links was built"
(cd "$scratch" && ctest -N) | grep -qx 'Total Tests: 0' || fail "tests of deadbolt's in another project"
cmake --install "$scratch" --prefix "$scratch/prefix"
[ "$(cd "$scratch/prefix" && find . -type f)" = ./bin/consumer ] ||
  fail "the project installs files of deadbolt's: $(find "$scratch/prefix" -type f)"
