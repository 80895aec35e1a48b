/*
 * The lock that outlives its holders (lock.c): processes that take it and give
 * it back, of whom one is killed at any moment, and one may have a deadline.
 *
 * Process p names itself p + 1. TRY: the last one only tries. DEADLINE: process
 * 0 gives up at any moment. FAIR: of two processes the one for whom the lock is
 * to be kept gets it next.
 *
 * Checked: one living holder at a time; the next one after a death under the
 * lock, and nobody else, learns of it; what is kept for those who have slept
 * is not taken by others; a try fails only where somebody holds the lock; none
 * sleeps for ever (no invalid end state).
 */

#ifndef PROCESSES
#define PROCESSES 3
#endif
#ifndef ROUNDS
#define ROUNDS 1               /* how often each takes the lock */
#endif
#ifndef KILLS
#define KILLS 1
#endif
#define WORDS 1
#define LOCK 0

#include "naps.pml"

#if PROCESSES > 3
#error more processes than an owner word has names for
#endif

/* mproc_lock.owner. The half that is compared has all but the start time. */
#define NAMED(owner) ((owner) & 3)
#define HANDOFF 4
#define WAITERS 8
#define KEPT (HANDOFF | WAITERS)
byte owner;

#define HANDOFF_NAPS 2

/* For the properties alone. */
byte inside;                   /* who holds the lock, or died in it */
bool died_inside;              /* of which nobody has learnt */
byte owed;                     /* who has last asked to be preferred */
bool has_quit;

#ifdef TRY
#define TRIES(p) ((p) == PROCESSES - 1)
#else
#define TRIES(p) false
#endif
#ifdef DEADLINE
#define HAS_DEADLINE(p) ((p) == 0)
#else
#define HAS_DEADLINE(p) false
#endif

#ifdef M_KEPT_FOR_NOBODY
#define IS_FREE(owner, has_slept) ((owner) == 0 || (owner) == KEPT)
#else
#define IS_FREE(owner, has_slept) \
  ((owner) == 0 || ((owner) == KEPT && (has_slept)))
#endif
#define IS_DEAD(owner) (NAMED(owner) == 0 || dead[NAMED(owner) - 1])

/* What take() writes; also where it takes over from the dead. */
#ifdef M_WAITERS_FORGOTTEN
#define OWN(p, owner, has_slept) ((p) + 1)
#else
#define OWN(p, owner, has_slept) \
  (((p) + 1) | ((has_slept) -> WAITERS : 0) | ((owner) & WAITERS))
#endif

/* A part of the step that takes the lock */
inline took(has_died, is_preferred) {
  assert(inside == 0 || dead[inside - 1]);
  assert(has_died == died_inside);
  assert(owed == 0 || is_preferred);
#ifdef FAIR
  assert(owed == 0 || owed == me + 1);
#endif
  inside = me + 1;
  died_inside = false;
  owed = 0
}

proctype Process(byte me) {
  byte rounds, seen, wanted, count;
  {
    skip;
next:
    atomic {
      seen = 0;
      wanted = 0;
      count = 0;
      if
      :: rounds == ROUNDS -> goto leave
      :: rounds < ROUNDS -> rounds++
      fi
    };
    if
    :: !TRIES(me) -> skip
    :: TRIES(me) -> goto try
    fi;

    /* mproc_lock_acquire; the first looks of acquire_slowly, which are many,
     * are this one at a later time. */
    if
    :: d_step { owner == 0 -> owner = me + 1; took(false, false) };
       goto release
    :: owner != 0
    fi;

    /* acquire_slowly, take */
look:
    seen = owner;
    if
    :: IS_FREE(seen, count > 0) ->
       if
       :: d_step { owner == seen ->
            owner = OWN(me, seen, count > 0);
            took(false, count > 0)
          };
          goto release
       :: owner != seen -> goto look
       fi
#ifndef M_NO_LOOK_FOR_THE_DEAD
    :: !IS_FREE(seen, count > 0) && count > 0 && seen != KEPT &&
       IS_DEAD(seen) ->
#ifdef M_TAKEN_OVER_UNSEEN
       d_step { owner = (me + 1) | WAITERS; took(true, true) };
       goto release
#else
       if
       :: d_step { owner == seen ->
            owner = OWN(me, seen, true);
            took(true, true)
          };
          goto release
       :: owner != seen -> goto look
       fi
#endif
    :: !IS_FREE(seen, count > 0) &&
       (count == 0 || seen == KEPT || !IS_DEAD(seen))
#else
    :: !IS_FREE(seen, count > 0)
#endif
    fi;

    /* acquire_slowly: not to be had */
#ifdef M_SLEEPS_UNANNOUNCED
    wanted = seen;
#else
    wanted = seen | WAITERS | (count >= HANDOFF_NAPS -> HANDOFF : 0);
#endif
    if
    :: wanted == seen
    :: wanted != seen ->
       if
       :: d_step { owner == seen ->
            owner = wanted;
            owed = (wanted & HANDOFF -> me + 1 : 0)
          }
       :: owner != seen -> goto look
       fi
    fi;

    /* mproc__nap */
    if
    :: HAS_DEADLINE(me) -> atomic { has_quit = true; goto next }
    :: true
    fi;
    futex_wait(me, LOCK, owner == wanted);
    /* Nobody may be left of those for whom it is kept. */
    until_woken(me, LOCK,
                HAS_DEADLINE(me) || (has_quit && owner == KEPT));
#ifdef M_GIVES_UP_WITHOUT_A_LOOK
    if
    :: HAS_DEADLINE(me) -> atomic { has_quit = true; goto next }
    :: true
    fi;
#endif
    atomic {
      seen = 0;
      wanted = 0;
      count = (count < HANDOFF_NAPS -> count + 1 : count)
    };
    goto look;

    /* mproc_lock_try */
try:
    seen = owner;
#ifdef M_TRY_RESPECTS_KEPT
#define MAY_BE_TRIED(owner) ((owner) == 0)
#else
#define MAY_BE_TRIED(owner) ((owner) == 0 || (owner) == KEPT)
#endif
    if
    :: MAY_BE_TRIED(seen) ->
       if
       :: d_step { owner == seen ->
            owner = OWN(me, seen, seen == KEPT);
            took(false, true)
          };
          goto release
       :: owner != seen -> goto try
       fi
    :: !MAY_BE_TRIED(seen) && seen != KEPT && IS_DEAD(seen) ->
       if
       :: d_step { owner == seen ->
            owner = OWN(me, seen, true);
            took(true, true)
          };
          goto release
       :: owner != seen -> goto try
       fi
    :: !MAY_BE_TRIED(seen) && (seen == KEPT || !IS_DEAD(seen)) ->
       assert(NAMED(seen) != 0);
       goto next
    fi;

    /* mproc_lock_release */
release:
    atomic { seen = 0; wanted = 0; count = 0 };
#ifdef M_WAKES_BEFORE_RELEASE
    if
    :: owner & WAITERS -> atomic { wake_one(LOCK) }
    :: !(owner & WAITERS)
    fi;
#endif
    if
    :: d_step { owner == me + 1 -> owner = 0; inside = 0 }; goto next
    :: owner != me + 1
    fi;
again:
    seen = owner;
    assert(NAMED(seen) == me + 1);
    if
    :: d_step { owner == seen ->
#ifdef M_NO_HANDOFF
         owner = 0;
#else
         owner = (seen & HANDOFF -> KEPT : 0);
#endif
         inside = 0
       }
    :: owner != seen -> goto again
    fi;
#ifndef M_WAKES_BEFORE_RELEASE
    if
    :: seen & WAITERS -> atomic { wake_one(LOCK); seen = 0 }
    :: !(seen & WAITERS)
    fi;
#endif
    goto next
  } unless {
    atomic {
      dead[me] ->
      rounds = 0;
      seen = 0;
      wanted = 0;
      count = 0
    }
  };
leave:
  skip
}

#define KILL(p) d_step { !dead[p] -> \
    die(p); \
    died_inside = died_inside || inside == (p) + 1 \
  }

proctype Killer() {
  byte kills;
  do
  :: kills == KILLS -> break
  :: break
  :: kills < KILLS ->
     if
     :: KILL(0)
     :: KILL(1)
#if PROCESSES > 2
     :: KILL(2)
#endif
     fi;
     kills++
  od
}

init {
  atomic {
    run Process(0);
    run Process(1);
#if PROCESSES > 2
    run Process(2);
#endif
    run Killer()
  }
}
