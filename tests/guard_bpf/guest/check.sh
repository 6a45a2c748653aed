#!/bin/sh
# SPDX-License-Identifier: MIT
# check.sh NAME LOG PROGRAM...: every PROGRAM ran to its end in the guest, with at least
# one test, none failed and none skipped other than those that say that all is well.
set -eu
name=$1 log=$2
shift 2
bad=0
wrong() {
  echo "$name: $*"
  bad=1
}
text=$(tr -d '\r' < "$log")
for program; do
  part=$(printf '%s\n' "$text" | sed -n "/^# begin $program\$/,/^# end $program: /p")
  printf '%s\n' "$part" | grep -q "^# end $program: 0 " || wrong "$program did not end well"
  printf '%s\n' "$part" | grep -q '^\[  PASSED  \] [1-9][0-9]* test' || wrong "$program: nothing passed"
  # "it works here" is why a test of the error messages is skipped.
  printf '%s\n' "$part" | grep '^.*: Skipped$' -A1 | grep -v -e ': Skipped$' -e '^--$' \
    -e '^it works here$' && wrong "$program: skipped in the guest, see above"
done
printf '%s\n' "$text" | grep -q '^# guest done$' || wrong "the guest did not come to its end"
printf '%s\n' "$text" | grep '^\[  FAILED  \]' && bad=1
exit $bad
