#!/bin/sh
# SPDX-License-Identifier: MIT
# Usage: check_man_pages.sh PREFIX BASELINE
# Every public name of the baseline is in an installed page of section 3, and each
# page that only names another one names one that is there.
set -eu

man=$(find "$1" -type d -name man3)
# The last word before the argument list or the version; not the private parts.
names=$(sed -e '/mutex::.*acquire/d' -e '/mutex::release/d' -e '/mutex::mark_writer/d' -e '/::announce_sleep/d' -e '/::sleep(/d' \
  -e '/detail::abort/d' -e '/detail::owner_of/d' -e '/detail::.*_permit/d' -e '/::~/d' -e '/::begin_construct/d' -e '/::end_construct/d' \
  -e '/::look_up/d' -e '/::begin_destroy/d' -e '/::end_destroy/d' -e '/::set_status/d' -e '/^A /d' -e 's/^. //' -e 's/(.*//' \
  -e 's/@@.*//' -e 's/.*:://' "$2" | sort -u)
[ -n "$names" ]

status=0
for name in $names; do
  grep -rqF -- "$name" "$man" || { echo "no man page mentions $name"; status=1; }
done
for page in "$man"/*; do
  other=$(sed -n 's/^\.so man3\///p' "$page")
  [ -z "$other" ] || [ -e "$man/$other" ] || { echo "$page names $other"; status=1; }
done
[ -e "$man/../man1/deadbolt.1" ] || { echo "no deadbolt.1"; status=1; }
[ $status -eq 0 ] && echo "$(echo "$names" | wc -l) public names have their page"
exit $status
