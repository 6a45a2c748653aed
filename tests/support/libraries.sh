#!/bin/sh
# SPDX-License-Identifier: MIT
# libraries.sh PROGRAM...: prints the files of the libraries that the programs are linked with, the
# loader among them: ldd shows it as the one line without an arrow.
set -eu
found=$(for program; do ldd "$program" || exit; done)
echo "$found" |
  sed -n -e 's/.* => \(\/[^ ]*\) .*/\1/p' -e 's/^[[:space:]]*\(\/[^ ]*\) .*/\1/p' | sort -u
