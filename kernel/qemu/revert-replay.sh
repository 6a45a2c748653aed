#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# revert-replay.sh kernel/futex/core.c: takes the replay of a consumed wake out
# of handle_futex_death(), so that a waiter that is killed after another thread
# took the lock no longer passes its wake on: the kernel as it was before.
set -eu
. "$(dirname "$0")/env.sh"

file=$1
old='(!owner || !(uval \& FUTEX_WAITERS))'
[ "$(grep -c "pending_op && !pi && $old" "$file")" = 1 ] ||
	die "$file: the replay is not where it was; revert-replay.sh must be brought up to date"
sed -i "s/pending_op && !pi && $old/pending_op \&\& !pi \&\& !owner/" "$file"
[ "$(grep -c 'pending_op && !pi && !owner)' "$file")" = 1 ] || die "$file: the replay was not removed"
