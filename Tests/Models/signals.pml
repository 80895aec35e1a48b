/*
 * Conditions, semaphores, events and watched values (signals.c, and
 * SharedMutex for conditions): processes that wait, and two that have news for
 * them, of whom one is killed at any moment. Waiter 0 gives up at any moment
 * where DEADLINE says so.
 *
 *  SEMAPHORE  a permit for each waiter, two of them at once
 *  EVENT      set by one; set, cleared and set by the other
 *  CONDITION  a token for each waiter, under a lock, each told to one; ALL:
 *             told to all
 *  WATCHED    all wait for another value than the first
 *
 * What a killed process has not given, init gives instead of it.
 *
 * Checked: no permit and no token is lost or taken twice; each who waits gets
 * what it waits for (no invalid end state).
 */

#ifndef WAITERS
#define WAITERS 2
#endif
#ifndef KILLS
#define KILLS 1
#endif
#define PROCESSES (WAITERS + 2)
#if defined(DEADLINE) && KILLS == 0
#define NEEDED (WAITERS - 1)   /* waiter 0 returns what it gets */
#else
#define NEEDED WAITERS
#endif
#define FIRST WAITERS          /* who has news */
#define SECOND (WAITERS + 1)
#define WORDS 1
#define WORD 0

#include "naps.pml"

byte word;                     /* value, is_set or sequence */
byte sleepers;                 /* too high after a kill, never too low */
byte holder;                   /* of the lock, which lock.pml is of */
byte tokens, watched;

/* For the properties alone. */
byte given, taken, over;

#ifdef DEADLINE
#define HAS_DEADLINE(p) ((p) == 0)
#else
#define HAS_DEADLINE(p) false
#endif

#define RETURNS(p) (NEEDED < WAITERS && HAS_DEADLINE(p))

/* MARK: - Sleep and wake */

/* mproc__nap; `is_late`: -ETIMEDOUT */
inline nap(observed) {
  if
  :: HAS_DEADLINE(me) -> is_late = true
  :: true ->
#ifdef M_COUNTED_LATE
     if
     :: word == observed -> sleepers++; futex_wait(me, WORD, true)
     :: word != observed -> sleepers++
     fi;
#else
     sleepers++;
     futex_wait(me, WORD, word == observed);
#endif
     until_woken(me, WORD, HAS_DEADLINE(me));
     sleepers--;
#ifdef M_GIVES_UP_WITHOUT_A_LOOK
     if
     :: HAS_DEADLINE(me) -> goto leave
     :: true
     fi
#endif
  fi
}

/* The one read-modify-write of who has news; `amount` is a semaphore's. */
inline change(amount) {
#ifdef SEMAPHORE
  d_step { old = word; word = word + amount; given = given + amount }
#elif defined(EVENT) && defined(M_LOOKS_THEN_SETS)
  old = word;
  word = 1
#elif defined(EVENT)
  d_step { old = word; word = 1 }
#else
  word++
#endif
}

#ifdef EVENT
#define IS_NEWS (old == 0)
#elif defined(SEMAPHORE) && defined(M_WAKES_AT_ZERO_ONLY)
#define IS_NEWS (old == 0)
#else
#define IS_NEWS true
#endif
#define EVERYBODY 255

/* A change, then mproc__wake_sleepers: `count` of them */
inline tell_sleepers(amount, count) {
#ifdef M_NO_FENCE
  seen = sleepers;
  change(amount);
#else
  change(amount);
  seen = sleepers;
#endif
  if
  :: seen == 0 || !IS_NEWS
  :: seen != 0 && IS_NEWS ->
     atomic {
       seen = count;
#ifdef M_WAKES_ONE
       seen = 1;
#endif
       do
       :: seen == 0 -> break
       :: seen == EVERYBODY -> asleep[WORD] = 0; seen = 0
       :: seen != 0 && seen != EVERYBODY -> wake_one(WORD); seen--
       od
     }
  fi;
  atomic { seen = 0; old = 0 }
}

/* MARK: - Giving */

#ifdef SEMAPHORE
/* mproc_shared_semaphore_signal */
inline give(count) { tell_sleepers(count, count) }
#endif

#ifdef CONDITION
/* mproc_lock_acquire, by one who waits for as long as it takes */
inline acquire() {
  d_step { holder == 0 || dead[holder - 1] -> holder = me + 1 }
}
#define CAN_ACQUIRE (holder == 0 || dead[holder - 1])

/* SharedMutex.withLock, mproc_condition_notify */
#ifdef ALL
#define TOLD EVERYBODY
#else
#define TOLD 1
#endif
inline give(count) {
  acquire();
  d_step { tokens = tokens + count; given = given + count };
  holder = 0;
  tell_sleepers(1, TOLD)
}
#endif

/* MARK: - Waiting */

#ifdef SEMAPHORE

/* mproc_shared_semaphore_try, mproc_shared_semaphore_wait */
inline wait() {
  do
  :: old = word;
     if
#ifdef M_TAKEN_UNSEEN
     :: d_step { old != 0 -> word = old - 1; taken++ }; goto have
#else
     :: d_step { old != 0 && word == old -> word = old - 1; taken++ };
        goto have
     :: old != 0 && word != old
#endif
     :: old == 0 && is_late -> goto leave
     :: old == 0 && !is_late -> nap(0)
     fi
  od;
have:
  if
  :: RETURNS(me) -> give(1)
  :: !RETURNS(me)
  fi
}
#endif

#ifdef EVENT
/* mproc_event_wait */
inline wait() {
  do
  :: word != 0 || is_late -> break
  :: word == 0 && !is_late -> nap(0)
  od
}
#endif

#ifdef WATCHED
/* mproc_watched_wait */
inline wait() {
  do
#ifdef M_VALUE_BEFORE_SEQUENCE
  :: watched != 0 || is_late -> break
  :: watched == 0 && !is_late -> old = word; nap(old)
#else
  :: is_late -> break
  :: !is_late ->
     old = word;
     if
     :: watched != 0 -> break
     :: watched == 0 -> nap(old)
     fi
#endif
  od
}
#endif

#ifdef CONDITION
/* SharedMutex.withLock(when:signaledBy:), mproc_condition_wait */
inline wait() {
  do
  ::
     if
     :: acquire()
     :: HAS_DEADLINE(me) && !CAN_ACQUIRE -> break
     fi;
     if
     :: tokens > 0 ->
        d_step { tokens--; taken++ };
        holder = 0;
        if
        :: RETURNS(me) -> give(1)
        :: !RETURNS(me)
        fi;
        goto leave
     :: tokens == 0
     fi;
#ifdef M_TICKET_AFTER_RELEASE
     holder = 0;
     old = word;
#else
     old = word;
     holder = 0;
#endif
#ifdef M_WAITS_FOR_A_NOTICE
     do
     :: word != old || is_late -> break
     :: word == old && !is_late -> nap(old)
     od;
#else
     if
     :: word != old
     :: word == old -> nap(old)
     fi;
#endif
     if
     :: is_late -> goto leave
     :: !is_late -> has_waited = true
     fi
  od;
#ifdef M_NOT_HANDED_ON
  skip
#else
  if
  :: has_waited -> tell_sleepers(1, 1)
  :: !has_waited
  fi
#endif
}
#endif

proctype Waiter(byte me) {
  byte old, seen;
  bool is_late, has_waited;
  {
    wait();
leave:
    skip
  } unless {
    dead[me]
  };
  atomic { old = 0; seen = 0; is_late = false; has_waited = false }
}

/* MARK: - News */

#ifdef SEMAPHORE
inline tell() {
  if
  :: me == FIRST -> give(NEEDED - 1)
  :: me == SECOND -> give(1)
  fi
}
#define IS_MISSING (given < NEEDED)
inline replace() {
  if
  :: given == 0 -> give(NEEDED)
  :: given == 1 -> give(NEEDED - 1)
  :: given > 1 -> give(1)
  fi
}
#endif

#ifdef EVENT
/* mproc_event_set, mproc_event_clear */
inline set() { tell_sleepers(1, EVERYBODY) }
inline tell() {
  set();
  if
  :: me == FIRST
  :: me == SECOND -> word = 0; set()
  fi
}
#define IS_MISSING (word == 0)
inline replace() { set() }
#endif

#ifdef CONDITION
inline tell() {
  if
#ifdef ALL
  :: me == FIRST -> give(NEEDED)
  :: me == SECOND
#else
  :: me == FIRST -> give(1)
  :: me == SECOND && NEEDED > 1 -> give(1)
  :: me == SECOND && NEEDED == 1 -> acquire(); holder = 0
#endif
  fi
#if !defined(ALL) && WAITERS > 2
  ;
  if
  :: me == FIRST && NEEDED > 2 -> give(1)
  :: me != FIRST || NEEDED <= 2
  fi
#endif
}
#define IS_MISSING (given < NEEDED)
inline replace() {
  do
  :: given == NEEDED -> break
  :: given < NEEDED -> give(1)
  od
}
#endif

#ifdef WATCHED
/* SharedAtomic.store, mproc_watched_notify */
inline tell() {
  watched = me + 1;
  tell_sleepers(1, EVERYBODY)
}
#define IS_MISSING (watched == 0)
inline replace() { tell() }
#endif

proctype Teller(byte me) {
  byte old, seen;
  {
    tell()
  } unless {
    dead[me]
  };
  atomic { over++; old = 0; seen = 0 }
}

#define KILL(p) d_step { !dead[p] -> die(p) }

proctype Killer() {
  byte kills;
  do
  :: kills == KILLS -> break
  :: break
  :: kills < KILLS ->
     if
     :: KILL(0)
     :: KILL(1)
     :: KILL(2)
     :: KILL(3)
#if PROCESSES > 4
     :: KILL(4)
#endif
     fi;
     kills++
  od
}

init {
  byte old, seen, me = PROCESSES;
  atomic {
    run Waiter(0);
    run Waiter(1);
#if WAITERS > 2
    run Waiter(2);
#endif
    run Teller(FIRST);
    run Teller(SECOND);
    run Killer()
  };
  over == 2;
  if
  :: IS_MISSING -> replace()
  :: else
  fi;
  _nr_pr == 1;
#ifdef SEMAPHORE
  assert(given == taken + word)
#endif
#ifdef CONDITION
  assert(given == taken + tokens)
#endif
}
