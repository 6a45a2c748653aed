#!/bin/sh
# SPDX-License-Identifier: MIT
# bench_check.sh LOCK_BENCH: measures, and compares our locks' ratios with the committed ones
# (docs/performance.tsv). Ratios, because they travel between machines better than times; a
# lock of ours that has become more than BENCH_MARGIN (15) per cent slower against its
# reference, beyond what its bounds allow for, is a regression: exit status 1.
set -eu
cd "$(dirname "$0")/.."
"$1" >/dev/null || [ $? -eq 1 ]
awk -F '\t' -v margin="${BENCH_MARGIN:-15}" '
  FNR == 1 { file++ }
  /^#/ || $4 == "-" { next }
  $2 !~ /^(robust_mutex|robust_pi_mutex|mutex|shared_mutex.*)$/ { next }
  file == 1 { committed[$1, $2] = $4; next }
  ($1, $2) in committed {
    compared++
    limit = committed[$1, $2] * (1 + margin / 100)
    # The lowest that it may be by its bounds.
    verdict = $5 > limit ? "SLOWER" : "ok"
    if (verdict == "SLOWER") worse++
    printf "%-7s %-34s %-18s %6.2f committed, now %6.2f (%.2f to %.2f)\n", verdict, $1, $2,
      committed[$1, $2], $4, $5, $6
  }
  END {
    printf "bench-check: %d ratios compared, %d worse by more than %s %%\n", compared, worse, margin
    exit compared == 0 || worse > 0
  }' docs/performance.tsv "$1.tsv"
