/*
 * The queue (queue.c, join.c): senders, receivers, one who joins, and SIGKILL
 * for one of them at any moment.
 *
 * Process p < SENDERS sends elements 1 to EACH of its own, then gives up its
 * end; FINISH: sender 0 finishes the queue. The receivers receive until the
 * end and mark each element as done. JOIN: another process joins.
 *
 *  QUITTER=p  process p gives up at any moment at which it waits, also for the
 *             lock, or has no memory for an element; later it gives up its end
 *  LOSER=p    receiver p loses an element whose descriptors it cannot have
 *
 * Checked: the elements of a sender are received in their order, each once, up
 * to the last that was sent; nothing is sent after the end; who is told of an
 * end is told the truth; what a join waited for is done, or was in the hand of
 * a dead process; none sleeps for ever (no invalid end state).
 *
 * The lock is that of lock.pml, and what wakes is that of signals.pml, with
 * neither fence nor count of sleepers.
 */

#ifndef SENDERS
#define SENDERS 1
#endif
#ifndef RECEIVERS
#define RECEIVERS 1
#endif
#ifndef CAPACITY
#define CAPACITY 1
#endif
#ifndef EACH
#define EACH 2
#endif
#ifndef KILLS
#define KILLS 1
#endif
#define JOINER (SENDERS + RECEIVERS)
#ifdef JOIN
#define PROCESSES (JOINER + 1)
#else
#define PROCESSES JOINER
#endif
#define NOT_EMPTY 0
#define NOT_FULL 1
#define LESS_TO_DO 2
#define WORDS 3

#include "naps.pml"

/* The header, the consumers and the slots */
byte holder, head, tail, finished;
byte sequence[WORDS];
byte consumers, owner[RECEIVERS], in_hand[RECEIVERS];
byte slot[CAPACITY];

/* The kernel's: the ends that are open. */
byte open_senders = BIT(SENDERS) - 1;
byte open_receivers = (BIT(RECEIVERS) - 1) << SENDERS;

/* For the properties alone. */
#define MOST (SENDERS * EACH)
byte last[SENDERS];            /* received of each sender */
byte taker[MOST];              /* process + 1, of the element at this place */
byte done;                     /* bit k: the element at place k */
byte lost;

hidden byte j, value;

#define ELEMENT(p, n) (((p) + 1) * 16 + (n))
#define SENDER(element) ((element) / 16 - 1)
#define NUMBER(element) ((element) % 16)

#ifdef QUITTER
#define HAS_DEADLINE(p) ((p) == QUITTER)
#else
#define HAS_DEADLINE(p) false
#endif
#ifdef LOSER
#define MAY_LOSE(p) ((p) == LOSER && !lost)
#else
#define MAY_LOSE(p) false
#endif

/* MARK: - Waiting */

#define CAN_ENTER (holder == 0 || dead[holder - 1])

/* mproc__queue_enter */
inline enter() {
  if
  :: d_step { CAN_ENTER -> holder = me + 1 }
  :: HAS_DEADLINE(me) && !CAN_ENTER -> gives_up = true
  fi
}

inline enter_patiently() {
  d_step { CAN_ENTER -> holder = me + 1 }
}

/* mproc_condition_notify */
inline notify_one(word) {
  sequence[word]++;
  atomic { wake_one(word) }
}

inline notify_all(word) {
  sequence[word]++;
  asleep[word] = 0
}

/* mproc__queue_nap */
inline nap(word) {
  if
  :: HAS_DEADLINE(me) -> gives_up = true
  :: true ->
     futex_wait(me, word, sequence[word] == ticket);
     until_woken(me, word, HAS_DEADLINE(me));
     has_slept = true
  fi
}

/* A wake that this one was told by may be meant for another. */
inline hand_on(word) {
#ifdef M_NOT_HANDED_ON
  skip
#else
  if
  :: has_slept -> notify_one(word)
  :: !has_slept
  fi
#endif
}

/* mproc_queue_stir */
inline stir() {
  notify_all(NOT_EMPTY);
  notify_all(NOT_FULL)
}

/* Whoever has given up does nothing until nobody else can do anything. */
inline idle() {
  if
  :: gives_up ->
     timeout;
     assert(asleep[NOT_EMPTY] == 0 || head == tail);
     assert(asleep[NOT_FULL] == 0 || tail - head == CAPACITY)
  :: !gives_up
  fi
}

/* MARK: - Sending */

/* push_now, with the lock */
inline push_now() {
#ifdef M_TAIL_FIRST
  d_step { assert(!finished); tail++ };
  slot[(tail - 1) % CAPACITY] = ELEMENT(me, number);
#else
  slot[tail % CAPACITY] = ELEMENT(me, number);
  d_step { assert(!finished); tail++ };
#endif
  is_sent = true
}

inline push() {
  do
  :: enter();
     if
     :: gives_up -> break
     :: !gives_up
     fi;
     if
     :: finished -> holder = 0; goto closed
     :: !finished && tail - head == CAPACITY
     :: !finished && tail - head < CAPACITY -> push_now()
     fi;
#ifdef M_TICKET_AFTER_LEAVING
     holder = 0;
     ticket = sequence[NOT_FULL];
#else
     ticket = sequence[NOT_FULL];
     holder = 0;
#endif
     if
     :: is_sent -> notify_one(NOT_EMPTY); break
     :: !is_sent && open_receivers == 0 -> goto closed
     :: !is_sent && open_receivers != 0 -> nap(NOT_FULL)
     fi;
     ticket = 0;
     if
     :: gives_up -> break
     :: !gives_up
     fi
  od
}

/* mproc_queue_finish */
inline finish() {
#ifdef M_FINISHED_UNLOCKED
  finished = true;
#else
  enter_patiently();
  finished = true;
  holder = 0;
#endif
  stir()
}

proctype Sender(byte me) {
  byte number, ticket;
  bool gives_up, has_slept, is_sent;
  {
    do
    :: number == EACH || gives_up -> break
    :: number < EACH && !gives_up ->
       number++;
       push();
       if
       :: is_sent
       :: !is_sent -> hand_on(NOT_FULL)
       fi;
       atomic { ticket = 0; has_slept = false; is_sent = false }
    od;
    idle();
#ifdef FINISH
    if
    :: me == 0 && !gives_up -> finish()
    :: me != 0 || gives_up
    fi;
#endif
    goto leave;
closed:
    assert(finished || open_receivers == 0);
leave:
    open_senders = open_senders & ~BIT(me);
#ifndef M_LEAVES_IN_SILENCE
    stir()
#endif
  } unless {
    dead[me]
  };
  atomic {
    number = 0;
    ticket = 0;
    gives_up = false;
    has_slept = false;
    is_sent = false
  }
}

/* MARK: - Receiving */

/* find_own and make_own, then mproc__queue_take_in_hand */
inline take_in_hand() {
  d_step {
    place = 0;
    do
    :: place < consumers && owner[place] != me + 1 -> place++
    :: else -> break
    od;
    skip
  };
  if
  :: place < consumers
  :: place == consumers ->
     d_step {                                  /* find_free */
       place = 0;
       do
       :: place < consumers && in_hand[place] != 0 -> place++
       :: else -> break
       od;
       if
       :: place == consumers ->
          place = 0;
          do
          :: place < consumers && !dead[owner[place] - 1] -> place++
          :: else -> break
          od
       :: else
       fi
     };
     in_hand[place] = 0;
     owner[place] = me + 1;
     if
     :: place == consumers -> consumers++
     :: place < consumers
     fi
  fi;
  in_hand[place]++
}

/* Of the step that removes the first element */
inline removed(element) {
  assert(element != 0);
  assert(NUMBER(element) == last[SENDER(element)] + 1);
  last[SENDER(element)]++;
  taker[head] = me + 1;
  head++
}

/* pop_now, with the lock and an element there */
inline pop_now() {
#ifdef M_IN_HAND_LATE
  d_step { value = slot[head % CAPACITY]; at = head; removed(value) };
  take_in_hand();
#else
  take_in_hand();
  d_step { value = slot[head % CAPACITY]; at = head; removed(value) };
#endif
  is_received = true
}

/* One that is lost: it was in hand for a moment, and is removed. */
inline lose() {
  take_in_hand();
  in_hand[place]--;
  d_step {
    value = slot[head % CAPACITY];
    lost++;
    done = done | BIT(head);
    removed(value)
  };
  holder = 0;
#ifndef M_LOST_IN_SILENCE
  notify_one(NOT_FULL);
  notify_all(LESS_TO_DO);
#endif
  hand_on(NOT_EMPTY)
}

inline pop() {
  do
  :: enter();
     if
     :: gives_up -> break
     :: !gives_up
     fi;
     if
     :: head == tail && finished -> holder = 0; goto over
     :: head == tail && !finished
     :: head != tail -> pop_now()
     :: head != tail && MAY_LOSE(me) -> lose(); break
     :: head != tail && HAS_DEADLINE(me) ->    /* -ENOMEM */
        holder = 0;
        gives_up = true;
        break
     fi;
#ifdef M_TICKET_AFTER_LEAVING
     holder = 0;
     ticket = sequence[NOT_EMPTY];
#else
     ticket = sequence[NOT_EMPTY];
     holder = 0;
#endif
     if
     :: is_received -> notify_one(NOT_FULL); break
#ifdef M_NO_SECOND_LOOK
     :: !is_received && open_senders == 0 -> goto over
#else
     :: !is_received && was_deserted -> goto over
     :: !is_received && !was_deserted && open_senders == 0 ->
        was_deserted = true
#endif
     :: !is_received && !was_deserted && open_senders != 0 -> nap(NOT_EMPTY)
     fi;
     ticket = 0;
     if
     :: gives_up -> break
     :: !gives_up
     fi
  od
}

/* mproc_queue_mark_done: of what this one has in hand */
inline mark_done() {
  enter_patiently();
  d_step {
    place = 0;
    do
    :: place < consumers && owner[place] != me + 1 -> place++
    :: else -> break
    od;
    assert(place < consumers && in_hand[place] > 0)
  };
  d_step { in_hand[place]--; done = done | BIT(at) };
  holder = 0;
#ifndef M_DONE_IN_SILENCE
  notify_all(LESS_TO_DO)
#endif
}

proctype Receiver(byte me) {
  byte ticket, place, at;
  bool gives_up, has_slept, is_received, was_deserted;
  {
    do
    :: gives_up -> break
    :: !gives_up ->
       pop();
       if
       :: is_received -> mark_done()
       :: !is_received && gives_up -> hand_on(NOT_EMPTY)
       :: !is_received && !gives_up
       fi;
       atomic {
         ticket = 0;
         place = 0;
         at = 0;
         has_slept = false;
         is_received = false;
         was_deserted = false
       }
    od;
    idle();
    goto leave;
over:
    assert(head == tail && (finished || open_senders == 0));
leave:
    open_receivers = open_receivers & ~BIT(me);
    stir()
  } unless {
    dead[me]
  };
  atomic {
    ticket = 0;
    place = 0;
    at = 0;
    gives_up = false;
    has_slept = false;
    is_received = false;
    was_deserted = false
  }
}

/* MARK: - Joining */

/* holds_something, of all; `goes_on` when one does */
inline look_at_hands() {
  place = 0;
  do
  :: place == consumers || goes_on -> break
  :: place < consumers && !goes_on ->
     if
     :: in_hand[place] == 0
     :: in_hand[place] != 0 ->
#ifdef M_WAITS_FOR_THE_DEAD
        goes_on = true
#else
        goes_on = !dead[owner[place] - 1]
#endif
     fi;
     place++
  od;
  place = 0
}

/* mproc_queue_join */
proctype Joiner(byte me) {
  byte due, until, ticket, place;
  bool goes_on;
  {
    due = tail;
    do
    :: ticket = sequence[LESS_TO_DO];
#ifdef M_HANDS_BEFORE_HEAD
       look_at_hands();
       until = tail;
       goes_on = goes_on || head < until;
#else
       until = tail;
       if
       :: head < until -> goes_on = true
       :: head >= until -> look_at_hands()
       fi;
#endif
       if
       :: !goes_on -> break
       :: goes_on
       fi;
       goes_on = false;
       futex_wait(me, LESS_TO_DO, sequence[LESS_TO_DO] == ticket);
       until_woken(me, LESS_TO_DO, open_receivers == 0 && head < until);
       if
       :: open_receivers == 0 && head < tail -> goto leave
       :: open_receivers != 0 || head == tail
       fi
    od;
    skip;
    d_step {
      j = 0;
      do
      :: j < due ->
         assert(taker[j] != 0 && (((done >> j) & 1) || dead[taker[j] - 1]));
         j++
      :: else -> break
      od;
      skip
    };
leave:
    skip
  } unless {
    dead[me]
  };
  atomic { due = 0; until = 0; ticket = 0; place = 0; goes_on = false }
}

/* MARK: - Deaths */

#define KILL(p) d_step { !dead[p] -> \
    die(p); \
    open_senders = open_senders & ~BIT(p); \
    open_receivers = open_receivers & ~BIT(p) \
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
#if PROCESSES > 3
     :: KILL(3)
#endif
#if PROCESSES > 4
     :: KILL(4)
#endif
     fi;
     kills++
  od
}

init {
  atomic {
    run Sender(0);
#if SENDERS > 1
    run Sender(1);
#endif
    run Receiver(SENDERS);
#if RECEIVERS > 1
    run Receiver(SENDERS + 1);
#endif
#ifdef JOIN
    run Joiner(JOINER);
#endif
    run Killer()
  }
}
