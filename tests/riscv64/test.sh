#!/bin/bash
# SPDX-License-Identifier: MIT
# test.sh BUILD_DIRECTORY: checks which headers can be included on riscv64, then boots Debian's
# riscv64 kernel under QEMU with the programs of the cross build, once for each plan. Exits 0 when
# all of it passed, now or earlier with the very same programs and kernel.
#
# The guest, its clock, and what passes are those of tests/arm64/test.sh.
#
# DEADBOLT_CACHE    where packages and logs are kept (default ~/.cache/deadbolt)
# RISCV64_PLANS     files of plans/, or `region`, which is that of arm64 (default: all)
# RISCV64_SECONDS   the longest that one guest can take (default 3600)
# RISCV64_NICE      QEMU's niceness (default 10)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
arm64=$here/../arm64
scripts=$here/../../scripts
build=$(cd "$1" && pwd)
: "${DEADBOLT_CACHE:=${XDG_CACHE_HOME:-$HOME/.cache}/deadbolt}"
: "${RISCV64_PLANS:=region more stepped}"
: "${RISCV64_SECONDS:=3600}"
: "${RISCV64_NICE:=10}"
export TRIPLET=riscv64-linux-gnu

say() { echo "test-riscv64: $*" >&2; }

compiler=$("$scripts/cross_compiler.sh" riscv64)
libraries=$("$scripts/cross_libraries.sh" riscv64)
kernel=$("$scripts/debian_unpack.sh" trixie riscv64 'linux-image-6.12.*-riscv64')
kernel=$(find "$kernel/boot" -name 'vmlinu*' -type f | head -n 1)
busybox=$("$scripts/debian_unpack.sh" trixie riscv64 busybox-static)/usr/bin/busybox
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

"$here/check_headers.sh" "$compiler" "$here/../../include"

bad=0
for name in $RISCV64_PLANS; do
  file=$here/plans/$name
  [ "$name" != region ] || file=$arm64/plans/region
  plan=$(grep -v '^#' "$file")
  programs=()
  while read -r program _; do
    found=$(find "$build/tests" "$build/src/cli" "$build/examples" -type f -name "$program" \
      -perm -u+x | head -n 1)
    [ -n "$found" ] || { say "$program is not built in $build"; exit 1; }
    programs+=("$found")
  done <<<"$plan"
  key=$({ cat "$arm64"/init "$arm64"/initramfs.sh "$arm64"/check.sh "$here/test.sh" "$busybox" \
      "${programs[@]}" "$kernel"
    echo "$plan"
    qemu-system-riscv64 --version; } | sha256sum | cut -c1-16)
  logs=$DEADBOLT_CACHE/riscv64-logs/$key
  mkdir -p "$logs"
  if [ -s "$logs/passed" ]; then
    cat "$logs/passed"
    continue
  fi
  rm -rf "$work/plan"
  mkdir "$work/plan"
  printf '%s\n' "$plan" >"$work/plan/plan"
  (cd "$work/plan" && echo plan | cpio -o -H newc -R 0:0 --quiet) | gzip -1 >"$work/plan.gz"
  "$arm64/initramfs.sh" "$work/programs.gz" "$busybox" "$compiler" "$libraries" "${programs[@]}"
  # The kernel unpacks one archive after the other.
  cat "$work/programs.gz" "$work/plan.gz" >"$work/initramfs.gz"
  say "booting $name: $logs/console"
  start=$SECONDS
  timeout -k 5 "$RISCV64_SECONDS" nice -n "$RISCV64_NICE" qemu-system-riscv64 -machine virt \
    -cpu rv64 -accel tcg -icount shift=0,sleep=off -smp 1 -m 2048 -nodefaults -no-user-config \
    -display none -no-reboot -nic none -monitor none -serial "file:$logs/console" \
    -kernel "$kernel" -initrd "$work/initramfs.gz" \
    -append "console=ttyS0 quiet panic=-1 oops=panic" </dev/null ||
    { say "$name: QEMU exited with $?"; bad=1; }
  if "$arm64/check.sh" "$logs/console" "$plan" >"$logs/summary"; then
    echo "PASS $name, $((SECONDS - start)) s: $(tail -n 1 "$logs/summary")" >"$logs/passed"
    cat "$logs/passed"
  else
    cat "$logs/summary"
    echo "FAIL $name, $((SECONDS - start)) s: $logs/console"
    bad=1
  fi
done
exit $bad
