#!/bin/sh
# SPDX-License-Identifier: MIT
# Checks every line of expected.tsv with Spin: a model with these defines must
# hold or must fail. Any other outcome, a search that was cut short among them,
# is an error. Usage: models/run.sh [MODEL...]
set -u
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT INT TERM
cd "$scratch" || exit 2
for tool in spin cc; do
  command -v $tool >/dev/null || { echo "models: $tool is missing: apt-get install spin gcc"; exit 2; }
done

verdict() { # model, defines...
  cp "$here/$1.pml" . || return
  shift
  model=$(ls ./*.pml)
  spin "$@" -a "$model" >spin.out 2>&1 || { echo "no model"; return; }
  cc -O1 -w -DSAFETY -DVECTORSZ=2048 -DCOLLAPSE -o pan pan.c || { echo "no verifier"; return; }
  timeout 300 ./pan -m1000000 >pan.out 2>&1 || { echo "no verdict"; return; }
  if grep -q 'max search depth too small\|memory exceeded\|out of memory' pan.out; then echo "cut short"
  elif grep -q 'errors: 0$' pan.out; then echo holds
  elif grep -q 'errors: 1$' pan.out; then echo fails
  else echo "no verdict"
  fi
}

tab=$(printf '\t')
checked=0 wrong=0
while IFS=$tab read -r model defines result; do
  case $model in '#'* | '') continue ;; esac
  if [ $# -gt 0 ]; then
    case " $* " in *" $model "*) ;; *) continue ;; esac
  fi
  flags=
  [ "$defines" = - ] || for define in $defines; do flags="$flags -D$define"; done
  rm -f ./*.pml ./*.trail pan*
  # shellcheck disable=SC2086 # the flags are words
  seen=$(verdict "$model" $flags)
  states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' pan.out 2>/dev/null)
  checked=$((checked + 1))
  if [ "$seen" = "$result" ]; then mark=ok; else mark=WRONG wrong=$((wrong + 1)); fi
  printf '%-6s %-19s %-34s %-6s %s states\n' "$mark" "$model" "$defines" "$seen" "${states:-?}"
done <"$here/expected.tsv"
echo "models: $checked checked, $wrong not as expected"
[ $checked -gt 0 ] && [ $wrong -eq 0 ]
