#!/bin/sh
# SPDX-License-Identifier: MIT
# check.sh CONSOLE PLAN: every line of the PLAN ran to its end in the guest and exited with 0, and
# no test failed. Names what did not, what was skipped, and counts what passed.
set -eu
console=$1 plan=$2
bad=0
text=$(tr -d '\r' <"$console")
printf '%s\n' "$text" | grep '^# guest [0-9]' || { echo "the guest did not start"; bad=1; }
lines=$(printf '%s\n' "$plan" | {
  while read -r line; do
    printf '%s\n' "$text" | grep -qF "# end 0: $line, after" || echo "did not pass: $line"
  done
})
[ -z "$lines" ] || { printf '%s\n' "$lines"; bad=1; }
printf '%s\n' "$text" | grep '^\[  FAILED  \].*ms)$' && bad=1
printf '%s\n' "$text" | grep -A1 ': Skipped$' | grep -v -e ': Skipped$' -e '^--$' |
  sort | uniq -c | sed 's/^ */skipped /' || true
# crash-test's rows.
printf '%s\n' "$text" | grep -E ' (clean(\*| \(kernel limit\)|, not ours)?|NOT CLEAN|unprotected|for comparison)$' || true
printf '%s\n' "$text" | grep -q '^# guest done$' || { echo "the guest did not come to its end"; bad=1; }
printf '%s\n' "$text" | grep -qi 'kernel panic\|Oops' && { echo "the kernel failed"; bad=1; }
echo "$(printf '%s\n' "$plan" | wc -l) programs," \
  "$(printf '%s\n' "$text" | grep -c '^\[       OK \]' || true) tests passed," \
  "$(printf '%s\n' "$text" | grep -c '^\[  SKIPPED \].*ms)$' || true) skipped"
exit $bad
