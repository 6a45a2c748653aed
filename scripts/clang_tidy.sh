#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs clang-tidy and removes its lines "N warnings generated", which are most of its output.
output=$(clang-tidy --quiet "$@" 2>&1)
status=$?
printf '%s\n' "$output" | grep -v -e ' warnings\{0,1\} generated\.$' -e '^$'
exit $status
