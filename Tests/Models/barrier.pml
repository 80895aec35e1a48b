/*
 * The barrier (barrier.c): parties that meet in round after round and then end,
 * of whom one is killed at any moment. DEADLINE: party 0 gives up at any
 * moment. Who is killed and was in no round that the others could know of is
 * one of whom they know nothing: then somebody aborts.
 *
 * Checked: who comes out of a round comes out after all have come into it, and
 * with an index of its own; a round that was broken is completed for nobody,
 * and one that was completed is broken for nobody; none waits for ever (no
 * invalid end state).
 *
 * The lock is that of lock.pml, and what wakes is that of signals.pml, with
 * neither fence nor count of sleepers.
 */

#ifndef PARTIES
#define PARTIES 2
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif
#ifndef KILLS
#define KILLS 1
#endif
#define PROCESSES PARTIES
#define WORDS 1
#define GENERATION 0

#include "naps.pml"

byte holder;
byte arrived, generation, breaks, completed;
bool is_broken;
byte members[2 * PARTIES];     /* process + 1; those of the round before last */

/* For the properties alone: bits of parties, by round */
byte entered[ROUNDS + 1], indices[ROUNDS + 1];
bool is_completed[ROUNDS + 1], is_passed[ROUNDS + 1], fails[ROUNDS + 1];

hidden byte j;

#ifdef DEADLINE
#define HAS_DEADLINE(p) ((p) == 0)
#else
#define HAS_DEADLINE(p) false
#endif
#define ALL (BIT(PARTIES) - 1)
#define IS_OVER (generation != my_generation)

inline end_round() {
  arrived = 0;
  generation++;
#ifdef M_WAKES_ONE
  atomic { wake_one(GENERATION) }
#else
  asleep[GENERATION] = 0
#endif
}

inline break_round() {
  is_broken = true;
#ifdef M_BREAKS_LATE
  end_round();
  breaks++
#else
  breaks++;
  end_round()
#endif
}

/* The lock; from a dead process: 1 */
inline enter() {
  if
  :: d_step { holder == 0 -> holder = me + 1 }
  :: d_step { holder != 0 && dead[holder - 1] -> holder = me + 1 };
     break_round()
  fi
}

inline end_completed_round() {
  i = 0;
  do
  :: i == PARTIES -> break
  :: i < PARTIES ->
#ifndef M_MEMBERS_FORGOTTEN
     members[PARTIES + i] = members[i];
#endif
     members[i] = 0;
     i++
  od;
  i = 0;
  arrived = 0;
#ifndef M_COMPLETED_LATE
  completed = generation + 1;
#endif
  d_step { generation++; is_completed[round] = true };
#ifdef M_COMPLETED_LATE
  completed = generation;
#endif
#ifdef M_WAKES_ONE
  atomic { wake_one(GENERATION) }
#else
  asleep[GENERATION] = 0
#endif
}

inline arrive() {
#ifdef M_GENERATION_READ_EARLY
  my_generation = generation;
  enter();
  d_step { index = arrived; my_breaks = breaks };
#else
  enter();
  d_step {
    index = arrived;
    my_generation = generation;
    my_breaks = breaks
  };
#endif
  if
  :: is_broken || index >= PARTIES -> holder = 0; goto broken
  :: !is_broken && index < PARTIES
  fi;
  members[index] = me + 1;
  d_step {
    arrived = index + 1;
    entered[round] = entered[round] | BIT(me)
  };
  if
  :: index + 1 == PARTIES ->
     end_completed_round();
     holder = 0;
     goto passed
  :: index + 1 < PARTIES -> holder = 0
  fi
}

/* has_lost_one: into `is_lost` */
inline look_for_lost() {
  i = 0;
  do
  :: i == 2 * PARTIES || is_lost -> break
  :: i < 2 * PARTIES && !is_lost ->
     atomic {
       is_lost = members[i] != 0 && dead[members[i] - 1];
       i++
     }
  od;
  i = 0
}

/* mproc_barrier_wait */
inline wait() {
  arrive();
  do
  :: IS_OVER -> break
  :: !IS_OVER ->
     if
     :: HAS_DEADLINE(me) -> is_late = true
     :: true ->
        futex_wait(me, GENERATION, !IS_OVER);
        until_woken(me, GENERATION, HAS_DEADLINE(me))
     fi;
     if
     :: IS_OVER -> is_late = false; break
     :: !IS_OVER && is_late
     :: !IS_OVER && !is_late -> look_for_lost()
     fi;
     if
     :: !is_late && !is_lost
     :: is_late || is_lost ->
        is_lost = false;
        enter();
#ifdef M_BREAKS_WHAT_IS_OVER
        break_round();
#else
        if
        :: IS_OVER -> is_late = false
        :: !IS_OVER -> break_round()
        fi;
#endif
        holder = 0;
        if
        :: is_late -> goto broken
        :: !is_late
        fi
     fi
  od;
  if                                           /* outcome */
  :: breaks == my_breaks -> goto passed
  :: breaks != my_breaks
  fi;
#ifndef M_BREAKS_ALONE
  if
  :: completed == my_generation + 1 -> goto passed
  :: completed != my_generation + 1
  fi;
#endif
  goto broken
}

proctype Party(byte me) {
  byte round, index, i, my_generation, my_breaks;
  bool is_late, is_lost;
  {
    do
    :: round == ROUNDS -> break
    :: round < ROUNDS ->
       round++;
       wait();
passed:
       skip;
       d_step {
         assert(entered[round] == ALL && !fails[round]);
         is_passed[round] = true;
         assert(!((indices[round] >> index) & 1));
         indices[round] = indices[round] | BIT(index);
         my_generation = 0;
         my_breaks = 0
       }
    od;
    goto leave;
broken:
    skip;
    d_step {
      assert(!is_completed[round] && !is_passed[round]);
      fails[round] = true
    };
leave:
    skip
  } unless {
    dead[me]
  };
  /* A process that has ended is as dead as one that was killed. */
  atomic {
    dead[me] = true;
    round = 0;
    index = 0;
    i = 0;
    my_generation = 0;
    my_breaks = 0;
    is_late = false;
    is_lost = false
  }
}

#define IS_MEMBER(p) \
  (members[0] == (p) + 1 || members[1] == (p) + 1 || \
   members[2] == (p) + 1 || members[3] == (p) + 1 || \
   members[2 * PARTIES - 2] == (p) + 1 || members[2 * PARTIES - 1] == (p) + 1)

#define KILL(p) d_step { !dead[p] -> die(p); is_known = IS_MEMBER(p) }

proctype Killer() {
  byte kills, me = PROCESSES;
  bool is_known;
  do
  :: kills == KILLS -> break
  :: break
  :: kills < KILLS ->
     if
     :: KILL(0)
     :: KILL(1)
#if PARTIES > 2
     :: KILL(2)
#endif
     :: atomic { dead[0] && dead[1] && dead[PARTIES - 1] -> break }
     fi;
     kills++;
     if
     :: is_known
     :: !is_known ->                           /* mproc_barrier_abort */
        enter();
        break_round();
        holder = 0
     fi
  od
}

init {
  atomic {
    run Party(0);
    run Party(1);
#if PARTIES > 2
    run Party(2);
#endif
    run Killer()
  }
}
