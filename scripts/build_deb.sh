#!/bin/sh
# SPDX-License-Identifier: MIT
# Usage: build_deb.sh SCRATCH
# Builds the Debian packages into SCRATCH and checks them with lintian (not with LINTIAN=true).
# Writes their changelog from VERSION and CHANGELOG.md. The same sources give the same bytes.
set -eu
cd "$(dirname "$0")/.."
version=$(cat VERSION)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
tree=$1/deadbolt-$version

rm -rf "$1"
mkdir -p "$tree"
# Copies the files that are committed or could be. The packages do not contain the Linux patches.
git ls-files -z --cached --others --exclude-standard -- . ':!kernel' |
  tar --null --files-from=- --ignore-failed-read -cf - | tar -xf - -C "$tree"
cp -r packaging/debian "$tree/debian"
{
  echo "deadbolt ($version) unstable; urgency=medium"
  echo
  # The version's entries, each indented as Debian has them.
  sed -n "/^## $version/,/^## /{/^## /d;s/^- /  * /;s/^  \([^*]\)/    \1/;p}" CHANGELOG.md |
    fmt --width=78 --tagged-paragraph | sed '/./,$!d' | sed -e :a -e '/^\n*$/{$d;N;ba' -e '}'
  echo
  echo " -- $(sed -n 's/^Maintainer: //p' packaging/debian/control)  $(date -uR -d "@$SOURCE_DATE_EPOCH")"
} >"$tree/debian/changelog"
find "$tree" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +

(cd "$tree" && dpkg-buildpackage --unsigned-source --unsigned-changes --build=binary) \
  >"$1/build.log" 2>&1 || {
  tail -n 40 "$1/build.log" >&2
  echo "build_deb: failed; $1/build.log has it all" >&2
  exit 1
}
rm -rf "$tree"
${LINTIAN:-lintian} --fail-on error,warning --info --tag-display-limit 0 "$1"/*.changes
(cd "$1" && sha256sum -- *.deb)
