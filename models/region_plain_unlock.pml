/* SPDX-License-Identifier: MIT */
/*
 * The region mutex with an unlock that is a plain store, followed by a load of a separate
 * word that says whether anybody sleeps. What is not about that is as in
 * region_mutex.pml; detaching is left out.
 *
 * An owner that has registered for membarrier(GLOBAL_EXPEDITED), has not slept and finds
 * `waiting` clear takes the lock `plain`, and says so in the word. Its release
 * may stay in its store buffer while it already looks at `waiting`. Who is to sleep on a
 * plain owner sets `waiting` and then has the membarrier flush every store buffer.
 * All other owners release by an exchange, clear `waiting` before it, and wake then.
 *
 * Broken twins:
 *   NO_MEMBARRIER        the waiter sleeps without it
 *   BARRIER_FIRST        the waiter says that it waits after the barrier
 *   LOOK_FIRST           the owner looks at `waiting` before its release
 *   NO_WAITING_COMPARE   the sleep does not compare `waiting`
 *   SILENT_CLEAR         who clears `waiting` does not wake anybody for it
 *   SLEEPER_PLAIN        an owner that has slept takes the lock plain
 *   BIT_IN_PLAIN_WORD    a waiter sets the waiters bit in a plain owner's word instead; with
 *                        NO_WAITING_COMPARE, for nothing is set
 *   UNBOUNDED            nobody looks again after a death that owed a wake
 */
#ifndef KILLS
#define KILLS 1
#endif
#ifndef SLOT_OF_2
#define SLOT_OF_2 0
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#define THREADS 3
#define NONE 9

#define FREE 0
#define ALIVE 1
#define DIED 2
#define TOKEN 3

/* The lock word; every access to it is one atomic step. */
byte owner_slot = NONE, owner_generation = 0;
bool waiters = false, inconsistent = false;
bool plain = false;      /* in the word: this owner releases it by a plain store */
bool waiting = false;    /* beside it */
bool releasing[THREADS]; /* that store is in this thread's store buffer */

byte life[THREADS];
byte generation[THREADS];

bool queued_lock[THREADS]; /* in futex_waitv, on the lock word */
byte queued_life[THREADS]; /* ... on this slot's life word, or NONE */
bool dead[THREADS];
bool bound_counts = false;
bool owes_wake[THREADS]; /* ghost: woken, or released with waiters, and not yet done with it */
byte kills = 0;

bool holder_slept = false;
byte holder = NONE;        /* ghost: who is in the critical section, or died there */
bool gone[THREADS];        /* ghost: the holder abandoned the lock by detaching */
bool walked[THREADS];      /* the kernel is done with this thread: its claims are free */
bool linked[THREADS];      /* the private node is on the thread's robust list */

#ifdef NO_GENERATION
#define same_generation(a, b) true
#else
#define same_generation(a, b) (a == b)
#endif
#define word_is_seen (owner_slot == seen_slot && same_generation(owner_generation, seen_generation) \
                      && waiters == seen_waiters && inconsistent == seen_inconsistent && \
                      plain == seen_plain)

inline flush(t) {
  atomic {
    if
    :: releasing[t] ->
       owner_slot = NONE; waiters = false; inconsistent = false; plain = false;
       releasing[t] = false
    :: else -> skip
    fi
  }
}

proctype store_buffers() {
end_buffers:
  do
  :: atomic { releasing[0] -> flush(0) }
  :: atomic { releasing[1] -> flush(1) }
  :: atomic { releasing[2] -> flush(2) }
  od
}

/* Until every store that was made before it is out. */
#define membarrier() !releasing[0] && !releasing[1] && !releasing[2]

inline wake_one_lock(w) {
  atomic {
    w = 0;
    do
    :: w < THREADS && !queued_lock[w] -> w++
    :: w < THREADS && queued_lock[w] -> queued_lock[w] = false; owes_wake[w] = true; break
    :: w == THREADS -> break
    od;
    w = 0
  }
}

inline wake_life(s, w, most) {
  atomic {
    w = 0; woken = 0;
    do
    :: w < THREADS && woken < most && queued_life[w] == s ->
       queued_life[w] = NONE; owes_wake[w] = true; woken++; w++
    :: w < THREADS && woken < most && queued_life[w] != s -> w++
    :: w == THREADS || woken == most -> break
    od;
    w = 0; woken = 0
  }
}

inline entered(me, died) {
  holder_slept = slept;
  assert(holder == NONE || dead[holder] || gone[holder]);
  assert(died == (holder != NONE));
  holder = me
}

inline lock(me) {
  slept = false;
  do
  ::
#ifdef LOCK_LAST
    atomic {
      if
      :: owner_slot != NONE -> seen_life = life[owner_slot]
      :: else -> seen_life = ALIVE
      fi
    };
#endif
    fresh = !waiting;
    atomic {
      !releasing[me];
      if
      :: owner_slot == NONE ->
         owner_slot = slot; owner_generation = my_generation; inconsistent = false;
#ifdef SLEEPER_PLAIN
         plain = fresh; waiters = slept && !plain;
#else
         plain = fresh && !slept; waiters = slept;
#endif
         entered(me, false);
         owes_wake[me] = false;
         break
      :: else ->
         seen_slot = owner_slot; seen_generation = owner_generation;
         seen_waiters = waiters; seen_inconsistent = inconsistent; seen_plain = plain
      fi
    };
    owner_dead = !same_generation(generation[seen_slot], seen_generation);
#ifndef LOCK_LAST
    seen_life = life[seen_slot];
#endif
    if
    :: owner_dead || seen_life != ALIVE ->
#ifdef BLIND_TAKEOVER
      atomic {
        if
        :: true ->
#else
      atomic {
        if
        :: word_is_seen ->
#endif
           owner_slot = slot; owner_generation = my_generation;
           waiters = seen_waiters || slept; inconsistent = true; plain = false;
           entered(me, true);
           owes_wake[me] = false;
           break
        :: else -> skip
        fi
      }
    :: else ->
      /* generation once more: else an attach in between costs a bounded sleep */
      if
      :: !same_generation(generation[seen_slot], seen_generation) -> goto again
      :: else -> skip
      fi;
#ifdef BIT_IN_PLAIN_WORD
      if
      :: true ->
#else
      if
      :: seen_plain ->
#ifdef BARRIER_FIRST
         membarrier();
         waiting = true;
#else
         waiting = true;
#ifndef NO_MEMBARRIER
         membarrier();
#endif
#endif
         atomic {
           if
           :: word_is_seen -> owes_wake[me] = false
           :: else -> goto again
           fi
         }
      :: !seen_plain ->
#endif
         atomic {
           if
           :: word_is_seen -> waiters = true; seen_waiters = true; owes_wake[me] = false
           :: else -> goto again
           fi
         }
      fi;
      if
      :: slept && me == 1 -> break /* its time is over */
      :: true
      fi;
      /* futex_waitv: queue on each word in turn if its value is as expected */
      atomic {
        if
#ifdef NO_RECHECK
        :: true -> queued_lock[me] = true
#else
        :: word_is_seen -> queued_lock[me] = true
        :: else -> goto again
#endif
        fi
      };
#ifndef NO_WAITING_COMPARE
      atomic {
        if
        :: seen_plain && !waiting -> queued_lock[me] = false
        :: else -> skip
        fi
      };
#endif
      atomic {
        if
#ifdef NO_LIFE_COMPARE
        :: true -> queued_life[me] = seen_slot
#else
        :: life[seen_slot] == seen_life -> queued_life[me] = seen_slot
        :: else -> skip
#endif
        fi
      };
      slept = true;
      atomic {
        if
        :: !queued_lock[me] || queued_life[me] == NONE
#ifndef UNBOUNDED
        :: bound_counts
#endif
        fi;
        queued_lock[me] = false; queued_life[me] = NONE
      };
#ifndef NO_PASS_ON
      /* The kernel woke one: all who sleep on this life word must look for the next owner's. */
      if
      :: life[seen_slot] != seen_life -> wake_life(seen_slot, w, THREADS)
      :: else -> skip
      fi;
#endif
again: skip
    fi
  od
}

inline unlock(me) {
  assert(owner_slot == slot && same_generation(owner_generation, my_generation));
  if
  :: plain && !waiters && !inconsistent ->
#ifdef LOOK_FIRST
     seen_waiters = waiting;
#endif
     atomic { holder = NONE; releasing[me] = true; owes_wake[me] = true };
#ifndef LOOK_FIRST
     seen_waiters = waiting;
#endif
     if
     /* the system call is a barrier of its own */
     :: seen_waiters -> !releasing[me]; wake_one_lock(w)
     :: else -> skip
     fi;
     owes_wake[me] = false
  :: else ->
     seen_life = waiting; /* no life: whether it was set */
     if
     :: atomic { seen_life -> waiting = false; owes_wake[me] = true }
     :: else -> skip
     fi;
#ifdef SILENT_CLEAR
     seen_life = 0;
#endif
     /* released with waiters: a wake is owed from here to the end of the system call */
     d_step {
       holder = NONE;
       seen_waiters = waiters || seen_life;
       owes_wake[me] = seen_waiters;
       owner_slot = NONE; waiters = false; inconsistent = false; plain = false
     };
     if
     :: seen_waiters -> wake_one_lock(w)
     :: else -> skip
     fi;
     owes_wake[me] = false
  fi
}

/* Locals that no longer matter are zeroed, so that states which differ in them alone merge. */
inline forget() {
  d_step {
    seen_slot = 0; seen_generation = 0; seen_life = 0; seen_waiters = false;
    seen_inconsistent = false; seen_plain = false; slept = false; owner_dead = false; fresh = false
  }
}

inline mark_consistent(me) {
  d_step { if :: holder == me -> inconsistent = false :: else -> skip fi }
}

proctype member(byte me; byte slot) {
  byte my_generation, seen_slot, seen_generation, seen_life, w, woken, rounds;
  bool seen_waiters, seen_inconsistent, seen_plain, slept, owner_dead, fresh;
  {
    if
    :: slot == me -> skip
    :: else ->
      /* The slot's claim protocol is region_slot.pml's business. */
end_attach: life[slot] == DIED || life[slot] == FREE || (life[slot] == TOKEN && walked[0]);
      seen_life = life[slot];
      life[slot] = TOKEN;
      if
      :: seen_life != FREE -> generation[slot] = generation[slot] + 1
      :: else -> skip
      fi;
      my_generation = generation[slot];
      linked[me] = true;
      life[slot] = ALIVE
    fi;
    do
    :: rounds < ROUNDS ->
      rounds++;
      lock(me);
      forget();
      if
      :: holder != me -> skip
      :: holder == me -> mark_consistent(me); unlock(me); forget()
      fi
    :: rounds == ROUNDS -> break
    od;
    if
    :: dead[me] = true /* an exit is a death too */
    :: true -> end_idle: false
    fi
  } unless { dead[me] };

  /* exit_robust_list, for the life word alone; what the thread stored is out by then */
  flush(me);
  if
  :: linked[me] && life[slot] == ALIVE ->
    life[slot] = DIED;
    wake_life(slot, w, 1)
  :: else -> skip
  fi;
  walked[me] = true
}

proctype killer() {
  byte victim;
  do
  :: kills < KILLS ->
    atomic {
      kills++;
      select(victim : 0 .. 2);
      if
      :: owes_wake[victim] || (holder == victim && holder_slept) -> bound_counts = true
      :: else -> skip
      fi;
      dead[victim] = true;
      queued_lock[victim] = false; queued_life[victim] = NONE
    }
  :: break
  od
}

init {
  atomic {
    life[0] = ALIVE; life[1] = ALIVE;
    life[2] = ALIVE;
    linked[0] = true; linked[1] = true; linked[2] = (SLOT_OF_2 == 2);
    queued_life[0] = NONE; queued_life[1] = NONE; queued_life[2] = NONE;
    run member(0, 0); run member(1, 1); run member(2, SLOT_OF_2); run store_buffers(); run killer()
  }
}
