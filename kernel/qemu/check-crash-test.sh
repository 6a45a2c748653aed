#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# check-crash-test.sh TAP: the rows of `deadbolt crash-test --json -` that the
# guest printed behind "# json ", after "# begin N: crash-test ENGINE".
# For each engine: all scenarios of each of its subjects, each of them killed in,
# with that engine, and 0 corrupted, 0 lost, 0 stranded; where a row names a limit of
# every kernel (exec_self_thread, reaped), that may show as lost or stranded. For `libc`,
# in the reuse scenarios alone: corrupted.
set -eu

tr -d '\r' < "$1" | awk '
	function text(key) {
		if (!match($0, "\"" key "\" *: *\"[^\"]*\"")) return ""
		value = substr($0, RSTART, RLENGTH)
		sub(/^"[^"]*" *: *"/, "", value); sub(/"$/, "", value)
		return value
	}
	function number(key) {
		if (!match($0, "\"" key "\" *: *[0-9]+")) return -1
		value = substr($0, RSTART, RLENGTH)
		sub(/^"[^"]*" *: */, "", value)
		return value + 0
	}
	function wrong(why) { print "crash-test: " why ": " $0; bad = 1 }
	BEGIN {
		some = "reuse reuse_exit_group reuse_execve"
		all = some " remap waiter handler exec_self exec_self_thread reaped woken"
	}
	/^# begin [0-9]+: crash-test / { engine = $5; engines[engine] = 1; next }
	/^# begin / { engine = "" }
	!/^# json / || !/"subject"/ { next }
	{
		subject = text("subject"); scenario = text("scenario")
		if (engine == "") wrong("a row outside of crash-test")
		if (text("guard") != "none") wrong("a guard")
		if (number("kill_points") <= 0) wrong("nothing was killed")
		seen[engine, subject, scenario]++
		points[engine, subject] += number("kill_points")
		corrupted[engine, subject] += number("corrupted")
		lost[engine, subject] += number("lost")
		stranded[engine, subject] += number("stranded")
		if (engine == "libc") next
		if (text("engine") != engine)
			wrong("another engine than " engine)
		if (number("not_judged") != 0) wrong("not judged")
		if (number("corrupted") != 0) wrong("not clean")
		limited = subject != "mutex" && text("kernel_limit") != "" &&
			(scenario == "exec_self_thread" || scenario == "reaped")
		if (limited)
			limit[engine, subject] += number("lost") + number("stranded")
		else if (number("lost") != 0 || number("stranded") != 0)
			wrong("not clean")
	}
	END {
		for (engine in engines) {
			any = 1
			found = 0
			split(engine == "libc" ? "glibc glibc_pi" : \
			      engine == "region" ? "mutex" : "robust_mutex robust_pi_mutex", subjects)
			split(engine == "libc" ? some : all, scenarios)
			for (i in subjects) {
				subject = subjects[i]
				for (j in scenarios) {
					if (seen[engine, subject, scenarios[j]] == 1) continue
					print "crash-test: not one row of " engine " " subject " " scenarios[j]
					bad = 1
				}
				found += corrupted[engine, subject]
				printf "figure crash-test, no guard, engine %s, %s: %d kill points, " \
					"%d corrupted, %d lost, %d stranded%s\n", engine, subject,
					points[engine, subject], corrupted[engine, subject],
					lost[engine, subject], stranded[engine, subject],
					limit[engine, subject] ? " (in exec_self_thread and reaped, limits of every kernel)" : ""
			}
			if (engine == "libc" && !found) {
				print "crash-test: nothing corrupted with the libc: it would not be seen"
				bad = 1
			}
		}
		if (!any) { print "crash-test: no engine"; bad = 1 }
		exit bad
	}'
