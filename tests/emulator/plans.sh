#!/bin/bash
# SPDX-License-Identifier: MIT
# Sourced by tests/arm64/test.sh and tests/riscv64/test.sh: runs plans, which are lists of shell
# commands, in guests of another architecture under QEMU.
#
# The guest has one processor whose clock counts its instructions, so that a busy host changes no
# time-out in it.
#
# What it reads from the environment, NAME being ARM64 or RISCV64:
# DEADBOLT_CACHE   where packages and logs are kept (default ~/.cache/deadbolt)
# NAME_SECONDS     the longest that one guest can take (default 3600)
# NAME_NICE        QEMU's niceness (default 10)
: "${DEADBOLT_CACHE:=${XDG_CACHE_HOME:-$HOME/.cache}/deadbolt}"
: "${TRIPLET:=aarch64-linux-gnu}"
export TRIPLET
emulator=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
scripts=$emulator/../../scripts
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

say() { echo "test-$architecture: $*" >&2; }

# start_plans ARCHITECTURE SUITE CONSOLE QEMU...: the guests' architecture, the Debian release that
# their busybox comes from, the name of their console, and the emulator with the options that all of
# them have.
start_plans() {
  architecture=$1
  local suite=$2 console=$3 name=${1^^}
  shift 3
  local seconds=${name}_SECONDS nice=${name}_NICE
  limit=${!seconds:-3600}
  emulator_version=$("$1" --version)
  niceness=${!nice:-10}
  qemu=("$@" -accel tcg -icount "shift=0,sleep=off" -smp 1 -m 2048
    -nodefaults -no-user-config -display none -no-reboot -nic none -monitor none
    -append "console=$console quiet panic=-1 oops=panic")
  compiler=$("$scripts/cross_compiler.sh" "$architecture")
  libraries=$("$scripts/cross_libraries.sh" "$architecture")
  busybox=$("$scripts/debian_unpack.sh" "$suite" "$architecture" busybox-static)
  busybox=$(find "$busybox" -path '*/bin/busybox' -type f)
}

# pack DIRECTORY: the directory as an archive that the kernel unpacks.
pack() { (cd "$1" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet) | gzip -1; }

# run_plan GUEST KERNEL PLAN EXTRA PROGRAM... -- QEMU_OPTION...: boots a guest with the programs and
# with what lies in the directory EXTRA, and runs the lines of the text PLAN there. Fails unless all
# of it passed, now or earlier with the very same files and options.
run_plan() {
  local guest=$1 kernel=$2 plan=$3 extra=$4 key logs start programs=()
  shift 4
  while [ "$1" != -- ]; do programs+=("$1"); shift; done
  shift
  printf '%s\n' "$plan" >"$extra/plan"
  # All that decides what happens in the guest, and how it is judged.
  key=$({ cat "$emulator"/{init,initramfs.sh,check.sh} "$busybox" "${programs[@]}" "$kernel"
    find -L "$compiler/usr/$TRIPLET/lib" "$libraries" -name '*.so*' -type f -print0 |
      LC_ALL=C sort -z | xargs -0 cat
    find "$extra" -type f | LC_ALL=C sort | xargs cat
    echo "$guest" "${qemu[@]}" "$@" "$emulator_version"; } | sha256sum | cut -c1-16)
  logs=$DEADBOLT_CACHE/$architecture-logs/$key
  mkdir -p "$logs"
  if [ -s "$logs/passed" ]; then
    cat "$logs/passed"
    return
  fi
  "$emulator/initramfs.sh" "$work/programs.gz" "$busybox" "$compiler" "$libraries" \
    "${programs[@]}" || return
  # The kernel unpacks one archive after the other.
  { cat "$work/programs.gz"; pack "$extra"; } >"$work/initramfs.gz"
  say "booting $guest: $logs/console"
  start=$SECONDS
  local failed=
  timeout -k 5 "$limit" nice -n "$niceness" "${qemu[@]}" "$@" -serial "file:$logs/console" \
    -kernel "$kernel" -initrd "$work/initramfs.gz" </dev/null ||
    { say "$guest: QEMU exited with $?"; failed=yes; }
  "$emulator/check.sh" "$logs/console" "$plan" >"$logs/summary" || failed=yes
  if [ "$failed" ]; then
    cat "$logs/summary"
    echo "FAIL $guest, $((SECONDS - start)) s: $logs/console"
    return 1
  fi
  echo "PASS $guest, $((SECONDS - start)) s: $(tail -n 1 "$logs/summary")" >"$logs/passed"
  cat "$logs/passed"
}
