#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# stock-kernel.sh VERSION: prints a directory with bzImage, Debian's cloud kernel of that
# version as it is: 6.1, 6.12, 7.2 or 7.3.
set -eu
. "$(dirname "$0")/env.sh"

version=$1
image=$cache/stock/$version
mkdir -p "$image"
case $version in
6.1) cp -u "$("$tree/../tests/guard_bpf/guest/kernel.sh" linux-image-cloud-amd64)" "$image/bzImage" ;;
6.12) cp -u "$("$tree/../tests/guard_bpf/guest/kernel.sh" linux-image-6.12-cloud-amd64)" \
	"$image/bzImage" ;;
7.2) "$here/debian-file.sh" "sid forky" 'linux-binary-7[.]2[^-]*-cloud-amd64' '*/vmlinuz' "$image/bzImage" ;;
7.3) "$here/debian-file.sh" "experimental sid forky" 'linux-binary-7[.]3[^-]*-cloud-amd64' \
	'*/vmlinuz' "$image/bzImage" ;;
*) die "no such version: $version" ;;
esac
echo "$image"
