#!/bin/sh
# SPDX-License-Identifier: MIT
# Usage: require_packages.sh PACKAGE...
#
# "CLANG" in a PACKAGE stands for the version of Clang that this Debian release has, as in
# libclang-rt-CLANG-dev.
#
# Makes sure that the Debian packages are installed. If root runs it, it installs the missing
# ones; otherwise it prints the one command that installs them and exits with 1. On a machine
# without dpkg it prints the packages' names and exits with 0: the compiler or CMake will say what
# is missing.
set -eu

if ! command -v dpkg-query >/dev/null 2>&1; then
  echo "require_packages: not a Debian machine; the equivalents of these are needed: $*" >&2
  exit 0
fi

# The number in the name of the package that "clang" depends on. The package also replaces and
# breaks packages whose names have other numbers.
clang_version() {
  { dpkg-query --show --showformat 'Depends: ${Depends}\n' clang ||
    apt-cache show --no-all-versions clang; } 2>/dev/null |
    sed -n 's/^Depends:.*\<clang-\([0-9][0-9]*\).*/\1/p' | head -n 1
}

case "$*" in
*CLANG*)
  version=$(clang_version)
  if [ -z "$version" ] && [ "$(id -u)" -eq 0 ]; then
    apt-get -o DPkg::Lock::Timeout=300 update </dev/null >&2
    version=$(clang_version)
  fi
  if [ -z "$version" ]; then
    echo "The package lists do not name Clang. As root, run: apt-get update" >&2
    exit 1
  fi
  for package in "$@"; do
    shift
    set -- "$@" "$(echo "$package" | sed "s/CLANG/$version/")"
  done ;;
esac

installed=$(dpkg-query --show --showformat '${db:Status-Status} ${Package}\n' 2>/dev/null)
missing=
for package in "$@"; do
  case "
$installed
" in
  *"
installed $package
"*) ;;
  *) missing="$missing $package" ;;
  esac
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
  echo "Packages are missing. As root, run:" >&2
  echo "  apt-get install --yes --no-install-recommends$missing" >&2
  exit 1
fi

# $missing is unquoted so that each package is a word. apt-get waits for dpkg's lock, because
# the machine's own start-up jobs may hold it for a while.
install() {
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install \
    --yes --no-install-recommends $missing </dev/null
}

echo "Installing:$missing" >&2
# A fresh image has no package lists, and old lists name packages that are gone.
# shellcheck disable=SC2086
if ! apt-cache show --no-all-versions $missing >/dev/null 2>&1 || ! install; then
  apt-get -o DPkg::Lock::Timeout=300 update </dev/null
  install
fi
