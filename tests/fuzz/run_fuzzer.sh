#!/bin/sh
# SPDX-License-Identifier: MIT
# run_fuzzer.sh FUZZER SEEDS SECONDS: fuzzes from fresh seeds; libFuzzer prints the
# seed of its random choices, and the input that breaks something.
set -eu
corpus=$(mktemp -d)
trap 'rm -rf "$corpus"' EXIT
"$2" "$corpus"
"$1" -max_total_time="$3" -timeout=5 -max_len=4096 -artifact_prefix="$corpus/" "$corpus"
