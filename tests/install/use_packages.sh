#!/bin/sh
# SPDX-License-Identifier: MIT
# Usage: use_packages.sh DIRECTORY
# Installs the Debian packages in DIRECTORY on a bare system, uses each, and purges them.
set -eu
cd "$(dirname "$0")/../.."
export DEBIAN_FRONTEND=noninteractive
apt() {
  apt-get -q --yes --no-install-recommends "$@" </dev/null
}

fail() {
  echo "use_packages: $1" >&2
  exit 1
}
files() {
  find /usr /etc /lib /var/lib/systemd \( -name '*deadbolt*' -o -name 'robust_*futex*' \) 2>/dev/null | sort
}

[ -z "$(files)" ] || fail "the system is not bare: $(files)"

# The tools and Python alone: no compiler is there, and none is pulled in.
apt install "$1"/libdeadbolt0*.deb "$1"/deadbolt_*.deb "$1"/python3-deadbolt_*.deb
! command -v cc || fail "a compiler was installed with the tools"
deadbolt --version | grep -F "$(cat VERSION)"
deadbolt doctor || [ $? -le 1 ]
deadbolt crash-test --subject mutex --guard none
python3 -c 'import deadbolt
with deadbolt.Region.anonymous(4096) as region, region.mutex("lock") as lock:
    print(lock)'
DEADBOLT_PRELOAD=verbose LD_PRELOAD=$(deadbolt preload --print) /bin/true 2>&1 |
  grep '^deadbolt: preload: level hook,' || fail "the preload library does not load"
systemd=/usr/lib/systemd/system/deadbolt-guard.service
[ -e $systemd ] || [ -e /lib/systemd/system/deadbolt-guard.service ] || fail "no unit"
[ ! -e /etc/systemd/system/multi-user.target.wants/deadbolt-guard.service ] || fail "it is enabled"

# Programs, as a reader of the README installs and builds them; without a recommended package.
apt install "$1"/*.deb
apt install gcc g++ libc6-dev pkg-config rustc cargo python3-pytest
python3 tests/languages/run.py README.md /tmp/languages
# This release's Python is newer than the one that the tests are written with.
(cd bindings/python && PYTHONDONTWRITEBYTECODE=1 python3 -m pytest -q)

apt purge deadbolt '*deadbolt*-dbgsym' libdeadbolt-dev python3-deadbolt 'libdeadbolt0*'
[ -z "$(files)" ] || fail "left after the purge: $(files)"
echo "use_packages: installed, used by four languages, purged"
