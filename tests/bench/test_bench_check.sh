#!/bin/sh
# SPDX-License-Identifier: MIT
# test_bench_check.sh BENCH_CHECK: bench_check.sh's verdicts on made-up figures. What it takes
# for lock_bench is a script that hands it a file, another one the second time.
set -eu
check=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT INT TERM
failures=0
unset BENCH_MARGIN

# rows FILE [GROUP RIVAL RATIO LOW HIGH]...
rows() {
  file=$1
  shift
  printf '# group\trival\tns\tratio\tlow\thigh\n' >"$file"
  while [ $# -gt 0 ]; do
    printf '%s\t%s\t10\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4" "$5" >>"$file"
    shift 5
  done
}
committed() { rows "$folder/committed" "$@"; }
first() {
  rows "$folder/first" "$@"
  rm -f "$folder/again"
}
again() { rows "$folder/again" "$@"; }

cat >"$folder/lock_bench" <<'END'
#!/bin/sh
folder=$(dirname "$0")
echo "$*" >>"$folder/runs"
case $* in
*--benchmark_filter*) cp "$folder/again" "$0.tsv" ;;
*) cp "$folder/first" "$0.tsv" ;;
esac
exit "$(cat "$folder/status")"
END
chmod +x "$folder/lock_bench"
echo 0 >"$folder/status"

# expect WHAT STATUS RUNS [LINE]...: also that these are in the output, columns apart by one blank.
expect() {
  what=$1 wanted=$2 runs=$3
  shift 3
  : >"$folder/runs"
  status=0
  "$check" "$folder/lock_bench" "$folder/committed" >"$folder/output" 2>&1 || status=$?
  tr -s ' ' <"$folder/output" >"$folder/squeezed"
  fine=true
  [ "$status" -eq "$wanted" ] || fine=false
  [ "$(wc -l <"$folder/runs")" -eq "$runs" ] || fine=false
  for line; do
    grep -qF -- "$line" "$folder/squeezed" || fine=false
  done
  if $fine; then
    echo "ok: $what"
    return
  fi
  failures=$((failures + 1))
  echo "FAILED: $what: status $status, $(wc -l <"$folder/runs") runs; wanted $wanted, $runs, and: $*"
  cat "$folder/output"
}

committed uncontended mutex 0.60 0.59 0.61 uncontended glibc_normal 0.75 0.74 0.76
first uncontended mutex 0.62 0.60 0.65 uncontended glibc_normal 2 1.9 2.1
expect "a little slower is ok, and a rival's time is not ours to watch" 0 1 \
  "ok uncontended mutex 0.60 committed, now 0.62 (0.60 to 0.65)" "1 ratios compared: 0 worse"

echo 1 >"$folder/status"
expect "an aim that lock_bench could not judge is none of this" 0 1 "ok uncontended mutex"
echo 2 >"$folder/status"
expect "a lock_bench that fails fails the check" 1 1
echo 0 >"$folder/status"

first uncontended mutex 0.75 0.70 0.80
expect "a ratio wholly above the margin is a regression" 1 1 \
  "SLOWER uncontended mutex" "1 worse by more than 15 %"
BENCH_MARGIN=40
export BENCH_MARGIN
expect "the margin is BENCH_MARGIN" 0 1 "ok uncontended mutex"
unset BENCH_MARGIN

for row in "membership attach_and_detach" "membership thread_that_attaches" \
  "ping_pong condition_variable" "semaphore/procs:2/permits:1 counting_semaphore" \
  "uncontended robust_pi_mutex" "takeover shared_mutex"; do
  group=${row% *} rival=${row#* }
  committed "$group" "$rival" 1 0.9 1.1
  first "$group" "$rival" 2 1.9 2.1
  expect "$rival is watched" 1 1 "SLOWER $group $rival"
done

committed g/procs:2 mutex 0.50 0.49 0.51 uncontended mutex 0.60 0.59 0.61
first g/procs:2 mutex undecided 0.40 1.50 uncontended mutex 0.60 0.59 0.61
again g/procs:2 mutex undecided 0.45 0.90
expect "a wide spread is undecided, twice" 3 2 "undecided g/procs:2 mutex" \
  "now ? (0.45 to 0.90)" "ok uncontended mutex" "UNDECIDED"
grep -q '^--benchmark_repetitions=75 --benchmark_filter=^(g/procs:2)/$' "$folder/runs" || {
  echo "FAILED: only the undecided group is measured again"
  failures=$((failures + 1))
}

again g/procs:2 mutex 0.51 0.50 0.52
expect "the second run may decide for it" 0 2 "ok g/procs:2 mutex" "0 undecided"
again g/procs:2 mutex 0.71 0.70 0.72
expect "the second run may decide against it" 1 2 "SLOWER g/procs:2 mutex"
first g/procs:2 mutex undecided 0.40 1.50 uncontended mutex 0.80 0.79 0.81
again g/procs:2 mutex 0.51 0.50 0.52 uncontended mutex 0.60 0.59 0.61
expect "what was decided stays so" 1 2 "ok g/procs:2 mutex" "SLOWER uncontended mutex"
first g/procs:2 mutex 0.5 0 inf uncontended mutex 0.60 0.59 0.61
again g/procs:2 mutex 0.5 0 inf
expect "too few samples for bounds are undecided" 3 2 "undecided g/procs:2 mutex"

committed uncontended mutex 0.60 0.59 0.61 uncontended shared_mutex_read 0.97 0.96 0.98
first uncontended mutex 0.60 0.59 0.61
expect "a committed row that was not measured fails" 1 1 \
  "MISSING uncontended shared_mutex_read 0.97 committed, not measured"
first uncontended mutex 0.60 0.59 0.61 uncontended shared_mutex_read - - -
expect "so does one that has lost its reference" 1 1 "MISSING uncontended shared_mutex_read"

committed uncontended mutex 0.60 0.59 0.61 g mutex undecided 5 9
first uncontended mutex 0.60 0.59 0.61 g mutex 7 6.9 7.1 new mutex 1 1 1
expect "what is undecided in the committed file may be anything within its bounds" 0 1 \
  "unknown g mutex undecided committed, now 7.00" "1 ratios compared" "1 unknown"
committed g mutex undecided 5 9
expect "nothing to compare fails" 1 1 "0 ratios compared"
committed uncontended mutex 0.60 0.59 0.61 g mutex undecided 5 9
first uncontended mutex 0.60 0.59 0.61 g mutex 12 11 13
expect "but is slower wholly above them" 1 1 "SLOWER g mutex undecided committed"

exit $((failures > 0))
