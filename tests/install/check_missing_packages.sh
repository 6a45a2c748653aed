#!/bin/sh
# SPDX-License-Identifier: MIT
# Usage: check_missing_packages.sh REQUIRE_PACKAGES SCRATCH
# What the script does on a machine that has libhere and lacks libgone: with a package
# manager of our own, which writes down what it was asked for.
set -eu

script=$1 scratch=$2
rm -rf "$scratch"
mkdir -p "$scratch/bin" "$scratch/bare"
cd "$scratch"
for tool in sh cat sed head; do
  ln -s "$(command -v $tool)" bin/
  ln -s "$(command -v $tool)" bare/
done

fake() {
  printf '#!/bin/sh\n%s\n' "$2" >"bin/$1"
  chmod +x "bin/$1"
}
fake dpkg-query 'case "$*" in *" clang") exit 1 ;; esac
echo installed libhere; echo not-installed libgone'
fake apt-cache "[ -e $scratch/lists ] && echo 'Replaces: clang (<< 3.2), clang-3.2, clang-3.5 (<< 1:3.5)
Depends: clang-77 (>= 77~)
Breaks: clang-3.2'"
fake apt-get "echo \"\$*\" >>$scratch/asked
case \"\$*\" in *update*) : >$scratch/lists ;; esac"

fail() {
  echo "$1" >&2
  cat out >&2
  exit 1
}
# run USER PACKAGE...: into `out`; the status in $status.
run() {
  fake id "echo $1"
  shift
  status=0
  : >asked
  PATH=$scratch/bin "$script" "$@" >out 2>&1 || status=$?
}

run 1000 libhere
[ "$status/$(cat out asked)" = 0/ ] || fail "nothing is missing, yet it spoke or acted"

run 1000 libhere libgone
[ "$status/$(cat asked)" = 1/ ] || fail "missing, without root: status $status"
grep -qx '  apt-get install --yes --no-install-recommends libgone' out ||
  fail "the one line that installs what is missing was not printed"

rm -f lists
run 0 libhere libgone
[ "$status" -eq 0 ] || fail "missing, as root: status $status"
[ "$(sed -n 's/.* //p' asked | tr '\n' ' ')" = "update libgone " ] ||
  fail "as root, on a fresh image, it was to update and to install libgone: $(cat asked)"

run 0 libgone
[ "$(wc -l <asked)" -eq 1 ] || fail "with package lists at hand there is no need for an update"

rm -f lists
run 0 libhere lib-CLANG-dev
[ "$(sed -n 's/.* //p' asked | tr '\n' ' ')" = "update lib-77-dev " ] ||
  fail "the release has Clang 77, so lib-77-dev was to be installed: $(cat asked)"

rm -f lists
run 1000 lib-CLANG-dev
if [ "$status" -ne 1 ] || ! grep -q 'apt-get update' out; then
  fail "without package lists nobody knows Clang's version: status $status"
fi

status=0
PATH=$scratch/bare "$script" libhere libgone >out 2>&1 || status=$?
[ "$status" -eq 0 ] || fail "not a Debian machine: status $status"
grep -q 'libhere libgone' out || fail "not a Debian machine: the names were not printed"

echo "silent, the one line, an installation, and the names elsewhere"
