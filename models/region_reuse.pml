/* SPDX-License-Identifier: MIT */
/*
 * The memory of a lock is reused the instant after its release.
 *
 * A holds the lock and releases it: by an exchange, then a wake if there were waiters
 * (the word of a mutex, a writer, a permit); or, where the word is `plain`, by a store that may
 * stay in its store buffer, then a load of `waiting` beside the word, then a wake. B waits for
 * the lock, takes it and releases it. B then owns the memory of the word and of `waiting`: it
 * destroys the lock and stores data of any value, A's and B's own TIDs and words among them. Both
 * may be killed at any step. The kernel's exit walk handles a dead thread's list and pending slot.
 *
 * Holds: once B has stored its data only B writes there: neither A nor the kernel's exit walk does.
 * Both may read that memory and wake its address, which is harmless.
 *
 * mutants:
 *   PENDING              the lock word is a robust futex with list_op_pending (glibc's protocol)
 *   ON_LIST              the lock word itself is on the robust list
 *   CLEARS_WAITERS       unlock writes to the word after its release
 *   RELEASES_TWICE       unlock stores 0 to the word once more after its release
 *   CLEARS_WAITING       a plain unlock that has woken for `waiting` clears it
 */
#define NOBODY 0
#define A 1
#define B 2
#define WAITERS 4
#define PLAIN 8
#define DIED 16

/* must(condition, name): `name` is always 0, and puts the broken property into pan's message. */
#define must(condition, name) assert((condition) || name)
hidden byte memory_is_the_next_owners = 0;
hidden byte one_owner = 0;

byte word;           /* the lock word, then data */
byte waiting = 0;    /* beside the lock word, then data */
byte buffered = 0;   /* A's store to the word is in A's store buffer */
bool data = false;   /* the memory is data now */
byte stored = 0, stored_beside = 0; /* what B put there */
byte life[3];        /* liveness words, in memory that is never anything else: a TID, or DIED */
byte pending[3];     /* list_op_pending: 1 names the word */
byte listed[3];      /* the list: 1 names the word beside the liveness word */
bool dead[3];

inline kernel_death(target, me, is_word) {
  /* handle_futex_death: read, compare with the TID, compare-exchange */
  seen = target;
  if
  :: (seen & 3) == me ->
    atomic {
      if
      :: target == seen ->
         must(!is_word || !data || me == B, memory_is_the_next_owners);
         target = (seen & WAITERS) | DIED
      :: else -> skip
      fi
    }
  :: else -> skip
  fi
}

/* exit_robust_list: the entries in order, the pending one last. */
inline walk(me) {
  kernel_death(life[me], me, false);
  if
  :: listed[me] == 1 -> kernel_death(word, me, true)
  :: else -> skip
  fi;
  if
  :: pending[me] == 1 -> kernel_death(word, me, true)
  :: else -> skip
  fi
}

inline write_after_release(target, value) {
  atomic { must(!data, memory_is_the_next_owners); target = value }
}

/* The store leaves the buffer. B can own the memory only after that. */
inline flush() {
  atomic {
    if
    :: buffered == 1 -> must(!data, memory_is_the_next_owners); word = 0; buffered = 0
    :: else -> skip
    fi
  }
}

proctype store_buffer() {
end_buffer:
  do
  :: buffered == 1 -> flush()
  od
}

proctype a() {
  byte old, seen;
  {
#ifdef ON_LIST
    listed[A] = 1;
#endif
#ifdef PENDING
    pending[A] = 1;
#endif
    if
    :: word & PLAIN ->
       buffered = 1;
       old = waiting;
       if
       /* the system call is a barrier of its own */
       :: old != 0 -> buffered == 0;
          /* FUTEX_WAKE: reads nothing, writes nothing */
#ifdef CLEARS_WAITING
          write_after_release(waiting, 0)
#else
          skip
#endif
       :: else -> skip
       fi
    :: else ->
       waiting = 0;
       atomic { old = word; word = 0 };
#ifdef CLEARS_WAITERS
       if
       :: old & WAITERS -> write_after_release(word, word & (A | B))
       :: else -> skip
       fi;
#endif
#ifdef RELEASES_TWICE
       write_after_release(word, 0);
#endif
       /* FUTEX_WAKE if old has WAITERS: reads nothing, writes nothing */
       skip
    fi;
    pending[A] = 0; listed[A] = 0
  } unless { dead[A] };

  flush();
  walk(A)
}

proctype b() {
  byte seen;
  {
#ifdef PENDING
    pending[B] = 1;
#endif
    do
    :: atomic { word == 0 -> word = B; break }
    :: atomic { (word & 3) == A && (word & PLAIN) && waiting == 0 -> waiting = 1 };
       buffered == 0 /* membarrier */
    :: atomic { (word & 3) == A && !(word & PLAIN) && !(word & WAITERS) -> word = word | WAITERS }
    :: atomic { (word & 3) == A && (life[A] & DIED) -> word = B; break } /* takeover */
    :: atomic { (word & 3) == 0 && (word & DIED) -> word = B; break }
    od;
#ifdef ON_LIST
    listed[B] = 1;
#endif
    pending[B] = 0;
    must((word & 3) == B, one_owner);
#ifdef ON_LIST
    listed[B] = 0;
#endif
    word = 0;
    /* B owns the memory */
    atomic {
      if
      :: stored = A
      :: stored = B
      :: stored = A | WAITERS
      :: stored = A | PLAIN
      :: stored = NOBODY
      fi;
      if
      :: stored_beside = 0
      :: stored_beside = 1
      fi;
      data = true; word = stored; waiting = stored_beside
    };
    do
    :: must(word == stored && waiting == stored_beside, memory_is_the_next_owners)
    :: break
    od
  } unless { dead[B] };

  if
  :: dead[B] -> walk(B)
  :: else -> skip
  fi;
  must(!data || (word == stored && waiting == stored_beside), memory_is_the_next_owners)
}

proctype killer() {
  do
  :: !dead[A] -> dead[A] = true
  :: !dead[B] -> dead[B] = true
  :: break
  od
}

init {
  atomic {
    life[A] = A; life[B] = B;
    if
    :: word = A
    :: word = A | PLAIN
    fi;
    run a(); run b(); run store_buffer(); run killer()
  }
}
