#!/bin/sh
# SPDX-License-Identifier: MIT
# Usage: test_reproducible.sh SCRATCH
# Builds the Debian packages, the wheel and the sdist twice, from clones at two paths, with
# nothing from a compiler cache, and compares the bytes.
set -eu
source=$(cd "$(dirname "$0")/.." && pwd)
scratch=$1
rm -rf "$scratch"
mkdir -p "$scratch"
export CCACHE_DISABLE=1

# Both have the commit that is checked out now, whatever is committed meanwhile.
git clone --quiet "$source" "$scratch/one"
git clone --quiet "$scratch/one" "$scratch/another/path"
for clone in one another/path; do
  (cd "$scratch/$clone" && LINTIAN=true scripts/build_deb.sh "$PWD/build/deb" && make python)
  (cd "$scratch/$clone/build" && sha256sum -- deb/*.deb python/dist/*) >"$scratch/$(basename "$clone").sums"
done
diff -u "$scratch/one.sums" "$scratch/path.sums" || {
  echo "test_reproducible: two builds differ; $scratch has both" >&2
  exit 1
}
echo "test_reproducible: $(wc -l <"$scratch/one.sums") files, the same bytes twice"
