#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# mutate-arm64.sh MUTANT SRC: breaks the recognition of interrupted unlocks in arm64's vDSO,
# as a test of the tests.
#
#   late      the critical section begins one instruction late, behind the branch that
#             repeats a failed store exclusive
#   nostatus  the status of the store exclusive is not looked at
#   moved     the critical sections are forgotten when the vDSO is moved
set -eu
. "$(dirname "$0")/env.sh"

mutant=$1 src=$2
case $mutant in
late)
	file=arch/arm64/kernel/vdso/vdso.lds.S
	old='= __futex_list64_try_unlock_cs_start;' new='= __futex_list64_try_unlock_cs_start + 4;' ;;
nostatus)
	file=arch/arm64/include/asm/futex_robust.h
	old='bool failed = (u32)regs->regs[12];' new='bool failed = false;' ;;
moved)
	file=arch/arm64/kernel/vdso.c
	old='sm == vdso_info[VDSO_ABI_AA64].cm ?' new='sm != vdso_info[VDSO_ABI_AA64].cm ?' ;;
*)
	die "no such mutant: $mutant" ;;
esac
[ "$(grep -cF "$old" "$src/$file")" = 1 ] ||
	die "$file: not one '$old': mutate-arm64.sh must be brought up to date"
old=$(printf '%s\n' "$old" | sed 's/[][*]/\\&/g')
sed -i "s/$old/$new/" "$src/$file"
