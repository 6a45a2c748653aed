#!/bin/sh
# SPDX-License-Identifier: MIT
# bench_check.sh LOCK_BENCH [COMMITTED]: measures, and compares our locks' ratios with the
# committed ones (docs/performance.tsv). Ratios, because they travel between machines better
# than times. The limit is BENCH_MARGIN (15) per cent above the committed ratio:
#
#   ok         both bounds of the ratio lie below the limit
#   SLOWER     both bounds lie above the limit
#   undecided  the limit lies between the bounds; the row is measured once more, with three times
#              as many samples
#   MISSING    the row was not measured
#   unknown    the committed ratio itself is undecided. The row is SLOWER nevertheless if both
#              bounds lie above the margin from the committed ratio's upper bound
#
# Exit status: 0 when all that can be compared are ok, 1 for SLOWER or MISSING or nothing to
# compare, 3 when some are undecided and none is worse.
set -eu
cd "$(dirname "$0")/.."
bench=$1 committed=${2:-docs/performance.tsv}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT INT TERM

# measure NAME [OPTION...]
measure() {
  name=$1
  shift
  rm -f "$bench.tsv"
  # Exit status 1 means that an aim is undecided.
  "$bench" "$@" >"$folder/output" 2>&1 || [ $? -eq 1 ] || {
    cat "$folder/output" >&2
    return 1
  }
  cp "$bench.tsv" "$folder/$name"
}

# compare OUTPUT MEASURED [MEASURED_AGAIN]: OUTPUT is `rows`, or `undecided` for the groups
# that have an undecided row.
compare() {
  output=$1
  shift
  awk -F '\t' -v margin="${BENCH_MARGIN:-15}" -v output="$output" '
    function verdict_of(row, low, high) {
      if (low > limit[row]) return "SLOWER"
      if (committed[row] == "undecided") return "unknown"
      return high == "inf" || high > limit[row] ? "undecided" : "ok"
    }
    # gawk makes 0 of the text "inf".
    function number_of(text) { return text == "inf" ? 1e300 : text }
    FNR == 1 { file++ }
    /^#/ { next }
    # Rows of other libraries and floors are not compared.
    $2 ~ /^(glibc|musl|boost)_|_floor(_called)?$|^thread$/ { next }
    { row = $1 "\t" $2 }
    $4 == "-" { next }
    file == 1 {
      order[++rows] = row
      committed[row] = $4
      limit[row] = number_of($4 == "undecided" ? $6 : $4) * (1 + margin / 100)
      next
    }
    row in committed && (file == 2 || verdict[row] == "undecided") {
      verdict[row] = verdict_of(row, $5, $6)
      now[row] = sprintf("now %6s (%.2f to %s)", $4 ~ /^[0-9]/ ? sprintf("%.2f", $4) : "?", $5,
        $6 == "inf" ? $6 : sprintf("%.2f", $6))
    }
    END {
      for (i = 1; i <= rows; i++) {
        row = order[i]
        if (!(row in verdict)) {
          verdict[row] = "MISSING"
          now[row] = "not measured"
        }
        count[verdict[row]]++
        split(row, part, "\t")
        if (output == "undecided") {
          if (verdict[row] == "undecided" && !(part[1] in named)) print part[1]
          if (verdict[row] == "undecided") named[part[1]]
        } else {
          printf "%-9s %-34s %-20s %9s committed, %s\n", verdict[row], part[1], part[2],
            committed[row] ~ /^[0-9]/ ? sprintf("%.2f", committed[row]) : committed[row], now[row]
        }
      }
      if (output == "undecided") exit 0
      compared = rows - count["MISSING"] - count["unknown"]
      printf "bench-check: %d ratios compared: %d worse by more than %s %%, %d undecided; %d " \
        "missing, %d unknown\n", compared, count["SLOWER"], margin, count["undecided"],
        count["MISSING"], count["unknown"]
      if (count["SLOWER"] + count["MISSING"] > 0 || compared == 0) exit 1
      if (count["undecided"] == 0) exit 0
      print "bench-check: UNDECIDED: the bounds are too wide, run it again on an idle machine"
      exit 3
    }' "$committed" "$@"
}

measure first
compare undecided "$folder/first" >"$folder/undecided"
if [ ! -s "$folder/undecided" ]; then
  compare rows "$folder/first"
  exit
fi
echo "bench-check: measures once more:" "$(paste -sd ' ' "$folder/undecided")"
measure again --benchmark_repetitions=75 \
  --benchmark_filter="^($(paste -sd '|' "$folder/undecided"))/"
compare rows "$folder/first" "$folder/again"
