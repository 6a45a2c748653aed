/* SPDX-License-Identifier: MIT */
/*
 * The region semaphore: two permits, each an owner word as a mutex's. A waiter sleeps on
 * all permits and on their owners' life words at once, so that one waiter can be given
 * several wakes, or be the only one to watch an owner: who has slept wakes another before
 * it goes, with a permit or without. Generations and slots are region_mutex.pml's business.
 *
 * Thread 0 holds both permits and releases them, or stays. 1 and 2 (not with ONE_WAITER) wait
 * for a permit; 1 may give up. 3 (BARGER) tries once, never sleeps, and may exit with what it
 * has; 0 then releases both, and 1 and 2 keep theirs. A step of the protocol - look, ask
 * for wakes, queue - is one for both permits: what changes meanwhile is found by the next.
 * An exit is what a kill is. Up to KILLS are
 * killed at any step. Sleeps are unbounded here; the bound of 100 ms counts only where a
 * thread that owed a wake was killed, or one that had slept for its permit died with it
 * (as in region_mutex.pml).
 *
 * Holds: a permit goes from the dead, never from the living; nobody sleeps for ever
 * while a permit is free or a dead owner's and no other thread is at work.
 *
 * Broken twins:
 *   KEEPS_WAKES      who has slept wakes nobody before it goes
 *   FREE_ONLY        ... or only if it sees a permit that is free
 *   NO_COMPARE       the sleep does not compare the permits
 *   NO_LIFE_COMPARE  the sleep does not compare the life words
 *   FIRST_ONLY       the sleep is on one permit
 *   UNBOUNDED        nobody looks again after a death that owed a wake
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

byte word[2];              /* the owner */
bool waiters[2];
bool alive[THREADS];       /* the life word; false: marked */
bool dead[THREADS];

bool queued[8];            /* thread * 2 + permit: on the permit's word */
byte queued_life[8];       /* thread * 2 + permit: on the life word of that owner, or NONE */
bool woken[THREADS];       /* a wake took one of its queue entries */
bool asleep[THREADS];
bool at_work[THREADS];      /* ghost */
bool owes[THREADS];        /* ghost */
bool slept_for[2];         /* ghost: the permit's owner had slept */
bool bound_counts = false;
byte kills = 0;

#ifdef UNBOUNDED
#define late false
#else
#define late bound_counts
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
 * One look at a permit; `got` is its number when it is had. The word, its owner's life and
 * the compare-exchange are one step: it fails if the word has changed since it was
 * read, and the dead stay dead.
 */
inline look(me, p) {
    if
    :: got == NONE && (word[p] == NONE || !alive[word[p]]) ->
       assert(word[p] == NONE || dead[word[p]]);
       waiters[p] = waiters[p] || slept;
       word[p] = me; got = p; slept_for[p] = slept
    :: else -> seen[p] = word[p]
    fi
}

/* Sets the waiters bit of the word that was seen. */
inline ask(p) {
    if
    :: word[p] == seen[p] -> waiters[p] = true
    :: else -> again = true
    fi
}

/* The kernel queues on one word after the other; a word that was released meanwhile differs. */
inline queue_on(me, p) {
    if
    :: differs -> skip
    :: else ->
       if
#ifdef NO_COMPARE
       :: true -> queued[me * 2 + p] = true
#else
       :: word[p] == seen[p] && waiters[p] -> queued[me * 2 + p] = true
       :: else -> differs = true
#endif
       fi;
       if
       :: differs || seen[p] == NONE -> skip
#ifdef NO_LIFE_COMPARE
       :: else -> queued_life[me * 2 + p] = seen[p]
#else
       :: !differs && seen[p] != NONE && alive[seen[p]] -> queued_life[me * 2 + p] = seen[p]
       :: !differs && seen[p] != NONE && !alive[seen[p]] -> differs = true
#endif
       fi
    fi
}

/*
 * Who has slept wakes another before it goes, whatever it goes with: that one looks at all
 * permits, for what the leaver was woken for and did not take, and for owners that only
 * the leaver was watching. All sleep on every permit: any word does.
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

inline acquire(me) {
  do
  ::
    atomic { again = false; look(me, 0); look(me, 1) };
    if
    :: got != NONE -> break
    :: else -> skip
    fi;
    atomic { ask(0); ask(1) };
    if
    :: again -> goto next
    :: else -> skip
    fi;
    if
    :: true
#ifndef BARGER
    :: me == 1 -> break /* its time is over */
#endif
    fi;
    atomic {
      owes[me] = false;
      queue_on(me, 0);
#ifndef FIRST_ONLY
      queue_on(me, 1);
#endif
      slept = true;
      if
      :: differs -> skip
      :: else -> asleep[me] = true; at_work[me] = false
      fi
    };
end_asleep:
    atomic {
      !asleep[me] || woken[me] || late ->
      asleep[me] = false; at_work[me] = true; woken[me] = false; differs = false;
      queued[me * 2] = false; queued[me * 2 + 1] = false;
      queued_life[me * 2] = NONE; queued_life[me * 2 + 1] = NONE
    };
    atomic {
    if
    :: seen[0] != NONE && !alive[seen[0]] -> wake_life(seen[0], THREADS)
    :: else -> skip
    fi;
    if
    :: seen[1] != NONE && seen[1] != seen[0] && !alive[seen[1]] -> wake_life(seen[1], THREADS)
    :: else -> skip
    fi
    };
next: skip
  od;
  again = false;
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
    assert(word[p] == me);
    owes[me] = waiters[p]; at_work[me] = waiters[p];
    word[p] = NONE; waiters[p] = false; slept_for[p] = false
  };
  if
  :: owes[me] -> wake_word(p)
  :: else -> skip
  fi;
  atomic { owes[me] = false; at_work[me] = false }
}

/* The kernel's exit walk: it marks, and wakes one. */
inline walk(me) {
  atomic {
    bound_counts = bound_counts || (word[0] == me && slept_for[0]) || (word[1] == me && slept_for[1]);
    alive[me] = false;
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
       atomic { look(me, 0); look(me, 1); seen[0] = 0; seen[1] = 0; at_work[me] = false }
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
      dead[victim] = true; asleep[victim] = false;
      queued[victim * 2] = false; queued[victim * 2 + 1] = false;
      queued_life[victim * 2] = NONE; queued_life[victim * 2 + 1] = NONE;
      at_work[victim] = true /* the walk is to come */
    }
  :: break
  od
}

#define stuck(t) (asleep[t] && !woken[t] && !late)
#define to_be_had(p) (word[p] == NONE || dead[word[p]])

proctype monitor() {
end_watch:
  atomic {
    !at_work[0] && !at_work[1] && !at_work[2] && !at_work[THREADS - 1] && (to_be_had(0) || to_be_had(1)) &&
    (stuck(1) || stuck(2)) ->
    assert(false)
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
   
    run killer(); run monitor()
  }
}
