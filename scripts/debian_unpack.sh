#!/bin/sh
# SPDX-License-Identifier: MIT
# Usage: debian_unpack.sh [--with-dependencies] SUITE ARCHITECTURE PACKAGE...
#        debian_unpack.sh --source SUITE SOURCE-PACKAGE
#
# Unpacks Debian packages of another suite or architecture into a directory of the cache, and
# prints that directory. Nothing is installed, no maintainer script runs, and apt's own
# configuration, lists and sources stay as they are: this apt has a configuration of its own.
# A PACKAGE with a wildcard is a shell pattern; its newest match is taken (a kernel's name has
# its version in it, a library's its ABI).
#
# With --source it is the source package, with Debian's patches; this needs dpkg-dev.
#
# Everything is downloaded once. To have newer packages, delete the directory.
set -eu

dependencies='' source=''
case $1 in
--with-dependencies) dependencies=1; shift ;;
--source) source=1; shift ;;
esac
suite=$1
shift
architecture=source
[ -n "$source" ] || { architecture=$1; shift; }
: "${DEADBOLT_CACHE:=${XDG_CACHE_HOME:-$HOME/.cache}/deadbolt}"
key=$(echo "$suite $architecture $dependencies $*" | sha256sum | cut -c1-16)
directory=$DEADBOLT_CACHE/unpacked/$suite-$architecture-$key
if [ -e "$directory/.complete" ]; then
  echo "$directory"
  exit 0
fi

apt=$DEADBOLT_CACHE/unpacked/apt-$suite-$architecture
mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial" "$apt/empty"
exec 9>"$apt/lock"
flock 9
: >"$apt/status" # nothing is installed
# The mirror that this machine uses.
# shellcheck disable=SC2016 # apt expands it
mirror=$(apt-get indextargets --format '$(REPO_URI)' | grep -v security | head -n 1)
kind=deb native=$architecture
[ -z "$source" ] || { kind=deb-src native=$(dpkg --print-architecture); }
echo "$kind [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" \
  >"$apt/sources.list"
cat >"$apt/apt.conf" <<END
APT::Architecture "$native";
APT::Architectures { "$native"; };
APT::Sandbox::User "root";
APT::Get::List-Cleanup "0";
APT::Install-Recommends "0";
Acquire::Languages "none";
Acquire::Check-Valid-Until "false";
Dir::State "$apt/state";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "$apt/empty";
Dir::Etc::parts "$apt/empty";
Dir::Etc::preferencesparts "$apt/empty";
END
export APT_CONFIG="$apt/apt.conf"

echo "debian_unpack: looking for $* in $suite, $architecture" >&2
apt-get update </dev/null >&2

if [ -n "$source" ]; then
  work=$(mktemp -d "$apt/work.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  (cd "$work" && apt-get source --download-only "$1" &&
    dpkg-source --no-check --extract ./*.dsc root) </dev/null >&2
  echo "$1" >"$work/root/.complete"
  rm -rf "$directory"
  mv "$work/root" "$directory"
  echo "$directory"
  exit 0
fi

names=
for package in "$@"; do
  case $package in
  *[*?[]*)
    match=
    for name in $(apt-cache pkgnames "${package%%[*?[]*}" | sort -V); do
      # shellcheck disable=SC2254 # a pattern on purpose
      case $name in $package) ;; *) continue ;; esac
      # A name without a version is only mentioned by other packages.
      [ -z "$(apt-cache show --no-all-versions "$name" 2>/dev/null)" ] || match=$name
    done
    [ -n "$match" ] || { echo "debian_unpack: $suite has no $package for $architecture" >&2; exit 1; }
    package=$match ;;
  esac
  names="$names $package"
done

work=$(mktemp -d "$apt/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
if [ -n "$dependencies" ]; then
  # shellcheck disable=SC2086 # the names are words
  apt-get -o Dir::Cache::archives="$work" install --yes --download-only $names </dev/null >&2
else
  # shellcheck disable=SC2086
  (cd "$work" && apt-get download $names </dev/null >&2)
fi
mkdir "$work/root"
for archive in "$work"/*.deb; do dpkg-deb -x "$archive" "$work/root"; done
echo "$names" >"$work/root/.complete"
rm -rf "$directory"
mv "$work/root" "$directory"
echo "$directory"
