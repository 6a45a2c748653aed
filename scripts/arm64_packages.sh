#!/bin/sh
# SPDX-License-Identifier: MIT
# Unpacks the arm64 libraries that a cross build of the tools and the tests needs, of the Debian
# release that this machine runs, and prints where they are. They hold no libc: that is the cross
# compiler's.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck disable=SC1091
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
exec "$here/debian_unpack.sh" "$suite" arm64 \
  libgtest-dev libfmt-dev 'libfmt[0-9]*' libcli11-dev nlohmann-json3-dev
