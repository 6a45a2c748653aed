/* SPDX-License-Identifier: MIT */
/*
 * robust_mutex, the kernel's exit walk, and memory that is reused.
 *
 * THREADS threads lock and unlock once, thread 0 ROUNDS times. Up to KILLS of them are killed at any step,
 * in any state. A thread that has the lock when nobody else can still use it may
 * destroy it; its word then holds data, which equals some thread's TID. The exit
 * walk reads a word and writes it in separate steps, entry first, then pending.
 *
 * Protection is what stands between a thread's death and its walk: the guard (or
 * the kernel's own exception table) clears list_op_pending of a thread that died
 * between release and clear. Release and wake are one step when there are waiters:
 * FUTEX_WAKE_OP, or the wake that the kernel does for a thread with NEED_ACTION.
 *
 * Holds: two live threads are never in the critical section together; the kernel
 * never writes memory that is no longer the lock; who follows a dead owner is told,
 * and nobody else is; every live thread gets the lock. A sleeper wakes by itself
 * only after a kill, when nothing else can happen any more, and LOOKS times at most:
 * the bound of 100 ms in the code is for consumed wakes and nothing else.
 *
 * Broken twins:
 *   UNPROTECTED       release and clear apart, nobody between death and walk (glibc)
 *   CLEAR_FIRST       list_op_pending is cleared before the word is released
 *   NO_ANNOUNCE       lock sets list_op_pending only after it has the word
 *   UNLINK_FIRST      unlock leaves the list before it sets list_op_pending
 *   NO_WAKE           unlock wakes nobody
 *   NO_WAITERS_BIT    a woken waiter takes the word without WAITERS
 *   EAGER_GUARD       the guard clears whoever is in unlock, released or not
 *   NO_LOOK           sleeps are unbounded on a kernel that does not replay wakes
 *   SLEEP_ON_FREE     a waiter sleeps on a word that is free but has WAITERS
 * and, not broken:
 *   NO_LOOK REPLAY    unbounded sleeps where the kernel replays the consumed wake
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

/* The lock word: 0 is no TID. Every access is one atomic step. */
byte tid = 0;
bool waiters = false, owner_died = false;
bool destroyed = false;

/* Thread i has TID i + 1. */
bool listed[THREADS], pending[THREADS];
bool in_window[THREADS];    /* released, and not yet cleared */
bool in_unlock[THREADS];    /* unlock began, and has not released */
bool asleep[THREADS];
bool dead[THREADS], gone[THREADS];  /* killed; its walk is over */
bool finished[THREADS];     /* ghost: will not use the lock again */
byte kills = 0;
bool killed = false;         /* somebody was: only then may a bound be needed */
byte looks[THREADS];

byte holder = 0;            /* ghost: the TID in the critical section, or that died there */

inline wake_one() {
  w = 0;
  do
  :: w < THREADS && !asleep[w] -> w++
  :: w < THREADS && asleep[w] -> asleep[w] = false; break
  :: w == THREADS -> break
  od;
  w = 0
}

inline entered(me, told) {
  assert(holder == 0 || dead[holder - 1]);
  assert(told == (holder != 0));
  holder = me + 1
}

inline lock_and_unlock(me, last) {
#ifndef NO_ANNOUNCE
  pending[me] = true;
#endif
  do
  :: atomic {
       if
       :: tid == 0 ->
#ifdef NO_WAITERS_BIT
          waiters = false;
#else
          waiters = waiters || slept;
#endif
          tid = me + 1;
          entered(me, owner_died);
          owner_died = false;
          break
       :: tid != 0 && !waiters -> waiters = true
       :: tid != 0 && waiters -> asleep[me] = true
#ifdef SLEEP_ON_FREE
       :: tid == 0 && waiters -> asleep[me] = true
#endif
       fi
     };
     /* Awake, or awake by itself since nothing else can happen. */
     if
     :: !asleep[me]
     :: atomic { timeout && killed && asleep[me] && looks[me] < LOOKS ->
                 asleep[me] = false; looks[me]++ }
     fi;
     slept = true
  od;
#ifdef NO_ANNOUNCE
  pending[me] = true;
#endif
  listed[me] = true;
  pending[me] = false;

  /* In the critical section. Whoever is the last to use the lock may destroy it. */
  skip;

#ifdef UNLINK_FIRST
  listed[me] = false;
  atomic { pending[me] = true; in_unlock[me] = true };
#else
  atomic { pending[me] = true; in_unlock[me] = true };
  listed[me] = false;
#endif
#ifdef CLEAR_FIRST
  pending[me] = false;
#endif
  atomic {
    in_window[me] = true; in_unlock[me] = false;
    holder = 0; tid = 0; finished[me] = last;
    if
    :: waiters ->
       waiters = false;
#ifndef NO_WAKE
       wake_one()
#endif
    :: else -> skip
    fi
  };
  atomic { pending[me] = false; in_window[me] = false }
}

proctype thread(byte me) {
  byte w = 0;
  bool slept = false;

  {
    /* Thread 0 comes back, so that someone can take what a sleeper was woken for. */
    if
    :: me == 0 && ROUNDS == 2 -> slept = false; lock_and_unlock(me, false)
    :: else
    fi;
    slept = false;
    lock_and_unlock(me, true)
  } unless { dead[me] }
}

/* handle_futex_death() */
inline handle(me, is_pending) {
  atomic {
    if
    :: is_pending && tid == 0 && !destroyed -> wake_one(); mine = false
#ifdef REPLAY
    :: is_pending && tid != 0 && tid != me + 1 && !waiters && !destroyed ->
       wake_one(); mine = false
    :: else -> mine = (tid == me + 1)
#else
    :: else -> mine = (tid == me + 1)
#endif
    fi
  };
  if
  :: mine ->
     atomic {
       if
       :: tid == me + 1 ->
          assert(!destroyed);     /* the kernel writes into what is no longer a lock */
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

/* The death of one thread: its protection, then the walk. */
proctype exit_of(byte me) {
  byte w = 0;
  bool mine = false, was_pending = false;

  dead[me] || (finished[me] && !pending[me]);
  if
  :: !dead[me] -> goto over       /* it ended in peace */
  :: dead[me] -> skip
  fi;
  asleep[me] = false;
#ifndef UNPROTECTED
  atomic {
    if
    :: in_window[me] -> pending[me] = false
#ifdef EAGER_GUARD
    :: in_unlock[me] -> pending[me] = false
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

proctype killer() {
  byte victim = 0;
  do
  :: atomic {
       kills < KILLS ->
       if
       :: !dead[0] && !(finished[0] && !pending[0]) -> dead[0] = true; asleep[0] = false; killed = true
       :: !dead[1] && !(finished[1] && !pending[1]) -> dead[1] = true; asleep[1] = false; killed = true
#if THREADS > 2
       :: !dead[2] && !(finished[2] && !pending[2]) -> dead[2] = true; asleep[2] = false; killed = true
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
    do
    :: i < THREADS -> run thread(i); run exit_of(i); i++
    :: i == THREADS -> break
    od;
    run killer();
    run reuse()
  }
}
