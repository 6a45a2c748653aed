#!/bin/bash
# SPDX-License-Identifier: MIT
# Checks every line of expected.tsv with Spin, as many at a time as there are CPUs. With the
# line's defines the model must hold, or must break the property that the line names. Any other
# outcome is an error, also a search that was cut short.
# Usage: models/run.sh [MODEL...]
set -u
here=$(cd "$(dirname "$0")" && pwd)
tab=$(printf '\t')
TIMEFORMAT='processor time %U s'

# Seconds of processor time, ten times what the longest search takes on an idle machine: a busy
# neighbour slows a search, too, since the two share caches and memory.
longest_search=900

# Prints the outcome that pan.out shows: `holds`, or the property that does not hold.
outcome() {
  if grep -q 'max search depth too small\|memory exceeded\|out of memory' pan.out; then echo "cut short"
  elif grep -q 'errors: 0$' pan.out; then echo holds
  elif grep -q '^pan:1: invalid end state' pan.out; then echo "end state"
  elif grep -q '^pan:1: acceptance cycle' pan.out; then echo "acceptance cycle"
  # must(condition, name) in the models: the text of the assertion ends in the name.
  elif grep -q '^pan:1: assertion violated' pan.out; then
    sed -n 's/^pan:1: assertion violated .*[^a-z_]\([a-z_][a-z_]*\))* (at depth.*/\1/p' pan.out
  else echo "no verdict"
  fi
}

verdict() { # model, safety or liveness, defines...
  cp "$here/$1.pml" . || return
  model=./$1.pml
  case $2 in
    # Searches every state for failed assertions and invalid end states.
    safety) define=-DSAFETY how=-DSAFETY search= ;;
    # Searches every cycle that weak fairness allows for one that breaks the model's LTL formula. A
    # state without a next step counts as a cycle, too.
    liveness) define=-DLIVENESS how=-DNFAIR=3 search='-a -f' ;;
    *) echo "no such check"; return ;;
  esac
  shift 2
  spin $define "$@" -a "$model" >spin.out 2>&1 || { echo "no model"; return; }
  cc -O1 -w $how -DVECTORSZ=2048 -DCOLLAPSE -o pan pan.c 2>cc.out || { echo "no verifier"; return; }
  # shellcheck disable=SC2086 # the options are words
  { time (ulimit -t $longest_search && ./pan $search -m1000000 >pan.out 2>&1); } 2>time.out ||
    { echo "exit status $?"; return; } # 137: killed, by the limit
  outcome
}

# Checks one line of expected.tsv in a directory of its own; creates the file `wrong` if the
# outcome is not the expected one.
if [ "${1:-}" = --line ]; then
  mkdir "$2" && cd "$2" || exit 2
  IFS=$tab read -r model defines check result <"../$2.line"
  flags=
  [ "$defines" = - ] || for define in $defines; do flags="$flags -D$define"; done
  # shellcheck disable=SC2086 # the flags are words
  seen=$(verdict "$model" "$check" $flags)
  figures=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1 states/p
    s/^ *\([0-9]*\)[.0-9]*.*total actual memory usage/\1 MB/p
    s/^processor time //p' pan.out time.out 2>/dev/null | tr '\n' ' ')
  rm -f pan pan.* ./*.trail
  mark=ok
  [ "$seen" = "$result" ] || { mark=WRONG && : >wrong; }
  printf '%-6s %-26s %-46s %-9s %-20s %s\n' "$mark" "$model" "$defines" "$check" "$seen" "${figures:-?}"
  exit 0
fi

scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT INT TERM
cd "$scratch" || exit 2
for tool in spin cc; do
  command -v $tool >/dev/null || { echo "models: $tool is missing: apt-get install spin gcc"; exit 2; }
done

lines=0
while IFS=$tab read -r model defines check result; do
  case $model in '#'* | '') continue ;; esac
  if [ $# -gt 0 ]; then
    case " $* " in *" $model "*) ;; *) continue ;; esac
  fi
  lines=$((lines + 1))
  printf '%s\t%s\t%s\t%s\n' "$model" "$defines" "$check" "$result" >$lines.line
done <"${EXPECTED:-$here/expected.tsv}"
seq $lines | xargs -P "${JOBS:-$(nproc)}" -n 1 "$here/run.sh" --line || exit 2
wrong=$(find . -name wrong | wc -l)
echo "models: $lines checked, $wrong not as expected"
[ $lines -gt 0 ] && [ "$wrong" -eq 0 ]
