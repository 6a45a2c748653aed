#!/bin/sh
# SPDX-License-Identifier: MIT
# bench_charts.sh MEDIANS FOLDER: bar charts of lock_bench's medians, by gnuplot. A row that
# MEDIANS calls undecided has no bar.
set -eu
medians=$1 folder=$2
data=$(mktemp)
trap 'rm -f "$data"' EXIT INT TERM

# chart NAME TITLE GROUP [RIVALS_TO_LEAVE_OUT]
chart() {
  # Name, time, what is written above the bar, and whether it is one of ours.
  awk -F '\t' -v group="$3" -v out="${4:-}" '
    $1 != group || (out != "" && $2 ~ out) { next }
    {
      ours = $2 !~ /^(glibc|musl|boost)_|_floor$/
      gsub(/_/, " ", $2)
      decided = $4 != "undecided"
      print $2 "\t" (decided ? $3 : 0) "\t" (decided ? sprintf("%.3g", $3) : "undecided") "\t" ours
    }' "$medians" >"$data"
  [ -s "$data" ] || return 0
  gnuplot <<EOF
set terminal svg size 860,340 font "sans-serif,13" background "white"
set output "$folder/$1.svg"
set title "$2"
set datafile separator "\t"
set ylabel "ns a pair"
set yrange [0:*]
set offsets 0, 0, graph 0.1, 0
set grid ytics lc rgb "#dddddd"
set style fill solid 0.9 noborder
set boxwidth 0.6
set rmargin 10
set xtics rotate by -25 scale 0
unset key
plot "$data" using 0:2:(\$4 == 1 ? 0x2a6f97 : 0xadb5bd):xtic(1) with boxes lc rgb variable, \
  "" using 0:2:3 with labels offset 0,0.7
EOF
}

chart uncontended "Lock and unlock, uncontended" uncontended '_called$'
chart contended-2-short "Two processes, short sections" contended/procs:2/section:short _pi
chart contended-8-short "Eight processes on the CPUs, short sections" contended/procs:8/section:short _pi
chart readers-2 "Two processes, 1 % writes" "readers_writers/procs:2/writes:1%"
