#!/bin/sh
# SPDX-License-Identifier: MIT
# evidence.sh [WORD]: runs the commands of docs/evidence.md, or of the lines that have the
# word; each one once. Exit status 1 when one failed; its output is shown.
set -u
cd "$(dirname "$0")/.." || exit 2
log=$(mktemp) || exit 2
trap 'rm -f "$log"' EXIT INT TERM

# shellcheck disable=SC2016 # the backquotes are text
# The last cell of each row, out of its backquotes; \| is the table's way to write |.
commands=$(grep '^| .*`' docs/evidence.md | grep -F -- "${1:-}" |
  sed -e 's/.*| `\(.*\)` |$/\1/' -e 's/\\|/|/g')
[ -n "$commands" ] || { echo "evidence: no promise has the word $1" >&2; exit 2; }

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
