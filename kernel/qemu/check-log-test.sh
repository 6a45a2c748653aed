#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# check-log.sh must pass a good log and must refuse it after each of the
# changes below, every one of which has its own reason to be refused.
set -eu
. "$(dirname "$0")/env.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '# comment\nguest64 a\nguest32 b c\n' > "$work/plan"
cat > "$work/good.tap" <<-END
	# guest 6.12
	# cpus 2
	# begin 1: guest64 a
	ok 1 - one
	# a remark
	ok 2 - two
	1..2
	# end 1: 0 after 2.00
	# begin 2: guest32 b c
	ok 1 - one
	1..1
	# end 2: 0 after 3.00
	# tainted 0
	# lockdep 1
	# plan done
END
echo 'Lock dependency validator: Copyright' > "$work/good.console"

judge() { "$here/check-log.sh" "$work/plan" "$work/$1" "$work/$2" > "$work/said"; }

judge good.tap good.console || { cat "$work/said"; die "check-log.sh refuses a good log"; }

refused=0
refuses() {	# WHY EXPECTED-WORDS SED-SCRIPT
	sed "$3" "$work/good.tap" > "$work/bad.tap"
	! cmp -s "$work/good.tap" "$work/bad.tap" || die "check-log-test.sh: $1 changes nothing"
	if judge bad.tap good.console; then die "check-log.sh passes a log with $1"; fi
	grep -q -- "$2" "$work/said" || { cat "$work/said"; die "check-log.sh: not the reason: $1"; }
	refused=$((refused + 1))
}
refuses "a failed test" "not ok 2" 's/^ok 2/not ok 2/'
refuses "a missing result" "planned 2, ran 1" '/two/d'
refuses "a missing first result" "out of place" '/^# begin 1/,/^ok 1/{/^ok 1/d}'
refuses "no plan" "no plan" '/^1\.\.2/d'
refuses "an empty program" "planned 0" '/^# begin 2/,/^# end 2/{/^ok/d;s/1\.\.1/1..0/}'
refuses "a bad exit status" "exit status 1" 's/^# end 2: 0/# end 2: 1/'
refuses "a skip" "skipped" 's/two/two # SKIP no reason/'
refuses "a bail-out" "Bail out" 's/^# a remark/Bail out! gone/'
refuses "a missing line" "ran 1 of 2" '/^# begin 2/,/^# end 2/d'
refuses "lines out of order" "unexpected" 's/^# begin 1: guest64 a/# begin 1: guest64 z/'
refuses "an early end" "did not come to its end" '/plan done/d'
refuses "a cut in a program" "has no end" '/^# end 2/,$d'
refuses "a tainted kernel" "tainted" 's/tainted 0/tainted 512/'
refuses "one CPU" "number of CPUs" 's/cpus 2/cpus 1/'
refuses "lockdep off" "lockdep is off" 's/lockdep 1/lockdep 0/'
refuses "an empty log" "ran 0 of 2" 'd'

while read -r report; do
	echo "[    1.000000] $report" > "$work/bad.console"
	if judge good.tap bad.console; then die "check-log.sh passes a console with: $report"; fi
	grep -qF -- "$report" "$work/said" || die "check-log.sh does not show: $report"
	refused=$((refused + 1))
done <<-END
	Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000009
	BUG: unable to handle page fault for address: ffff888000000000
	BUG: kernel NULL pointer dereference, address: 0000000000000008
	Oops: Oops: 0000 [#1] PREEMPT SMP
	Oops: general protection fault, probably for non-canonical address 0xdead: 0000 [#1]
	WARNING: CPU: 1 PID: 77 at kernel/futex/core.c:800 handle_futex_death+0x1/0x2
	WARNING: possible recursive locking detected
	WARNING: possible circular locking dependency detected
	WARNING: suspicious RCU usage
	WARNING: inconsistent lock state
	BUG: sleeping function called from invalid context at kernel/futex/core.c:700
	BUG: scheduling while atomic: guest64/77/0x00000002
	WARNING: bad unlock balance detected!
	WARNING: lock held when returning to user space!
	UBSAN: shift-out-of-bounds in kernel/futex/core.c:1:2
	rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:
	watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [guest64:77]
	INFO: task guest64:77 blocked for more than 122 seconds.
	BUG: MAX_LOCKDEP_ENTRIES too low!
	list_del corruption. prev->next should be ffff888003, but was 0
	Out of memory: Killed process 77 (guest64)
END

judge_rows() { "$here/check-matrix.sh" $matrix "$work/$1" > "$work/said"; }
refuses_rows() {	# WHY EXPECTED-WORDS SED-SCRIPT
	sed "$3" "$work/rows" > "$work/bad.rows"
	! cmp -s "$work/rows" "$work/bad.rows" || die "check-log-test.sh: $1 changes no row"
	if judge_rows bad.rows; then die "check-matrix.sh passes $1"; fi
	grep -q -- "$2" "$work/said" || { cat "$work/said"; die "check-matrix.sh: not the reason: $1"; }
	refused=$((refused + 1))
}
# The rows of an engine and of the libc, as crash-matrix in the guest prints them.
rows() {	# ENGINE GUARD SUBJECTS SCENARIOS
	echo "# begin 1: crash-matrix $1 $2"
	for subject in $3; do
		for scenario in $4; do
			echo "# json {\"subject\":\"$subject\",\"scenario\":\"$scenario\",\"guard\":\"$2\",\"engine\":\"$1\",\"kill_points\":9,\"owner_died\":1,\"intact\":8,\"corrupted\":0,\"lost\":0,\"stranded\":0,\"not_judged\":0}"
		done
	done
}
# What a kernel protects, what a guard does, and two controls.
{
	for pair in "vdso none" "local none" "local bpf" "libc none" "libc ptrace" "region none"; do
		set -- $pair
		case $1 in libc) subjects="glibc glibc_pi" ;; region) subjects=mutex ;;
		*) subjects="robust_mutex robust_pi_mutex" ;; esac
		limited='/exec_self_thread\|reaped/s/"lost":0\(.*\)}/"lost":5\1,"kernel_limit":"a limit"}/'
		[ "$1" != region ] || limited=
		rows "$1" "$2" "$subjects" "reuse exec_self_thread reaped reaped_apart" | sed "$limited"
	done
} | sed '/crash-matrix local none/,/crash-matrix local bpf/s/corrupted":0/corrupted":3/
	/crash-matrix libc none/,/crash-matrix libc ptrace/s/corrupted":0/corrupted":3/' > "$work/rows"
matrix=matrix-stock-7.3-part1
judge_rows rows || { cat "$work/said"; die "check-matrix.sh refuses good rows"; }
refuses_rows "corruption on a kernel that protects" "corrupted: vdso" '2s/corrupted":0/corrupted":1/'
refuses_rows "corruption under a guard" "corrupted: local bpf" '/"bpf"/s/corrupted":0/corrupted":1/'
refuses_rows "corruption of a guarded libc" "corrupted: libc ptrace" '/"ptrace"/s/corrupted":0/corrupted":1/'
refuses_rows "a lost lock" "lost or stranded: vdso" '2s/lost":0/lost":1/'
refuses_rows "a stranded waiter" "lost or stranded: region" '/"mutex"/s/stranded":0/stranded":1/'
refuses_rows "no corruption where nothing protects" "would not be seen: local" 's/corrupted":3/corrupted":0/'
refuses_rows "another guard" "another guard" '2s/"none"/"bpf"/'
refuses_rows "another engine" "another engine" '2s/"engine":"vdso"/"engine":"local"/'
refuses_rows "no kills" "nothing was killed" '2s/points":9/points":0/'
refuses_rows "points that were not judged" "not judged" '2s/judged":0/judged":1/'
refuses_rows "an unknown number" "a number is missing" '2s/,"stranded":0//'
refuses_rows "no row of an engine" "no row of vdso none" '2,9d'
refuses_rows "no rows" "no rows" d
refuses_rows "a limit that the row does not name" "lost or stranded" 's/,"kernel_limit":"a limit"//'
refuses_rows "a limit elsewhere" "lost or stranded: vdso" \
	'2s/lost":0\(.*\)}/lost":1\1,"kernel_limit":"a limit"}/'
matrix=matrix-patched-7.3-part1
sed '/"reaped/!s/lost":5/lost":0/' "$work/rows" > "$work/mended"
judge_rows mended || { cat "$work/said"; die "check-matrix.sh does not excuse reaped"; }
if judge_rows rows; then die "check-matrix.sh excuses exec_self_thread where it is mended"; fi
refused=$((refused + 1))

say "check-log.sh and check-matrix.sh: the good passed, $refused bad ones refused"
