#!/bin/sh
# SPDX-License-Identifier: MIT
# own_tests.sh LIBRARY [PATTERN]: runs the tests that glibc, the Open POSIX Test Suite, tdb and LMDB
# have for mutexes and condition variables, with LIBRARY preloaded and without, and compares the
# exit statuses. PATTERN, of the shell, chooses by name. Exits 0 when each test ends the same way,
# and glibc's tests find a lock that is broken on purpose (untold_death.c).
#
# The tests come from Debian's source packages of this machine's release. They are compiled
# outside of their trees, against this machine's libc, libtdb and liblmdb, in a directory that
# is removed. What glibc and Samba generate when they are configured is made here instead.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
library=$1 pattern=${2:-*}
unpack=$here/../../scripts/debian_unpack.sh
# shellcheck disable=SC1091 # it is the machine's
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
glibc=$("$unpack" --source "$suite" glibc)
posix=$("$unpack" --source "$suite" posixtestsuite)
samba=$("$unpack" --source "$suite" samba) # has tdb and its tests
lmdb=$("$unpack" --source "$suite" lmdb)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
mkdir -p "$work/bin" "$work/headers/elf" "$work/headers/system" "$work/objects" "$work/results" \
  "$work/glibc/tests"
# What a test is called, and its command.
cases=$work/cases
: >"$cases"
wanted() {
  # shellcheck disable=SC2254 # a pattern on purpose
  case $1 in $pattern) ;; *) return 1 ;; esac
}
add() {
  if wanted "$1"; then echo "$@" >>"$cases"; fi
}
# build NAME SOURCES-AND-OPTIONS...
build() {
  name=$1
  shift
  gcc -D_GNU_SOURCE -std=gnu11 -O1 -w -pthread "$@" -o "$work/bin/$name" 2>"$work/errors" || {
    echo "$name is not built:"
    head -n 5 "$work/errors"
    exit 1
  }
}

# glibc's tests share a library, of which the parts that need glibc's internal headers are left
# out. What its tests take from two such headers here is nothing and a setting's default.
: >"$work/headers/config.h"
: >"$work/headers/pthreadP.h"
echo '#define TUNABLE_GET_FULL(...) 0' >"$work/headers/elf/dl-tunables.h"
ln -s "$glibc/support" "$work/headers/support"
for header in array_length.h libc-diag.h intprops.h libc-pointer-arith.h; do
  [ ! -e "$glibc/include/$header" ] || ln -s "$glibc/include/$header" "$work/headers/"
done
echo 'const char support_objdir_root[] = "/";' >"$work/objects/paths.c"
# TIMEOUTFACTOR: a busy machine takes its time.
glibc_options="-DTIMEOUTFACTOR=10 -include limits.h -I$work/headers -I$glibc/support"
for source in "$work/objects/paths.c" "$glibc"/support/*.c; do
  name=$(basename "$source" .c)
  case $name in *container | tst-* | links-* | test-*) continue ;; esac
  # shellcheck disable=SC2086
  gcc -D_GNU_SOURCE -std=gnu11 -O1 -w $glibc_options -c "$source" \
    -o "$work/objects/$name.o" 2>/dev/null || true
done
ar rcs "$work/libsupport.a" "$work"/objects/*.o
# They include each other, and one file of the directory above.
ln -s "$glibc/test-skeleton.c" "$work/glibc/"
ln -s "$glibc"/nptl/tst-*.[ch] "$glibc"/sysdeps/pthread/tst-*.[ch] "$work/glibc/tests/"
for source in "$work"/glibc/tests/tst-mutex*.c "$work"/glibc/tests/tst-robust*.c \
  "$work"/glibc/tests/tst-cond*.c; do
  name=$(basename "$source" .c)
  # Linked statically, of 32 bits, or in C++ when it is built.
  case $name in *-static | *-time64 | *-except) continue ;; esac
  wanted "$name" || continue
  # shellcheck disable=SC2086
  build "$name" $glibc_options "$source" "$work/libsupport.a"
  add "$name" "$name"
done

# The Open POSIX Test Suite: one assertion of the standard a program.
for source in "$posix"/conformance/interfaces/pthread_mutex*/[0-9]*.c \
  "$posix"/conformance/interfaces/pthread_cond*/[0-9]*.c; do
  name=posix_$(basename "$(dirname "$source")" | cut -c 9-)_$(basename "$source" .c)
  # Hundreds of processes with a limit of 180 s for all of them, which a busy machine misses.
  [ "$name" != posix_cond_broadcast_1-2 ] || continue
  wanted "$name" || continue
  build "$name" -std=gnu99 -I"$posix/include" "$source" -lrt
  add "$name" "$name"
done

# tdb: its torture against this machine's libtdb, its tests of mutexes with tdb's code in them.
cat >"$work/headers/replace.h" <<'END'
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <utime.h>
#define HAVE_GETOPT_H 1
#define HAVE_GETPAGESIZE 1
#define HAVE_MMAP 1
#define HAVE_FDATASYNC 1
#define USE_TDB_MUTEX_LOCKING 1
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define discard_const(pointer) ((void*)(uintptr_t)(pointer))
#define discard_const_p(type, pointer) ((type*)discard_const(pointer))
#define ARRAY_DEL_ELEMENT(array, i, n) \
  memmove(&(array)[i], &(array)[(i) + 1], sizeof *(array) * ((n) - (i)-1))
#define FALL_THROUGH __attribute__((fallthrough))
#define likely(condition) (condition)
#define unlikely(condition) (condition)
#define ZERO_STRUCT(object) memset(&(object), 0, sizeof(object))
#define _PUBLIC_
#define PRINTF_ATTRIBUTE(a, b)
#define LINE_OF_LOCATION(line) #line
#define AT_LOCATION(line) __FILE__ ":" LINE_OF_LOCATION(line)
#define __location__ AT_LOCATION(__LINE__)
END
for header in filesys time shmem select wait threads; do : >"$work/headers/system/$header.h"; done
tdb=$samba/lib/tdb
build tdbtorture -I"$work/headers" "$tdb/tools/tdbtorture.c" -ltdb
# With robust mutexes (-m); -k kills its processes. With more processes a death inside a store, which
# no transaction protects, breaks the database now and then, without the library too.
add tdbtorture-m tdbtorture -m -s 1 -l 20000
add tdbtorture-m-k tdbtorture -m -k -s 2 -l 50000
for source in "$tdb"/test/run-mutex*.c; do
  name=$(basename "$source" .c)
  wanted "$name" || continue
  build "$name" -I"$work/headers" -I"$tdb/include" -I"$tdb/common" "$source" \
    "$tdb/test/external-agent.c" "$tdb/test/lock-tracking.c" "$tdb/test/logging.c"
  add "$name" "$name"
done

# LMDB: its tests against this machine's liblmdb.
for source in "$lmdb"/libraries/liblmdb/mtest*.c; do
  name=$(basename "$source" .c)
  # Prints with a function that only a debug build of LMDB has.
  [ "$name" != mtest6 ] || continue
  wanted "$name" || continue
  build "$name" "$source" -llmdb
  add "$name" "$name"
done

cat >"$work/run" <<'END'
#!/bin/sh
# run WORK LIBRARIES WITH NAME PROGRAM [ARGUMENT...]
work=$1 libraries=$2 with=$3 name=$4 program=$5
shift 5
mkdir -p "$work/places/$name.$with/testdb" # where LMDB's have their database
cd "$work/places/$name.$with"
[ -z "$libraries" ] || export LD_PRELOAD="$libraries" DEADBOLT_PRELOAD=verbose
timeout 900 "$work/bin/$program" "$@" >"$work/results/$name.$with.out" 2>&1 </dev/null
echo $? >"$work/results/$name.$with"
END
chmod +x "$work/run"
run_all() {
  xargs -P "${OWN_TESTS_JOBS:-4}" -L 1 "$work/run" "$work" "$1" "$2" <"$3"
}
run_all '' without "$cases"
run_all "$library" with "$cases"

different='' passed=0 others='' names='' again=''
statuses() { without=$(cat "$work/results/$name.without") with=$(cat "$work/results/$name.with"); }
while read -r name rest; do
  statuses
  # Some tests expect that a thread runs within a second, which fails without the library too when the
  # machine is busy: those that differ are done again, one at a time.
  for attempt in 1 2 3; do
    [ "$with" != "$without" ] || break
    echo "$name: $without without the library, $with with it; attempt $attempt, alone:"
    # shellcheck disable=SC2086
    "$work/run" "$work" '' without "$name" $rest </dev/null
    # shellcheck disable=SC2086
    "$work/run" "$work" "$library" with "$name" $rest </dev/null
    statuses
    again="$again $name"
  done
  names="$names $name"
  if ! grep -q '^deadbolt: preload: level hook' "$work/results/$name.with.out"; then
    different="$different $name"
    echo "$name: ran without the library"
  elif [ "$with" != "$without" ]; then
    different="$different $name"
    echo "$name: $without without the library, $with with it; its last lines with it:"
    tail -n 5 "$work/results/$name.with.out"
  elif [ "$with" = 0 ]; then
    passed=$((passed + 1))
  else
    others="$others $name ($with)"
  fi
done <"$cases"
echo "own tests:$names" | fold -s -w 100
echo "$(wc -l <"$cases") tests; with the library and without: $passed pass${others:+; other status:$others}${again:+; done again:$again}"
if [ -n "$different" ]; then echo "different:$different"; exit 1; fi
[ "$passed" -gt 0 ]

grep -E '^tst-robust[1-7] ' "$cases" >"$work/of_deaths" || exit 0
gcc -shared -fPIC -O1 "$here/untold_death.c" -o "$work/untold_death.so"
run_all "$work/untold_death.so $library" untold "$work/of_deaths"
noticed=$(grep -L -x 0 "$work"/results/tst-robust*.untold | wc -l)
echo "a lock that does not tell of a death: noticed by $noticed of $(wc -l <"$work/of_deaths")"
[ "$noticed" -gt 0 ]
