#!/bin/sh
# SPDX-License-Identifier: MIT
# test.sh BUILD_DIRECTORY: boots Debian's stock 7.2 and 7.3 under QEMU, and kills programs that
# have the preload library at every instruction there, with no guard. Exits 0 when nothing
# was corrupted, lost or stranded.
#
# PRELOAD_SUITES     where kernels come from (forky has 7.2, experimental 7.3)
# PRELOAD_SUBJECTS   crash-test's (glibc_preload, ...), with commas in between
# PRELOAD_SCENARIOS  the same; all unless set
# PRELOAD_KILLS      of LMDB, tdb and a storm of processes with the library and without; 0: none
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$1" && pwd)
: "${DEADBOLT_CACHE:=${XDG_CACHE_HOME:-$HOME/.cache}/deadbolt}"
: "${PRELOAD_SUITES:=forky experimental}"
: "${PRELOAD_SUBJECTS:=glibc_preload,glibc_preload_pi,glibc_preload_cond,glibc_preload_pi_cond}"
: "${PRELOAD_SCENARIOS:=}"
: "${PRELOAD_KILLS:=1000}"
logs=$DEADBOLT_CACHE/preload-logs
mkdir -p "$logs"

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
trap 'exit 1' INT TERM
mkdir -p "$root/bin" "$root/preload" "$root/proc" "$root/sys" "$root/dev"
cp /bin/busybox "$root/bin/"
install -m 755 "$here/init" "$root/init"
# The command finds the library where a build has it: beside its own directory.
cp "$build/src/preload/libdeadbolt-pthread.so" "$root/preload/"
for program in "$build/src/cli/deadbolt" "$build/tests/preload/preload_mixed_storm" \
  "$build/tests/real_programs/real_programs"; do
  name=$(basename "$program")
  install -m 755 -s "$program" "$root/bin/${name#preload_}"
  ldd "$program"
done | sed -n -e 's/.* => \(\/[^ ]*\) .*/\1/p' -e 's/^[[:space:]]*\(\/[^ ]*\) .*/\1/p' |
  sort -u | while read -r library; do
  mkdir -p "$root$(dirname "$library")"
  cp -L "$library" "$root$library"
done
(cd "$root" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet) | gzip -1 >"$logs/initramfs"

# Boots one kernel and judges what its guest says, which goes into the summary. One CPU whose clock
# counts instructions, so that a busy host changes nothing.
test_suite() {
  suite=$1 kernel=$2 log=$logs/$1.log start=$(date +%s) verdict=PASS
  : >"$log"
  timeout -k 5 3600 qemu-system-x86_64 -accel tcg -icount shift=0,sleep=off -smp 1 -cpu max \
    -m 1024 -nodefaults -no-user-config -display none -no-reboot -nic none -monitor none \
    -serial "file:$log.console" -serial "file:$log" -kernel "$kernel" -initrd "$logs/initramfs" \
    -append "console=ttyS0 loglevel=5 panic=-1 oops=panic mitigations=off \
preload.subjects=$PRELOAD_SUBJECTS preload.scenarios=$PRELOAD_SCENARIOS \
preload.kills=$PRELOAD_KILLS" </dev/null &
  qemu=$!
  # shellcheck disable=SC2064
  trap "kill $qemu 2>/dev/null; exit 1" TERM
  {
    wait $qemu || { echo "$suite: qemu failed"; verdict=FAIL; }
    tr -d '\r' <"$log" | grep -E '^(#|level|glibc|mixed_storm|real_programs|    (corrupted|lost|stranded|not judged))' ||
      true
    grep -q '^# guest done' "$log" || { echo "$suite: the guest did not come to its end"; verdict=FAIL; }
    if grep -q '^# failed' "$log"; then verdict=FAIL; fi
    # Without the kernel's support rows would be shown, and not judged.
    if grep -q -e ' none .* unprotected' -e '^level .*needs a guard' "$log"; then verdict=FAIL; fi
    grep -q '^glibc_preload .* clean' "$log" || { echo "$suite: no row was judged"; verdict=FAIL; }
    echo "$verdict $suite, $(($(date +%s) - start)) s; logs: $log $log.console"
  } >"$logs/$suite.summary"
  [ $verdict = PASS ]
}

# A CPU of the host each.
running=
trap 'rm -rf "$root"; [ -z "$running" ] || kill $running 2>/dev/null || true' EXIT
for suite in $PRELOAD_SUITES; do
  kernel=$(find "$("$here/../../../scripts/debian_unpack.sh" "$suite" amd64 \
    'linux-binary-[0-9]*-cloud-amd64')" -name 'vmlinuz*' | head -n 1)
  echo "test-preload: booting $kernel" >&2
  test_suite "$suite" "$kernel" &
  running="$running $!"
done
bad=0
for pid in $running; do wait "$pid" || bad=1; done
for suite in $PRELOAD_SUITES; do cat "$logs/$suite.summary"; done
exit $bad
