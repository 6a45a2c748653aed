#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# check-crash-test.sh TAP: the rows of `deadbolt crash-test --json -` that the
# guest printed behind "# json ". Every row of ours must have killed and must
# show 0 corrupted, 0 lost, 0 stranded; the engines of the kernel half must be
# among them.
set -eu

tr -d '\r' < "$1" | sed -n 's/^# json //p' | awk '
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
	/"subject"/ {
		subject = text("subject")
		if (subject == "") wrong("no subject")
		if (subject != "robust_mutex" && subject != "robust_pi_mutex") next
		rows[subject]++
		engines[text("engine")]++
		if (number("kill_points") <= 0) wrong("nothing was killed")
		if (number("corrupted") != 0 || number("lost") != 0 || number("stranded") != 0)
			wrong("not clean")
	}
	END {
		if (!rows["robust_mutex"]) { print "crash-test: no row of robust_mutex"; bad = 1 }
		if (!engines["vdso"] && !engines["vdso_mainline"] && !engines["syscall"]) {
			print "crash-test: no row with an engine of the kernel"; bad = 1
		}
		for (name in rows) print "crash-test: " rows[name] " rows of " name
		exit bad
	}'
