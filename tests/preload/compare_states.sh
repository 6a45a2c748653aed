#!/bin/sh
# SPDX-License-Identifier: MIT
# compare_states.sh PROGRAM LIBRARIES LEVEL [LOADER...]: runs PROGRAM with LIBRARIES
# preloaded and without, at that level of the preload library, and compares what it prints.
# LEVEL "differs": the outputs must differ. LOADER: the command that runs programs with
# another libc; its --preload takes the place of LD_PRELOAD.
set -eu
program=$1 libraries=$2 level=$3
shift 3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

wish=verbose
[ "$level" != interpose ] || wish=verbose,interpose

"$@" "$program" > "$work/stock"
if [ $# -gt 0 ]; then
  EXPECT_NOTHING_PENDING=1 DEADBOLT_PRELOAD=$wish \
    "$@" --preload "$libraries" "$program" > "$work/preloaded" 2> "$work/said"
else
  EXPECT_NOTHING_PENDING=1 DEADBOLT_PRELOAD=$wish LD_PRELOAD=$libraries \
    "$program" > "$work/preloaded" 2> "$work/said" || [ "$level" = differs ]
fi
cat "$work/said"
echo "$(wc -l < "$work/stock") lines of states"
[ "$(wc -l < "$work/stock")" -gt 10000 ]
if [ "$level" = differs ]; then
  if cmp "$work/stock" "$work/preloaded"; then exit 1; fi
else
  grep -q "^deadbolt: preload: level $level," "$work/said"
  diff "$work/stock" "$work/preloaded"
fi
