#!/bin/sh
# SPDX-License-Identifier: MIT
# bench_report.sh LOCK_BENCH: measures, and puts the table into docs/performance.md
# between its markers, the medians into docs/performance.tsv and the charts into
# docs/figures/. Exit status: lock_bench's.
set -eu
cd "$(dirname "$0")/.."
output=$(mktemp)
trap 'rm -f "$output"' EXIT INT TERM

status=0
"$1" >"$output" || status=$?
cat "$output"
# With status 1 (an aim is undecided) there are still figures; with any other there are none.
[ $status -le 1 ] || exit $status

model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
numbers=$(sed -n 's/^cpu family[^:]*: /family /p; s/^model[[:space:]]*: /model /p' /proc/cpuinfo |
  head -n 2 | paste -sd ' ')
{
  echo "$model ($numbers), $(nproc) CPUs, Linux $(uname -r),"
  echo "$(getconf GNU_LIBC_VERSION), $(c++ --version | head -n 1), $(date +%Y-%m-%d). As printed:"
  echo
  echo '```'
  cat "$output"
  echo '```'
} >"$output.new"
sed -i -e "/<!-- results -->/,/<!-- end of results -->/{
/<!-- results -->/r $output.new
/<!--/!d
}" docs/performance.md
rm -f "$output.new"
cp "$1.tsv" docs/performance.tsv
mkdir -p docs/figures
scripts/bench_charts.sh docs/performance.tsv docs/figures
exit $status
