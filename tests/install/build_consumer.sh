#!/bin/sh
# SPDX-License-Identifier: MIT
# Usage: build_consumer.sh c|cpp METHOD static|shared PREFIX SCRATCH
# Builds a program against an installed prefix and runs it. METHOD is how it finds the library:
# cmake, cmake_component (find_package() with COMPONENTS), pkg_config or meson.
set -eu

language=$1 method=$2 kind=$3 prefix=$4 scratch=$5
source=$(cd "$(dirname "$0")" && pwd)/consumer_$language
libdir=$(dirname "$(find "$prefix" -name libdeadbolt.a)")

rm -rf "$scratch"
mkdir -p "$scratch"

build_by_cmake() {
  shared=ON
  [ "$kind" = shared ] || shared=OFF
  cmake -S "$source" -B "$scratch" -D CMAKE_PREFIX_PATH="$prefix" -D BUILD_SHARED_LIBS=$shared
  cmake --build "$scratch"
}

# BUILD_SHARED_LIBS says the opposite: the component counts.
build_by_cmake_component() {
  shared=OFF
  [ "$kind" = shared ] || shared=ON
  cmake -S "$source" -B "$scratch" -D CMAKE_PREFIX_PATH="$prefix" -D COMPONENT="$kind" \
    -D BUILD_SHARED_LIBS=$shared
  cmake --build "$scratch"
  if cmake -S "$source" -B "$scratch/unknown" -D CMAKE_PREFIX_PATH="$prefix" \
    -D COMPONENT=unknown 2>"$scratch/refusal"; then
    echo "an unknown component was found" >&2
    exit 1
  fi
  grep "components shared and static" "$scratch/refusal"
}

build_by_meson() {
  cp "$source/../consumer_meson/"meson* "$source"/consumer.* "$scratch"
  PKG_CONFIG_PATH="$libdir/pkgconfig" meson setup --default-library "$kind" \
    -D language="$language" "$scratch/build" "$scratch"
  meson compile -C "$scratch/build"
  mv "$scratch/build/consumer" "$scratch/consumer"
  export LD_LIBRARY_PATH="$libdir"
}

# shellcheck disable=SC2046 # the flags are words
build_by_pkg_config() {
  export PKG_CONFIG_PATH="$libdir/pkgconfig"
  compiler="cc -std=c11"
  [ "$language" = c ] || compiler="c++ -std=c++20"
  if [ "$kind" = static ]; then
    $compiler "$source"/consumer.* -o "$scratch/consumer" -static \
      $(pkg-config --static --cflags --libs deadbolt)
  else
    $compiler "$source"/consumer.* -o "$scratch/consumer" $(pkg-config --cflags --libs deadbolt) \
      -Wl,-rpath,"$(pkg-config --variable=libdir deadbolt)"
  fi
}

"build_by_$method"

needed=$(readelf -d "$scratch/consumer" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
case "$kind $needed" in
shared*libdeadbolt.so.0.1*) ;;
shared*) echo "linked without libdeadbolt.so.0.1: $needed" >&2; exit 1 ;;
static*libdeadbolt*) echo "linked with the shared library: $needed" >&2; exit 1 ;;
esac
if [ "$language" = c ] && echo "$needed" | grep -q stdc++; then
  echo "a C program was made to need the C++ run-time library: $needed" >&2
  exit 1
fi

timeout 30 "$scratch/consumer"
