/* SPDX-License-Identifier: MIT */
/*
 * The memory of a lock is reused the instant after its release.
 *
 * A holds the lock and releases it. B waits, takes it, releases it, and then owns
 * the memory: it destroys the lock and stores data, of any value, the value that A's
 * and B's own words had and their TIDs among them. A may be killed at any step.
 * The kernel's exit walk for A handles A's list and its pending slot.
 *
 * Holds: once B has stored its data nobody but B writes there. A wake of that
 * address is harmless and allowed.
 *
 * Broken twins:
 *   PENDING              the lock word is a robust futex with list_op_pending (glibc's protocol)
 *   ON_LIST              the lock word itself is on the robust list
 *   CLEARS_WAITERS       unlock writes to the word after its release
 *   RELEASES_TWICE       unlock is a store after a wake, as if waking first were safe
 */
#define A 1
#define B 2
#define WAITERS 4
#define DIED 8

byte word = A;       /* the lock word, then data */
bool data = false;   /* the memory is data now */
byte stored;         /* what B put there */
byte life_a = A;     /* A's life word, in memory that is never anything else */
byte pending = 0;    /* A's list_op_pending: 1 names the word */
byte listed = 0;     /* A's list: 1 names the word beside the life word */
bool dead = false;

inline kernel_death(target, is_word) {
  /* handle_futex_death: read, compare with the TID, compare-exchange */
  seen = target;
  if
  :: (seen & 3) == A ->
    atomic {
      if
      :: target == seen -> assert(!is_word || !data); target = (seen & WAITERS) | DIED
      :: else -> skip
      fi
    }
  :: else -> skip
  fi
}

active proctype a() {
  byte old, seen;
  {
#ifdef ON_LIST
    listed = 1;
#endif
#ifdef PENDING
    pending = 1;
    listed = 0;
#endif
    atomic { old = word; word = 0 };
#ifdef CLEARS_WAITERS
    if
    :: (old & WAITERS) -> atomic { assert(!data); word = word & (A | B) }
    :: else -> skip
    fi;
#endif
#ifdef RELEASES_TWICE
    atomic { assert(!data); word = 0 };
#endif
    /* FUTEX_WAKE if old has WAITERS: reads nothing, writes nothing */
    pending = 0; listed = 0
  } unless { dead };

  /* exit_robust_list: the entries in order, the pending one last */
  kernel_death(life_a, false);
  if
  :: listed == 1 -> kernel_death(word, true)
  :: else -> skip
  fi;
  if
  :: pending == 1 -> kernel_death(word, true)
  :: else -> skip
  fi
}

active proctype b() {
  byte seen;
  do
  :: atomic { word == 0 -> word = B; break }
  :: atomic { (word & 3) == A && !(word & WAITERS) -> word = word | WAITERS }
  :: atomic { (word & 3) == A && (life_a & DIED) -> word = B; break } /* takeover */
  :: atomic { (word & DIED) -> word = B; break }
  od;
  assert((word & 3) == B);
  word = 0;
  /* the memory is B's */
  atomic {
    data = true;
    if
    :: stored = A
    :: stored = B
    :: stored = A | WAITERS
    :: stored = 0
    fi;
    word = stored
  };
  do
  :: assert(word == stored)
  :: break
  od
}

active proctype killer() {
  if
  :: dead = true
  :: skip
  fi
}
