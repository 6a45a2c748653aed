#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# check-log.sh PLAN TAP CONSOLE: exits 0 when every line of PLAN has
# its complete TAP with nothing failed in it, the guest came to its end
# untainted, and the kernel's console shows no report of any kind.
# Says what is wrong on standard output.
set -eu
plan=$1 tap=$2 console=$3

bad=0
grep -a -n -E \
	-e 'Kernel panic|Oops|BUG:|WARNING:|UBSAN:|KASAN:|Call Trace' \
	-e 'general protection|unable to handle|Unable to handle|double fault|stack segment' \
	-e 'possible (recursive|circular|irq)|circular locking|inconsistent lock|held lock freed' \
	-e 'INFO: (possible|task|rcu|lockdep|trying)|suspicious RCU|rcu: INFO|detected stall|soft lockup|hard LOCKUP' \
	-e 'scheduling while atomic|sleeping function|blocked for more than|Bad page|list_(add|del) corruption' \
	-e 'bad lock balance|lock held when returning|still has locks held|refcount_t:|Out of memory|turning off the locking' \
	"$console" && bad=1

tr -d '\r' < "$tap" | awk -v plan="$plan" '
	function wrong(text) { print plan ": " text; bad = 1 }
	function must_be_outside() { if (inside) wrong("line " inside " has no end: " want[inside]) }
	BEGIN {
		# A kernel that is not ours to configure.
		stock = plan ~ /(^|\/)(counted-|matrix-)?stock-[^\/]*$/
		while ((got = (getline line < plan)) > 0)
			if (line !~ /^#/ && line != "")
				want[++lines] = line
		if (got < 0 || !lines) { wrong("unreadable or empty plan"); exit 1 }
	}
	/^# begin [0-9]+: / {
		must_be_outside()
		inside = $3 + 0
		text = $0; sub(/^# begin [0-9]+: /, "", text)
		if (inside != seen + 1 || text != want[inside])
			wrong("unexpected: " $0)
		seen = inside; tests = 0; planned = -1
		next
	}
	/^# end [0-9]+: / {
		if ($3 + 0 != inside) wrong("unexpected: " $0)
		if ($4 != "0") wrong("exit status " $4 ": " want[inside])
		if (planned < 0) wrong("no plan (died on the way?): " want[inside])
		else if (planned != tests || !tests)
			wrong("planned " planned ", ran " tests ": " want[inside])
		inside = 0; total += tests
		next
	}
	/^# tainted / { tainted = $3 }
	/^# cpus / { cpus = $3 }
	/^# lockdep / { lockdep = $3 }
	/^# plan done$/ { done = 1 }
	/^ok [0-9]+ / {
		if (!inside || $2 + 0 != ++tests) wrong("out of place: " $0)
		if (/# *(SKIP|TODO)/) wrong("skipped: " $0)
	}
	/^not ok/ { tests++; wrong($0) }
	/^Bail out!/ { wrong($0 " in " want[inside]) }
	/^1\.\.[0-9]+$/ { planned = substr($0, 4) + 0 }
	END {
		must_be_outside()
		if (seen != lines) wrong("ran " seen + 0 " of " lines " lines")
		if (!done) wrong("the guest did not come to its end")
		else {
			if (tainted != "0") wrong("kernel tainted: " tainted)
			if (cpus != (plan ~ /(^|\/)(counted|matrix|no-compat)-[^\/]*$/ ? 1 : 2)) wrong("number of CPUs: " cpus)
			if (lockdep != "1" && !stock) wrong("lockdep is off at the end")
		}
		print plan ": " total + 0 " results in " seen + 0 " lines"
		exit bad
	}' || bad=1
exit $bad
