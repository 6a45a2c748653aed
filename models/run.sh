#!/bin/bash
# SPDX-License-Identifier: MIT
# Checks every line of expected.tsv with Spin, as many at a time as there are CPUs: a
# model with these defines must hold or must fail. Any other outcome, a search that was
# cut short among them, is an error. Usage: models/run.sh [MODEL...]
set -u
here=$(cd "$(dirname "$0")" && pwd)
tab=$(printf '\t')

# Of processor time, whatever else the machine does. The longest takes about 80.
longest_search=300

verdict() { # model, defines...
  cp "$here/$1.pml" . || return
  shift
  model=$(ls ./*.pml)
  spin "$@" -a "$model" >spin.out 2>&1 || { echo "no model"; return; }
  cc -O1 -w -DSAFETY -DVECTORSZ=2048 -DCOLLAPSE -o pan pan.c || { echo "no verifier"; return; }
  (ulimit -t $longest_search && ./pan -m1000000 >pan.out 2>&1) || { echo "no verdict"; return; }
  if grep -q 'max search depth too small\|memory exceeded\|out of memory' pan.out; then echo "cut short"
  elif grep -q 'errors: 0$' pan.out; then echo holds
  elif grep -q 'errors: 1$' pan.out; then echo fails
  else echo "no verdict"
  fi
}

# One line of expected.tsv, in a directory of its own; says WRONG in a file called `wrong`.
if [ "${1:-}" = --line ]; then
  mkdir "$2" && cd "$2" || exit 2
  IFS=$tab read -r model defines result <"../$2.line"
  flags=
  [ "$defines" = - ] || for define in $defines; do flags="$flags -D$define"; done
  # shellcheck disable=SC2086 # the flags are words
  seen=$(verdict "$model" $flags)
  states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' pan.out 2>/dev/null)
  rm -f pan pan.* ./*.trail
  mark=ok
  [ "$seen" = "$result" ] || { mark=WRONG && : >wrong; }
  printf '%-6s %-26s %-50s %-6s %s states\n' "$mark" "$model" "$defines" "$seen" "${states:-?}"
  exit 0
fi

scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT INT TERM
cd "$scratch" || exit 2
for tool in spin cc; do
  command -v $tool >/dev/null || { echo "models: $tool is missing: apt-get install spin gcc"; exit 2; }
done

lines=0
while IFS=$tab read -r model defines result; do
  case $model in '#'* | '') continue ;; esac
  if [ $# -gt 0 ]; then
    case " $* " in *" $model "*) ;; *) continue ;; esac
  fi
  lines=$((lines + 1))
  printf '%s\t%s\t%s\n' "$model" "$defines" "$result" >$lines.line
done <"$here/expected.tsv"
seq $lines | xargs -P "$(nproc)" -n 1 "$here/run.sh" --line || exit 2
wrong=$(find . -name wrong | wc -l)
echo "models: $lines checked, $wrong not as expected"
[ $lines -gt 0 ] && [ "$wrong" -eq 0 ]
