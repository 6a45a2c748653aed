#!/bin/sh
# SPDX-License-Identifier: MIT
# Usage: test_debian.sh [--ccache] SUITE [COMMAND]
#
# Runs COMMAND, by default README's two commands, as a user with a fresh Debian SUITE
# (bookworm, trixie, sid) would: in a chroot that debootstrap has just made, on a clone of
# the commits in this repository. Needs root. The bare system and the downloaded packages stay
# in the cache; each run writes into its own overlay, which is removed when the run ends.
#
# --ccache: compile through ccache, whose results of this SUITE stay in the cache, too. A run that
# comes after a small change, or that repeats a part of a former one, then compiles little.
set -eu

compiler_cache=
if [ "${1:-}" = --ccache ]; then
  compiler_cache=yes
  shift
fi
suite=$1
command=${2:-"make demo && make test"}
source=$(cd "$(dirname "$0")/.." && pwd)
: "${DEADBOLT_CACHE:=${XDG_CACHE_HOME:-$HOME/.cache}/deadbolt}"
cache=$DEADBOLT_CACHE/debian
base=$cache/$suite
archives=$cache/$suite-archives

if [ "$(id -u)" -ne 0 ]; then
  echo "test_debian: a chroot can be made by root alone: run it as root" >&2
  exit 1
fi
"$source/scripts/require_packages.sh" debootstrap git

if [ ! -e "$base/.complete" ]; then
  # The mirror that this machine uses.
  # shellcheck disable=SC2016 # apt expands it
  mirror=$(apt-get indextargets --format '$(REPO_URI)' | grep -v security | head -n 1)
  rm -rf "$base"
  mkdir -p "$base" "$archives/partial"
  debootstrap --variant=minbase "$suite" "$base" "$mirror" >"$cache/$suite.log" 2>&1 || {
    tail -n 5 "$cache/$suite.log" >&2
    echo "test_debian: debootstrap failed; $cache/$suite.log has it all" >&2
    exit 1
  }
  : >"$base/.complete"
fi

# A mirror that keeps an old state of sid serves lists that are past their time: what this machine's
# apt is told about that, the chroot's is told too.
apt_options="APT::Keep-Downloaded-Packages true;
$(apt-config dump --format '%F "%v";%n' Acquire::Check-Valid-Until)"

# An overlay cannot lie on another overlay, so it is not in /tmp.
run=$(mktemp -d "$cache/run.XXXXXX")
trap 'rm -rf "$run"' EXIT INT TERM
mkdir "$run/upper" "$run/work" "$run/root"
git clone --quiet "$source" "$run/clone"
echo "test_debian: $suite: commit $(git -C "$run/clone" rev-parse HEAD)"

# Everything is mounted in a mount namespace, which ends with its last process: nothing is
# left mounted, whatever ends the run.
status=0
# shellcheck disable=SC2016 # the inner shell expands it
unshare --mount --fork sh -eu -c '
  base=$1 run=$2 archives=$3 command=$4 apt_options=$5 results=$6 compiler_cache=$7
  root=$run/root
  mount -t overlay overlay -o "lowerdir=$base,upperdir=$run/upper,workdir=$run/work" "$root"
  mount --rbind /proc "$root/proc"
  mount --rbind /sys "$root/sys"
  mount --rbind /dev "$root/dev"
  mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
  mkdir -p "$root/srv/deadbolt"
  mount --bind "$run/clone" "$root/srv/deadbolt"
  mount --bind "$archives" "$root/var/cache/apt/archives"
  if [ "$compiler_cache" ]; then
    mkdir -p "$results" "$root/var/cache/ccache"
    mount --bind "$results" "$root/var/cache/ccache"
  fi
  echo "$apt_options" >"$root/etc/apt/apt.conf.d/test_debian"
  cp /etc/resolv.conf "$root/etc/resolv.conf"
  exec chroot "$root" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    ${http_proxy:+http_proxy="$http_proxy"} \
    ${compiler_cache:+CMAKE_C_COMPILER_LAUNCHER=ccache CMAKE_CXX_COMPILER_LAUNCHER=ccache} \
    ${compiler_cache:+CCACHE_DIR=/var/cache/ccache} \
    ${compiler_cache:+CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime} \
    sh -eu -c "
      apt-get -q update
      apt-get -q install --yes --no-install-recommends make ${compiler_cache:+ccache}
      cd /srv/deadbolt && $command"
' sh "$base" "$run" "$archives" "$command" "$apt_options" "$cache/$suite-ccache" \
  "$compiler_cache" </dev/null || status=$?
if [ "$status" -eq 0 ]; then
  echo "test_debian: $suite: passed: $command"
else
  echo "test_debian: $suite: status $status: $command" >&2
fi
exit "$status"
