#!/bin/sh
# SPDX-License-Identifier: MIT
# cost.sh LIBRARY [MOST]: runs cost.c with the preload LIBRARY and without, by turns, and prints
# the best of each in nanoseconds and their ratio. Exits 1 when a robust mutex costs more than MOST
# times what it costs without the library (1.0 unless given).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
library=$1 most=${2:-1.0}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
program=$work/cost
gcc -O2 -pthread "$here/cost.c" -o "$program"
for turn in 1 2 3 4 5 6 7; do
  "$program" | sed "s/^/without $turn /"
  LD_PRELOAD=$library "$program" | sed "s/^/with $turn /"
done | awk -v most="$most" '
  !($3 in best) { names[++count] = $3; best[$3] }
  !(($1, $3) in least) || $4 < least[$1, $3] { least[$1, $3] = $4 }
  END {
    for (i = 1; i <= count; i++) {
      name = names[i]
      ratio = least["with", name] / least["without", name]
      printf "%s: %.1f ns, with the library %.1f ns, ratio %.2f\n", name,
        least["without", name], least["with", name], ratio
      if (name ~ /^robust/ && ratio > most) bad = 1
    }
    exit bad || !count
  }'
