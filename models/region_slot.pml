/* SPDX-License-Identifier: MIT */
/*
 * One slot of a region's member table, two threads whose TIDs are equal
 * because they live in two PID namespaces, and the kernel's exit walk.
 *
 * Each thread attaches and detaches up to ROUNDS times and may be killed at any
 * step. The walk is split into its reads and writes; the claim (an open file
 * description lock) is released after the walk, as do_exit does.
 *
 * Holds: the kernel never marks a liveness word for a thread that is not its
 * owner; two live threads never own the slot; the slot can be had again after
 * every crash; its generation has advanced whenever an owner is new.
 *
 * mutants:
 *   FREE_BEFORE_UNLINK    detach stores 0, and lets go, while its node is still linked
 *   NO_CLAIM              a token is taken over without the lock, as a time-out would
 *   PENDING               a slot is taken as pthread locks are: list_op_pending, then the TID
 *   NO_GENERATION         a dead slot is taken without advancing its generation
 *   CLAIM_BEFORE_WALK     the evidence of death comes before the kernel's walk is over
 */
#define ROUNDS 2
#define THREADS 2
#define NONE 9

/* The name of what a failed assertion broke; always 0. */
#define must(condition, name) assert((condition) || name)
hidden byte one_owner = 0;
hidden byte new_generation = 0;
hidden byte marks_the_dead = 0;

/* The liveness word: FREE and DIED have no TID bits, TOKEN's cannot be a TID. */
#define FREE 0
#define ALIVE 1
#define DIED 2
#define TOKEN 3

byte life = FREE;
byte claim = NONE;
byte generation = 0;
bool linked[THREADS];  /* the private node is on the thread's robust list */
bool pending[THREADS]; /* mutant PENDING only */
bool dead[THREADS];
byte owner = NONE;      /* ghost: who published last and has not withdrawn */
byte last_generation = NONE;
byte kills = 0;

#if !defined(NO_CLAIM) && !defined(PENDING)
#define CLAIMS
#endif

#define try_claim(me) atomic { claim == NONE -> claim = me }
#define drop_claim(me) claim = NONE

inline attach(me) {
  do
  ::
#ifdef CLAIMS
    try_claim(me);
#endif
    seen = life;
    if
    :: seen == ALIVE ->
#ifdef CLAIMS
      drop_claim(me);
#endif
      life != ALIVE /* look for another slot; here, until this one may be free */
    :: else ->
#ifdef PENDING
      pending[me] = true;
#endif
      atomic {
        if
        :: life == seen ->
#ifdef PENDING
          life = ALIVE; owner = me
#else
          life = TOKEN
#endif
        :: else -> skip /* with the claim: cannot be */
        fi
      }
#ifndef NO_GENERATION
      if
      :: seen != FREE -> generation = generation + 1
      :: else -> skip
      fi;
#endif
      linked[me] = true;
#ifdef PENDING
      pending[me] = false;
#else
      atomic {
        must(owner == NONE || dead[owner], one_owner);
        life = ALIVE; owner = me
      };
#endif
      must(generation != last_generation, new_generation);
      last_generation = generation;
#ifdef CLAIMS
      drop_claim(me);
#endif
      break
    fi
  od
}

inline detach(me) {
#ifdef CLAIMS
  try_claim(me);
#endif
#ifdef FREE_BEFORE_UNLINK
  generation = generation + 1;
  atomic { life = FREE; owner = NONE };
  drop_claim(me);
  linked[me] = false;
#else
  atomic { life = TOKEN; owner = NONE };
  linked[me] = false;
  generation = generation + 1;
  life = FREE;
#ifdef CLAIMS
  drop_claim(me);
#endif
#endif
}

proctype thread(byte me) {
  byte seen, rounds = 0;
  {
    do
    :: rounds < ROUNDS -> rounds++; attach(me); detach(me)
    :: rounds == ROUNDS -> break
    :: rounds == ROUNDS -> attach(me); break /* exits attached */
    od;
    dead[me] = true /* an exit is a death too */
  } unless { dead[me] };

#ifdef CLAIM_BEFORE_WALK
  atomic { if :: claim == me -> claim = NONE :: else -> skip fi };
  /* a peer decides that this thread is gone and takes the slot for a stranger */
  atomic { if :: life == ALIVE && owner == me -> life = DIED :: else -> skip fi };
#endif
  /* exit_robust_list: read, compare, compare-exchange, wake */
  if
  :: linked[me] || pending[me] ->
    seen = life;
    if
    :: seen == ALIVE -> /* the TIDs are equal: the kernel cannot tell whose it is */
      atomic {
        if
        :: life == ALIVE -> must(owner == me, marks_the_dead); life = DIED
        :: else -> skip
        fi
      }
    :: else -> skip
    fi
  :: else -> skip
  fi;
  atomic { if :: claim == me -> claim = NONE :: else -> skip fi }
}

proctype killer() {
  do
  :: kills < 2 -> kills++;
    if
    :: dead[0] = true
    :: dead[1] = true
    fi
  :: break
  od
}

init {
  atomic { run thread(0); run thread(1); run killer() }
}
