#!/bin/bash
# SPDX-License-Identifier: MIT
# test.sh BUILD_DIRECTORY: checks which headers can be included on riscv64, then boots Debian's
# riscv64 kernel under QEMU with the programs of the cross build, once for each plan. Exits 0 when
# all of it passed, now or earlier with the very same programs and kernel.
#
# RISCV64_PLANS     files of plans/, or `region`, which is that of arm64 (default: all)
# More variables: tests/emulator/plans.sh.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$1" && pwd)
: "${RISCV64_PLANS:=region more stepped}"
export TRIPLET=riscv64-linux-gnu
# shellcheck source=tests/emulator/plans.sh
. "$here/../emulator/plans.sh"

start_plans riscv64 trixie ttyS0 qemu-system-riscv64 -machine virt -cpu rv64
kernel=$("$scripts/debian_unpack.sh" trixie riscv64 'linux-image-6.12.*-riscv64')
kernel=$(find "$kernel/boot" -name 'vmlinu*' -type f | head -n 1)

"$here/check_headers.sh" "$compiler" "$here/../../include"

bad=0
mkdir "$work/extra"
for name in $RISCV64_PLANS; do
  file=$here/plans/$name
  [ "$name" != region ] || file=$here/../arm64/plans/region
  plan=$(grep -v '^#' "$file")
  programs=()
  while read -r program _; do
    found=$(find "$build/tests" "$build/src/cli" "$build/examples" -type f -name "$program" \
      -perm -u+x | head -n 1)
    [ -n "$found" ] || { say "$program is not built in $build"; exit 1; }
    programs+=("$found")
  done <<<"$plan"
  run_plan "$name" "$kernel" "$plan" "$work/extra" "${programs[@]}" -- || bad=1
done
exit $bad
