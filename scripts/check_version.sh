#!/bin/sh
# SPDX-License-Identifier: MIT
# Checks that all files that cannot read VERSION have the same version: Cargo's files, the newest
# entry of the changelog, the Debian package that has the ABI in its name, the man pages.
set -eu
cd "$(dirname "$0")/.."

version=$(cat VERSION)
minor=${version%.*}
status=0
# expect FILE PATTERN: a line of the file matches.
expect() {
  grep -Eq "$2" "$1" || {
    echo "$1 does not say version $version: no line matches $2" >&2
    status=1
  }
}
dots=$(echo "$version" | sed 's/\./\\./g')
for crate in deadbolt deadbolt-sys; do
  expect bindings/rust/$crate/Cargo.toml "^version = \"$dots\"$"
done
expect bindings/rust/deadbolt/Cargo.toml "^deadbolt-sys = .*version = \"$dots\""
[ "$(sed -n 's/^## //p' CHANGELOG.md | grep -vx Unreleased | head -n 1)" = "$version" ] || expect CHANGELOG.md "^## $dots$ first"
expect packaging/debian/control "^Package: libdeadbolt$minor$"
expect "packaging/debian/libdeadbolt$minor.symbols" "^libdeadbolt\.so\.$minor libdeadbolt$minor "
for page in docs/man/*; do
  ! grep -q '^\.TH' "$page" || expect "$page" "^\.TH .* \"deadbolt $minor\""
done
[ $status -eq 0 ] && echo "version $version everywhere"
exit $status
