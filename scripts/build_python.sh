#!/bin/sh
# SPDX-License-Identifier: MIT
# Usage: build_python.sh PREFIX SCRATCH
# Builds the Python package's sdist, and from it the wheel, into SCRATCH/dist, offline, with the
# static library of PREFIX inside. The same sources give the same bytes. SCRATCH/site is the
# wheel, installed for the tests.
set -eu
cd "$(dirname "$0")/.."
root=$PWD
PYTHON=${PYTHON:-/usr/bin/python3}
PKG_CONFIG_PATH=$(dirname "$(find "$(realpath "$1")" -name deadbolt.pc)")
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export PKG_CONFIG_PATH SOURCE_DATE_EPOCH DEADBOLT_LINK=static
version=$(cat VERSION)
name=deadbolt-$version

# Copies the sources, because setuptools writes files beside them.
rm -rf "$2"
mkdir -p "$2/bindings/python" "$2/dist"
cd "$2"
cp -r "$root/bindings/python/." bindings/python
cp "$root/VERSION" .
cp "$root/LICENSE" bindings/python
find . -name __pycache__ -prune -exec rm -rf {} +
(cd bindings/python && "$PYTHON" setup.py -q sdist -d "$PWD/../../sdist")

tar -xzf "sdist/$name.tar.gz"
find "$name" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
tar --sort=name --owner=0 --group=0 --numeric-owner --mode=go+rX,u+rwX,go-w --format=ustar \
  -cf - "$name" | gzip -9n >"dist/$name.tar.gz"

CFLAGS="${CFLAGS:-} -ffile-prefix-map=$PWD/$name=." "$PYTHON" -m build --wheel --no-isolation \
  --skip-dependency-check --outdir dist "$name" >build.log 2>&1 || {
  cat build.log >&2
  exit 1
}
"$PYTHON" -m zipfile -e dist/*.whl site
ls -l dist
