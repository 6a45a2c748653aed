/* SPDX-License-Identifier: MIT */
/*
 * __vdso_robust_futex_unlock, the caller's sequence, signal handlers, and death.
 *
 * One thread (TID 1) unlocks a word that may have a waiter (TID 2). Between any two of its
 * instructions one signal may be delivered, whose handler may wake some other
 * futex; both threads may be killed between any two instructions, the handler's too. The
 * waiter, once it is awake, takes the lock, releases it and destroys it: its memory
 * then holds data that equals TID 1. If the waiter dies, another process does the same.
 * mainline_unlock.pml has the functions of Linux 7.2.
 *
 * The kernel sees registers: whether the instruction pointer is in the range from
 * just after the exchange to just after the store, and the exchanged value in eax.
 *
 * Holds: the kernel never writes memory that is no longer the lock; a waiter that
 * sleeps is woken; a lock whose owner died while it held it is marked.
 *
 * mutants:
 *   NO_RANGE          the kernel knows no range (glibc's unlock, on every kernel)
 *   NO_DELIVERY       the state stays in the registers when a handler is entered
 *   WAKE_CLEARS_ANY   futex_wake clears list_op_pending whatever word it wakes
 *   CLEAR_THEN_WAKE   the caller clears before it wakes
 *   MARK_NEEDS_ACTION with NEED_ACTION set the kernel still writes the word
 * A handler that takes a robust lock of its own overwrites the thread's only list_op_pending:
 *   HANDLER_LOCKS     fails: a documented limit
 *   EARLY_HANDLER_LOCKS  holds: such a handler ran between load and exchange, and
 *                     the thread dies after the store. The store writes the value that was loaded
 *                     before the exchange, with bit 1, which restores the slot
 *   EARLY_HANDLER_LOCKS OR_INTO_MEMORY  fails: bit 1 is or-ed into what the slot holds
 */

/* must(condition, name): `name` is always 0, and puts the broken property into pan's message. */
#define must(condition, name) assert((condition) || name)
hidden byte only_locks_are_marked = 0;

/* list_op_pending: an entry and bit 1. */
#define NONE 0
#define LOCK 1          /* this lock's entry */
#define BARE 2          /* NEED_ACTION on no entry */
#define LOCK_ACTION 3
#define OTHERS 4        /* the entry of the handler's own lock */

byte tid = 1;
bool waiters = false, owner_died = false, destroyed = false;
byte pending = LOCK;     /* set before the lock left the thread's list */

/* The registers that the kernel may look at. */
bool in_range = false;
bool eax_waiters = false;

bool released = false, stored = false;
bool dead = false, waiter_dead = false, walked = false, returned = false;
bool handled = false;       /* the one signal was delivered */
bool waiting = false;       /* there is a waiter at all */
bool asleep = false, waiter_done = false;

inline wake() {
  asleep = false
}

/* The kernel's side of signal delivery, before the frame is set up. */
inline deliver() {
#if !defined(NO_DELIVERY) && !defined(NO_RANGE)
  if
  :: in_range && eax_waiters -> pending = saved | 2
  :: in_range && !eax_waiters -> pending = NONE
  :: else -> skip
  fi;
#endif
  was_in_range = in_range;
  in_range = false
}

/* Between two instructions: nothing, or one signal and its handler. */
inline interruptible() {
  if
  :: true -> skip
  :: atomic { !handled -> handled = true; deliver() };
     if
     :: true -> skip
     :: true ->
        /* A wake of another futex, which has no waiter. */
#ifdef WAKE_CLEARS_ANY
        pending = NONE
#else
        skip
#endif
#ifdef HANDLER_LOCKS
     :: true -> pending = OTHERS; pending = NONE
#endif
#ifdef EARLY_HANDLER_LOCKS
     :: saved == LOCK && !released -> pending = OTHERS; pending = NONE
#endif
     fi;
     atomic { in_range = was_in_range; was_in_range = false }
  fi
}

proctype unlocker() {
  byte saved = NONE;
  bool was_in_range = false;
  {
    interruptible();
    saved = pending;
    interruptible();
    atomic {
      eax_waiters = waiters; tid = 0; waiters = false;
      in_range = true; released = true
    };
    interruptible();
    atomic {
      if
#ifdef OR_INTO_MEMORY
      :: eax_waiters -> pending = pending | 2
#else
      :: eax_waiters -> pending = saved | 2
#endif
      :: else -> pending = NONE
      fi;
      in_range = false; stored = true
    };
    interruptible();
#ifdef CLEAR_THEN_WAKE
    pending = NONE;
    interruptible();
#endif
    if
    :: eax_waiters ->
       atomic {
         wake();
         if
         :: pending == LOCK_ACTION -> pending = NONE
         :: else -> skip
         fi
       };
       interruptible()
    :: else -> skip
    fi;
    pending = NONE;
    returned = true
  } unless { dead }
}

/* The exit of the unlocking thread: the kernel looks at the registers first, then at memory. */
proctype exit_walk() {
  bool mine = false;
  returned || dead;
  if
  :: !dead -> goto over
  :: else -> skip
  fi;
#ifndef NO_RANGE
  if
  :: in_range ->
     if
     :: eax_waiters -> wake()
     :: else -> skip
     fi;
     goto over
  :: else -> skip
  fi;
#endif
  if
  :: pending == LOCK_ACTION ->
     wake();
#ifdef MARK_NEEDS_ACTION
     mine = (tid == 1)
#endif
  :: pending == LOCK ->
     atomic {
       if
       :: tid == 0 && !destroyed -> wake()
       :: else -> mine = (tid == 1)
       fi
     }
  :: else -> skip   /* no entry, a bare bit, or the handler's own lock: nothing to do here */
  fi;
  if
  :: mine ->
     atomic {
       must(!destroyed, only_locks_are_marked); /* the memory is no longer a lock */
       tid = 0; owner_died = true; wake()
     }
  :: else -> skip
  fi;
over:
  walked = true
}

proctype waiter() {
  {
    do
    :: !waiting -> break
    :: atomic { waiting && tid == 0 -> tid = 2 }; break
    :: atomic { waiting && tid != 0 -> waiters = true; asleep = true };
       !asleep
    od;
    atomic { tid = (tid == 2 -> 0 : tid); waiter_done = true }
  } unless { waiter_dead && !waiter_done };
  /* The waiter's exit walk: the lock is on its list, or pending. */
  atomic {
    if
    :: !waiter_done && tid == 2 -> tid = 0; owner_died = true
    :: else -> skip
    fi;
    waiter_done = true
  }
}

proctype killer() {
  do
#ifdef EARLY_HANDLER_LOCKS
  :: stored && !dead && !returned -> dead = true
#else
  :: !dead && !returned -> dead = true
#endif
  :: atomic { !waiter_dead && !waiter_done -> waiter_dead = true; asleep = false }
  :: break
  od
}

/* The last user destroys the lock when it is free. A lock whose owner died and that
 * the kernel did not mark stays locked: then the waiter, or this process, blocks. */
proctype reuse() {
  atomic {
    tid == 0 && waiter_done -> destroyed = true; tid = 1; waiters = false
  }
}

init {
  atomic {
    if
    :: waiting = true
    :: waiting = false
    fi;
    run unlocker(); run exit_walk(); run waiter(); run killer(); run reuse()
  }
}
