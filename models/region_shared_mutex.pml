/* SPDX-License-Identifier: MIT */
/*
 * The region shared_mutex: readers announce their hold in their own slot, behind a
 * store buffer; a writer takes the writer word, then looks at the slots of all threads that
 * ever read. region_mutex.pml models the writer word, with its waiters and its takeover from a
 * dead owner; here taking it is one step, which waits until the word is free or its owner dead.
 *
 * Thread 0 reads, 1 writes, 2 reads or writes as READER_2 says. Thread 2 has a slot of its own
 * (SLOT_OF_2=2) or attaches to slot 0 when that is free again. Up to KILLS of them are
 * killed at any step. Each round is a try to read or to write; a writer may give up.
 *
 * Holds: a writer is alone; the next owner after a writer that died inside is told; no waiter is
 * stranded; every round of a live thread ends under every weakly fair schedule (liveness).
 * Sleeps are unbounded here; the real bound of a sleep counts only where a
 * thread that owed a wake was killed (`bound_counts`).
 *
 * Policies. By default writers come first: a writer keeps the word while it waits for readers.
 *   READERS_FIRST    it releases the word before it sleeps on a reader's hold, and starts over when
 *                    it is woken. It keeps the word when it has waited for long: after YIELDS sleeps
 *   FAIR             a release reserves the lock if a thread waits for the word. A thread that comes
 *                    then, a reader too, waits behind those that wait already
 * With ENDLESS thread 0 reads again and again for ever, and thread 1 must get in nevertheless.
 *
 * mutants:
 *   NO_FENCE         the reader looks at the writer word before its announcement is out
 *   NO_LOOK          the reader does not look at the writer word again after its announcement
 *   SCAN_FIRST       the writer looks at the slots before it takes the word
 *   LATE_BIT         the reader sets the bit that makes writers look at its slot only when it is in
 *   COUNT            the writer trusts a count of readers
 *   NO_CLEAR         a slot is reused with the dead owner's hold in it
 *   SILENT_CLEAR     ... or the hold is cleared and no waiter is woken
 *   SILENT_RETREAT   a reader that withdraws its announcement wakes no writer
 *   NO_WAKE_BIT      a writer sleeps without asking for a wake
 *   NO_HOLD_COMPARE  the sleep does not compare the hold any more
 *   NO_LIFE_COMPARE  the sleep does not compare the liveness word any more
 *   TELLS_LATE       a writer sets `writing` after its first write
 *   UNTOLD_EARLY     ... or clears it before its last write
 *   UNBOUNDED        no waiter looks again after the death of a thread that owed a wake
 *   NO_RESCAN        a writer that released the word goes on with the next slot when it has it again
 *   PASSES_RESERVED  a reader that comes later takes no notice of the reservation
 * mutants that loop for ever, which only the liveness check finds:
 *   SPINS_ON_DEAD    a writer looks at a dead reader's hold again, and does not drop it
 *   STALE_COMPARE    after a compare-exchange that failed, tries again with the same value
 *   YIELDS_FOR_EVER  a writer never keeps the word
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
#ifndef READER_2
#define READER_2 1
#endif
#ifndef YIELDS
#define YIELDS 1
#endif
#define THREADS 3
#define NONE 9

#define FREE 0
#define ALIVE 1
#define DIED 2
#define TOKEN 3

/* must(condition, name): `name` is always 0, and puts the broken property into pan's message. */
#define must(condition, name) assert((condition) || name)
hidden byte exclusion = 0;
hidden byte told_of_death = 0;
hidden byte own_word = 0;
hidden byte overtakes = 0;

/* A hold's values; a writer that sleeps on the hold sets the second bit. */
#define HELD 1
#define HELD_AND_AWAITED 3

byte writer = NONE;       /* the writer word */
bool writing = false;     /* in the lock, beside the writer word */
bool looked_at[THREADS];  /* a bit for each slot; never cleared */
byte hold[THREADS];       /* in each slot: the hold of this lock */
byte life[THREADS];
byte count = 0;           /* mutant COUNT */

byte buffered[THREADS];   /* this thread's store to its hold that is still in its store buffer */
byte queued_hold[THREADS]; /* in futex_waitv, on this slot's hold, or NONE */
byte queued_life[THREADS]; /* ... on this slot's liveness word, or NONE */
bool reserved = false;    /* the writer word is free, for those that wait for it */
bool in_line[THREADS];    /* waits for the writer word */
bool dead[THREADS];
bool ended[THREADS];       /* marked or detached: its words are a dead owner's */
bool walked[THREADS];
bool linked[THREADS];
bool bound_counts = false;
bool owes_wake[THREADS];   /* ghost */
bool reads[THREADS];       /* ghost: in a shared section */
bool wants[THREADS];       /* ghost: in a round */
byte writes = NONE;        /* ghost: the thread in the exclusive section, or that died there */
byte kills = 0;

#ifdef LIVENESS
#ifdef ENDLESS
ltl gets_in { [] <> !wants[1] }
#else
/* The rounds are finite: every thread finishes in the end. */
ltl gets_in { [] <> (!wants[0] && !wants[1] && !wants[2]) }
#endif
#endif

inline wake_hold(s) {
  atomic {
    w = 0;
    do
    :: w < THREADS -> if :: queued_hold[w] == s -> queued_hold[w] = NONE :: else -> skip fi; w++
    :: else -> break
    od;
    w = 0
  }
}

inline wake_life(s, most) {
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

#define alone(me) (!((me != 0 && reads[0] && !dead[0]) || (me != 1 && reads[1] && !dead[1]) \
                     || (me != 2 && reads[2] && !dead[2])) && \
                   (writes == NONE || dead[writes]))

/* The announcement leaves the store buffer at any time. */
proctype store_buffers() {
end_buffers:
  do
  :: atomic { buffered[0] != 0 -> hold[0] = buffered[0]; buffered[0] = 0 }
  :: atomic { buffered[1] != 0 -> hold[1] = buffered[1]; buffered[1] = 0 }
  :: atomic { buffered[2] != 0 -> hold[SLOT_OF_2] = buffered[2]; buffered[2] = 0 }
  od
}

#ifdef FAIR
/* A thread that waits, and is not dead, takes the lock that is reserved. */
#define is_reserved (reserved && (in_line[0] || in_line[1] || in_line[2]))
#define line_up(me) \
  atomic { if :: writer != NONE || is_reserved -> in_line[me] = true :: else -> skip fi }
#else
#define is_reserved false
#define line_up(me) skip
#endif

/* Takes the writer word as a mutex does; `told` says whether the last owner died while writing. */
inline take_word(me) {
  line_up(me);
  atomic {
    (writer == NONE && (!is_reserved || in_line[me])) || (writer != NONE && ended[writer]);
    told = false; in_line[me] = false; reserved = false;
    if
    :: writer != NONE -> told = writing; must(told || writes == NONE, told_of_death)
    :: else -> must(!writing && writes == NONE, told_of_death)
    fi;
    writer = me
  }
}

inline release_word(me) {
  atomic {
    must(writer == me, own_word); writer = NONE;
    reserved = in_line[0] || in_line[1] || in_line[2]
  }
}

inline announce(me) {
#ifdef COUNT
  count++;
#endif
  buffered[me] = HELD;
#ifndef NO_FENCE
  buffered[me] == 0
#endif
}

/* One exchange, on the reader's own slot; the lock is not looked at any more. */
inline withdraw(me, silent) {
  atomic {
    buffered[me] == 0;
    reads[me] = false;
    seen = hold[slot]; hold[slot] = 0;
    owes_wake[me] = (seen == HELD_AND_AWAITED)
  };
#ifdef COUNT
  count--;
#endif
  if
  :: seen == HELD_AND_AWAITED && !silent -> wake_hold(slot)
  :: else -> skip
  fi;
  d_step { owes_wake[me] = false; seen = 0 }
}

#ifdef LATE_BIT
#define say_slot() skip
#define say_slot_late() looked_at[slot] = true
#else
#define say_slot() looked_at[slot] = true
#define say_slot_late() skip
#endif

#ifdef SILENT_RETREAT
#define retreat_is_silent true
#else
#define retreat_is_silent false
#endif

/* Ends in the shared section, or in the exclusive one when a writer died inside. */
inline lock_shared(me) {
  atomic {
    if
#ifdef PASSES_RESERVED
    :: writer != NONE -> goto slow
#else
    :: writer != NONE || is_reserved -> goto slow
#endif
    :: else -> must(!is_reserved, overtakes)
    fi
  };
  say_slot();
  announce(me);
  atomic {
#ifdef NO_LOOK
    if :: true ->
#else
    if :: writer == NONE ->
#endif
       reads[me] = true; must(writes == NONE || dead[writes], exclusion); goto in
    :: else -> skip
    fi
  };
  withdraw(me, retreat_is_silent);
slow:
  take_word(me);
  if
  :: told -> enter(me); leave(me); goto out
  :: else -> skip
  fi;
  say_slot();
  announce(me);
  reads[me] = true;
  release_word(me);
in:
  say_slot_late();
  must(writes == NONE || dead[writes], exclusion);
  withdraw(me, false);
out: skip
}

/* A writer that holds the word waits until no live reader is left. */
inline drain(me) {
  s = 0; gives_up = false;
  do
  :: s == THREADS -> break
  :: s < THREADS && (s == slot || !looked_at[s]) -> s++
  :: s < THREADS && !(s == slot || !looked_at[s]) ->
     seen = hold[s];
     if
     :: seen == 0 -> s++
     :: else ->
        seen_life = life[s];
        if
        :: seen_life != ALIVE ->
#ifdef SPINS_ON_DEAD
           goto look_again;
#endif
           atomic { if :: hold[s] == seen -> hold[s] = 0 :: else -> skip fi };
           s++
        :: seen_life == ALIVE && me == 1 -> gives_up = true; break
        :: seen_life == ALIVE ->
#ifndef NO_WAKE_BIT
set_bit:
           atomic {
             if
             :: hold[s] == seen -> hold[s] = HELD_AND_AWAITED; seen = HELD_AND_AWAITED
#ifdef STALE_COMPARE
             :: else -> goto set_bit
#else
             :: else -> goto look_again
#endif
             fi
           };
#endif
#ifdef READERS_FIRST
           if
           :: yields < YIELDS ->
#ifndef YIELDS_FOR_EVER
             yields++;
#endif
             yielded = true;
             release_word(me)
           :: else -> skip
           fi;
#endif
           atomic {
             if
#ifdef NO_HOLD_COMPARE
             :: true -> queued_hold[me] = s
#else
             :: hold[s] == seen -> queued_hold[me] = s
             :: else -> goto awake
#endif
             fi
           };
           atomic {
             if
#ifdef NO_LIFE_COMPARE
             :: true -> queued_life[me] = s
#else
             :: life[s] == seen_life -> queued_life[me] = s
             :: else -> skip
#endif
             fi
           };
           atomic {
             if
             :: queued_hold[me] == NONE || queued_life[me] == NONE
#ifndef UNBOUNDED
             :: bound_counts
#endif
             fi;
             queued_hold[me] = NONE; queued_life[me] = NONE
           };
           if
           :: life[s] != seen_life -> wake_life(s, THREADS)
           :: else -> skip
           fi;
           owes_wake[me] = false;
awake:
#ifdef READERS_FIRST
           if
           :: yielded ->
              yielded = false;
              take_word(me);
              if
              :: told -> gives_up = false; break
              :: else -> skip
              fi;
#ifdef NO_RESCAN
              s++
#else
              s = 0
#endif
           :: else -> skip
           fi;
#endif
look_again: skip
        fi
     fi
  od;
  atomic { s = 0; seen = 0; seen_life = 0; yields = 0 }
}

inline enter(me) {
#ifdef TELLS_LATE
  d_step { must(alone(me), exclusion); writes = me };
  writing = true
#else
  writing = true;
  d_step { must(alone(me), exclusion); writes = me }
#endif
}

inline leave(me) {
#ifdef UNTOLD_EARLY
  writing = false;
  d_step { must(writes == me && !reads[me], exclusion); writes = NONE };
#else
  d_step { must(writes == me && !reads[me], exclusion); writes = NONE };
  writing = false;
#endif
  release_word(me)
}

inline lock_exclusive(me) {
#ifdef SCAN_FIRST
  drain(me);
  take_word(me);
#else
  take_word(me);
#ifdef COUNT
  if
  :: told -> skip
  :: else -> gives_up = false; count == 0
  fi;
#else
  if
  :: told -> gives_up = false /* no reader has entered since that writer */
  :: else -> drain(me)
  fi;
#endif
#endif
  if
  :: gives_up && !told -> release_word(me)
  :: else -> enter(me); leave(me)
  fi
}

inline detach(me) {
  atomic { life[slot] = TOKEN; ended[me] = true; owes_wake[me] = true; reads[me] = false };
  wake_life(slot, THREADS);
  owes_wake[me] = false;
  linked[me] = false;
  life[slot] = FREE
}

proctype member(byte me; byte slot; bool is_reader) {
  byte s, seen, seen_life, w, woken, rounds, yields;
  bool told, gives_up, yielded;
  {
    if
    :: slot == me -> skip
    :: else ->
      /* region_slot.pml models how a slot is claimed. */
end_attach: life[slot] == DIED || life[slot] == FREE || (life[slot] == TOKEN && walked[0]);
      life[slot] = TOKEN;
#ifndef NO_CLEAR
      /* Wakes the writer, too: it may have read the liveness word of the owner before last, which
       * had the same value as now. */
      atomic { seen = hold[slot]; hold[slot] = 0; owes_wake[me] = (seen == HELD_AND_AWAITED) };
#ifndef SILENT_CLEAR
      if
      :: seen == HELD_AND_AWAITED -> wake_hold(slot)
      :: else -> skip
      fi;
#endif
      atomic { owes_wake[me] = false; seen = 0 };
#endif
      linked[me] = true;
      life[slot] = ALIVE
    fi;
    do
    :: rounds < ROUNDS ->
#ifdef ENDLESS
       if :: me != 0 -> rounds++ :: else -> skip fi;
#else
       rounds++;
#endif
       wants[me] = true;
       if
       :: is_reader -> lock_shared(me)
       :: else -> lock_exclusive(me)
       fi;
       wants[me] = false
    :: rounds == ROUNDS -> break
    :: me == 0 && rounds > 0 -> detach(me); break
    od;
    if
    :: dead[me] = true /* an exit is a death too */
    :: true -> end_idle: false
    fi
  } unless { dead[me] };
  /* Locals that no longer matter are zeroed, so that states which differ in them alone merge. */
  atomic { s = 0; seen = 0; seen_life = 0; w = 0; woken = 0; rounds = 0;
           yields = 0; told = false; gives_up = false; yielded = false };

  /* exit_robust_list, for the liveness word alone; the store buffer is empty by then */
  atomic {
    if
    :: buffered[me] != 0 -> hold[slot] = buffered[me]; buffered[me] = 0
    :: else -> skip
    fi
  };
  if
  :: linked[me] && life[slot] == ALIVE ->
    atomic { life[slot] = DIED; ended[me] = true };
    wake_life(slot, 1)
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
      :: owes_wake[victim] -> bound_counts = true
      :: else -> skip
      fi;
      dead[victim] = true; wants[victim] = false;
      queued_hold[victim] = NONE; queued_life[victim] = NONE; in_line[victim] = false;
      victim = 0
    }
  :: break
  od
}

init {
  atomic {
    life[0] = ALIVE; life[1] = ALIVE; life[2] = ALIVE;
    linked[0] = true; linked[1] = true; linked[2] = (SLOT_OF_2 == 2);
    queued_life[0] = NONE; queued_life[1] = NONE; queued_life[2] = NONE;
    queued_hold[0] = NONE; queued_hold[1] = NONE; queued_hold[2] = NONE;
    run member(0, 0, true); run member(1, 1, false); run member(2, SLOT_OF_2, READER_2);
    run store_buffers(); run killer()
  }
}
