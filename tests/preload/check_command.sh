#!/bin/sh
# SPDX-License-Identifier: MIT
# check_command.sh DEADBOLT LIBRARY: what the command says of the preload library and does
# with it.
set -eu
deadbolt=$1 library=$2
wrong() {
  echo "$*"
  exit 1
}

[ "$("$deadbolt" preload --print)" = "$library" ] || wrong "preload --print names another library"
"$deadbolt" preload | grep -q '^level hook, engine ' || wrong "the library does not hook this libc"

# A program sees the library first, and then what it had before.
# shellcheck disable=SC2016
seen=$(LD_PRELOAD=libc.so.6 "$deadbolt" run --preload -- sh -c 'echo "$LD_PRELOAD"')
[ "$seen" = "$library:libc.so.6" ] || wrong "LD_PRELOAD is $seen"

# A shell looks at itself. Without the exit it may become the command.
# shellcheck disable=SC2016
look='"$0" doctor --pid $$; exit $?'
with=$("$deadbolt" run --preload -- sh -c "$look" "$deadbolt")
echo "$with" | grep -q '^ok .*level hook, engine ' || wrong "doctor --pid: $with"
lower=$(DEADBOLT_PRELOAD=interpose LD_PRELOAD=$library sh -c "$look" "$deadbolt")
echo "$lower" | grep -q '^warning .*level interpose, .*asked for' || wrong "doctor --pid: $lower"
without=$(sh -c "$look" "$deadbolt")
echo "$without" | grep -q '^warning .* without libdeadbolt-pthread.so' ||
  wrong "doctor --pid: $without"
# Its file was replaced, as an upgrade does it: the process still runs with the library.
copies=$(mktemp -d)
trap 'rm -rf "$copies"' EXIT
cp "$library" "$copies"
# shellcheck disable=SC2016
upgraded=$(LD_PRELOAD="$copies/${library##*/}" sh -c 'rm "$1"; '"$look" "$deadbolt" \
  "$copies/${library##*/}" 2>/dev/null)
echo "$upgraded" | grep -q '^ok .*level hook, engine ' || wrong "doctor --pid: $upgraded"
if nobody=$("$deadbolt" doctor --pid 4194304); then wrong "a process that is not there: $nobody"; fi

# An unknown word is reported, and nothing else happens.
said=$(DEADBOLT_PRELOAD=nonsense LD_PRELOAD=$library /bin/true 2>&1)
case $said in
*"unknown: nonsense") ;;
*) wrong "DEADBOLT_PRELOAD=nonsense: $said" ;;
esac
