/* SPDX-License-Identifier: MIT */
/*
 * robust_mutex, the kernel's exit walk, and memory that is reused.
 *
 * THREADS threads lock and unlock once, thread 0 ROUNDS times. Up to KILLS of them
 * are killed at any step, in any state. When the lock is free and no thread can still use it,
 * it may be destroyed; its word then holds data, which equals some thread's TID. The
 * exit walk reads a word and writes it in separate steps: first for the list entry, then for the
 * pending one.
 *
 * Protection is what stands between a thread's death and its walk: the guard (or
 * the kernel's own exception table) clears list_op_pending of a thread that died
 * between release and clear. Release and wake are one step when there are waiters:
 * FUTEX_WAKE_OP, or the wake that the kernel does for a thread with NEED_ACTION. Parameters:
 *   OWED_WAKE         release and wake are two steps (where a sandbox refuses FUTEX_WAKE_OP).
 *                     Between them the guard leaves the wake to the walk, unless the word holds
 *                     the TID. The guard reads the word before the walk does: this fails, a limit
 *                     that docs/guard.md states
 *   OWED_WAKE AT_ONCE the guard's look and the walk's are one step
 *   UNREPAIRED        thread 0 begins as the owner that was told of a death; an owner that was
 *                     told may unlock without mark_consistent. The mutex is then not recoverable:
 *                     each next owner releases it at once and wakes the next waiter
 *   GIVES_UP          thread 1 may give up
 *   NO_LOOK REPLAY    unbounded sleeps where the kernel replays the consumed wake
 *
 * Holds: two live threads are never in the critical section together; the kernel
 * never writes memory that is no longer the lock; the next owner after a dead one is told, and no
 * other owner is; every live thread gets the lock, or gives up, under every weakly fair
 * schedule (liveness). A sleeper wakes by itself only after a kill. In the safety check it does so
 * only when no other step is possible, and at most LOOKS times, because the bound of 100 ms in the
 * code is only for wakes that a killed waiter had consumed.
 *
 * mutants:
 *   UNPROTECTED       no guard; release, wake and clear are separate steps (glibc)
 *   CLEAR_FIRST       list_op_pending is cleared before the word is released
 *   NO_ANNOUNCE       lock sets list_op_pending only after it has the word
 *   UNLINK_FIRST      unlock leaves the list before it sets list_op_pending
 *   NO_WAKE           unlock wakes no waiter
 *   NO_WAITERS_BIT    a woken waiter takes the word without WAITERS
 *   EAGER_GUARD       the guard clears for every thread in unlock, even before the release
 *   CLEARS_OWED       (OWED_WAKE) the guard clears although a wake is owed
 *   NO_LOOK           sleeps are unbounded on a kernel that does not replay wakes
 *   SLEEP_ON_FREE     a waiter sleeps on a word that is free but has WAITERS
 *   SILENT_LEAVE      (GIVES_UP) a waiter gives up before it has set WAITERS again
 *   NOT_PASSED_ON     a waiter that is told not_recoverable wakes no other waiter (glibc, musl)
 * mutants that loop for ever, which only the liveness check finds:
 *   SPINS_ON_DEAD     a word with OWNER_DIED is looked at again, and not taken
 *   STALE_COMPARE     after a compare-exchange that failed, tries again with the same value
 */
#ifndef THREADS
#define THREADS 3
#endif
#ifndef KILLS
#define KILLS 2
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#ifdef NO_LOOK
#define LOOKS 0
#else
#define LOOKS 2
#endif

/* must(condition, name): `name` is always 0, and puts the broken property into pan's message. */
#define must(condition, name) assert((condition) || name)
hidden byte exclusion = 0;
hidden byte told_of_death = 0;
hidden byte only_locks_are_marked = 0;

/* The lock word: 0 is no TID. Every access is one atomic step. */
byte tid = 0;
bool waiters = false, owner_died = false;
bool destroyed = false;

/* Thread i has TID i + 1. */
bool listed[THREADS], pending[THREADS];
byte place[THREADS];        /* how far the thread is in unlock */
#define BEFORE_RELEASE 1
#define WAKE_OWED 2
#define RELEASED 3          /* and not yet cleared */
bool asleep[THREADS];
bool dead[THREADS], gone[THREADS];  /* killed; its walk is over */
bool finished[THREADS];     /* ghost: will not use the lock again */
byte kills = 0;
bool killed = false;         /* a thread was killed: only then may a sleeper need the bound */
byte looks[THREADS];

bool not_recoverable = false;  /* in the mutex, beside the word */
bool wants[THREADS];        /* ghost: in lock */
byte holder = 0;            /* ghost: the TID in the critical section, or that died there */

#ifdef LIVENESS
#if THREADS == 2
#define nobody_waits (!wants[0] && !wants[1])
#else
#define nobody_waits (!wants[0] && !wants[1] && !wants[2])
#endif
/* The rounds are finite: every thread that acquires the lock finishes in the end. */
ltl gets_in { [] <> nobody_waits }
#endif

inline wake_one() {
  w = 0;
  do
  :: w < THREADS && !asleep[w] -> w++
  :: w < THREADS && asleep[w] -> asleep[w] = false; break
  :: w == THREADS -> break
  od;
  w = 0
}

inline entered(me, owner_had_died) {
  must(holder == 0 || dead[holder - 1], exclusion);
  must(owner_had_died == (holder != 0), told_of_death);
#ifdef UNREPAIRED
  told = owner_had_died;
#endif
  slept = false;
  wants[me] = false;
  holder = me + 1
}

/* A deadline has passed: nothing is pending, and the lock is not used any more. */
inline give_up(me, last) {
  atomic { pending[me] = false; wants[me] = false; finished[me] = last; slept = false };
  goto out
}

inline lock(me, last) {
  wants[me] = true;
#ifndef NO_ANNOUNCE
  pending[me] = true;
#endif
  do
  :: atomic {
       if
#ifdef SPINS_ON_DEAD
       :: tid == 0 && owner_died -> skip
       :: tid == 0 && !owner_died ->
#else
       :: tid == 0 ->
#endif
#ifdef NO_WAITERS_BIT
          waiters = false;
#else
          waiters = waiters || slept;
#endif
          tid = me + 1;
          entered(me, owner_died);
          owner_died = false;
          break
#ifndef STALE_COMPARE
       :: tid != 0 && !waiters -> waiters = true
#else
       :: tid != 0 && !waiters -> seen = tid
#endif
       :: tid != 0 && waiters -> asleep[me] = true
#ifdef SLEEP_ON_FREE
       :: tid == 0 && waiters -> asleep[me] = true
#endif
#ifdef GIVES_UP
#ifdef SILENT_LEAVE
       :: tid != 0 && me == 1 -> give_up(me, last)
#else
       :: tid != 0 && waiters && me == 1 -> give_up(me, last)
#endif
#endif
       fi
     };
#ifdef STALE_COMPARE
     do
     :: seen == 0 -> break
     :: atomic { seen != 0 && tid == seen && !waiters -> waiters = true; seen = 0; break }
     :: seen != 0 && (tid != seen || waiters) -> skip
     od;
#endif
     /* Woken, or awake by itself since no other step is possible. */
     if
     :: !asleep[me]
#ifdef LIVENESS
     :: atomic { LOOKS > 0 && killed && asleep[me] -> asleep[me] = false }
#else
     :: atomic { timeout && killed && asleep[me] && looks[me] < LOOKS ->
                 asleep[me] = false; looks[me]++ }
#endif
     fi;
     slept = true
  od;
#ifdef NO_ANNOUNCE
  pending[me] = true;
#endif
  listed[me] = true;
  pending[me] = false
}

inline unlock(me, last) {
#ifdef UNLINK_FIRST
  listed[me] = false;
  atomic { pending[me] = true; place[me] = BEFORE_RELEASE };
#else
  atomic { pending[me] = true; place[me] = BEFORE_RELEASE };
  listed[me] = false;
#endif
#ifdef CLEAR_FIRST
  pending[me] = false;
#endif
#if defined(OWED_WAKE) || defined(UNPROTECTED)
  atomic {
    place[me] = (waiters -> WAKE_OWED : RELEASED);
    holder = 0; tid = 0; waiters = false; finished[me] = last
  };
  if
  :: atomic { place[me] == WAKE_OWED -> wake_one(); place[me] = RELEASED }
  :: else -> skip
  fi;
#else
  atomic {
    place[me] = RELEASED;
    holder = 0; tid = 0; finished[me] = last;
    if
    :: waiters ->
       waiters = false;
#ifndef NO_WAKE
#ifdef NOT_PASSED_ON
       if
       :: passing_on -> skip
       :: else -> wake_one()
       fi
#else
       wake_one()
#endif
#endif
    :: else -> skip
    fi
  };
#endif
  atomic { pending[me] = false; place[me] = 0; passing_on = false; told = false }
}

inline lock_and_unlock(me, last) {
  if
  :: tid == me + 1 -> told = true /* from the beginning, UNREPAIRED */
  :: else -> lock(me, last)
  fi;
  /* The thread is in the critical section, or the mutex is not recoverable: then it releases. */
  passing_on = not_recoverable;
  if
  :: true
#ifdef UNREPAIRED
  :: told -> not_recoverable = true
#endif
  fi;
  unlock(me, last);
out: skip
}

/* Locals that no longer matter are zeroed, so that states which differ in them alone merge. */
inline forget() {
  w = 0; seen = 0; rounds = 0; slept = false; told = false; passing_on = false
}

proctype thread(byte me) {
  byte w = 0, seen = 0, rounds = (me == 0 -> ROUNDS : 1);
  bool slept = false, told = false, passing_on = false;
  {
    /* Thread 0 locks again, so that it can take the word for which a sleeper was woken. */
    do
    :: rounds > 0 -> rounds--; lock_and_unlock(me, rounds == 0)
    :: rounds == 0 -> break
    od
  } unless { atomic { dead[me] -> forget() } }
}

#ifdef AT_ONCE
#define guard_sees_it(is_pending) (is_pending && place[me] == WAKE_OWED)
#else
#define guard_sees_it(is_pending) false
#endif

/* handle_futex_death() */
inline handle(me, is_pending) {
  atomic {
    if
    :: is_pending && tid == 0 && !destroyed -> wake_one(); mine = false
#ifdef REPLAY
    :: is_pending && tid != 0 && tid != me + 1 && !waiters && !destroyed ->
       wake_one(); mine = false
#endif
    :: else -> mine = (tid == me + 1 && !guard_sees_it(is_pending))
    fi
  };
  if
  :: mine ->
     atomic {
       if
       :: tid == me + 1 ->
          must(!destroyed, only_locks_are_marked); /* the kernel writes into memory that is no longer a lock */
          tid = 0; owner_died = true;
          if
          :: waiters -> wake_one()
          :: else -> skip
          fi
       :: else -> skip
       fi
     }
  :: else -> skip
  fi;
  mine = false
}

/* The death of one thread: the guard's repair, then the kernel's walk. */
proctype exit_of(byte me) {
  byte w = 0;
  bool mine = false, was_pending = false;

  dead[me] || (finished[me] && !pending[me]);
  if
  :: !dead[me] -> goto over       /* it ended without being killed */
  :: dead[me] -> skip
  fi;
  asleep[me] = false;
#ifndef UNPROTECTED
  atomic {
    if
    :: place[me] == RELEASED -> pending[me] = false
#ifdef CLEARS_OWED
    :: place[me] == WAKE_OWED -> pending[me] = false
#else
    :: place[me] == WAKE_OWED && tid == me + 1 -> pending[me] = false
#endif
#ifdef EAGER_GUARD
    :: place[me] == BEFORE_RELEASE -> pending[me] = false
#endif
    :: else -> skip
    fi
  };
#endif
  was_pending = pending[me];
  if
  :: listed[me] && !was_pending -> handle(me, false)
  :: else -> skip
  fi;
  if
  :: was_pending -> handle(me, true)
  :: else -> skip
  fi;
over:
  gone[me] = true
}

inline kill(victim) {
  dead[victim] = true; asleep[victim] = false; wants[victim] = false; killed = true
}

proctype killer() {
  do
  :: atomic {
       kills < KILLS ->
       if
       :: !dead[0] && !(finished[0] && !pending[0]) -> kill(0)
       :: !dead[1] && !(finished[1] && !pending[1]) -> kill(1)
#if THREADS > 2
       :: !dead[2] && !(finished[2] && !pending[2]) -> kill(2)
#endif
       :: skip
       fi;
       kills++
     }
  :: kills == KILLS -> break
  od
}

#if THREADS > 2
#define NOBODY_USES_IT \
  (finished[0] || gone[0]) && (finished[1] || gone[1]) && (finished[2] || gone[2])
#else
#define NOBODY_USES_IT (finished[0] || gone[0]) && (finished[1] || gone[1])
#endif

/* The last user, once the lock is free and everyone else has released it or is
 * known to be gone, destroys it; its memory becomes data that equals a TID. */
proctype reuse() {
end_not_reused:
  atomic {
    tid == 0 && NOBODY_USES_IT ->
    destroyed = true; waiters = false;
    if
    :: tid = 1
    :: tid = 2
#if THREADS > 2
    :: tid = 3
#endif
    fi
  }
}

init {
  byte i = 0;
  atomic {
#ifdef UNREPAIRED
    tid = 1; holder = 1; listed[0] = true;
#endif
    do
    :: i < THREADS -> run thread(i); run exit_of(i); i++
    :: i == THREADS -> break
    od;
    run killer();
    run reuse()
  }
}
