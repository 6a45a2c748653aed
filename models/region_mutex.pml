/* SPDX-License-Identifier: MIT */
/*
 * The region mutex: one lock word, a member table with liveness words, sleep on two words,
 * takeover from a dead owner, and the reuse of the dead owner's slot. The steps are
 * those of src/region/mutex.cpp and waiting.cpp. Without PLAIN the model also stands for a
 * shared_mutex's writer word, and for a mutex whose owner has not registered for membarrier.
 *
 * Threads 0 and 1 are members, thread 0 locks ROUNDS times, the others once. Thread 2 (if
 * THREADS is 3) is a member too (SLOT_OF_2=2), or attaches when slot 0 is free again
 * (SLOT_OF_2=0: its thread died, or detached), so that it has thread 0's slot with the
 * next generation; thread 2 need not lock. Thread 1 may give up. Up to KILLS threads are
 * killed at any step; the others exit, or stay and do nothing. The kernel's exit walk is split
 * into read, write and wake. Parameters:
 *   PLAIN         an owner that has registered for membarrier(GLOBAL_EXPEDITED), has not slept
 *                 and finds `waiting` clear takes the lock `plain`, and says so in the word. Its
 *                 release may stay in its store buffer while it already looks at `waiting`. A
 *                 waiter that is about to sleep under a plain owner sets `waiting` and then makes
 *                 the membarrier flush every store buffer. All other owners clear `waiting`,
 *                 release by an exchange, and then wake
 *   MIXED         (PLAIN) such an owner may also take the lock not plain: its process has not
 *                 registered, or a waiter has made the membarrier lately (`plain_after`)
 *   DETACHES      thread 0 may detach, with the lock held or after it
 *   SAME_TID      thread 2 has thread 0's TID there, of another PID namespace
 *   UNMARKED      a killed thread may stay unmarked: its memory was reaped before the walk, or
 *                 another thread than the leader called execve. A waiter that has slept for the
 *                 whole bound asks whether the membership lock of the owner's process is still
 *                 held. Each thread is a process of its own here; the kernel releases the lock
 *                 after the walk
 *   UNREPAIRED    thread 0 begins as the owner that was told owner_died; an owner that was told
 *                 may unlock without mark_consistent
 *   RESERVES      a waiter that has slept may be a long waiter from any moment on. It asks, in the
 *                 word or (of a plain owner) in `waiting`, for a release that reserves the lock:
 *                 the word is then free but has the waiters bit, and the owner wakes a long
 *                 waiter. Other threads stand back: they sleep for a while before they take a
 *                 reserved lock. Without PUNCTUAL, that while may end at any moment
 *   PUNCTUAL      a thread stands back until no long waiter lives, and then takes the lock at once.
 *                 Then, while a long waiter sleeps, at most MOST_OVERTAKES threads that are not
 *                 long waiters take the lock: none, or one where owners may be plain
 *
 * Holds: mutual exclusion; the next owner after a dead one is told owner_died, and no other owner
 * is; only a thread that is using the lock writes the lock word; no waiter is stranded. Every live
 * waiter acquires the lock, or gives up, or is told not_recoverable, under every weakly fair
 * schedule (liveness). Sleeps are unbounded here, so that a lost wakeup is a deadlock. The real
 * bound of a sleep, after which a sleeper looks again, counts in these cases only
 * (`bound_counts`): a thread that owed a wake was killed; an owner that had slept before it took
 * the free lock died with it, while others still slept on the liveness word of the previous
 * owner; a death was not marked; a dead owner's slot went to a thread with the same
 * TID between a waiter's look and its sleep, so that the liveness word has its old value.
 *
 * mutants:
 *   NO_GENERATION       ids carry no generation: a reused slot looks like its former owner
 *   NO_SECOND_LOOK      the generation is not looked at again after the liveness word
 *   NO_RECHECK          the sleep does not compare the lock word any more
 *   NO_LIFE_COMPARE     the sleep does not compare the liveness word any more
 *   LOCK_LAST           a waiter reads the liveness word before the lock word
 *   NO_WAITERS_BIT      a woken waiter takes the lock without the waiters bit
 *   NO_PASS_ON          a waiter that is woken by a death does not wake the other waiters
 *   NO_DETACH_WAKE      detaching with the lock held wakes no waiter
 *   BLIND_TAKEOVER      takeover is a store, not a compare-exchange
 *   SILENT_LEAVE        a waiter whose deadline has passed leaves before it has set the waiters bit
 *   WAKES_ONE           an unlock that makes the lock not recoverable wakes only one waiter
 *   UNBOUNDED           no waiter looks again in the cases where the bound counts
 * of RESERVES:
 *   NO_SECOND_WAKE      an owner that finds no long waiter asleep to wake wakes nobody else
 *   WAITS_FOR_LONG      a thread stands back until the word changes, however long that takes
 *   LEAVES_RESERVED     a waiter whose deadline has passed leaves a reserved lock to others
 * of PUNCTUAL:
 *   NO_STAND_BACK       every thread takes a reserved lock
 *   RELEASES_BLINDLY    an owner releases by an exchange: a request that comes after its look at
 *                       the word is lost
 *   NO_NEXT             a thread that takes the reserved lock does not wake the next long waiter,
 *                       which must ask again
 *   WAITING_FORGETS     (PLAIN) `waiting` does not say that a long waiter asked
 * of PLAIN:
 *   NO_MEMBARRIER       the waiter sleeps without a membarrier
 *   BARRIER_FIRST       the waiter sets `waiting` after the membarrier, not before
 *   LOOK_FIRST          the owner looks at `waiting` before its release
 *   NO_WAITING_COMPARE  the sleep does not compare `waiting`
 *   SILENT_CLEAR        an owner that clears `waiting` does not wake a waiter for it
 *   SLEEPER_PLAIN       an owner that has slept takes the lock plain
 *   BIT_IN_PLAIN_WORD   a waiter sets the waiters bit in a plain owner's word instead of `waiting`;
 *                       only with NO_WAITING_COMPARE, since `waiting` stays clear
 * of UNMARKED:
 *   LOCK_OF_ANOTHER     (SLOT_OF_2=0) a waiter checks the membership lock whose byte it read before
 *                       it read the lock word: that may be the lock of the slot's former owner,
 *                       which is dead
 * mutants that loop for ever, which only the liveness check finds:
 *   SPINS_ON_DEAD       a waiter that finds the owner dead looks again and does not take over
 *   STALE_COMPARE       after a compare-exchange that failed, tries again with the same value
 *   NO_SECOND_EVIDENCE  (UNMARKED) no waiter checks the membership lock
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
#ifndef THREADS
#define THREADS 3
#endif
#ifndef MOST_OVERTAKES
#define MOST_OVERTAKES 0
#endif
#define NONE 9
#define NOT_RECOVERABLE 8

#define FREE 0
#define ALIVE 1
#define DIED 2
#define TOKEN 3
#define ALIVE_TOO 4 /* with another TID */
#define is_alive(value) (value == ALIVE || value == ALIVE_TOO)

/* must(condition, name): `name` is always 0, and puts the broken property into pan's message. */
#define must(condition, name) assert((condition) || name)
hidden byte exclusion = 0;
hidden byte told_of_death = 0;
hidden byte own_word = 0;
hidden byte overtaken = 0;

/* The lock word; every access to it is one atomic step. */
byte owner_slot = NONE, owner_generation = 0;
bool waiters = false, inconsistent = false;
bool plain = false;      /* in the word: this owner releases it by a plain store */
bool waiting = false;    /* in the mutex, beside the word */
bool reserve = false;    /* in the word: a long waiter asks for a release that reserves the lock */
bool waiting_long = false; /* `waiting` has the value that says the same */
bool is_long[THREADS];
bool releasing[THREADS]; /* the plain release is in this thread's store buffer */

byte life[3];            /* by slot */
byte generation[3];
byte byte_in_slot[3];    /* the thread whose membership lock the slot names */

bool queued_lock[THREADS]; /* in futex_waitv, on the lock word */
byte queued_life[THREADS]; /* ... on this slot's liveness word, or NONE */
bool queued_high[THREADS]; /* ... on the other half of the lock word, as long waiters are */
bool dead[THREADS];
bool bound_counts = false;
bool owes_wake[THREADS]; /* ghost: was woken, or released with waiters, and has to act on it */
byte kills = 0;

bool holder_slept = false; /* ghost: before it took the lock; others may sleep on its predecessor */
byte holder = NONE;        /* ghost: the thread in the critical section, or that died there */
bool gone[THREADS];        /* ghost: the holder abandoned the lock by detaching */
bool wants[THREADS];       /* ghost: in lock() */
bool membership_lock_held[THREADS]; /* until the kernel is done with this thread */
bool linked[THREADS];      /* the private node is on the thread's robust list */
byte overtakes[THREADS];   /* ghost: of a long waiter's sleep, how often others took the lock */

#ifdef LIVENESS
#if THREADS == 2
#define nobody_waits (!wants[0] && !wants[1])
#else
#define nobody_waits (!wants[0] && !wants[1] && !wants[2])
#endif
/* The rounds are finite: every thread that acquires the lock finishes in the end. */
ltl gets_in { [] <> nobody_waits }
#endif

#ifdef NO_GENERATION
#define same_generation(a, b) true
#else
#define same_generation(a, b) (a == b)
#endif
/* The half of the word that a sleep compares, and the whole. */
#define half_is_seen (owner_slot == seen_slot && same_generation(owner_generation, seen_generation) \
                      && waiters == seen_waiters && inconsistent == seen_inconsistent)
#define other_half_is_seen (plain == seen_plain && reserve == seen_reserve)
#define word_is_seen (half_is_seen && other_half_is_seen)
/* Free, and reserved for long waiters. A thread whose deadline passes does not leave a reserved
 * lock: it takes the lock. */
#define is_reserved (owner_slot == NONE && waiters)
#ifdef NO_STAND_BACK
#define stands_back false
#elif defined(PUNCTUAL)
#define stands_back (is_reserved && !is_long[me] && !(stood_back && nobody_is_long))
#else
#define stands_back (is_reserved && !is_long[me] && !stood_back)
#endif
#if THREADS == 3
#define nobody_is_long \
  !((is_long[0] && !dead[0]) || (is_long[1] && !dead[1]) || (is_long[2] && !dead[2]))
#else
#define nobody_is_long !((is_long[0] && !dead[0]) || (is_long[1] && !dead[1]))
#endif

/* Where a waiter goes on after a failed comparison. */
#ifdef STALE_COMPARE
#define look_again look_at_owner
#else
#define look_again again
#endif

inline flush(t) {
  atomic {
    if
    :: releasing[t] ->
       owner_slot = NONE; waiters = false; inconsistent = false; plain = false; reserve = false;
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
#if THREADS == 3
  :: atomic { releasing[2] -> flush(2) }
#endif
  od
}

/* Waits until every earlier store has left its store buffer. */
#if THREADS == 2
#define membarrier() !releasing[0] && !releasing[1]
#else
#define membarrier() !releasing[0] && !releasing[1] && !releasing[2]
#endif

inline wake_lock(w, most) {
  atomic {
    w = 0; woken = 0;
    do
    :: w < THREADS && woken < most ->
       if
       :: queued_lock[w] -> queued_lock[w] = false; owes_wake[w] = true; woken++
       :: else -> skip
       fi;
       w++
    :: else -> break
    od;
    w = 0; woken = 0
  }
}

inline wake_life(s, w, most) {
  atomic {
    w = 0; woken = 0;
    do
    :: w < THREADS && woken < most ->
       if
       :: queued_life[w] == s -> queued_life[w] = NONE; owes_wake[w] = true; woken++
       :: else -> skip
       fi;
       w++
    :: else -> break
    od;
    w = 0; woken = 0
  }
}

/* Whether it woke any long waiter: `woken`. */
inline wake_high(w) {
  atomic {
    w = 0; woken = 0;
    do
    :: w < THREADS && woken == 0 ->
       if
       :: queued_high[w] -> queued_high[w] = false; owes_wake[w] = true; woken = 1
       :: else -> skip
       fi;
       w++
    :: else -> break
    od;
    w = 0
  }
}

inline count_overtaking(me, other) {
  if
  :: other != me && queued_high[other] && !is_long[me] ->
     overtakes[other]++;
     must(overtakes[other] <= MOST_OVERTAKES, overtaken)
  :: else -> skip
  fi
}

inline entered(me, died) {
#ifdef PUNCTUAL
  count_overtaking(me, 0);
  count_overtaking(me, 1);
#if THREADS == 3
  count_overtaking(me, 2);
#endif
#endif
  holder_slept = slept && !died;
  must(holder == NONE || dead[holder] || gone[holder], exclusion);
  must(died == (holder != NONE), told_of_death);
  holder = me;
  owes_wake[me] = false
}

/* take() in mutex.cpp: the one attempt that can make an owner plain. */
inline take(me) {
  fresh = false;
#ifdef PLAIN
#ifdef MIXED
  if
  :: !waiting -> fresh = true
  :: true
  fi;
#else
  fresh = !waiting;
#endif
#endif
  atomic {
    !releasing[me];
    if
    :: owner_slot == NONE && !is_reserved ->
       owner_slot = slot; owner_generation = my_generation; inconsistent = false;
       plain = fresh; waiters = false;
       entered(me, false);
       goto out
    :: else -> skip
    fi
  }
}

inline take_over(me) {
  atomic {
    if
#ifdef BLIND_TAKEOVER
    :: true ->
#else
    :: word_is_seen ->
#endif
       owner_slot = slot; owner_generation = my_generation;
       waiters = seen_waiters || slept; inconsistent = true; plain = false; reserve = false;
       entered(me, true);
       goto out
    :: else -> skip
    fi
  }
}

/* A thread stands back no longer when it has become a long waiter, or has slept for its while. */
inline stand_back(me) {
  atomic {
    if
    :: is_reserved -> queued_lock[me] = true
    :: else -> goto again
    fi
  };
  atomic {
    if
    :: !queued_lock[me] -> skip
#ifdef PUNCTUAL
    :: queued_lock[me] && nobody_is_long -> stood_back = true
#elif !defined(WAITS_FOR_LONG)
    :: queued_lock[me] -> stood_back = true
#endif
    fi;
    queued_lock[me] = false; slept = true
  }
}

/* Asks the next release for a wake: sets `waiting` for a plain owner, else the waiters bit. A long
 * waiter asks for a reserved lock, too. */
inline ask_for_wake(me) {
#ifdef RESERVES
  if
  :: slept -> is_long[me] = true
  :: true
  fi;
#endif
#ifdef BIT_IN_PLAIN_WORD
  if
  :: true ->
#else
  if
  :: seen_plain ->
     if
     :: me == 1 && !slept -> goto out /* its deadline has passed, and it was not woken */
     :: true
     fi;
#ifdef BARRIER_FIRST
     membarrier();
     waiting = true;
#else
#ifdef WAITING_FORGETS
     waiting = true;
#else
     atomic { waiting = true; waiting_long = waiting_long || is_long[me] };
#endif
#ifndef NO_MEMBARRIER
     membarrier();
#endif
#endif
     atomic {
       if
       :: word_is_seen -> owes_wake[me] = false
       :: else -> goto look_again
       fi
     }
  :: !seen_plain ->
#endif
     atomic {
       if
       :: word_is_seen ->
          waiters = true; seen_waiters = true; owes_wake[me] = false;
          reserve = seen_reserve || is_long[me]; seen_reserve = reserve
       :: else -> goto look_again
       fi
     }
  fi
}

/* futex_waitv: queue on each word in turn if its value is as expected. */
inline sleep(me) {
  atomic {
    if
#ifdef NO_RECHECK
    :: true -> queued_lock[me] = true
#else
    :: half_is_seen -> queued_lock[me] = true
    :: else -> goto look_again
#endif
    fi
  };
#ifdef RESERVES
  atomic {
    if
    :: is_long[me] && !other_half_is_seen -> queued_lock[me] = false
    :: else -> queued_high[me] = is_long[me]
    fi
  };
#endif
#if defined(PLAIN) && !defined(NO_WAITING_COMPARE)
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
  atomic {
    if
    :: !queued_lock[me] || queued_life[me] == NONE || (is_long[me] && !queued_high[me])
#ifndef UNBOUNDED
    :: bound_counts && queued_lock[me] && queued_life[me] != NONE -> doubtful = true
#endif
    fi;
    queued_lock[me] = false; queued_life[me] = NONE; queued_high[me] = false; slept = true;
    overtakes[me] = 0
  };
#ifndef NO_PASS_ON
  /* The kernel woke one waiter. All that sleep on this liveness word must move to that of the next
   * owner. */
  if
  :: life[seen_slot] != seen_life -> wake_life(seen_slot, w, THREADS)
  :: else -> skip
  fi
#endif
}

inline lock(me) {
  wants[me] = true;
  take(me);
  do
  ::
#ifdef LOCK_OF_ANOTHER
    early_byte = byte_in_slot[SLOT_OF_2];
#endif
#ifdef LOCK_LAST
    atomic {
      if
      :: owner_slot < NOT_RECOVERABLE -> seen_life = life[owner_slot]
      :: else -> seen_life = ALIVE
      fi
    };
#endif
#ifdef SLEEPER_PLAIN
    fresh = !waiting;
#endif
    atomic {
      if
#ifdef LEAVES_RESERVED
      :: is_reserved && me == 1 -> owes_wake[me] = false; goto out
#endif
      :: stands_back -> goto aside
      :: owner_slot == NONE && !stands_back ->
         took_reserved = is_reserved;
         owner_slot = slot; owner_generation = my_generation; inconsistent = false;
#ifdef SLEEPER_PLAIN
         plain = fresh; waiters = slept && !plain;
#else
#ifdef NO_WAITERS_BIT
         waiters = false;
#else
         waiters = waiters || slept;
#endif
#endif
         entered(me, false);
         goto took
      :: owner_slot == NOT_RECOVERABLE -> owes_wake[me] = false; goto out
      :: else ->
         seen_slot = owner_slot; seen_generation = owner_generation;
         seen_waiters = waiters; seen_inconsistent = inconsistent; seen_plain = plain;
         seen_reserve = reserve;
         stood_back = false
      fi
    };
look_at_owner:
    owner_dead = !same_generation(generation[seen_slot], seen_generation);
    if
    :: owner_dead -> skip
    :: else ->
#ifndef LOCK_LAST
       seen_life = life[seen_slot];
#endif
       if
       :: !is_alive(seen_life) -> owner_dead = true
       :: else ->
#ifndef NO_SECOND_LOOK
          owner_dead = !same_generation(generation[seen_slot], seen_generation)
#endif
          skip
       fi
    fi;
#if defined(UNMARKED) && !defined(NO_SECOND_EVIDENCE)
    if
    :: doubtful && !owner_dead ->
       /* The byte is that of the lock's owner, or of a later owner of its slot; two threads never
        * have the same byte. If no process holds its lock, the lock's owner is dead either way. */
#ifdef LOCK_OF_ANOTHER
       owner_dead = !membership_lock_held[early_byte]
#else
       owner_dead = !membership_lock_held[byte_in_slot[seen_slot]]
#endif
    :: else -> skip
    fi;
#endif
    doubtful = false;
    if
    :: owner_dead ->
#ifndef SPINS_ON_DEAD
      take_over(me)
#endif
    :: else ->
#ifdef SILENT_LEAVE
      if
      :: me == 1 -> goto out
      :: true
      fi;
#endif
      ask_for_wake(me);
      if
      :: me == 1 -> goto out /* its deadline has passed */
      :: true
      fi;
      sleep(me)
    fi;
    goto again;
aside:
    stand_back(me);
again: skip
  od;
took:
#ifndef NO_NEXT
  if
  :: took_reserved ->
     wake_high(w); woken = 0
  :: else -> skip
  fi;
#endif
out:
  atomic { wants[me] = false; owes_wake[me] = false; is_long[me] = false; forget() }
}

inline unlock(me) {
  must(owner_slot == slot && same_generation(owner_generation, my_generation), own_word);
  if
  :: plain && !waiters && !inconsistent ->
#ifdef LOOK_FIRST
     seen_waiters = waiting;
#endif
     atomic { holder = NONE; holder_slept = false; releasing[me] = true; owes_wake[me] = true };
#ifndef LOOK_FIRST
     seen_waiters = waiting;
#endif
     if
     /* the system call is a barrier of its own */
     :: seen_waiters -> !releasing[me]; wake_lock(w, 1)
     :: else -> skip
     fi;
     owes_wake[me] = false
  :: else ->
#ifdef RELEASES_BLINDLY
     seen_reserve = reserve;
#endif
#ifdef PLAIN
     atomic {
       cleared = waiting; cleared_long = waiting_long;
       waiting = false; waiting_long = false;
       owes_wake[me] = cleared
     };
#ifdef SILENT_CLEAR
     cleared = false;
#endif
#endif
     /* released with waiters: a wake is owed from here to the end of the system call */
     d_step {
       holder = NONE; holder_slept = false;
       seen_waiters = waiters || cleared;
       owes_wake[me] = seen_waiters;
       seen_inconsistent = inconsistent;
       owner_slot = (inconsistent -> NOT_RECOVERABLE : NONE);
#ifndef RELEASES_BLINDLY
       seen_reserve = reserve || cleared_long;
#endif
       waiters = seen_reserve && !inconsistent;
       inconsistent = false; plain = false; reserve = false
     };
     if
     :: seen_reserve && !seen_inconsistent ->
        wake_high(w);
        if
#ifndef NO_SECOND_WAKE
        :: woken == 0 -> wake_lock(w, THREADS)
#endif
        :: else -> woken = 0
        fi;
        seen_waiters = false
     :: else -> skip
     fi;
     if
#ifndef WAKES_ONE
     :: seen_waiters && seen_inconsistent -> wake_lock(w, THREADS)
     :: seen_waiters && !seen_inconsistent -> wake_lock(w, 1)
#else
     :: seen_waiters -> wake_lock(w, 1)
#endif
     :: else -> skip
     fi;
     owes_wake[me] = false
  fi;
  forget()
}

/* Locals that no longer matter are zeroed, so that states which differ in them alone merge. */
inline forget() {
  d_step {
    seen_slot = 0; seen_generation = 0; seen_life = 0; seen_waiters = false;
    seen_inconsistent = false; seen_plain = false; slept = false; owner_dead = false; fresh = false;
    cleared = false; doubtful = false; seen_reserve = false; stood_back = false;
    took_reserved = false; cleared_long = false
  }
}

/* Detaches, with the lock held or not; afterwards another thread may take the slot. */
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
#ifdef LOCK_OF_ANOTHER
  byte early_byte;
#endif
  bool seen_waiters, seen_inconsistent, seen_plain, slept, owner_dead, fresh, cleared, doubtful;
  bool seen_reserve, stood_back, took_reserved, cleared_long;
  {
    if
    :: slot == me -> skip
    :: else ->
      /* region_slot.pml models how a slot is claimed. */
end_attach: life[slot] == DIED || life[slot] == FREE || !membership_lock_held[byte_in_slot[slot]];
      seen_life = life[slot];
      life[slot] = TOKEN;
      if
      :: seen_life != FREE -> generation[slot] = generation[slot] + 1
      :: else -> skip
      fi;
      atomic { my_generation = generation[slot]; seen_life = 0; byte_in_slot[slot] = me };
      linked[me] = true;
#ifdef SAME_TID
      atomic { life[slot] = ALIVE; bound_counts = bound_counts || owner_slot == slot }
#else
      life[slot] = ALIVE_TOO
#endif
    fi;
    do
    :: rounds < (me == 0 -> ROUNDS : 1) ->
      rounds++;
      if
      :: holder == me -> skip /* from the beginning, UNREPAIRED */
      :: else -> lock(me)
      fi;
      if
      :: holder != me -> skip
      :: holder == me ->
         if
         :: inconsistent = false
#ifdef UNREPAIRED
         :: inconsistent -> skip
#endif
         fi;
         unlock(me)
#ifdef DETACHES
      :: holder == me && me == 0 -> detach(me); break
#endif
      fi
    :: rounds == (me == 0 -> ROUNDS : 1) -> break
    :: slot != me && rounds == 0 -> break
#ifdef DETACHES
    :: me == 0 && rounds > 0 -> detach(me); break
#endif
    od;
    if
    :: dead[me] = true /* an exit is a death too */
    :: true -> end_idle: false
    fi
  } unless { dead[me] };
  atomic { forget(); rounds = 0; my_generation = 0; w = 0; woken = 0 };

  /* exit_robust_list, for the liveness word alone; the store buffer is empty by then */
  flush(me);
  if
  :: linked[me] && is_alive(life[slot]) ->
    life[slot] = DIED;
    wake_life(slot, w, 1)
  :: else -> skip
  fi;
  membership_lock_held[me] = false
}

proctype killer() {
  byte victim;
  do
  :: kills < KILLS ->
    atomic {
      kills++;
      select(victim : 0 .. THREADS - 1);
      if
      :: owes_wake[victim] || (holder == victim && holder_slept) -> bound_counts = true
      :: else -> skip
      fi;
#ifdef UNMARKED
      if
      :: !dead[victim] -> linked[victim] = false; bound_counts = true
      :: true
      fi;
#endif
      dead[victim] = true; wants[victim] = false;
      queued_lock[victim] = false; queued_life[victim] = NONE; queued_high[victim] = false;
      victim = 0
    }
  :: break
  od
}

init {
  atomic {
    life[0] = ALIVE; life[1] = ALIVE; life[2] = ALIVE;
    byte_in_slot[1] = 1; byte_in_slot[2] = THREADS - 1;
    membership_lock_held[0] = true; membership_lock_held[1] = true;
    linked[0] = true; linked[1] = true;
    queued_life[0] = NONE; queued_life[1] = NONE;
#ifdef UNREPAIRED
    owner_slot = 0; inconsistent = true; holder = 0;
#endif
    run member(0, 0); run member(1, 1);
#if THREADS == 3
    linked[2] = (SLOT_OF_2 == 2); membership_lock_held[2] = true;
    queued_life[2] = NONE;
    run member(2, SLOT_OF_2);
#endif
#ifdef PLAIN
    run store_buffers();
#endif
    run killer()
  }
}
