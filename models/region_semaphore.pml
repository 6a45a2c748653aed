/* SPDX-License-Identifier: MIT */
/*
 * The region semaphore: two permits, each an owner word as a mutex has. A waiter sleeps on
 * all permits and on their owners' liveness words at once. One waiter can therefore consume
 * several wakes, or be the only one that watches an owner. So a waiter that has slept wakes another
 * waiter before it leaves, with a permit or without. region_mutex.pml models generations and slots.
 *
 * Thread 0 holds both permits and releases them, or stays. 1 and 2 (2 not with ONE_WAITER) wait
 * for a permit; 1 may give up. 3 (BARGER) tries once, never sleeps, and may exit with the permit
 * that it got; then 0 releases both permits, and 1 and 2 keep their permits. Each thread goes
 * through the permits word by word, thread 1 beginning with the second, as
 * src/region/counting_semaphore.cpp does: look, ask for wakes, look again before the sleep, and the kernel's queueing. A thread's
 * exit has the effect of a kill. Up to KILLS are killed at any step. Sleeps are unbounded here; the
 * bound of a sleep counts only where a thread that owed a wake was killed, or one that had slept
 * for its permit died with it (as in region_mutex.pml).
 *
 * Holds: a permit is taken from a dead owner, never from a live one; no thread sleeps for ever
 * while a permit is free or a dead owner's and no other thread is at work; nor does a thread then
 * wait for ever, asleep or at work, under any weakly fair schedule (liveness).
 *
 * mutants:
 *   KEEPS_WAKES      a waiter that has slept wakes no other waiter before it leaves
 *   FREE_ONLY        ... or wakes one only if it sees a permit that is free
 *   NO_COMPARE       the sleep does not compare the permits
 *   NO_LIFE_COMPARE  the sleep does not compare the liveness words
 *   FIRST_ONLY       the sleep is on one permit
 *   UNBOUNDED        no waiter looks again after the death of a thread that owed a wake
 *   SPINS_ON_DEAD    a dead owner's permit is not taken, nor slept on
 *   STALE_COMPARE    a compare-exchange that failed is tried again with the same value
 */
#ifndef KILLS
#define KILLS 1
#endif
#ifdef BARGER
#define THREADS 4
#else
#define THREADS 3
#endif
#define NONE 9

/* must(condition, name): `name` is always 0, and puts the broken property into pan's message. */
#define must(condition, name) assert((condition) || name)
hidden byte exclusion = 0;
hidden byte own_word = 0;
hidden byte nobody_strands = 0;

byte word[2];              /* the owner */
bool waiters[2];
bool alive[THREADS];       /* the liveness word; false: marked */
bool dead[THREADS];

bool queued[8];            /* thread * 2 + permit: on the permit's word */
byte queued_life[8];       /* thread * 2 + permit: on the liveness word of that owner, or NONE */
bool woken[THREADS];       /* a wake took one of its queue entries */
bool asleep[THREADS];
bool at_work[THREADS];      /* ghost */
bool owes[THREADS];        /* ghost */
bool wants[THREADS];       /* ghost: in acquire() */
bool slept_for[2];         /* ghost: the permit's owner had slept */
bool bound_counts = false;
byte kills = 0;

#ifdef UNBOUNDED
#define late false
#else
#define late bound_counts
#endif

#define to_be_had(p) (word[p] == NONE || dead[word[p]])

#ifdef LIVENESS
/* Each thread acquires once: in the end a free permit stays free, or is taken. */
ltl gets_in { [] <> !((wants[1] || wants[2]) && (to_be_had(0) || to_be_had(1))) }
#endif

inline wake_word(p) {
  atomic {
    w = 1;
    do
    :: w < 3 && !queued[w * 2 + p] -> w++
    :: w < 3 && queued[w * 2 + p] ->
       queued[w * 2 + p] = false; woken[w] = true; owes[w] = true; at_work[w] = true; break
    :: w == 3 -> break
    od;
    w = 0
  }
}

inline wake_life(t, most) {
  atomic {
    w = 2; n = 0;
    do
    :: w < 6 && n < most && queued_life[w] == t ->
       queued_life[w] = NONE; woken[w / 2] = true; owes[w / 2] = true; at_work[w / 2] = true;
       n++; w++
    :: w < 6 && n < most && queued_life[w] != t -> w++
    :: w == 6 || n == most -> break
    od;
    w = 0; n = 0
  }
}

/*
 * One look at a permit; `got` is its number if the thread takes it. A free word is read and taken
 * in one step: a compare-exchange that fails reads it anew. Reading a dead owner's liveness word
 * and the compare-exchange are one step: the exchange fails if the word has changed since it was
 * read, and a dead owner stays dead.
 */
inline look(me, p) {
  atomic {
    if
    :: word[p] == NONE -> have(me, p)
    :: else -> seen[p] = word[p]
    fi
  };
  do
  :: atomic { got != NONE || word[p] == me || alive[seen[p]] -> break }
#ifndef SPINS_ON_DEAD
  :: atomic {
       got == NONE && word[p] != me && !alive[seen[p]] ->
       if
       :: word[p] == seen[p] || word[p] == NONE -> have(me, p)
       :: else -> seen[p] = word[p]
       fi
     }
#else
  :: atomic { got == NONE && !alive[seen[p]] -> break }
#endif
  od
}

inline have(me, p) {
  must(word[p] == NONE || dead[word[p]], exclusion);
  waiters[p] = waiters[p] || slept;
  word[p] = me; got = p; slept_for[p] = slept
}

/*
 * Sets the waiters bit of a word that is read anew. This is one step: if the word changed in
 * between, the thread would only look at all permits once more.
 */
inline ask(p) {
#ifdef STALE_COMPARE
  atomic { seen[p] = word[p]; again = again || seen[p] == NONE };
  do
  :: atomic { again || word[p] == seen[p] -> waiters[p] = waiters[p] || !again; break }
  :: else -> skip
  od
#else
  atomic {
    if
    :: word[p] == NONE -> again = true
    :: else -> waiters[p] = waiters[p] || !again
    fi
  }
#endif
}

/*
 * The last look before the sleep reads the values that the kernel is to compare. A word's owner
 * and its liveness word are read in one step: the kernel compares both, and a dead owner stays
 * dead.
 */
inline look_before_sleep(p) {
  atomic {
    if
    :: differs || word[p] == NONE || !waiters[p] || !alive[word[p]] -> differs = true
    :: else -> seen[p] = word[p]
    fi
  }
}

/* The kernel queues on one word after the other. */
inline queue_on(me, p) {
  atomic {
    if
    :: differs -> skip
#ifdef NO_COMPARE
    :: else -> queued[me * 2 + p] = true
#else
    :: !differs && word[p] == seen[p] && waiters[p] -> queued[me * 2 + p] = true
    :: else -> differs = true
#endif
    fi
  };
  atomic {
    if
    :: differs -> skip
#ifdef NO_LIFE_COMPARE
    :: else -> queued_life[me * 2 + p] = seen[p]
#else
    :: !differs && alive[seen[p]] -> queued_life[me * 2 + p] = seen[p]
    :: else -> differs = true
#endif
    fi
  }
}

/*
 * A waiter that has slept wakes another waiter before it leaves, with a permit or without. The
 * woken waiter looks at all permits, and so finds a permit that the first waiter was woken for
 * and did not take, and owners that only the first waiter watched. Every waiter sleeps on every
 * permit, so that any permit's word serves.
 */
inline leave(me) {
#ifdef KEEPS_WAKES
  skip
#else
#ifdef FREE_ONLY
  if
  :: (got != 0 && word[0] == NONE) || (got != 1 && word[1] == NONE) -> wake_word(0)
  :: else -> skip
  fi
#else
  wake_word(0)
#endif
#endif
}

/* The thread begins with permit me % 2. */
#define first_permit (me % 2)
#define other_permit (1 - me % 2)

inline pass_on(p) {
  if
  :: seen[p] != NONE && !alive[seen[p]] -> wake_life(seen[p], THREADS)
  :: else -> skip
  fi
}

inline acquire(me) {
  wants[me] = true;
  do
  ::
    look(me, first_permit);
    if
    :: got != NONE -> break
    :: else -> skip
    fi;
    look(me, other_permit);
    if
    :: got != NONE -> break
    :: else -> skip
    fi;
    again = false;
    ask(first_permit);
    ask(other_permit);
    if
    :: again -> goto next
    :: else -> skip
    fi;
    if
    :: true
#ifndef BARGER
    :: me == 1 -> break /* its deadline has passed */
#endif
    fi;
    look_before_sleep(first_permit);
    look_before_sleep(other_permit);
    if
    :: differs -> differs = false; goto next
    :: else -> skip
    fi;
    queue_on(me, first_permit);
#ifndef FIRST_ONLY
    queue_on(me, other_permit);
#endif
    atomic {
      slept = true;
      if
      :: differs -> skip
      :: else -> asleep[me] = true; at_work[me] = woken[me]; owes[me] = woken[me]
      fi
    };
end_asleep:
    atomic {
      !asleep[me] || woken[me] || late ->
      asleep[me] = false; at_work[me] = true; woken[me] = false; differs = false;
      queued[me * 2] = false; queued[me * 2 + 1] = false;
      queued_life[me * 2] = NONE; queued_life[me * 2 + 1] = NONE
    };
    pass_on(first_permit);
    pass_on(other_permit);
next: skip
  od;
  atomic { again = false; wants[me] = false };
  if
  :: slept -> leave(me)
  :: else -> skip
  fi;
  atomic {
    seen[0] = 0; seen[1] = 0; slept = false;
    owes[me] = false; at_work[me] = false
  }
}

inline release(me, p) {
  atomic {
    must(word[p] == me, own_word);
    owes[me] = waiters[p]; at_work[me] = waiters[p];
    word[p] = NONE; waiters[p] = false; slept_for[p] = false
  };
  if
  :: owes[me] -> wake_word(p)
  :: else -> skip
  fi;
  atomic { owes[me] = false; at_work[me] = false }
}

/* The kernel's exit walk: it marks the liveness word and wakes one waiter. */
inline walk(me) {
  atomic {
    bound_counts = bound_counts || (word[0] == me && slept_for[0]) || (word[1] == me && slept_for[1]);
    alive[me] = false
  };
  atomic {
    wake_life(me, 1);
    at_work[me] = false
  }
}

proctype member(byte me) {
  byte w, n, got = NONE;
  byte seen[2];
  bool again, differs, slept;
  {
    if
    :: me == 0 ->
#ifdef BARGER
       release(me, 0);
       release(me, 1)
#else
end_holding:
       do
       :: word[0] == me -> release(me, 0)
       :: word[1] == me -> release(me, 1)
       :: break
       od
#endif
#ifdef BARGER
    :: me == 3 ->
       look(me, first_permit);
       if
       :: got == NONE -> look(me, other_permit)
       :: else -> skip
       fi;
       atomic { seen[0] = 0; seen[1] = 0; at_work[me] = false }
#endif
    :: else -> acquire(me)
    fi;
    if
#ifndef BARGER
    :: got != NONE -> release(me, got)
#endif
#ifdef BARGER
    :: me == 3 -> atomic { at_work[me] = true; dead[me] = true } /* an exit is a death too */
#endif
    :: true -> end_keeping: false
    fi
  } unless { dead[me] };
  /* Locals that no longer matter are zeroed, so that states which differ in them alone merge. */
  atomic { w = 0; n = 0; got = NONE; seen[0] = 0; seen[1] = 0; again = false; differs = false; slept = false };
  if
  :: dead[me] -> walk(me)
  :: else -> skip
  fi
}

proctype killer() {
  byte victim;
  do
  :: kills < KILLS ->
    atomic {
      kills++;
      select(victim : 0 .. THREADS - 1);
      bound_counts = bound_counts || owes[victim];
      dead[victim] = true; asleep[victim] = false; wants[victim] = false;
      queued[victim * 2] = false; queued[victim * 2 + 1] = false;
      queued_life[victim * 2] = NONE; queued_life[victim * 2 + 1] = NONE;
      at_work[victim] = true; /* its exit walk has not run yet */
      victim = 0
    }
  :: break
  od
}

#define stuck(t) (asleep[t] && !woken[t] && !late)

proctype monitor() {
end_watch:
  atomic {
    !at_work[0] && !at_work[1] && !at_work[2] && !at_work[THREADS - 1] && (to_be_had(0) || to_be_had(1)) &&
    (stuck(1) || stuck(2)) ->
    must(false, nobody_strands)
  }
}

init {
  byte i;
  atomic {
    do
    :: i < THREADS -> alive[i] = true; at_work[i] = (i > 0 && i < THREADS); i++
    :: i == THREADS -> break
    od;
    i = 0;
    do
    :: i < 8 -> queued_life[i] = NONE; i++
    :: i == 8 -> break
    od;
    i = 0;
    word[0] = 0; word[1] = 0;
    run member(0); run member(1);
#ifdef ONE_WAITER
    at_work[2] = false;
#else
    run member(2);
#endif
#ifdef BARGER
    run member(3);
#endif
#ifndef LIVENESS
    run monitor();
#endif
    run killer()
  }
}
