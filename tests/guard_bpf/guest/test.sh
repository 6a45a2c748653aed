#!/bin/bash
# SPDX-License-Identifier: MIT
# test.sh BUILD_DIRECTORY: boots Debian's stock kernels, one after the other, with the
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
guard_bpf_real_test guard_bpf_cost_test}"

say() { echo "test-guard: $*" >&2; }

programs=()
for program in $GUARD_PROGRAMS; do programs+=("$build/tests/guard_bpf/$program"); done
kernels=()
for package in $GUARD_KERNELS; do
  kernel=$("$here/kernel.sh" "$package")
  kernels+=("$kernel")
done

key=$({ cat "$here"/* "$build/src/cli/deadbolt" "${programs[@]}" /lib/x86_64-linux-gnu/libc.so.6
  printf '%s\n' "${kernels[@]}"
  qemu-system-x86_64 --version; } | sha256sum | cut -c1-16)
logs=$DEADBOLT_CACHE/guard-logs/$key
mkdir -p "$logs"
if [ -s "$logs/passed" ]; then
  cat "$logs/passed"
  say "passed earlier, and nothing has changed since: $logs"
  exit 0
fi
"$here/initramfs.sh" "$logs/initramfs.gz" "$build/src/cli/deadbolt" "${programs[@]}"

boot() {
  local name=$1 kernel=$2
  : > "$logs/$name.log"
  timeout -k 5 3000 qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -m 1024 \
    -nodefaults -no-user-config -display none -no-reboot -nic none -monitor none \
    -serial "file:$logs/$name.console" -serial "file:$logs/$name.log" \
    -kernel "$kernel" -initrd "$logs/initramfs.gz" \
    -append "console=ttyS0 loglevel=5 panic=-1 oops=panic no_timer_check mitigations=off \
deadbolt.programs=$(echo "$GUARD_PROGRAMS" | tr -s ' ' ,)" < /dev/null
}

bad=0
: > "$logs/summary"
for kernel in "${kernels[@]}"; do
  name=$(basename "$kernel" .vmlinuz)
  start=$SECONDS
  say "booting $name"
  boot "$name" "$kernel" || { say "$name: qemu exited with $?"; bad=1; }
  # shellcheck disable=SC2086
  if "$here/check.sh" "$name" "$logs/$name.log" $GUARD_PROGRAMS >&2; then
    verdict=PASS
  else
    verdict=FAIL bad=1
    say "logs: $logs/$name.log $logs/$name.console"
  fi
  {
    tr -d '\r' < "$logs/$name.log" | grep -E '^(glibc|robust|figure)' || true
    echo "$verdict $name, $((SECONDS - start)) s: $(grep -c '^\[       OK \]' "$logs/$name.log") tests"
  } >> "$logs/summary"
done
cat "$logs/summary"
[ "$bad" = 0 ] || exit 1
mv "$logs/summary" "$logs/passed"
rm -f "$logs/initramfs.gz"
