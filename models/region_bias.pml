/* SPDX-License-Identifier: MIT */
/*
 * The bias of a mutex (src/region/mutex.cpp, waiting.cpp): a lock word that stays assigned to the
 * member that takes the lock again and again. That member, the biased one, takes the lock by two
 * plain stores and no atomic operation: it announces the lock in its slot, and then looks whether
 * the word is still assigned to it. Any other locker revokes the bias first: it marks the word as
 * revoked, calls membarrier, and then reads the slot's announcement.
 *
 * The ordinary protocol of the word is region_mutex.pml. Here an ordinary owner is one state,
 * OWNED, and a waiter for it waits until the word changes or the owner is dead.
 *
 * Checked: two threads never hold the lock; a lock whose holder died is never taken without
 * owner_died, and owner_died is never told of a member that neither held nor announced the lock; no
 * waiter sleeps for ever (an invalid end state).
 *
 * With NEWCOMER, thread 2 waits until thread 0 is dead and takes its slot.
 * Mutants:
 *   NO_BARRIER      a revoker does not call membarrier
 *   BARRIER_FIRST   ... calls it before it marks the word
 *   NO_RECHECK      the biased member does not look at the word after its announcement
 *   NO_TAG          a bias that was revoked and given again looks the same in the word
 *   NO_AWAITED      a revoker that sleeps does not ask for a wake
 *   SILENT_RETREAT  a biased member that finds the word revoked wakes nobody when it takes back its
 *                   announcement
 *   REUSES_HELD     a slot is reused though a lock is held by its dead member's announcement
 *   NO_SECOND_LOOK  whoever reads a dead member's announcement does not look at the generation again
 *   LOSES_DEATH     a dead member's announcement is not looked at
 *   GONE_IS_HELD    a bias of a member whose slot is reused counts as held
 */
#ifndef KILLS
#define KILLS 1
#endif
#ifndef ROUNDS
#define ROUNDS 3
#endif
#define NONE 9
#define THREADS 3

#define FREE 0
#define OWNED 1
#define BIASED 2
#define REVOKED 3
#define has_bias(s) (s == BIASED || s == REVOKED)

#define most_revocations 2

#define must(condition, name) assert((condition) || name)
hidden byte exclusion = 0;
hidden byte told_of_death = 0;

/* The lock word; each access is one atomic step. */
byte state = FREE, owner = 0, owner_generation = 0, tag = 0;
byte revocations = 0; /* in the mutex, beside the word */

/* By slot. */
bool entry[THREADS];   /* announces the lock */
bool awaited[THREADS]; /* a revoker sleeps on the entry */
bool alive[THREADS];
byte generation[THREADS];

/* The store buffer of thread 0, the only one that is ever biased. */
#define no_store 0
#define announce 1
#define retract 2
#define give_bias 3
byte buffer[3];
byte buffered = 0;

bool asleep[THREADS];  /* in futex_wait on the entry of slot 0 */
bool dead[THREADS];
byte kills = 0;
byte holder = NONE;    /* ghost */

inline store(what) {
  atomic { buffered < 3 -> buffer[buffered] = what; buffered++ }
}

/* The oldest store reaches memory. */
inline drain() {
  d_step {
    if
    :: buffer[0] == announce -> entry[0] = true
    :: buffer[0] == retract -> entry[0] = false
    :: buffer[0] == give_bias ->
       state = BIASED; owner = 0; owner_generation = 0; tag = own_tag_shown
    fi;
    buffer[0] = buffer[1]; buffer[1] = buffer[2]; buffer[2] = no_store; buffered--
  }
}
byte own_tag_shown = 0; /* of the give_bias in the buffer */

proctype store_buffer() {
end_buffer:
  do
  :: atomic { buffered > 0 -> drain() }
  od
}

#define flushed (me != 0 || buffered == 0)
#define word_is_seen \
  (state == seen && owner == seen_owner && owner_generation == seen_generation && tag == seen_tag)

inline wake() {
  d_step { asleep[0] = false; asleep[1] = false; asleep[2] = false }
}

inline entered(died) {
  must(holder == NONE || dead[holder], exclusion);
  must(holder == NONE || died, told_of_death);
  holder = me
}

/* A compare-exchange from the word that was seen to an ordinary owner's. */
inline own(died) {
  atomic {
    flushed;
    if
    :: word_is_seen ->
       state = OWNED; owner = slot; owner_generation = my_generation; tag = 0;
       entered(died);
       goto locked
    :: else -> skip
    fi
  }
}

inline revoke() {
  if
  :: seen == BIASED ->
     atomic { flushed; if :: revocations == seen_tag -> revocations++ :: else -> skip fi };
#ifdef BARRIER_FIRST
     buffered == 0;
#endif
     atomic { if :: word_is_seen -> state = REVOKED :: else -> skip fi }
  :: else ->
#ifndef NO_AWAITED
     awaited[seen_owner] = true;
#endif
#if !defined(NO_BARRIER) && !defined(BARRIER_FIRST)
     buffered == 0; /* membarrier: all stores made before are visible */
#endif
     held = entry[seen_owner];
     if
     :: !held -> own(false)
     :: else ->
        atomic {
          if
          /* futex_waitv compares the liveness word, too: a next member of the slot has another TID.
           * One with the same TID costs the waiter the bound of its sleep. */
          :: entry[seen_owner] && alive[seen_owner] &&
             generation[seen_owner] == seen_generation -> asleep[me] = true
          :: else -> skip
          fi
        };
        !asleep[me]
     fi
  fi
}

inline lock_slowly() {
  do
  :: atomic {
       flushed;
       seen = state; seen_owner = owner; seen_generation = owner_generation; seen_tag = tag
     };
     if
     :: seen == FREE -> own(false)
     :: seen == OWNED ->
        (!word_is_seen || generation[seen_owner] != seen_generation || !alive[seen_owner]);
        if
        :: generation[seen_owner] != seen_generation || !alive[seen_owner] -> own(true)
        :: else -> skip
        fi
     :: has_bias(seen) && seen_owner == slot && seen_generation == my_generation -> own(false)
     :: else ->
        if
        :: generation[seen_owner] != seen_generation ->
#ifdef GONE_IS_HELD
           must(holder != NONE, told_of_death); own(true)
#else
           own(false)
#endif
        :: else ->
           if
           :: alive[seen_owner] -> revoke()
           :: else ->
              held = entry[seen_owner];
#ifdef LOSES_DEATH
              held = false;
#endif
#ifndef NO_SECOND_LOOK
              if
              :: generation[seen_owner] != seen_generation -> held = false
              :: else -> skip
              fi;
#endif
              if
              :: held ->
                 /* That member may have died between its announcement and its look at the word;
                  * owner_died is the right answer then, too. Another's announcement is not. */
                 must(!word_is_seen || holder != NONE || announced, told_of_death);
                 own(true)
              :: else -> own(false)
              fi
           fi
        fi
     fi;
     held = false
  od
}
bool announced = false; /* ghost: thread 0 is dead, and had announced the lock */

proctype member(byte me; byte slot) {
  byte my_generation, seen, seen_owner, seen_generation, seen_tag, rounds, bias = NONE;
  bool held, fast, attached;
  {
    if
    :: me == slot -> attached = true
    :: else ->
end_attach:
       !alive[slot];
#ifndef REUSES_HELD
       /* The slot stays with its dead member while the word is assigned to that member and the
        * entry announces it: nobody else knows then that the lock is held. */
       if
       :: entry[slot] ->
end_held:
          !(has_bias(state) && owner == slot && owner_generation == generation[slot])
       :: else -> skip
       fi;
#endif
       entry[slot] = false;
       generation[slot] = 1;
       my_generation = 1;
       /* What the new member announces is another lock, as far as it can: no bias is given to it. */
       entry[slot] = true;
       atomic { alive[slot] = true; attached = true };
       entry[slot] = false
    fi;
    do
    :: rounds < (me == 0 -> ROUNDS : 1) ->
       rounds++;
       fast = false;
       if
       :: bias != NONE ->
          store(announce);
          if
#ifdef NO_RECHECK
          :: true ->
#else
          :: atomic {
               ((state == BIASED && owner == 0 && owner_generation == 0 && tag == bias) ||
                buffer[0] == give_bias || buffer[1] == give_bias) ->
#endif
               fast = true; entered(false)
#ifndef NO_RECHECK
             }
          :: else ->
             store(retract);
             bias = NONE;
#ifndef SILENT_RETREAT
             /* A revoker that was woken by the last release may have fallen asleep again by this
              * announcement. */
             buffered == 0; wake()
#endif
#endif
          fi
       :: else -> skip
       fi;
       if
       :: !fast -> lock_slowly()
       :: else -> skip
       fi;
locked:
       held = false;
       /* the critical section */
       if
       :: fast ->
          atomic { store(retract); holder = NONE };
          held = awaited[0];
          if
          :: held ->
             atomic { buffered == 0; awaited[0] = false };
             wake()
          :: else -> skip
          fi;
          held = false
       :: else ->
          if
          :: me == 0 && revocations < most_revocations ->
             atomic {
               bias = 0;
#ifndef NO_TAG
               bias = revocations;
#endif
               own_tag_shown = bias;
               store(give_bias);
               holder = NONE
             }
          :: atomic { flushed -> state = FREE; holder = NONE }
          fi
       fi;
       fast = false; seen = 0; seen_owner = 0; seen_generation = 0; seen_tag = 0
    :: else -> break
    od;
end_idle:
    false
  } unless { dead[me] };
  if
  :: me == 0 ->
     do
     :: atomic { buffered > 0 -> drain() }
     :: else -> break
     od
  :: else -> skip
  fi;
  atomic {
    if
    :: attached -> announced = announced || (me == 0 && entry[0]); alive[slot] = false; wake()
    :: else -> skip
    fi
  }
}

proctype killer() {
  byte victim;
  do
  :: kills < KILLS ->
     atomic {
       kills++;
       select(victim : 0 .. THREADS - 1);
       dead[victim] = true; asleep[victim] = false;
       victim = 0
     }
  :: break
  od
}

init {
  atomic {
    alive[0] = true; alive[1] = true;
    run member(0, 0); run member(1, 1);
#ifdef NEWCOMER
    run member(2, 0);
#else
    alive[2] = true;
    run member(2, 2);
#endif
    run store_buffer(); run killer()
  }
}
