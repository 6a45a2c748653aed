#!/bin/sh
# SPDX-License-Identifier: MIT
# Usage: cross_musl.sh arm64
#
# Unpacks musl for another architecture, of the Debian release that this machine runs, and prints
# where it is. The compiler is that of cross_compiler.sh.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck disable=SC1091
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
exec "$here/debian_unpack.sh" "$suite" "$1" musl-dev
