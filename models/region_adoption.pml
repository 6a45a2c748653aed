/* SPDX-License-Identifier: MIT */
/*
 * A region's file of a former boot, or a copy: its pages may be from different times. OPENERS
 * processes open it, each at any moment, and each attaches a thread to the one slot and may detach
 * it. The steps are those of map_new() in src/region/opening.cpp and of mark_dead_members(),
 * skip_generations() and take() in src/region/slots.cpp.
 *
 * The slot's page is older than the page of a lock: the lock word names the slot's member of
 * generation NAMED, which is dead, and which the slot's page does not know yet. The former member
 * that the page does know is dead, marked or not, or the slot is free. An opener that waits for
 * another one's claim may give up at any moment (after a second, in the code). Up to KILLS openers
 * are killed at any step; the kernel marks the liveness word of a member, or does not. An opener
 * that finds no other user stores the file's new home, and who opens the file after that takes it
 * for an ordinary one.
 *
 * Holds: no member gets the generation that the lock word names.
 *
 * mutants:
 *   NEEDS_CLAIM       an opener that gives up leaves the slot as it is
 *   LEAVES_UNMARKED   an opener skips no slot of a dead member that it could not mark
 *   TRIES_ONCE        an opener does not look again when the liveness word changes under it
 *   STORES_FIRST      the new home is stored before the marks and skips
 */
#ifndef OPENERS
#define OPENERS 2
#endif
#ifndef KILLS
#define KILLS 2
#endif
#define NONE 9
#define NAMED 1
#define SKIPPED 8

/* must(condition, name): `name` is always 0, and puts the broken property into pan's message. */
#define must(condition, name) assert((condition) || name)
hidden byte id_of_a_dead_owner = 0;

/* The liveness word. */
#define FREE 0
#define FORMER 1    /* alive by the word; the process is gone */
#define DIED 2
#define ELSEWHEN 3  /* dead, and the next member's generation must be far above */
#define TOKEN 4
#define ALIVE 5     /* of the opener `member` */

byte life = FREE;
byte member = NONE;
byte generation = 0;
byte claim = NONE;
bool locked[OPENERS];  /* the opener's membership lock */
bool dead[OPENERS];
bool home = false;     /* the header names the present boot and file */
byte kills = 0;

#define is_gone_member (life == FORMER || (life == ALIVE && !locked[member]))
#define can_claim (claim == NONE || !locked[claim])

inline look_for_others(me) {
  alone = true;
  i = 0;
  do
  :: i < OPENERS -> alone = alone && (i == me || !locked[i]); i++
  :: else -> break
  od;
  i = 0
}

inline give_back(me) {
  atomic {
    if
    :: claim == me -> claim = NONE
    :: else -> skip
    fi
  }
}

inline mark(me) {
  if
  :: atomic { can_claim -> claim = me };
     seen = life;
     if
     :: seen == FORMER || (seen == ALIVE && is_gone_member) ->
        atomic {
          if
          :: life == seen && is_gone_member -> life = DIED
          :: else -> skip
          fi
        }
     :: else -> skip
     fi;
     give_back(me)
  :: !can_claim -> skip /* one try */
  fi
}

inline add_skip() {
  /* More than one skip is as good as one: the number stays small. */
  generation = (generation >= SKIPPED -> generation : generation + SKIPPED)
}

inline skip_next(me) {
  do
  :: seen = life;
     if
     :: seen == FORMER || (seen == ALIVE && is_gone_member) ->
#ifdef LEAVES_UNMARKED
        break
#else
        skip
#endif
     :: seen == ALIVE && !is_gone_member -> break
     :: seen == TOKEN && !claimed -> break
     :: seen != ALIVE && seen != FORMER && claimed -> add_skip(); break
     :: seen != ALIVE && seen != FORMER && seen != TOKEN && !claimed -> skip
     fi;
     atomic {
       if
       :: life == seen -> life = ELSEWHEN; break
#ifdef TRIES_ONCE
       :: else -> break
#else
       :: else -> skip
#endif
       fi
     }
  od
}

inline skip_generations(me) {
  if
  :: atomic { can_claim -> claim = me; claimed = true }
  :: !can_claim -> claimed = false /* gave up */
  fi;
#ifdef NEEDS_CLAIM
  if
  :: claimed -> skip_next(me)
  :: else -> skip
  fi;
#else
  skip_next(me);
#endif
  give_back(me);
  claimed = false; seen = 0
}

/* `attached` says whether the slot could be had. */
inline attach(me) {
  attached = false;
  if
  :: atomic { can_claim -> claim = me };
     seen = life;
     if
     :: seen == ALIVE && !is_gone_member -> skip
     :: else ->
        if
        :: seen == ELSEWHEN -> add_skip()
        :: else -> skip
        fi;
        atomic {
          if
          :: life == seen -> life = TOKEN; member = NONE; attached = true
          :: else -> skip
          fi
        };
        if
        :: attached ->
           if
           :: seen != FREE -> generation++
           :: else -> skip
           fi;
           must(generation != NAMED, id_of_a_dead_owner);
           atomic { life = ALIVE; member = me }
        :: else -> skip
        fi
     fi;
     give_back(me)
  :: !can_claim -> skip
  fi;
  seen = 0
}

inline detach(me) {
  if
  :: atomic { can_claim -> claim = me };
     atomic { life = TOKEN; member = NONE };
     generation++;
     life = FREE;
     give_back(me);
     attached = false
  :: !can_claim -> skip /* stays a member */
  fi
}

inline store_home(me) {
  if
  :: alone -> home = true
  :: else -> skip
  fi
}

proctype opener(byte me) {
  byte seen = 0, i = 0;
  bool alone = false, claimed = false, attached = false, is_former = false;
  {
    locked[me] = true;
    look_for_others(me);
    is_former = !home;
#ifdef STORES_FIRST
    store_home(me);
#endif
    if
    :: is_former || alone -> mark(me)
    :: else -> skip
    fi;
    if
    :: is_former -> skip_generations(me)
    :: else -> skip
    fi;
#ifndef STORES_FIRST
    store_home(me);
#endif
    attach(me);
    if
    :: attached -> detach(me)
    :: true
    fi;
    attach(me);
    dead[me] = true /* exits */
  } unless { dead[me] };
  atomic {
    seen = 0; i = 0; alone = false; claimed = false; attached = false; is_former = false;
    if
    :: life == ALIVE && member == me -> life = DIED; member = NONE
    :: true /* its memory was reaped before the kernel's walk */
    fi
  };
  locked[me] = false
}

proctype killer() {
  byte victim;
  do
  :: kills < KILLS ->
     atomic {
       kills++;
       select(victim : 0 .. OPENERS - 1);
       dead[victim] = true;
       victim = 0
     }
  :: break
  od
}

init {
  atomic {
    if
    :: life = FREE
    :: life = FORMER
    :: life = DIED
    fi;
    run opener(0); run opener(1);
#if OPENERS == 3
    run opener(2);
#endif
    run killer()
  }
}
