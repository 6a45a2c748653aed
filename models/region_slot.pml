/* SPDX-License-Identifier: MIT */
/*
 * One slot of a region's member table, THREADS processes of one thread each whose TIDs are equal
 * because they live in two PID namespaces, and the kernel's exit walk.
 *
 * Each thread attaches and detaches up to ROUNDS times and may be killed at any step. The walk
 * is split into its reads and writes. Each process holds a membership lock, on a byte that no
 * other process ever has; the kernel releases it with the process's memory, after the walk
 * (do_exit: exit_mm_release, then mmput). The right to change the slot, `claim`, is a word
 * that names a process by its byte: a process takes it if it is free, or from a process whose
 * membership lock is gone.
 *   REAPED   the memory of a killed process may be reaped before its walk (OOM killer,
 *            process_mrelease): the walk then finds no list and marks nothing
 *
 * Holds: the kernel never marks a liveness word for a thread that is not its owner; two live
 * threads never own the slot; a new thread can take the slot after every crash; the generation
 * advances with each new owner.
 *
 * mutants:
 *   FREE_BEFORE_UNLINK  detach stores 0, and drops its claim, while its node is still linked
 *   NO_CLAIM            the slot is changed without a claim
 *   STEALS_CLAIM        a claim is taken from a process that may be alive, as a time-out would
 *   PENDING             a slot is taken as pthread locks are: list_op_pending, then the TID
 *   NO_GENERATION       a dead slot is taken without advancing its generation
 *   LOCK_BEFORE_WALK    the membership lock is gone before the kernel's walk is over
 *   RECORDS_LATE        an attacher writes its byte into the slot after it is alive there
 *   LOOKS_BEFORE_CLAIM  (REAPED) an attacher does not check the death again once it has the claim
 *   NO_LOOK             (REAPED) no attacher checks the membership lock of a member
 *   CHILD_KEEPS_LOCK    the membership lock outlives its process (no MADV_DONTFORK)
 *   SAME_BYTE           all processes lock the same byte, so that a dead one's claim looks held
 */
#ifndef ROUNDS
#define ROUNDS 2
#endif
#ifndef THREADS
#define THREADS 2
#endif
#define NONE 9

/* must(condition, name): `name` is always 0, and puts the broken property into pan's message. */
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
byte claim = NONE;       /* the byte of the process that changes the slot */
byte recorded = NONE;    /* the byte of the process whose thread is, or was last, the member */
byte generation = 0;
bool linked[THREADS];    /* the private node is on the thread's robust list */
bool pending[THREADS];   /* mutant PENDING only */
bool dead[THREADS];
bool lock_held[THREADS]; /* the membership lock of this process */
byte owner = NONE;       /* ghost: the thread that last attached and has not detached */
byte last_generation = NONE;
byte kills = 0;

#if !defined(NO_CLAIM) && !defined(PENDING)
#define CLAIMS
#endif

#if defined(CHILD_KEEPS_LOCK)
#define is_locked(process) true
#elif defined(SAME_BYTE)
#define is_locked(process) (lock_held[0] || lock_held[1]) /* with two threads */
#else
#define is_locked(process) lock_held[process]
#endif

/* Waits until the thread has the claim. A process that is dead stays dead, so that the check
 * of its membership lock and the compare-exchange can be two steps. */
inline take_claim(me) {
#ifdef CLAIMS
  do
  :: atomic { claim == NONE -> claim = me; break }
  :: claim != NONE && claim != me ->
     claimant = claim;
     if
     :: claimant != NONE ->
#ifndef STEALS_CLAIM
        if
        :: !is_locked(claimant)
        :: claim != claimant -> claimant = NONE
        fi;
#endif
        atomic {
          if
          :: claimant != NONE && claim == claimant -> claim = me; claimant = NONE; break
          :: else -> claimant = NONE
          fi
        }
     :: else -> skip
     fi
  od
#else
  skip
#endif
}

inline drop_claim(me) {
#ifdef CLAIMS
  atomic {
    if
    :: claim == me -> claim = NONE
    :: else -> skip
    fi
  }
#else
  skip
#endif
}

/* With the claim: sets `gone` if the member is dead although the kernel has not marked it. */
inline look_at_member() {
  gone = false;
#ifndef NO_LOOK
  seen_process = recorded;
  if
  :: seen_process != NONE -> gone = !is_locked(seen_process)
  :: else -> skip
  fi;
  seen_process = NONE
#endif
}

#ifdef NO_LOOK
#define may_be_had (life != ALIVE)
#else
#define may_be_had (life != ALIVE || (recorded != NONE && !is_locked(recorded)))
#endif

inline attach(me) {
  do
  ::
#ifdef LOOKS_BEFORE_CLAIM
    seen = life;
    look_at_member();
#endif
    take_claim(me);
#ifndef LOOKS_BEFORE_CLAIM
    seen = life;
    look_at_member();
#endif
    if
    :: seen == ALIVE && !gone ->
      drop_claim(me);
      may_be_had /* the code tries another slot; here the thread waits until this one may be free */
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
        :: else -> skip /* the kernel has marked it meanwhile, which serves as well */
        fi
      };
#if !defined(PENDING)
      life = TOKEN;
#endif
#ifndef NO_GENERATION
      if
      :: seen != FREE -> generation = generation + 1
      :: else -> skip
      fi;
#endif
#ifndef RECORDS_LATE
      recorded = me;
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
#ifdef RECORDS_LATE
      drop_claim(me);
      recorded = me;
#endif
      atomic {
        must(generation != last_generation, new_generation);
        last_generation = generation;
        seen = FREE; gone = false
      };
      drop_claim(me);
      break
    fi
  od
}

inline detach(me) {
  take_claim(me);
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
  drop_claim(me);
#endif
}

/* A dead thread's variables: states that differ in them alone are one state to the search. */
inline forget() {
  seen = FREE; seen_process = NONE; claimant = NONE; rounds = 0; gone = false
}

proctype thread(byte me) {
  byte seen, seen_process = NONE, claimant = NONE, rounds = 0;
  bool gone;
  {
    do
    :: rounds < ROUNDS -> rounds++; attach(me); detach(me)
    :: rounds == ROUNDS -> break
    :: rounds == ROUNDS -> attach(me); break /* exits attached */
    od;
    atomic { dead[me] = true; forget() } /* an exit is a death too */
  } unless { atomic { dead[me] -> forget() } };

#ifdef REAPED
  if
  :: linked[me] = false /* with all of its private memory */
  :: true
  fi;
#endif
#ifdef LOCK_BEFORE_WALK
  lock_held[me] = false;
#endif
  /* exit_robust_list: read, compare, compare-exchange, wake */
  if
  :: linked[me] || pending[me] ->
    seen = life;
    if
    :: seen == ALIVE -> /* the TIDs are equal: the kernel cannot tell which thread owns the word */
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
  lock_held[me] = false
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
  atomic {
    lock_held[0] = true; lock_held[1] = true;
    run thread(0); run thread(1);
#if THREADS == 3
    lock_held[2] = true; run thread(2);
#endif
    run killer()
  }
}
