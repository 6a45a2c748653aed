#!/bin/bash
# SPDX-License-Identifier: MIT
# test.sh BUILD_DIRECTORY: boots Debian's stock kernels, side by side, with the
# guard's tests. Exits 0 when all of it passed, now or earlier with the very same
# programs and kernels.
#
# DEADBOLT_CACHE   where kernels and logs are kept (default ~/.cache/deadbolt)
# GUARD_KERNELS    Debian packages (default linux-image-cloud-amd64, which is 6.1, and
#                  linux-image-6.12-cloud-amd64)
# GUARD_PROGRAMS   which of the test programs
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$1" && pwd)
: "${DEADBOLT_CACHE:=${XDG_CACHE_HOME:-$HOME/.cache}/deadbolt}"
: "${GUARD_KERNELS:=linux-image-cloud-amd64 linux-image-6.12-cloud-amd64}"
: "${GUARD_PROGRAMS:=guard_bpf_life_test guard_bpf_hostile_test guard_bpf_campaign_test \
guard_bpf_real_test guard_bpf_cost_test guard_bpf_storm_test}"

preload=$build/src/preload/libdeadbolt-pthread.so
say() { echo "test-guard: $*" >&2; }

programs=()
for program in $GUARD_PROGRAMS; do programs+=("$build/tests/guard_bpf/$program"); done
kernels=()
for package in $GUARD_KERNELS; do
  kernel=$("$here/kernel.sh" "$package")
  kernels+=("$kernel")
done

libraries=$("$here/../../support/libraries.sh" "$build/src/cli/deadbolt" "${programs[@]}")
# shellcheck disable=SC2086 # paths without spaces
key=$({ cat "$here"/* "$build/src/cli/deadbolt" "$preload" "${programs[@]}"
  cat $libraries
  [ ! -e /lib/ld-musl-x86_64.so.1 ] || cat /lib/ld-musl-x86_64.so.1
  printf '%s\n' "${kernels[@]}"
  qemu-system-x86_64 --version; } | sha256sum | cut -c1-16)
logs=$DEADBOLT_CACHE/guard-logs/$key
mkdir -p "$logs"
if [ -s "$logs/passed" ]; then
  cat "$logs/passed"
  say "passed earlier, and nothing has changed since: $logs"
  exit 0
fi
"$here/initramfs.sh" "$logs/initramfs.gz" "$build/src/cli/deadbolt" "$preload" "${programs[@]}"

# One CPU whose clock counts instructions, and skips the time in which nobody has any to
# run: a busy host changes nothing in what the guest sees, and waiting costs nothing.
boot() {
  local name=$1 kernel=$2
  : > "$logs/$name.log"
  exec timeout -k 5 3000 qemu-system-x86_64 -accel tcg -icount shift=0,sleep=off -smp 1 -cpu max \
    -m 1024 -nodefaults -no-user-config -display none -no-reboot -nic none -monitor none \
    -serial "file:$logs/$name.console" -serial "file:$logs/$name.log" \
    -kernel "$kernel" -initrd "$logs/initramfs.gz" \
    -append "console=ttyS0 loglevel=5 panic=-1 oops=panic mitigations=off \
deadbolt.programs=$(echo "$GUARD_PROGRAMS" | tr -s ' ' ,)" < /dev/null
}

# Boots and judges one kernel; what there is to say of it goes into its summary.
test_kernel() {
  local name=$1 kernel=$2 verdict=PASS start=$SECONDS status=0
  boot "$name" "$kernel" &
  # shellcheck disable=SC2064
  trap "kill $! 2> /dev/null; exit 1" TERM
  wait $! || status=$?
  [ "$status" = 0 ] || { say "$name: qemu exited with $status"; verdict=FAIL; }
  # shellcheck disable=SC2086
  "$here/check.sh" "$name" "$logs/$name.log" $GUARD_PROGRAMS >&2 || verdict=FAIL
  [ "$verdict" = PASS ] || say "logs: $logs/$name.log $logs/$name.console"
  {
    tr -d '\r' < "$logs/$name.log" | grep -E '^(glibc|robust|figure)' || true
    echo "$verdict $name, $((SECONDS - start)) s:" \
      "$(grep -c '^\[       OK \]' "$logs/$name.log") tests"
  } > "$logs/$name.summary"
  [ "$verdict" = PASS ]
}

# A CPU of the host each.
running=()
names=()
trap 'kill "${running[@]}" 2> /dev/null || true' EXIT
trap 'exit 1' INT TERM
for kernel in "${kernels[@]}"; do
  name=$(basename "$kernel" .vmlinuz)
  say "booting $name"
  test_kernel "$name" "$kernel" &
  running+=($!)
  names+=("$logs/$name.summary")
done
bad=0
for pid in "${running[@]}"; do wait "$pid" || bad=1; done
cat "${names[@]}" > "$logs/summary"
cat "$logs/summary"
[ "$bad" = 0 ] || exit 1
mv "$logs/summary" "$logs/passed"
rm -f "$logs/initramfs.gz"
