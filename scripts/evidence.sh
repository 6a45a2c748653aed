#!/bin/sh
# SPDX-License-Identifier: MIT
# evidence.sh [WORD]: runs each command of docs/evidence.md once, or only those of the lines that
# have the word. Shows the output of commands that fail; exit status 1 if one failed.
# evidence.sh --check BUILD: runs no command, but checks that every alternative of the commands'
# regular expressions matches a test. (ctest only checks the whole expression.)
set -u
cd "$(dirname "$0")/.." || exit 2
log=$(mktemp) || exit 2
trap 'rm -f "$log"' EXIT INT TERM

word=${1:-}
[ "$word" != --check ] || word=ctest
# shellcheck disable=SC2016 # the backquotes are text
# The last cell of each row, without its backquotes. The table writes | as \|.
commands=$(grep '^| .*`' docs/evidence.md | grep -F -- "$word" |
  sed -e 's/.*| `\(.*\)` |$/\1/' -e 's/\\|/|/g')
[ -n "$commands" ] || { echo "evidence: no promise has the word $word" >&2; exit 2; }

if [ "${1:-}" = --check ]; then
  ctest --test-dir "$2" --show-only | sed -n 's/^ *Test *#[0-9]*: //p' >"$log"
  [ -s "$log" ] || { echo "evidence: no tests are there: is $2 built?" >&2; exit 2; }
  # The regular expressions after -R, split at each |: one alternative a line.
  expressions=$(printf '%s\n' "$commands" | sed -n "s/.*-R '\([^']*\)'.*/\1/p" | tr '|' '\n')
  status=0
  while IFS= read -r expression; do
    grep -Eq -- "$expression" "$log" && continue
    echo "evidence: no test's name matches '$expression'"
    status=1
  done <<END
$expressions
END
  [ $status -ne 0 ] || echo "evidence: $(printf '%s\n' "$expressions" | wc -l) expressions, each names a test"
  exit $status
fi

failed=0 number=0
while IFS= read -r command; do
  number=$((number + 1))
  start=$(date +%s)
  if sh -c "$command" </dev/null >"$log" 2>&1; then
    verdict=ok
  else
    verdict=FAILED failed=$((failed + 1))
    tail -n 40 "$log"
  fi
  printf '%-6s %4d s  %s\n' "$verdict" $(($(date +%s) - start)) "$command"
done <<EOF
$commands
EOF
echo "evidence: $number commands, $failed failed"
[ "$failed" -eq 0 ]
