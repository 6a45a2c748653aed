/* SPDX-License-Identifier: MIT */
/*
 * The region mutex: one lock word, a member table with life words, sleep on
 * two words, takeover from a dead owner, and the reuse of the dead owner's slot.
 *
 * Threads 0 and 1 are members. Thread 2 is one too (SLOT_OF_2=2), or attaches
 * when slot 0 can be had again (SLOT_OF_2=0: its thread died, or detached), so
 * that it wears thread 0's slot under the next generation - and, the worst case,
 * the same TID. Up to KILLS of them are killed at any step; others exit, or stay
 * and do nothing. The kernel's exit walk is split into read, write and wake.
 *
 * Holds: exclusion; who follows a dead owner is told, and nobody else is; the
 * lock word is written only by someone who is using the lock; nobody is
 * stranded. Sleeps are unbounded here, so that a lost wakeup is a state with no
 * way out. The real bound of 100 ms, after which a sleeper looks again, counts in
 * two cases only (`bound_counts`): a thread that owed a wake was killed; or an
 * owner who had slept for the lock died with it, while others still slept on the
 * life word of the owner before.
 *
 * Broken twins:
 *   NO_GENERATION       ids carry no generation: a reused slot looks like its former owner
 *   NO_RECHECK          the sleep does not compare the lock word any more
 *   NO_LIFE_COMPARE     the sleep does not compare the life word any more
 *   LOCK_LAST           a waiter reads life before the lock word
 *   NO_WAITERS_BIT      a woken waiter takes the lock without the waiters bit
 *   NO_PASS_ON          who is woken by a death does not wake the others
 *   NO_DETACH_WAKE      detaching with the lock held wakes nobody
 *   BLIND_TAKEOVER      takeover is a store, not a compare-exchange
 *   SILENT_LEAVE        a waiter whose time is over leaves without a word
 *   UNBOUNDED           nobody looks again after either
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
                      && waiters == seen_waiters && inconsistent == seen_inconsistent)

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

/* A sleeper gives up; it may have been woken for the lock all the same. */
inline leave(me) {
#ifndef SILENT_LEAVE
  do
  :: atomic {
       owner_slot == NONE -> seen_slot = NONE
     };
     wake_one_lock(w); break
  :: atomic { owner_slot != NONE -> waiters = true }; break
  od;
#endif
  owes_wake[me] = false
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
    atomic {
      if
      :: owner_slot == NONE ->
         owner_slot = slot; owner_generation = my_generation; inconsistent = false;
#ifdef NO_WAITERS_BIT
         waiters = false;
#else
         waiters = slept;
#endif
         entered(me, false);
         owes_wake[me] = false;
         break
      :: else ->
         seen_slot = owner_slot; seen_generation = owner_generation;
         seen_waiters = waiters; seen_inconsistent = inconsistent
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
           waiters = seen_waiters || slept; inconsistent = true;
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
      atomic {
        if
        :: word_is_seen -> waiters = true; seen_waiters = true; owes_wake[me] = false
        :: else -> goto again
        fi
      };
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
      if
      :: true
      :: me == 1 -> leave(me); break /* its time is over */
      fi;
again: skip
    fi
  od
}

inline unlock(me) {
  /* released with waiters: a wake is owed from here to the end of the system call */
  d_step {
    assert(owner_slot == slot && same_generation(owner_generation, my_generation));
    holder = NONE;
    seen_waiters = waiters;
    owes_wake[me] = waiters;
    owner_slot = NONE; waiters = false; inconsistent = false
  };
  if
  :: seen_waiters -> wake_one_lock(w); owes_wake[me] = false
  :: else -> skip
  fi
}

/* Locals that no longer matter are zeroed, so that states which differ in them alone merge. */
inline forget() {
  d_step {
    seen_slot = 0; seen_generation = 0; seen_life = 0; seen_waiters = false;
    seen_inconsistent = false; slept = false; owner_dead = false
  }
}

inline mark_consistent(me) {
  d_step { if :: holder == me -> inconsistent = false :: else -> skip fi }
}

/* Withdraws, with the lock held or not; the slot may then be another's. */
inline detach(me) {
  atomic {
    life[slot] = TOKEN; gone[me] = true; owes_wake[me] = true;
    bound_counts = bound_counts || (holder == me && holder_slept)
  };
#ifndef NO_DETACH_WAKE
  wake_life(slot, w, THREADS);
#endif
  owes_wake[me] = false;
  linked[me] = false;
  generation[slot] = generation[slot] + 1;
  life[slot] = FREE
}

proctype member(byte me; byte slot) {
  byte my_generation, seen_slot, seen_generation, seen_life, w, woken, rounds;
  bool seen_waiters, seen_inconsistent, slept, owner_dead;
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
      :: holder == me && me == 0 -> detach(me); break
      fi
    :: rounds == ROUNDS -> break
    :: me == 0 && rounds > 0 -> detach(me); break
    od;
    if
    :: dead[me] = true /* an exit is a death too */
    :: true -> end_idle: false
    fi
  } unless { dead[me] };

  /* exit_robust_list, for the life word alone */
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
    run member(0, 0); run member(1, 1); run member(2, SLOT_OF_2); run killer()
  }
}
