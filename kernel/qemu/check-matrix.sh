#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# check-matrix.sh NAME TAP: the rows of `deadbolt crash-test --json -` that the guest printed
# behind "# json ", after "# begin N: crash-matrix ENGINE GUARD". Prints a figure for
# each engine, guard and lock, and says what is wrong:
#   - of an engine that the kernel protects, with any guard, and of region locks: whatever
#     is not clean;
#   - of engine local with a guard: the same;
#   - of engine local without a guard, and of the libc's locks without one: that nothing was
#     corrupted, since then corruption would not be seen;
#   - of the libc's with a guard: what is corrupted.
# What is lost or stranded in exec_self_thread, reaped and reaped_apart is counted and not judged
# where the row says that it is a limit of every kernel. kernel/patches/7.3 removes the first: with
# a NAME that starts with matrix-patched-7.3 it is judged.
set -eu

tr -d '\r' < "$2" | awk -v name="$1" '
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
	function wrong(why) { print "crash-matrix: " why; bad = 1 }
	/^# begin [0-9]+: crash-matrix / { engine = $5; guard = $6; asked[engine " " guard] = 1; next }
	/^# begin / { engine = "" }
	!/^# json / || !/"subject"/ { next }
	{
		key = engine " " guard " " text("subject")
		if (engine == "") wrong("a row outside of crash-matrix: " $0)
		if (text("guard") != guard) wrong("another guard than " guard ": " $0)
		if (engine != "libc" && engine != "region" && text("engine") != engine)
			wrong("another engine than " engine ": " $0)
		if (number("not_judged") != 0) wrong("not judged: " $0)
		if (number("kill_points") <= 0) wrong("nothing was killed: " $0)
		if (number("corrupted") < 0 || number("lost") < 0 || number("stranded") < 0)
			wrong("a number is missing: " $0)
		if (!(key in points)) order[++keys] = key
		got[engine " " guard] = 1
		rows[key]++
		points[key] += number("kill_points")
		corrupted[key] += number("corrupted")
		scenario = text("scenario")
		if (text("kernel_limit") != "" && (scenario ~ /^reaped/ ||
		    (scenario == "exec_self_thread" && name !~ /^matrix-patched-7\.3/))) {
			limit[key] += number("lost") + number("stranded")
			next
		}
		lost[key] += number("lost")
		stranded[key] += number("stranded")
	}
	END {
		for (pair in asked) if (!(pair in got)) wrong("no row of " pair)
		if (!keys) wrong("no rows")
		for (i = 1; i <= keys; i++) {
			key = order[i]
			split(key, part, " ")
			printf "figure matrix %s, engine %s, guard %s, %s: %d kill points in %d scenarios, " \
				"%d corrupted, %d lost, %d stranded, %d by a limit of the kernel\n", name, part[1], part[2],
				part[3], points[key], rows[key], corrupted[key], lost[key], stranded[key], limit[key]
			if ((part[1] == "libc" || part[1] == "local") && part[2] == "none") {
				if (!corrupted[key]) wrong("nothing corrupted, it would not be seen: " key)
			} else if (corrupted[key]) {
				wrong("corrupted: " key)
			} else if (part[1] != "libc" && lost[key] + stranded[key]) {
				wrong("lost or stranded: " key)
			}
		}
		exit bad
	}'
