#!/bin/bash
# SPDX-License-Identifier: MIT
# test.sh BUILD_DIRECTORY: boots Debian's arm64 kernels under QEMU, one after the other, with the
# programs of the cross build, and runs the plan there. Exits 0 when all of it passed, now or
# earlier with the very same programs, kernel and CPU.
#
# DEADBOLT_CACHE   where packages and logs are kept (default ~/.cache/deadbolt)
# ARM64_GUESTS     words of the form KERNEL:CPU. KERNEL is 6.12; cortex-a53 has no LSE
#                  instructions, neoverse-n1 has them
# ARM64_PLAN       file of command lines (default: plan beside this script)
# ARM64_SECONDS    the longest that one guest can take (default 3600)
# ARM64_NICE       QEMU's niceness (default 10)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$1" && pwd)
: "${DEADBOLT_CACHE:=${XDG_CACHE_HOME:-$HOME/.cache}/deadbolt}"
: "${ARM64_GUESTS:=6.12:neoverse-n1 6.12:cortex-a53}"
: "${ARM64_PLAN:=$here/plan}"
: "${ARM64_SECONDS:=3600}"
: "${ARM64_NICE:=10}"
unpack=$here/../../scripts/debian_unpack.sh

say() { echo "test-arm64: $*" >&2; }

# SUITE PACKAGE of a kernel.
kernel_package() {
  case $1 in
  6.12) echo bookworm-backports 'linux-image-6.12.*-cloud-arm64' ;;
  *) say "no such kernel: $1"; exit 1 ;;
  esac
}

compiler=$("$here/../../scripts/cross_compiler.sh" arm64)
libraries=$("$here/../../scripts/cross_libraries.sh" arm64)
busybox=$("$unpack" bookworm arm64 busybox-static)/bin/busybox
plan=$(grep -v '^#' "$ARM64_PLAN")
programs=()
while read -r line; do
  for word in $line; do
    case $word in *=*) continue ;; esac
    program=$(find "$build/tests" "$build/src/cli" -type f -name "$word" -perm -u+x | head -n 1)
    [ -n "$program" ] || { say "$word is not built in $build"; exit 1; }
    programs+=("$program")
    break
  done
done <<<"$plan"
mapfile -t programs < <(printf '%s\n' "${programs[@]}" | sort -u)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
"$here/initramfs.sh" "$work/programs.gz" "$busybox" "$compiler" "$libraries" "${programs[@]}"
mkdir "$work/plan_root"
printf '%s\n' "$plan" >"$work/plan_root/plan"
(cd "$work/plan_root" && echo plan | cpio -o -H newc -R 0:0 --quiet) | gzip -1 >"$work/plan.gz"
# The kernel unpacks one archive after the other.
cat "$work/programs.gz" "$work/plan.gz" >"$work/initramfs.gz"

bad=0
for guest in $ARM64_GUESTS; do
  cpu=${guest#*:}
  # shellcheck disable=SC2046
  set -- $(kernel_package "${guest%%:*}")
  root=$("$unpack" "$1" arm64 "$2")
  kernel=$(find "$root" -name 'vmlinuz*' -type f | head -n 1)
  name=$(basename "$kernel")-$cpu
  [ "$(basename "$kernel")" != vmlinuz ] || name=$(basename "$(dirname "$kernel")")-$cpu
  key=$({ cat "$here"/init "$here"/*.sh "$busybox" "${programs[@]}" "$kernel"
    echo "$plan" "$guest"
    qemu-system-aarch64 --version; } | sha256sum | cut -c1-16)
  logs=$DEADBOLT_CACHE/arm64-logs/$key
  mkdir -p "$logs"
  if [ -s "$logs/passed" ]; then
    cat "$logs/passed"
    continue
  fi
  say "booting $name: $logs/console"
  start=$SECONDS
  timeout -k 5 "$ARM64_SECONDS" nice -n "$ARM64_NICE" qemu-system-aarch64 -machine virt -cpu "$cpu" \
    -accel tcg,thread=multi -smp 2 -m 1024 -nodefaults -no-user-config -display none -no-reboot \
    -nic none -monitor none -serial "file:$logs/console" -kernel "$kernel" \
    -initrd "$work/initramfs.gz" -append "console=ttyAMA0 quiet panic=-1 oops=panic" </dev/null ||
    { say "$name: QEMU exited with $?"; bad=1; }
  if "$here/check.sh" "$logs/console" "$plan" >"$logs/summary"; then
    echo "PASS $name, $((SECONDS - start)) s: $(tail -n 1 "$logs/summary")" >"$logs/passed"
    cat "$logs/passed"
  else
    cat "$logs/summary"
    echo "FAIL $name, $((SECONDS - start)) s: $logs/console"
    bad=1
  fi
done
exit $bad
