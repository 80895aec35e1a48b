/*
 * The application, one worker process and its successors: what is sent, what
 * comes back, who sleeps, who wakes whom, and what a SIGKILL between any two
 * steps leaves behind. README.md names the function behind each part.
 *
 * Checked: every item that was submitted gets exactly one outcome; none runs
 * twice; a result that is kept is that item's; what the cursor counts is kept;
 * nobody waits for ever (no invalid end state).
 *
 * A step makes at most one access to a word that the other process uses at the
 * same time. Beside it stands only what nobody else can see: private memory,
 * memory under the lock, memory of the worker that the application reads after
 * its death alone. FINE makes steps of the latter too. Memory is sequentially
 * consistent (sleep_wake.pml has the store buffers), and what waits for a
 * worker is an ideal queue (pool_dispatch.pml has the real one).
 *
 * What nobody will read again is cleared, so that states that differ by it
 * alone are one.
 */

/* MARK: - The instance */

#ifndef RECORDS
#define RECORDS 3              /* the last is a `run`, the others are a `map` */
#endif
#ifndef KILLS
#define KILLS 1
#endif
#ifndef PLACES
#define PLACES 2               /* of the submission ring */
#endif
#ifndef ROOM
#define ROOM 1                 /* of the completion ring */
#endif
#define DEPTH 3                /* records that a worker may have */
#define MOST 2                 /* items of one record */
#define ITEMS(r) ((r) == 0 -> MOST : 1)
#ifdef MAP_ALONE
#define MAPPED RECORDS         /* records of the map */
#define CALLERS 1
#else
#define MAPPED (RECORDS - 1)
#define CALLERS 2
#endif
#define STOP 14                /* the record that ends a worker */
#define NOBODY 15              /* no record, no channel */

#ifdef FINE
#define STEP
#define KILL_POINT skip
#else
#define STEP atomic
#define KILL_POINT if :: true :: kills < KILLS -> kills++; alive = false fi
#endif

#ifdef CANCEL
#define ASKED(r) ((asked >> (r)) & 1)
#else
#define ASKED(r) false
#endif

/* A stream of outcomes in place of the map: a failure ends one item alone. */
#ifdef OUTCOMES
#define GOES_ON(r) ((r) < MAPPED && !m_ended)
#else
#define GOES_ON(r) false
#endif

#ifdef APPLICATION_DIES
#define UNTIL_THE_APPLICATION_DIES unless { app_dead }
#else
#define UNTIL_THE_APPLICATION_DIES
#endif

/* MARK: - Memory */

#define TAIL 1
#define HEAD 2

/* The application's segment: the worker reads it. */
byte s_tail = 1;               /* a body's definition lies before it */
byte s_record[PLACES], s_from[PLACES];
byte c_head;
byte a_asleep;                 /* 0, or the number of this sleep */

/* The worker's segment. */
byte c_tail;
byte c_record[ROOM], c_first[ROOM], c_count[ROOM];
byte c_stored[ROOM];           /* bit i: the result of item i is there */
bool c_last[ROOM], c_failure[ROOM];
byte accepted, cursor, partial;
byte w_asleep, w_sleep;        /* 0, TAIL or HEAD; the number of this sleep */
#ifdef M_FREE_BY_HEAD
byte s_head = 1;
#endif

/* The kernel's. */
byte w_futex;                  /* the word on which the worker is asleep */
bool bell, pidfd, started = true, alive = true, app_dead;
byte kills;
#ifdef SPURIOUS
bool was_spurious;             /* a wake that nobody sent */
#endif

/*
 * Numbers of sleeps are only compared with the one that is on. So two of them
 * do, the one that nobody still holds, and a mark is a flag of this sleep.
 */
byte a_seen, w_seen;           /* what the application, the worker saw (D2) */
bool tail_rung, head_rung, bell_rung;

/* The application's own; `locked` guards all of it but jobs and queue. */
#define SERVING 0
#define STOPPING 1
#define CLOSED 2
bool locked, armed, owes_stop, distrusted, has_retired;
byte phase;
byte channel;                  /* counts the workers */
byte a_tail = 1, a_head, freed = 1, spinners;
byte out_count, out_record[DEPTH], out_start[DEPTH], received;
byte queue_count, queue_record[RECORDS];
byte from[RECORDS];            /* the first item that a record still has */

/* The two jobs. */
byte m_next, m_inflight;
bool m_news, m_ended, m_failed, m_waits, r_done, r_ended, r_waits;
byte callers = CALLERS;
byte asked;                    /* the worker's control thread: whom to cancel */

/* For the properties alone. */
#define NONE 0
#define KEPT 1
#define FAILED 2
#define CANCELLED 3
#define CRASHED 4
byte outcome[RECORDS * MOST];
byte runs[RECORDS * MOST];
bool is_damaged;

/* Scratch, written before it is read within one step. */
hidden byte i, r, slot, rest_count, rest[RECORDS];
hidden byte is_sound;

#define JOB(r) ((r) < MAPPED -> 1 : 2)       /* a bit in `wakes` */
#define ENDED(r) ((r) < MAPPED -> m_ended : r_ended)
#define WANTED(r) ((r) < MAPPED -> !m_ended && !m_failed : !r_ended)

/* MARK: - Outcomes: parts of steps of the application, with the lock held */

inline decide(record, item, what) {
  assert(outcome[(record) * MOST + (item)] == NONE);
  outcome[(record) * MOST + (item)] = what;
  if
  :: (record) >= MAPPED -> r_done = true
  :: (record) < MAPPED && what != KEPT && !GOES_ON(record) -> m_failed = true
  :: else
  fi
}

/* A record will bring no more. */
inline record_ended(record, wakes) {
  wakes = wakes | JOB(record);
  if
  :: (record) < MAPPED -> m_inflight--; m_news = true
  :: else
  fi
}

inline drop_first() {
  out_count--;
  i = 0;
  do
  :: i < out_count ->
     out_record[i] = out_record[i + 1];
     out_start[i] = out_start[i + 1];
     i++
  :: else -> break
  od;
  out_record[out_count] = 0;
  out_start[out_count] = 0;
  received = (out_count > 0 -> from[out_record[0]] : 0)
}

/* WorkerChannel.finish: the first record's place is free */
inline finish() {
  freed = out_start[0] + 1;
#ifndef M_FREE_BY_HEAD
  s_record[out_start[0] % PLACES] = 0;
  s_from[out_start[0] % PLACES] = 0;
#endif
  drop_first()
}

/* WorkerChannel.endFront: of the first record the item at `received` */
inline end_front(what, wakes) {
  r = out_record[0];
  if
  :: ENDED(r) -> decide(r, received, CANCELLED)
  :: else -> decide(r, received, what)
  fi;
  received++;
  if
  :: GOES_ON(r) && received < ITEMS(r) && !distrusted ->
     from[r] = received;
     rest[rest_count] = r;
     rest_count++;
     m_news = true;
     wakes = wakes | JOB(r)
  :: else ->
     do
     :: received < ITEMS(r) -> decide(r, received, CANCELLED); received++
     :: else -> break
     od;
     record_ended(r, wakes)
  fi;
  finish()
}

/* PoolQueue.putBack of what a step has given back */
inline put_back_rest() {
  i = queue_count;
  do
  :: i > 0 -> i--; queue_record[i + rest_count] = queue_record[i]
  :: else -> break
  od;
  queue_count = queue_count + rest_count;
  do
  :: rest_count > 0 ->
     rest_count--;
     queue_record[rest_count] = rest[rest_count]
  :: else -> break
  od
}

/* PoolCore.fail: a record that was not sent */
inline fail_record(record, wakes) {
  slot = from[record];
  do
  :: slot < ITEMS(record) -> decide(record, slot, CANCELLED); slot++
  :: else -> break
  od;
  record_ended(record, wakes)
}

/* WorkerChannel.take: one completion */
inline take(wakes) {
  slot = a_head % ROOM;
  r = out_record[0];
  is_sound = out_count > 0 && c_record[slot] == r &&
    c_first[slot] == received && c_count[slot] >= 1 &&
    c_count[slot] <= ITEMS(r) - received &&
    c_last[slot] == (c_failure[slot] || c_count[slot] == ITEMS(r) - received);
  if
  :: !is_sound
  :: else ->
     if
     :: c_failure[slot] -> end_front(FAILED, wakes)
     :: else ->
        i = c_count[slot];
        do
        :: i > 0 ->
           assert((c_stored[slot] >> received) & 1);
           decide(r, received, KEPT);
           received++;
           i--
        :: else -> break
        od;
        if
        :: c_last[slot] ->
           assert(received == ITEMS(r));
           record_ended(r, wakes);
           finish()
        :: else
        fi
     fi
  fi;
  a_head++;
  c_record[slot] = NOBODY; c_first[slot] = 0; c_count[slot] = 0;
  c_stored[slot] = 0; c_last[slot] = false; c_failure[slot] = false
}

/* What takeCompletions does where a record makes no sense */
inline close_damaged() {
  assert(is_damaged);
  phase = CLOSED;
#ifndef M_DAMAGED_IS_TRUSTED
  distrusted = true;
#endif
  alive = false;
  w_futex = 0
}

/* WorkerChannel.chargeCrash: the first record had begun */
inline charge_crash(wakes) {
  r = out_record[0];
  slot = (partial + ROOM - 1) % ROOM;
  if
  :: partial != 0 && cursor > received && c_record[slot] == r &&
     c_first[slot] == received ->
     do
     :: received < cursor ->
        assert((c_stored[slot] >> received) & 1);
        decide(r, received, KEPT);
        received++
     :: else -> break
     od
  :: else
  fi;
  assert(received >= cursor || is_damaged);
  if
  :: received == ITEMS(r) -> record_ended(r, wakes); finish()
  :: else -> end_front(CRASHED, wakes)
  fi
}

#ifdef M_LAST_ACCEPTED_ALONE
#define HAD_BEGUN (out_start[0] == accepted || received > from[out_record[0]])
#else
#define HAD_BEGUN (out_start[0] <= accepted || received > from[out_record[0]])
#endif

/* WorkerChannel.closeOutstanding; what was not begun goes ahead of the queue */
inline close_outstanding(wakes) {
  rest_count = 0;
  do
  :: out_count == 0 -> break
  :: out_count > 0 && HAD_BEGUN -> charge_crash(wakes)
  :: out_count > 0 && !HAD_BEGUN ->
     if
     :: WANTED(out_record[0]) ->
        rest[rest_count] = out_record[0];
        rest_count++;
        drop_first()
     :: else -> end_front(CANCELLED, wakes)
     fi
  od;
  put_back_rest();
  disarm();
  phase = CLOSED;
  owes_stop = false
}

/* MARK: - Sleeping and waking, the application's side */

/* mproc_channel_peer_sleeps, and mproc_channel_wake where it says so */
inline wake_worker(word, rung, keeps_lock) {
  if
  :: d_step { w_asleep != word || rung -> locked = locked && keeps_lock }
  :: d_step { w_asleep == word && !rung -> a_seen = w_sleep };    /* D2 */
     d_step {
       if
       :: w_futex == word -> w_futex = 0; rung = a_seen == w_sleep
       :: else ->
#ifdef M_RUNG_ANYWAY
          rung = a_seen == w_sleep
#else
          skip
#endif
       fi;
       a_seen = 0;
       locked = locked && keeps_lock
     }
  fi
}

/* WorkerChannel.takeCompletions */
inline take_completions(wakes, took) {
#ifdef M_TWO_DRAINERS
  /* A record is found in one step and taken in another. */
  do
  :: c_tail != a_head ->
     took = true;
     d_step { rest_count = 0; take(wakes); assert(is_sound) }
  :: else -> break
  od;
#else
  d_step {
    is_sound = true;
    rest_count = 0;
    do
    :: c_tail != a_head && is_sound -> took = true; take(wakes)
    :: else -> break
    od;
    put_back_rest();
    if
    :: !is_sound -> close_damaged()
    :: else
    fi
  };
#endif
  if
  :: took ->
     d_step { c_head = a_head; took = false };                    /* C2 */
     wake_worker(HEAD, head_rung, true);
     pay_stop()
  :: else
  fi
}

/* WorkerChannel.disarm, .arm */
inline disarm() {
  armed = false;
  a_asleep = 0;
  bell_rung = false
}

inline arm(wakes, took) {
  do
  :: take_completions(wakes, took);
     d_step {                                                     /* S1 */
       armed = true;
       a_asleep = (w_seen == 1 -> 2 : 1);
       bell_rung = false
     };
#ifdef M_ARM_WITHOUT_LOOK
     break
#else
     if
     :: c_tail == a_head || phase == CLOSED -> break
     :: else
     fi
#endif
  od
}

/* WorkerChannel.settle, with the lock released: PoolJob.wake */
inline settle(wakes) {
  if
  :: wakes != 0 ->
     d_step {
       if
       :: (wakes & 1) && m_waits -> m_waits = false; m_news = false
       :: else
       fi;
       if
       :: (wakes & 2) && r_done && r_waits -> r_waits = false
       :: else
       fi;
       wakes = 0
     }
  :: else
  fi
}

/* MARK: - Submitting */

#ifdef M_FREE_BY_HEAD
#define HAS_ROOM (a_tail - s_head < PLACES)
#else
#define HAS_ROOM (a_tail - freed < PLACES)
#endif
#define FITS (phase == SERVING && out_count < DEPTH && HAS_ROOM)

/* WorkerChannel.submit: what it does alone, then what the worker sees */
inline put(record, spins) {
  locked = true;
  s_record[a_tail % PLACES] = record;
  s_from[a_tail % PLACES] = from[record];
  out_record[out_count] = record;
  out_start[out_count] = a_tail;
  received = (out_count == 0 -> from[record] : received);
  out_count++;
  a_tail++;
  if
  :: spins -> spinners++; disarm()
  :: else
  fi
}

inline send(wakes, took) {
  if
  :: spinners == 0 && !armed -> arm(wakes, took)
  :: else
  fi;
  s_tail = a_tail;                                                /* P1 */
  wake_worker(TAIL, tail_rung, false);
  settle(wakes)
}

/* WorkerChannel.stopLocked, then .sendStop, or .payStop when there is room */
inline stop() {
  phase = STOPPING;
  owes_stop = !HAS_ROOM;
  if
  :: HAS_ROOM -> s_record[a_tail % PLACES] = STOP; a_tail++
  :: else
  fi
}

inline pay_stop() {
#if defined(RETIRES) && !defined(M_OWED_STOP_FORGOTTEN)
  if
  :: d_step { owes_stop && HAS_ROOM ->
       owes_stop = false;
       s_record[a_tail % PLACES] = STOP;
       a_tail++
     };
     s_tail = a_tail;
     wake_worker(TAIL, tail_rung, true)
  :: else
  fi
#else
  skip
#endif
}

inline enqueue(record) {
  queue_record[queue_count] = record;
  queue_count++
}

inline take_from_queue(record) {
  record = queue_record[0];
  queue_count--;
  i = 0;
  do
  :: i < queue_count -> queue_record[i] = queue_record[i + 1]; i++
  :: else -> break
  od;
  queue_record[queue_count] = 0
}

/* MARK: - The callers */

#ifdef M_TWO_DRAINERS
#define MAY_DRAIN true
#define LOCK skip
#define UNLOCK skip
#else
#define MAY_DRAIN !locked
#define LOCK locked = true
#define UNLOCK locked = false
#endif

inline start_spinning(mine) {
  d_step {
    !locked ->
    mine = channel;
    spinners++;
    disarm()
  }
}

/* WorkerChannel.drainIfAvailable, one way to go on of a spinning caller */
#define CAN_DRAIN (mine == channel && c_tail != a_head && MAY_DRAIN)

inline drain(wakes, took) {
  take_completions(wakes, took);
  UNLOCK;
  settle(wakes)
}

inline stop_spinning(mine, arms, wakes, took) {
  d_step {
    !locked ->
    if
    :: mine == channel && phase != CLOSED ->
       spinners--;
#ifndef M_STOP_WITHOUT_ARMING
       arms = spinners == 0 && out_count > 0;
#endif
       locked = arms
    :: else
    fi;
    mine = NOBODY
  };
  if
  :: arms ->
     arm(wakes, took);
     atomic { locked = false; arms = false };
     settle(wakes)
  :: else
  fi
}

/* PoolCore.end: what waits ends now, what is in the worker is asked to */
inline end_job(first, limit, ended, wakes) {
  d_step {
    ended = true;
    rest_count = 0;
    i = 0;
    do
    :: i < queue_count ->
       r = queue_record[i];
       if
       :: r >= first && r < limit -> fail_record(r, wakes)
       :: else -> queue_record[rest_count] = r; rest_count++
       fi;
       i++
    :: else -> break
    od;
    do
    :: queue_count > rest_count ->
       queue_count--;
       queue_record[queue_count] = 0
    :: else -> break
    od
  };
  settle(wakes);
#ifdef CANCEL
  skip;
  d_step {
    !locked ->
    i = 0;
    do
    :: i < out_count ->
       if
       :: out_record[i] >= first && out_record[i] < limit && alive ->
          asked = asked | (1 << out_record[i])
       :: else
       fi;
       i++
    :: else -> break
    od;
    skip
  }
#endif
}

#define MAY_FEED (m_next < MAPPED && !at_end && !m_failed && !m_ended)

/* PoolCore.map and .pump */
active proctype MapCaller() {
  byte mine, wakes;
  bool took, arms, at_end;
  {
    start_spinning(mine);
    do
    :: !at_end && (m_failed || m_ended) ->
       at_end = true;
       end_job(0, MAPPED, m_ended, wakes)
    :: d_step { MAY_FEED && mine == channel && FITS && !locked ->
         m_inflight++;
         put(m_next, false);                             /* submitBatch */
         m_next++
       };
       send(wakes, took)
    :: d_step { MAY_FEED && m_inflight == 0 && (mine != channel || !FITS) ->
         m_inflight++;
         enqueue(m_next);
         m_next++
       }
    :: d_step { CAN_DRAIN -> LOCK };
       drain(wakes, took)
    :: (at_end || m_next == MAPPED) && m_inflight == 0 -> break
    :: m_inflight > 0 ->
       stop_spinning(mine, arms, wakes, took);
       d_step {                                          /* waitForNews */
         if
         :: m_news || m_inflight == 0 -> m_news = false
         :: else -> m_waits = true
         fi
       };
       !m_waits;
       start_spinning(mine)
    od;
    skip;
    stop_spinning(mine, arms, wakes, took);
    callers--
  } UNTIL_THE_APPLICATION_DIES
}

#ifndef MAP_ALONE
/* PoolCore.run: submit, spin for a while, suspend */
active proctype RunCaller() {
  byte mine = NOBODY, wakes;
  bool took, arms;
  {
    if
    :: d_step { !locked && out_count == 0 && FITS -> put(MAPPED, false) };
       send(wakes, took)
    :: d_step { !locked && out_count == 0 && FITS ->
         put(MAPPED, true);
         mine = channel
       };
       send(wakes, took);
       do
       :: d_step { !r_done && CAN_DRAIN -> LOCK };
          drain(wakes, took)
       :: break
       od;
       skip;
       stop_spinning(mine, arms, wakes, took)
    :: d_step { !locked && (out_count > 0 || !FITS) -> enqueue(MAPPED) }
    fi;
    d_step {                                             /* RunJob.wait */
      if
      :: !r_done -> r_waits = true
      :: else
      fi
    };
    !r_waits;
    assert(r_done);
    callers--
  } UNTIL_THE_APPLICATION_DIES
}

#endif

#ifdef CANCEL
/* Somebody cancels one of the calls, at any moment. */
active proctype Canceller() {
  byte wakes;
  if
  :: end_job(0, MAPPED, m_ended, wakes)
#ifndef MAP_ALONE
  :: end_job(MAPPED, RECORDS, r_ended, wakes)
#endif
  :: true
  fi
}
#endif

/* MARK: - The reactor */

/* WorkerChannel.launch: segments, ledger and process are new. */
inline start_successor() {
  channel++;
#ifndef M_REUSE_SEGMENTS
  s_tail = 1; c_head = 0; c_tail = 0;
  accepted = 0; cursor = 0; partial = 0;
  a_tail = 1; a_head = 0; freed = 1;
  i = 0;
  do
  :: i < ROOM ->
     c_record[i] = NOBODY; c_first[i] = 0; c_count[i] = 0; c_stored[i] = 0;
     c_last[i] = false; c_failure[i] = false;
     i++
  :: else -> break
  od;
  i = 0;
  do
  :: i < PLACES -> s_record[i] = 0; s_from[i] = 0; i++
  :: else -> break
  od;
#ifdef M_FREE_BY_HEAD
  s_head = 1;
#endif
#endif
  spinners = 0; asked = 0;
  distrusted = false;
  phase = SERVING;
  started = true;
  alive = true
}

/* WorkerChannel.processEnded */
inline process_ended(wakes, took) {
  d_step { !locked -> locked = true };
#ifdef M_DECIDE_BEFORE_DRAINING
  d_step { close_outstanding(wakes) };
  take_completions(wakes, took);
  locked = false;
#else
  if
  :: phase != CLOSED -> take_completions(wakes, took)
  :: else
  fi;
  skip;
  d_step { close_outstanding(wakes); locked = false };
#endif
  settle(wakes)
}

active proctype Reactor() {
  byte wakes, record;
  bool took;
  {
    do
    :: callers == 0 -> break
    :: bell ->                                           /* PoolCore.bellRang */
#ifndef M_BELL_EMPTIED_LATE
       bell = false;
#endif
       d_step { !locked -> locked = true; disarm() };
       take_completions(wakes, took);
       if
       :: spinners == 0 && out_count > 0 -> arm(wakes, took)
       :: else
       fi;
#ifdef M_BELL_EMPTIED_LATE
       bell = false;
#endif
       locked = false;
       settle(wakes)
#ifndef M_NO_DEATH_WAKE
    :: pidfd ->
       pidfd = false;
       process_ended(wakes, took);
       d_step { !locked -> start_successor() }
#endif
    :: d_step { queue_count > 0 && !WANTED(queue_record[0]) ->
         take_from_queue(record);
         fail_record(record, wakes);
         record = 0
       };
       settle(wakes)
    :: d_step { queue_count > 0 && WANTED(queue_record[0]) && FITS && !locked ->
         take_from_queue(record);
         put(record, false);
         record = 0
       };
       send(wakes, took)
#ifdef RETIRES
    :: d_step { !has_retired && phase == SERVING && !locked ->
         has_retired = true;
         locked = true;
         stop()
       };
       s_tail = a_tail;
       wake_worker(TAIL, tail_rung, false)
#endif
    od;
    skip;
    /* PoolCore.endWorkers, once the worker that leaves has left */
    d_step {
      !locked ->
      assert(out_count == 0 && queue_count == 0);
      locked = true;
      if
      :: phase == SERVING -> stop(); assert(!owes_stop)
      :: else
      fi
    };
    s_tail = a_tail;
    wake_worker(TAIL, tail_rung, false);
    pidfd;
    d_step {
      assert(m_inflight == 0);
      i = 0;
      do
      :: i < RECORDS * MOST ->
         r = i / MOST;
         assert(runs[i] <= 1);
         assert(outcome[i] != KEPT || runs[i] == 1);
         assert((outcome[i] != NONE) ==
                ((i % MOST) < ITEMS(r) && (r >= MAPPED || r < m_next)));
         i++
      :: else -> break
      od
    }
  } UNTIL_THE_APPLICATION_DIES
}

/* MARK: - The worker */

/* mproc_channel_sleep */
inline worker_sleeps(word, nothing_new) {
  d_step {                                                        /* S1 */
    w_asleep = word;
    w_sleep = (a_seen == 1 -> 2 : 1)
  };
  d_step {                                               /* FUTEX_WAIT */
    if
#ifdef M_SLEEP_WITHOUT_LOOK
    :: true -> w_futex = word
#else
    :: nothing_new -> w_futex = word
#endif
    :: else
    fi
  };
  d_step {
    w_futex == 0 ->
    w_asleep = 0; w_sleep = 0; tail_rung = false; head_rung = false
  }
}

/* Worker.publish */
inline publish(number, last, failure) {
  d_step {
    if
    :: writes_nonsense ->
       c_record[tail % ROOM] = NOBODY;
       is_damaged = true;
       writes_nonsense = false
    :: else
    fi;
    c_count[tail % ROOM] = number;
    c_last[tail % ROOM] = last;
    c_failure[tail % ROOM] = failure;
    tail++;
    c_tail = tail                                                 /* P1 */
  };
  if
  :: a_asleep == 0 || bell_rung
  :: d_step { a_asleep != 0 && !bell_rung -> w_seen = a_asleep }; /* D2 */
     d_step {
       bell = true;
       bell_rung = (w_seen == a_asleep -> true : bell_rung);
       w_seen = 0
     }
  fi
}

/* Worker.reserveOutput, and the header that is written into the room */
inline reserve_output() {
  do
  :: STEP { tail - c_head < ROOM ->
       partial = tail + 1;
       KILL_POINT;
       d_step {
         c_record[tail % ROOM] = record;
         c_first[tail % ROOM] = first;
         c_stored[tail % ROOM] = 0
       };
       KILL_POINT
     };
     break
  :: tail - c_head == ROOM -> worker_sleeps(HEAD, tail - c_head == ROOM)
  od
}

/* One turn of Worker.runSync: the body, then its result (Worker.stored) */
inline run_item() {
  STEP {
    d_step {
      assert(s_record[head % PLACES] == record);
      runs[record * MOST + item]++;
      assert(runs[record * MOST + item] <= 1)
    };
    KILL_POINT;
    if
    :: true ->
#ifdef M_EARLY_CURSOR
       cursor = item + 1;
       KILL_POINT;
       c_stored[tail % ROOM] = c_stored[tail % ROOM] | (1 << item);
#else
       c_stored[tail % ROOM] = c_stored[tail % ROOM] | (1 << item);
       KILL_POINT;
       cursor = item + 1;
#endif
       KILL_POINT;
       d_step {
         item++;
         failed = item < ITEMS(record) && ASKED(record)
       }
#ifdef THROWS
    :: failed = true
#endif
#ifdef SPILLS
    :: d_step { spilled = true; item++ }
#endif
    fi
  }
}

/* Worker.sendValues of a result that outgrew the room: through the arena */
inline send_spilled() {
#ifndef M_SPILL_OVER_RESULTS
  if
  :: cursor > first ->
     publish(cursor - first, false, false);
     first = cursor
  :: else
  fi;
#endif
  reserve_output();
  atomic {
    c_stored[tail % ROOM] = ((1 << item) - 1) & ~((1 << first) - 1);
    spilled = false
  }
}

/* Worker.serve: records until the one that says stop */
inline serve() {
  do
  :: s_tail == head -> worker_sleeps(TAIL, s_tail == head)
  :: STEP { s_tail != head ->
       d_step {
         record = s_record[head % PLACES];
         item = s_from[head % PLACES];
         cursor = item;
         partial = 0
       };
       KILL_POINT;
#ifndef M_LATE_ACCEPT
       accepted = head;
       KILL_POINT;
#endif
#ifdef M_FREE_BY_HEAD
       s_head = head + 1;
#endif
       failed = record != STOP && ASKED(record)          /* begin */
     };
     if
     :: record == STOP -> break
     :: else
     fi;
     do                                                  /* Worker.runItems */
     :: failed || item == ITEMS(record) -> break
     :: else ->
        first = item;
        reserve_output();
        do
        :: item == ITEMS(record) || failed || spilled -> break
        :: else -> run_item()
        od;
#ifdef SPILLS
        if
        :: spilled -> send_spilled()
        :: else
        fi;
#endif
#ifdef M_LATE_ACCEPT
        accepted = head;
#endif
#ifdef DAMAGE
        /* It writes nonsense, and goes on. */
        if
        :: !is_damaged -> writes_nonsense = true
        :: true
        fi;
#endif
        if                                               /* Worker.send */
        :: item > first ->
           publish(item - first, item == ITEMS(record) && !failed, false)
        :: else
        fi
     od;
     if
     :: failed ->                                        /* sendFailure */
        first = item;
        reserve_output();
        publish(1, true, true)
     :: else
     fi;
     d_step { head++; item = 0; first = 0; failed = false; record = 0 }
  od;
  alive = false
}

active proctype Worker() {
  byte head, tail, record, item, first;
  bool failed, spilled, writes_nonsense;
end_dead:
  do
  :: atomic { started -> started = false; head = 1 };
     { serve() } unless { !alive };
     d_step {
       head = 0; tail = 0; record = 0; item = 0; first = 0; w_seen = 0;
       failed = false; spilled = false; writes_nonsense = false;
       w_asleep = 0; w_sleep = 0; tail_rung = false; head_rung = false;
       pidfd = true
     }
  :: app_dead && !alive -> break
  od
}

/* What dies with the application, so that only the worker's states are left */
inline forget_application() {
  i = 0;
  do
  :: i < RECORDS * MOST -> outcome[i] = 0; runs[i] = 0; i++
  :: else -> break
  od;
  i = 0;
  do
  :: i < DEPTH -> out_record[i] = 0; out_start[i] = 0; i++
  :: else -> break
  od;
  i = 0;
  do
  :: i < RECORDS -> queue_record[i] = 0; from[i] = 0; i++
  :: else -> break
  od;
  locked = false; armed = false; owes_stop = false; distrusted = false;
  has_retired = false; phase = 0;
  a_tail = 0; a_head = 0; freed = 0; spinners = 0;
  out_count = 0; received = 0; queue_count = 0;
  m_next = 0; m_inflight = 0; m_news = false; m_ended = false; m_failed = false;
  m_waits = false; r_done = false; r_ended = false; r_waits = false;
  callers = 0; a_seen = 0; bell = false; pidfd = false
}

/* SIGKILL at any moment; and the lifeline, which is one too. */
active proctype Killer() {
end_killer:
  do
  :: d_step { alive && kills < KILLS -> kills++; alive = false; w_futex = 0 }
#ifdef SPURIOUS
  :: d_step { !was_spurious && w_futex != 0 ->
       was_spurious = true;
       w_futex = 0
     }
#endif
#ifdef APPLICATION_DIES
  :: d_step { !app_dead && !started -> app_dead = true; forget_application() }
#ifndef M_NO_LIFELINE
  :: d_step { app_dead && alive -> alive = false; w_futex = 0 }
#endif
#endif
  od
}
