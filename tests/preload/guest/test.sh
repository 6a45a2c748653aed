#!/bin/sh
# SPDX-License-Identifier: MIT
# test.sh BUILD_DIRECTORY: boots Debian's stock 7.2 and 7.3 under QEMU, and kills programs that
# have the preload library at every instruction there, with no guard. Exits 0 when nothing was
# corrupted, lost or stranded, and something was without the library.
#
# A kernel is booted once for each of crash-test's subjects, and once for the programs. A boot
# that passed is not made again with the same kernel, options, libraries and sources of what
# matters here, so that a run that was interrupted goes on where it was.
#
# PRELOAD_SUITES     where kernels come from: forky has 7.2, experimental 7.3; "patched" is 6.12
#                    with the series of kernel/, built unless the cache has it
# PRELOAD_SUBJECTS   crash-test's (glibc_preload, ...), with spaces in between
# PRELOAD_SCENARIOS  the same; all unless set
# PRELOAD_KILLS      of LMDB, tdb and a storm of processes with the library and without
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$1" && pwd)
: "${DEADBOLT_CACHE:=${XDG_CACHE_HOME:-$HOME/.cache}/deadbolt}"
: "${PRELOAD_SUITES:=forky experimental}"
: "${PRELOAD_SUBJECTS:=glibc_preload glibc_preload_pi glibc_preload_cond glibc_preload_pi_cond \
glibc_preload_refused glibc_preload_refused_pi}"
: "${PRELOAD_SCENARIOS:=}"
: "${PRELOAD_KILLS:=1000}"

root=$(mktemp -d)
running=
trap 'rm -rf "$root"; [ -z "$running" ] || kill $running 2>/dev/null || true' EXIT
trap 'exit 1' INT TERM
chmod 755 "$root" # mktemp makes it for root alone
mkdir -p "$root/bin" "$root/preload" "$root/proc" "$root/sys" "$root/dev"
cp /bin/busybox "$root/bin/"
install -m 755 "$here/init" "$root/init"
# The command finds the library where a build has it: beside its own directory.
cp "$build/src/preload/libdeadbolt-pthread.so" "$root/preload/"
set -- "$build/src/cli/deadbolt" "$build/tests/preload/preload_mixed_storm" \
  "$build/tests/real_programs/real_programs"
for program; do
  name=$(basename "$program")
  install -m 755 -s "$program" "$root/bin/${name#preload_}"
done
libraries=$("$here/../../support/libraries.sh" "$@")
for library in $libraries; do
  mkdir -p "$root$(dirname "$library")"
  cp -L "$library" "$root$library"
done
hashes() { find "$@" -type f -exec sha256sum {} + | LC_ALL=C sort -k 2; }
key=$( {
  (cd "$root" && hashes lib* bin/busybox)
  (cd "$here/../../.." && hashes src/base src/robust src/preload src/trace src/crash \
    tests/preload/mixed_storm.c tests/preload/guest tests/real_programs CMakePresets.json)
  g++ -dumpfullversion
  qemu-system-x86_64 --version
  echo "$PRELOAD_SCENARIOS $PRELOAD_KILLS"
} | sha256sum | cut -c1-16)
logs=$DEADBOLT_CACHE/preload-logs/$key
mkdir -p "$logs"
(cd "$root" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet) | gzip -1 >"$root.initramfs"
mv "$root.initramfs" "$logs/initramfs"

# What is wrong with what the guest said.
judge() {
  part=$1 log=$2
  grep -q '^# guest done' "$log" || echo "the guest did not come to its end"
  grep '^# failed' "$log" || true
  # Without the kernel's support rows would be shown, and not judged.
  grep -e ' none .* unprotected' -e '^level .*needs a guard' "$log" || true
  if [ "$part" != programs ]; then
    grep -q "^$part .* clean" "$log" || echo "no row was judged"
    return
  fi
  for subject in glibc glibc_pi; do
    awk -v of=$subject '$1 == of && $2 == "reuse" && $8 > 0 { found = 1 } END { exit !found }' \
      "$log" || echo "$subject is not corrupted without the library: it would not be seen"
  done
}

# Boots a kernel for one part, and writes what comes of it to a summary. One CPU whose clock counts
# instructions, so that a busy host changes nothing.
test_part() {
  suite=$1 kernel=$2 part=$3
  version=$(basename "$(dirname "$kernel")")
  log=$logs/$suite-$version-$part.log
  [ ! -s "$log.passed" ] || return 0
  : >"$log"
  start=$(date +%s) trouble=''
  timeout -k 5 7200 qemu-system-x86_64 -accel tcg -icount shift=0,sleep=off -smp 1 -cpu max \
    -m 1024 -nodefaults -no-user-config -display none -no-reboot -nic none -monitor none \
    -serial "file:$log.console" -serial "file:$log" -kernel "$kernel" -initrd "$logs/initramfs" \
    -append "console=ttyS0 loglevel=5 panic=-1 oops=panic mitigations=off preload.part=$part \
preload.scenarios=$(echo "$PRELOAD_SCENARIOS" | tr ' ' ,) preload.kills=$PRELOAD_KILLS" </dev/null &
  qemu=$!
  # shellcheck disable=SC2064
  trap "kill $qemu 2>/dev/null; exit 1" TERM
  wait $qemu || trouble="qemu failed"
  tr -d '\r' <"$log" >"$log.text"
  trouble=$trouble$(judge "$part" "$log.text")
  {
    if [ -n "$trouble" ]; then
      echo "$trouble"
      cat "$log.text"
      echo "FAIL $suite $part, $(($(date +%s) - start)) s; logs: $log $log.console"
    else
      grep -E '^(# guest [0-9]|level|glibc|mixed_storm|real_programs)' "$log.text" || true
      echo "PASS $suite $part, $(($(date +%s) - start)) s"
    fi
  } >"$log.summary"
  cat "$log.summary"
  [ -z "$trouble" ] || return 1
  mv "$log.summary" "$log.passed"
}

test_suite() {
  bad=0
  # shellcheck disable=SC2086
  for part in programs $PRELOAD_SUBJECTS; do test_part "$1" "$2" $part || bad=1; done
  return $bad
}

# A CPU of the host each.
for suite in $PRELOAD_SUITES; do
  case $suite in
  patched) kernel=$("$here/../../../kernel/qemu/build-kernel.sh" patched)/bzImage ;;
  *) kernel=$(find "$("$here/../../../scripts/debian_unpack.sh" "$suite" amd64 \
    'linux-binary-[0-9]*-cloud-amd64')" -name 'vmlinuz*' | head -n 1) ;;
  esac
  echo "test-preload: booting $kernel" >&2
  test_suite "$suite" "$kernel" &
  running="$running $!"
done
bad=0
for pid in $running; do wait "$pid" || bad=1; done
running=
echo "All of it:"
for suite in $PRELOAD_SUITES; do cat "$logs/$suite"-*.passed 2>/dev/null || true; done
[ $bad = 0 ] || echo "test-preload: FAILED" >&2
exit $bad
