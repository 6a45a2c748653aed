#!/bin/sh
# SPDX-License-Identifier: MIT
# kernel.sh META-PACKAGE: prints the path of the kernel that Debian's META-PACKAGE
# (linux-image-cloud-amd64, say) stands for. It is downloaded once, not installed.
set -eu
meta=$1
: "${DEADBOLT_CACHE:=${XDG_CACHE_HOME:-$HOME/.cache}/deadbolt}"
cache=$DEADBOLT_CACHE/guard-kernels
mkdir -p "$cache"

package_of() {
  apt-cache depends "$meta" 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)$/\1/p' |
    head -n1
}

package=$(package_of)
if [ -z "$package" ]; then
  echo "test-guard: apt-get update, to find $meta" >&2
  apt-get -o DPkg::Lock::Timeout=300 update >&2 < /dev/null
  package=$(package_of)
fi
[ -n "$package" ] || { echo "test-guard: apt knows no $meta" >&2; exit 1; }

if [ ! -s "$cache/$package.vmlinuz" ]; then
  work=$(mktemp -d "$cache/unpack.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  echo "test-guard: downloading $package" >&2
  # As root apt would download as somebody who may not write here.
  (cd "$work" && { apt-get -o APT::Sandbox::User=root download "$package" ||
    { apt-get -o DPkg::Lock::Timeout=300 update &&
      apt-get -o APT::Sandbox::User=root download "$package"; }; } >&2 < /dev/null)
  dpkg-deb -x "$work"/*.deb "$work/unpacked"
  mv "$work"/unpacked/boot/vmlinuz-* "$cache/$package.vmlinuz"
fi
echo "$cache/$package.vmlinuz"
