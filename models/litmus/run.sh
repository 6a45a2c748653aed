#!/bin/bash
# SPDX-License-Identifier: MIT
# Runs every litmus test of expected.tsv on herd7's model of the Arm architecture (AArch64), or of
# RISC-V if the test is in its instructions, and compares the outcome. herd7 is Debian's (package herdtools7), unpacked into the cache if it is not
# installed: Debian 12 has none.
# Usage: models/litmus/run.sh [TEST...]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
tab=$(printf '\t')

if command -v herd7 >/dev/null; then
  herd=(herd7)
else
  root=$("$here/../../scripts/debian_unpack.sh" --with-dependencies forky amd64 herdtools7)
  # With the libc of its own release.
  herd=("$root/usr/lib64/ld-linux-x86-64.so.2" --library-path "$root/usr/lib/x86_64-linux-gnu"
    "$root/usr/bin/herd7" -set-libdir "$root/usr/share/herdtools7/herd")
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' INT TERM
grep -v '^#' "$here/expected.tsv" >"$scratch/expected"
if [ $# -gt 0 ]; then
  printf '%s\n' "$@" >"$scratch/wanted"
  awk -F"$tab" 'NR == FNR { wanted[$1]; next } $1 in wanted' "$scratch/wanted" "$scratch/expected" \
    >"$scratch/part"
  mv "$scratch/part" "$scratch/expected"
fi
[ -s "$scratch/expected" ] || { echo "litmus: no such test" >&2; exit 1; }

# Longest first: they are those of three threads.
cut -f1 "$scratch/expected" | sort -r |
  (cd "$here" && sed 's/$/.litmus/' | xargs -P "${JOBS:-$(nproc)}" -n 8 "${herd[@]}") \
  >"$scratch/out" 2>"$scratch/errors" || { cat "$scratch/errors" >&2; exit 1; }
# A line of more than one process can be torn only if it is longer than a page.
sed -n 's/^Observation \([^ ]*\) \([A-Z][a-z]*\) .*/\1'"$tab"'\2/p' "$scratch/out" >"$scratch/seen"

bad=0
while IFS=$tab read -r test outcome mutant_of; do
  seen=$(awk -F"$tab" -v test="$test" '$1 == test { print $2 }' "$scratch/seen")
  mark=ok
  [ "$seen" = "$outcome" ] || { mark=WRONG; bad=$((bad + 1)); }
  printf '%-6s %-52s %-10s %s\n' "$mark" "$test" "${seen:-no verdict}" "$mutant_of"
  [ "$outcome" = Sometimes ] || grep -q "$tab\(.* \)\?$test\( .*\)\?\$" "$here/expected.tsv" ||
    { echo "WRONG  $test has no mutant"; bad=$((bad + 1)); }
done <"$scratch/expected"
for file in "$here"/*.litmus; do
  grep -q "^$(basename "$file" .litmus)$tab" "$here/expected.tsv" ||
    { echo "WRONG  $file is not in expected.tsv"; bad=$((bad + 1)); }
done
echo "litmus: $(wc -l <"$scratch/expected") tests, $bad not as expected"
[ "$bad" = 0 ]
