/* SPDX-License-Identifier: MIT */
/*
 * The region condition variable: a word of a sequence number and a waiters bit. A waiter
 * reads it under the mutex, sets the bit, releases the mutex and sleeps while the
 * word is the same. The mutex is region_mutex.pml: here it is one step that waits until
 * the mutex is free or its owner is dead.
 *
 * Threads 0 and 1 wait for an item and take it; 2 and 3 (3 not with ONE_PRODUCER) put one item
 * each and notify, with the mutex held (INSIDE) or after its release. Up to KILLS are killed at any
 * step. Sleeps are unbounded, but for two cases in which the bound of a sleep counts: a
 * signaller was killed between its item and the end of its notify; or a thread that a
 * notify woke was killed.
 *
 * Holds: no thread sleeps for ever while there is an item and no other thread is at work; and every
 * live consumer then gets an item under every weakly fair schedule (liveness).
 *
 * mutants:
 *   TICKET_LATE   the waiter reads the word after it has released the mutex
 *   NO_COMPARE    the sleep does not compare the word
 *   ONE_CLEARS    notify_one clears the waiters bit even if other waiters sleep
 *   SILENT_CLEAR  a notifier that finds no sleeper clears the bit and does not look again
 *   WAKE_FIRST    notify wakes before it changes the word
 *   NEW_WORD_ONLY after its sleep a waiter sleeps again if there was no notify
 *   UNBOUNDED     no waiter looks again after its sleep in either case
 * mutants that loop for ever, which only the liveness check finds:
 *   STALE_COMPARE a sleep that is refused is tried again with the same word
 *   SPINS_ON_DEAD a waiter that locks the mutex again waits for a dead owner's unlock
 */
#ifndef KILLS
#define KILLS 1
#endif
#define THREADS 4
#define NONE 9

/* must(condition, name): `name` is always 0, and puts the broken property into pan's message. */
#define must(condition, name) assert((condition) || name)
hidden byte nobody_strands = 0;

byte owner = NONE;         /* of the mutex */
byte items = 0;
byte sequence = 0;         /* the word */
bool waiters = false;      /* its low bit */

bool queued[THREADS];      /* in the futex's queue */
bool asleep[THREADS];
bool at_work[THREADS];      /* ghost: has steps of its own to make */
bool dead[THREADS];
bool owes[THREADS];        /* ghost: woken, and has not looked yet; or notify is not done */
byte ticket[THREADS];
bool bound_counts = false;
byte kills = 0;

bool wants[2];             /* ghost: a live consumer without an item */

#ifdef LIVENESS
/* There are few items: each stays in the end, or is taken. */
ltl gets_item { [] <> !(items > 0 && (wants[0] || wants[1])) }
#endif

#ifdef NEW_WORD_ONLY
#define late(t) (bound_counts && sequence != ticket[t])
#else
#ifdef UNBOUNDED
#define late(t) false
#else
#define late(t) bound_counts
#endif
#endif

inline lock(me) {
  atomic { owner == NONE || dead[owner] -> owner = me }
}
inline unlock(me) { owner = NONE }

inline relock(me) {
#ifdef SPINS_ON_DEAD
  do
  :: atomic { owner == NONE -> owner = me; break }
  :: owner != NONE -> skip
  od
#else
  lock(me)
#endif
}

inline wake(most) {
  atomic {
    w = 0; woken = 0;
    do
    :: w < 2 && woken < most && queued[w] ->
       queued[w] = false; owes[w] = true; at_work[w] = true; woken++; w++
    :: w < 2 && woken < most && !queued[w] -> w++
    :: w == 2 || woken == most -> break
    od;
    w = 0
  }
}

inline notify_one(me) {
#ifdef WAKE_FIRST
  wake(1);
#endif
  atomic {
    had_waiters = waiters;
    if
    :: waiters ->
       sequence++;
#ifdef ONE_CLEARS
       waiters = false;
#endif
       seen = sequence
    :: else -> skip
    fi
  };
  if
#ifndef WAKE_FIRST
  :: had_waiters ->
     wake(1);
#ifndef ONE_CLEARS
     if
     :: woken == 0 ->
        /* no sleeper: clear the bit unless the word changed; wake a waiter that came meanwhile */
        atomic {
          if
          :: sequence == seen && waiters ->
             waiters = false;
#ifdef SILENT_CLEAR
             woken = 1
#else
             sequence++; woken = 0
#endif
          :: else -> woken = 1
          fi
        };
        if
        :: woken == 0 -> wake(2)
        :: else -> skip
        fi
     :: else -> skip
     fi;
#endif
#endif
  :: else -> skip
  fi
}

inline notify_all(me) {
  atomic {
    had_waiters = waiters;
    if :: waiters -> sequence++; waiters = false :: else -> skip fi
  };
  if :: had_waiters -> wake(2) :: else -> skip fi
}

proctype consumer(byte me) {
  {
    lock(me);
    do
    :: items > 0 -> break
    :: else ->
#ifdef TICKET_LATE
      unlock(me);
      atomic { waiters = true; ticket[me] = sequence };
#else
      atomic { waiters = true; ticket[me] = sequence };
      unlock(me);
#endif
sleep:
      atomic {
        if
#ifdef NO_COMPARE
        :: true ->
#else
        :: sequence == ticket[me] && waiters ->
#endif
           queued[me] = true; asleep[me] = true; at_work[me] = owes[me]
#ifdef STALE_COMPARE
        :: else -> goto sleep
#else
        :: else -> skip
#endif
        fi
      };
      if
      :: asleep[me] ->
end_asleep:
        atomic { !queued[me] || late(me) -> queued[me] = false; asleep[me] = false; at_work[me] = true }
      :: else -> skip
      fi;
      relock(me)
    od;
    atomic { items--; wants[me] = false; owes[me] = false; ticket[me] = 0 };
    unlock(me);
    at_work[me] = false
  } unless { dead[me] }
}

proctype producer(byte me) {
  byte w, woken, seen;
  bool had_waiters;
  {
    lock(me);
    atomic { items++; owes[me] = true };
#ifndef INSIDE
    unlock(me);
#endif
    if
    :: notify_one(me)
    :: notify_all(me)
    fi;
#ifdef INSIDE
    unlock(me);
#endif
    atomic { owes[me] = false; at_work[me] = false; seen = 0; woken = 0; had_waiters = false }
  } unless { dead[me] }
}

proctype killer() {
  byte victim;
  do
  :: kills < KILLS ->
    atomic {
      kills++;
      select(victim : 0 .. 3);
      bound_counts = bound_counts || owes[victim];
      dead[victim] = true; queued[victim] = false; asleep[victim] = false; at_work[victim] = false;
      if
      :: victim < 2 -> wants[victim] = false
      :: else -> skip
      fi;
      victim = 0
    }
  :: break
  od
}

#define stuck(t) (asleep[t] && queued[t] && !late(t))

proctype monitor() {
end_watch:
  atomic {
    items > 0 && !at_work[0] && !at_work[1] && !at_work[2] && !at_work[3] && (stuck(0) || stuck(1)) ->
    must(false, nobody_strands)
  }
}

init {
  atomic {
    at_work[0] = true; at_work[1] = true; at_work[2] = true;
    wants[0] = true; wants[1] = true;
#ifndef ONE_PRODUCER
    at_work[3] = true;
#endif
    run consumer(0); run consumer(1); run producer(2);
#ifndef ONE_PRODUCER
    run producer(3);
#endif
#ifndef LIVENESS
    run monitor();
#endif
    run killer()
  }
}
