/* SPDX-License-Identifier: MIT */
/*
 * Mainline's unlock (Linux 7.2), signal handlers, and death: the engine vdso_mainline, and with
 * SYSCALL the engine syscall. need_action.pml has the March 2026 proposal's.
 *
 * One thread (TID 1) unlocks a word that may have a waiter (TID 2). Without WAITERS
 * __vdso_futex_robust_list64_try_unlock does it: a compare-exchange, and if that succeeded a
 * store that clears list_op_pending. With WAITERS, or always (SYSCALL), the system call
 * FUTEX_WAKE | FUTEX_ROBUST_UNLOCK does it: the kernel releases, clears and wakes. Other threads
 * see these as three steps, but the thread neither dies nor takes a signal between them. Between
 * any two of its instructions one signal may be delivered, whose handler does not lock; both
 * threads may be killed anywhere. The waiter, once it is awake, takes the lock, releases it
 * and destroys it: its memory then holds data that equals TID 1.
 *
 * The kernel sees registers: whether the instruction pointer is in the range from just after
 * the compare-exchange to just after the store, and the zero flag.
 *
 * Holds: the kernel never writes memory that is no longer the lock; a waiter that
 * sleeps is woken; a lock whose owner died while it held it is marked.
 *
 * mutants:
 *   NO_RANGE          the kernel knows no range
 *   NO_DELIVERY       list_op_pending stays as it is when a handler is entered in the range
 *   IGNORES_ZF        in the range the kernel clears list_op_pending, released or not
 *   USER_CLEARS       the system call releases and wakes; the caller clears after it
 *   KILLED_HALFWAY    a kill ends the system call between its steps
 *   HANDLER_LOCKS     a handler takes a robust lock of its own: a limit that is documented
 */
/* list_op_pending */
#define NONE 0
#define LOCK 1          /* this lock's entry */
#define OTHERS 2        /* the entry of the handler's own lock */

/* must(condition, name): `name` is always 0, and puts the broken property into pan's message. */
#define must(condition, name) assert((condition) || name)
hidden byte only_locks_are_marked = 0;

byte tid = 1;
bool waiters = false, owner_died = false, destroyed = false;
byte pending = LOCK;     /* set before the lock left the thread's list */

/* The registers that the kernel may look at. */
bool in_range = false;
bool zero_flag = false;

bool in_kernel = false, returned = false;
bool dead[3], walked = false;
bool handled = false;       /* the one signal was delivered */
bool waiting = false;       /* there is a waiter at all */
bool asleep = false, waiter_done = false;

/* The kernel's side of signal delivery, before the frame is set up. */
inline repair() {
  if
#ifdef IGNORES_ZF
  :: in_range -> pending = NONE
#else
  :: in_range && zero_flag -> pending = NONE
#endif
  :: else -> skip
  fi
}

/* Between two instructions: nothing, or one signal and its handler. */
inline interruptible() {
  if
  :: true -> skip
  :: atomic {
       !handled -> handled = true;
#if !defined(NO_DELIVERY) && !defined(NO_RANGE)
       repair();
#endif
       was_in_range = in_range;
       in_range = false
     };
     if
     :: true -> skip
#ifdef HANDLER_LOCKS
     :: true -> pending = OTHERS; pending = NONE
#endif
     fi;
     atomic { in_range = was_in_range; was_in_range = false }
  fi
}

#ifdef KILLED_HALFWAY
#define ends_here dead[1]
#else
#define ends_here (dead[1] && !in_kernel)
#endif

proctype unlocker() {
  bool was_in_range = false;
  {
    interruptible();
#ifndef SYSCALL
    atomic {
      zero_flag = (tid == 1 && !waiters);
      if
      :: zero_flag -> tid = 0
      :: else -> skip
      fi;
      in_range = true
    };
    interruptible();
    if
    :: atomic { !zero_flag -> in_range = false }
    :: atomic { zero_flag -> pending = NONE; in_range = false }; goto done
    fi;
    interruptible();
#endif
    atomic { in_kernel = true; tid = 0; waiters = false };
#ifndef USER_CLEARS
    pending = NONE;
#endif
    asleep = false;
    in_kernel = false;
#ifdef USER_CLEARS
    interruptible();
    pending = NONE;
#endif
    interruptible();
done:
    returned = true
  } unless { ends_here }
}

/* The exit of the unlocking thread: the kernel looks at the registers first, then at memory. */
proctype exit_walk() {
  bool mine = false;
  returned || ends_here;
  if
  :: returned -> goto over
  :: else -> skip
  fi;
#ifndef NO_RANGE
  repair();
#endif
  if
  :: pending == LOCK ->
     atomic {
       if
       :: tid == 0 && !destroyed -> asleep = false
       :: else -> mine = (tid == 1)
       fi
     }
  :: else -> skip
  fi;
  if
  :: mine ->
     atomic {
       must(!destroyed, only_locks_are_marked); /* the memory is no longer a lock */
       tid = 0; owner_died = true; asleep = false
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
  } unless { dead[2] && !waiter_done };
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
  :: !dead[1] && !returned -> dead[1] = true
  :: atomic { !dead[2] && !waiter_done -> dead[2] = true; asleep = false }
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
