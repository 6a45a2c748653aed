#!/bin/bash
# SPDX-License-Identifier: MIT
# test.sh BUILD_DIRECTORY: boots Debian's arm64 kernels and patched ones under QEMU, one after the
# other, with the programs of the cross build and of that with musl (BUILD_DIRECTORY-musl), and runs
# plans there. Exits 0 when all of it passed, now or earlier with the very same programs, kernel and
# CPU.
#
# ARM64_GUESTS     words of the form KERNEL:CPU:PLAN[,PLAN...][:LIBC] (default: those of the file
#                  guests).
#                  KERNEL is 6.12, 7.2, or 7.2-16k, which has pages of 16 KiB; or 7.3-VARIANT, which
#                  kernel/qemu/build-kernel.sh builds: patched, or a mutant that the plan of its
#                  name must catch. cortex-a53 has no LSE instructions, neoverse-n1 has them; the
#                  PLANs are files of plans/. The LIBC is glibc of another Debian release, by the
#                  release's name, instead of the cross compiler's; or musl, beside that
# More variables: tests/emulator/plans.sh.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$1" && pwd)
: "${ARM64_GUESTS:=$(grep -v '^#' "$here/guests")}"
# shellcheck source=tests/emulator/plans.sh
. "$here/../emulator/plans.sh"
unpack=$scripts/debian_unpack.sh
kernel_scripts=$here/../../kernel/qemu

# SUITE PACKAGE of a kernel.
kernel_package() {
  case $1 in
  6.12) echo bookworm-backports 'linux-image-6.12.*-cloud-arm64' ;;
  7.2) echo forky 'linux-binary-7.2.*-cloud-arm64' ;;
  7.2-16k) echo forky 'linux-binary-7.2.*-arm64-16k' ;;
  *) say "no such kernel: $1"; exit 1 ;;
  esac
}

# Sets kernel, and ksft to the directory of the kernel's own selftests if there are any.
find_kernel() {
  local root image
  ksft=
  case $1 in
  7.3-*)
    image=$("$kernel_scripts/install-missing.sh" arm64 >&2 &&
      "$kernel_scripts/in-7.3.sh" "$kernel_scripts/build-kernel.sh" "${1#7.3-}" arm64)
    kernel=$image/bzImage ksft=$image/ksft ;;
  *)
    # shellcheck disable=SC2046
    set -- $(kernel_package "$1")
    root=$("$unpack" "$1" arm64 "$2")
    kernel=$(find "$root" -name 'vmlinuz*' -type f | head -n 1) ;;
  esac
}

# The programs that a plan's lines begin with, behind the variables that they set. /ksft/... is one
# of the kernel's own selftests, /musl/... one of the build with musl.
programs_of() {
  local line word program
  while read -r line; do
    for word in $line; do
      case $word in *=*) continue ;; esac
      case $word in
      /ksft/*) program=$ksft/${word#/ksft/} ;;
      /musl/*) program=$(find "$build-musl/tests" -type f -name "${word#/musl/}" -perm -u+x) ;;
      *) program=$(find "$build/tests" "$build/src/cli" -type f -name "$word" -perm -u+x | head -n 1) ;;
      esac
      [ -n "$program" ] || { say "$word is not built in $build"; exit 1; }
      echo "$program"
      break
    done
  done | sort -u
}

# A guest's LIBC, as it lies in the guest below DIRECTORY.
pack_libc() {
  local of=$1 directory=$2 root name
  rm -rf "$directory"
  mkdir -p "$directory/lib"
  case $of in
  '') ;;
  musl)
    root=$("$unpack" bookworm arm64 musl)
    cp -L "$root/lib/ld-musl-aarch64.so.1" "$directory/lib/" ;;
  *)
    root=$("$unpack" "$of" arm64 libc6)
    for name in libc.so.6 libm.so.6 ld-linux-aarch64.so.1; do
      cp -L "$(find "$root" -path "*/aarch64-linux-gnu/$name" | head -n 1)" "$directory/lib/$name"
    done ;;
  esac
}

start_plans arm64 bookworm ttyAMA0 qemu-system-aarch64 -machine virt

bad=0
for guest in $ARM64_GUESTS; do
  IFS=: read -r version cpu plans libc <<<"$guest"
  plan=$(for name in ${plans//,/ }; do grep -v '^#' "$here/plans/$name"; done)
  find_kernel "$version"
  list=$(programs_of <<<"$plan")
  mapfile -t programs <<<"$list"
  pack_libc "$libc" "$work/extra"
  run_plan "$guest" "$kernel" "$plan" "$work/extra" "${programs[@]}" -- -cpu "$cpu" || bad=1
done
exit $bad
