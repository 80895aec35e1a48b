/*
 * From a submission to a worker and to its outcome, in a pool of workers that
 * die, or leave, and are replaced: the queue, who looks at it and when, records
 * that come back, the cancellation of a call, and the pool's end. What happens
 * between the pool and one worker is in task_protocol.pml; here a worker just
 * ends its records in order, at any time, or dies.
 *
 * Record k is that of caller k. CANCEL: the body of record 0 ends only when it
 * is asked to, and somebody cancels that call. RETRY: record 0 comes back once.
 * LEAVES: a worker is told to stop. ON_DEMAND: workers start when something
 * waits. START_BODY: a body runs first on each successor. DRAIN, SHUTDOWN: the
 * pool's end, begun at any moment.
 *
 * Checked: what was submitted gets exactly one outcome; every caller, and who
 * ends the pool, goes on (no invalid end state).
 */

#ifndef CALLERS
#define CALLERS 2
#endif
#ifndef SLOTS
#define SLOTS 1
#endif
#ifndef KILLS
#define KILLS 1
#endif
#ifndef DEPTH
#define DEPTH 1                /* records that a worker may have */
#endif
#ifndef SPARE
#define SPARE 0                /* workers beside the first and their heirs */
#endif
#define CHANNELS (SLOTS + KILLS + SPARE)
#define EMPTY 15

#if defined(CANCEL) || defined(SHUTDOWN)
#define IS_ENDLESS(r) ((r) == 0)
#else
#define IS_ENDLESS(r) false
#endif

/* One worker's channel; its lock makes each of its operations one step. */
#define STARTING 0
#define SERVING 1
#define STOPPING 2
#define CLOSED 3
byte phase[CHANNELS];
bool alive[CHANNELS], died[CHANNELS], was_stopped[CHANNELS];
bool refuses[CHANNELS];        /* WorkerChannel.cancelAll was called */
byte count[CHANNELS];          /* also looked at without the lock */
byte record[CHANNELS * CALLERS];
byte asked[CHANNELS];          /* bit k: record k is to end */
byte over[CHANNELS];           /* records at the front whose end came */
#define RECORD(c, n) record[(c) * CALLERS + (n)]
#ifdef START_BODY
bool start_out[CHANNELS], start_over[CHANNELS];
#endif
byte channels;                 /* so many were made */
#if CHANNELS > 6
#error more channels than Reactor and Workers look at
#endif

/* WorkerSlots */
byte slot[SLOTS];
bool is_starting[SLOTS];
byte kills, stops;

/* The queue; its lock makes each of its operations one step. */
byte queue_count, queue_record[CALLERS];
bool draining, closed;

/* The jobs and the ledger */
bool done[CALLERS], cancelled[CALLERS], has_returned;
byte pending;

/* Scratch, within one step */
hidden byte i, j;

#define IS_LIVE(c) (phase[c] == SERVING)
#define ACCEPTS(c) (phase[c] == SERVING && !refuses[c])
/* The ring may have no room either: then the worker has something. */
#define MAY_REFUSE(c) (!ACCEPTS(c) || count[c] > 0)

/* MARK: - Parts of steps */

inline finish(r) {
  assert(!done[r]);
  done[r] = true;
  pending--
}

inline channel_drop_first(c) {
  count[c]--;
  i = 0;
  do
  :: i < count[c] -> RECORD(c, i) = RECORD(c, i + 1); i++
  :: else -> break
  od;
  RECORD(c, count[c]) = 0
}

inline queue_drop(at) {
  queue_count--;
  i = at;
  do
  :: i < queue_count -> queue_record[i] = queue_record[i + 1]; i++
  :: else -> break
  od;
  queue_record[queue_count] = 0
}

/* PoolQueue.putBack, or PoolCore.fail */
inline put_back(r) {
  if
  :: closed -> finish(r)
  :: else ->
     i = queue_count;
     do
     :: i > 0 -> queue_record[i] = queue_record[i - 1]; i--
     :: else -> break
     od;
     queue_record[0] = r;
     queue_count++
  fi
}

/* PoolQueue.remove */
inline remove_from_queue(r) {
  j = 0;
  do
  :: j < queue_count && queue_record[j] == r -> finish(r); queue_drop(j)
  :: j < queue_count && queue_record[j] != r -> j++
  :: else -> break
  od
}

/* WorkerChannel.cancel */
inline ask(c, r) {
  j = 0;
  do
  :: j < count[c] ->
     asked[c] = (RECORD(c, j) == r -> asked[c] | (1 << r) : asked[c]);
     j++
  :: else -> break
  od
}

/* WorkerChannel.takeCompletions */
inline take(c) {
  do
  :: over[c] > 0 ->
     finish(RECORD(c, 0));
     over[c]--;
     channel_drop_first(c)
  :: else -> break
  od;
  skip
}

/* WorkerChannel.submit that is .sent */
inline channel_append(c, r) {
  RECORD(c, count[c]) = r;
  count[c]++
}

/* PoolCore.channels: one look at all slots */
inline look_at_slots() {
  s = 0;
  do
  :: s < SLOTS -> seen[s] = slot[s]; s++
  :: else -> break
  od;
  s = 0
}

/* WorkerSlots.claimEmpty, and a thread for each that starts it */
inline start_missing() {
  i = 0;
  do
  :: i < SLOTS ->
     if
     :: slot[i] == EMPTY && !is_starting[i] -> is_starting[i] = true
     :: else
     fi;
     i++
  :: else -> break
  od;
  skip
}

/* MARK: - Sending what waits */

/*
 * Where a record was in nobody's sight while its job was ended: it is ended
 * again, where it is now (PoolCore.endIfMissed)
 */
inline end_if_missed(r) {
#if defined(CANCEL) && !defined(M_ENDED_IN_HAND)
  if
  :: d_step { cancelled[r] ->
       remove_from_queue(r);
       i = 0;
       do
       :: i < CHANNELS -> ask(i, r); i++
       :: else -> break
       od;
       skip
     }
  :: !cancelled[r]
  fi
#else
  skip
#endif
}

/*
 * PoolCore.sendPending. A record is in `hand` between the queue and a channel.
 * `dead`: the channel takes nothing more, and somebody else is to look.
 */
inline send_pending(c, hand, dead) {
  do
  :: count[c] >= DEPTH -> break
  :: count[c] < DEPTH ->
     d_step {                                  /* PoolQueue.takeFirst */
       if
       :: queue_count > 0 -> hand = queue_record[0]; queue_drop(0)
       :: else
       fi
     };
     if
     :: hand == EMPTY -> break
     :: d_step { hand != EMPTY && cancelled[hand] ->
          finish(hand);
          hand = EMPTY
        }
     :: hand != EMPTY && !cancelled[hand] ->
        if
        :: d_step { ACCEPTS(c) && count[c] < DEPTH -> channel_append(c, hand) };
           end_if_missed(hand);
           hand = EMPTY
        :: MAY_REFUSE(c) ->
           dead = !ACCEPTS(c);
           d_step { put_back(hand) };
           end_if_missed(hand);
           hand = EMPTY;
#ifdef M_FULL_AND_AWAY
           break
#else
           /* Who took its last completion meanwhile found nothing waiting. */
           if
           :: dead || count[c] > 0 -> break
           :: !dead && count[c] == 0
           fi
#endif
        fi
     fi
  od;
  skip
}

/* PoolCore.sendPendingToAll */
inline send_pending_to_all(c, s, hand, dead) {
#ifndef M_NO_LOOK_FOR_WORKERS
  do
  :: d_step { look_at_slots(); dead = false };
     do
     :: s == SLOTS || dead -> break
     :: s < SLOTS && !dead && (seen[s] == EMPTY || !IS_LIVE(seen[s])) -> s++
     :: s < SLOTS && !dead && seen[s] != EMPTY && IS_LIVE(seen[s]) ->
        c = seen[s];
        send_pending(c, hand, dead);
        s++
     od;
#ifdef M_DEAD_AND_AWAY
     break
#else
     if
     :: !dead -> break
     :: dead
     fi
#endif
  od;
  atomic { s = 0; c = EMPTY; dead = false };
#endif
#ifdef ON_DEMAND
#define MAY_START true
#elif defined(M_DRAINING_STARTS_NOBODY)
#define MAY_START false
#else
#define MAY_START true
#endif
  if
  :: queue_count > 0 && MAY_START -> d_step { start_missing() }
  :: queue_count == 0 || !MAY_START
  fi
}

/* The same for one channel; for all when that one takes nothing more */
inline send_pending_to(c, s, hand, dead) {
  send_pending(c, hand, dead);
#ifndef M_DEAD_AND_AWAY
  if
  :: dead -> send_pending_to_all(c, s, hand, dead)
  :: !dead
  fi
#endif
}

/* WorkerChannel.drainIfAvailable or .bellRang, then .settle */
inline drain(c, s, hand, dead) {
#ifdef RETRY
  if
  :: d_step { take(c) }
  :: d_step { !has_returned && over[c] > 0 && RECORD(c, 0) == 0 ->
       /* Its failure is taken, and it is to run again: PoolCore.takeBack */
       has_returned = true;
       hand = 0;
       over[c]--;
       channel_drop_first(c);
       take(c)
     };
     d_step { put_back(hand); hand = EMPTY };
     t = c;
     send_pending_to_all(c, s, hand, dead);
     atomic { c = t; t = EMPTY }
  fi;
#else
  d_step { take(c) };
#endif
#ifdef START_BODY
  if
  :: d_step { start_over[c] ->
       start_over[c] = false;
       start_out[c] = false;
       pending--;
       phase[c] = (phase[c] == STARTING -> SERVING : phase[c])
     };
     t = c;
     send_pending_to(c, s, hand, dead);
     atomic { c = t; t = EMPTY }
  :: !start_over[c]
  fi;
#endif
#ifdef M_NO_LOOK_AFTER_DRAINING
  skip
#else
  if
  :: queue_count > 0 -> send_pending_to(c, s, hand, dead)
  :: queue_count == 0
  fi
#endif
}

/* MARK: - Callers */

/* PoolCore.run */
proctype Caller(byte me) {
  byte c = EMPTY, s, t = EMPTY, hand = EMPTY, seen[SLOTS];
  bool dead;
  if
  :: draining || closed -> goto leave          /* checkOpen throws */
  :: !draining && !closed
  fi;
  pending++;                                   /* recordSubmitted */
  /* PoolCore.submit: to the first idle worker, or through the queue */
  if
  :: queue_count == 0 ->
     d_step {                                  /* idleWorker */
       s = 0;
       do
       :: s < SLOTS ->
          if
          :: c == EMPTY && slot[s] != EMPTY && IS_LIVE(slot[s]) &&
             count[slot[s]] == 0 -> c = slot[s]
          :: else
          fi;
          s++
       :: else -> break
       od;
       s = 0
     }
  :: queue_count > 0
  fi;
  if
  :: d_step { c != EMPTY && ACCEPTS(c) && count[c] == 0 ->
       channel_append(c, me)
     };
     if                                        /* It spins for a while. */
     :: over[c] > 0 -> drain(c, s, hand, dead)
     :: true
     fi
  :: c == EMPTY || MAY_REFUSE(c) ->
     c = EMPTY;
     if                                        /* PoolCore.enqueue */
     :: d_step { closed -> finish(me) }
     :: d_step { !closed -> queue_record[queue_count] = me; queue_count++ };
        send_pending_to_all(c, s, hand, dead)
     fi
  fi;
  c = EMPTY;
#ifdef CANCEL
  if
  :: me == 0 -> run Canceller()
  :: else
  fi;
#endif
  done[me];                                    /* RunJob.wait */
leave:
  skip
}

#ifdef CANCEL
/* PoolCore.end */
proctype Canceller() {
  byte s, seen[SLOTS];
  cancelled[0] = true;                         /* endWith */
  d_step { remove_from_queue(0); skip };
  d_step { look_at_slots() };
  do
  :: d_step { s < SLOTS && seen[s] != EMPTY -> ask(seen[s], 0); s++ }
  :: d_step { s < SLOTS && seen[s] == EMPTY -> s++ }
  :: s == SLOTS -> break
  od
}
#endif

/* MARK: - The reactor, and the threads that start workers */

/* WorkerChannel.processEnded */
inline close_outstanding(c, had_begun) {
  take(c);
  phase[c] = CLOSED;
  died[c] = false;
  if
  :: had_begun -> finish(RECORD(c, 0)); channel_drop_first(c)
  :: else
  fi;
  do
  :: count[c] > 0 ->
     j = RECORD(c, 0);
     channel_drop_first(c);
     if
     :: cancelled[j] -> finish(j)
     :: else -> rest[rest_count] = j; rest_count++
     fi
  :: else -> break
  od;
#ifdef START_BODY
  pending = pending - (start_out[c] -> 1 : 0);
  start_out[c] = false;
  start_over[c] = false;
#endif
  asked[c] = 0
}

/* PoolCore.workerEnded */
inline worker_ended(c, s, hand, dead) {
  if
  :: d_step { true -> close_outstanding(c, false) }
  :: d_step { count[c] > over[c] ->
       /* It had begun the first one that has not ended. */
       close_outstanding(c, true)
     }
  fi;
  d_step {                                     /* WorkerSlots.remove */
    s = 0;
    do
    :: s < SLOTS ->
       if
       :: slot[s] == c -> slot[s] = EMPTY
       :: else
       fi;
       s++
    :: else -> break
    od;
    s = 0
  };
  if                                           /* takeOver */
  :: rest_count > 0 ->
     d_step {
       do
       :: rest_count > 0 ->
          rest_count--;
          j = rest[rest_count];
          rest[rest_count] = 0;
          put_back(j)
       :: else -> break
       od;
       skip
     };
     t = c;
     send_pending_to_all(c, s, hand, dead);
     atomic { c = t; t = EMPTY }
  :: rest_count == 0
  fi;
#ifdef ON_DEMAND
#define IS_REPLACED(c) (!was_stopped[c] || queue_count > 0)
#else
#define IS_REPLACED(c) true
#endif
  if                                           /* needsWorkers */
  :: d_step { !closed && (!draining || queue_count > 0) && IS_REPLACED(c) ->
       start_missing()
     }
  :: closed || (draining && queue_count == 0) || !IS_REPLACED(c)
  fi;
  was_stopped[c] = false
}

#ifdef START_BODY
#define SOMETHING(c) (over[c] > 0 || died[c] || start_over[c])
#else
#define SOMETHING(c) (over[c] > 0 || died[c])
#endif

inline work(c, s, hand, dead) {
  if
  :: died[c] -> worker_ended(c, s, hand, dead)
  :: !died[c] -> drain(c, s, hand, dead)
  fi;
  c = EMPTY
}

active proctype Reactor() {
  byte c = EMPTY, s, t = EMPTY, hand = EMPTY, seen[SLOTS];
  byte rest[CALLERS], rest_count;
  bool dead;
end_reactor:
  do
  :: d_step { SOMETHING(0) -> c = 0 }; work(c, s, hand, dead)
  :: d_step { SOMETHING(1) -> c = 1 }; work(c, s, hand, dead)
#if CHANNELS > 2
  :: d_step { SOMETHING(2) -> c = 2 }; work(c, s, hand, dead)
#endif
#if CHANNELS > 3
  :: d_step { SOMETHING(3) -> c = 3 }; work(c, s, hand, dead)
#endif
#if CHANNELS > 4
  :: d_step { SOMETHING(4) -> c = 4 }; work(c, s, hand, dead)
#endif
#if CHANNELS > 5
  :: d_step { SOMETHING(5) -> c = 5 }; work(c, s, hand, dead)
#endif
  od
}

/* PoolCore.start and .adopt */
proctype Starter(byte me) {
  byte c = EMPTY, s, t = EMPTY, hand = EMPTY, seen[SLOTS];
  bool dead;
end_starter:
  do
  :: d_step { is_starting[me] ->
       c = channels;
       channels++;
       alive[c] = true;
       slot[me] = c;
       is_starting[me] = false
     };
#ifdef START_BODY
     pending++;                                /* begin, submitFirst */
     d_step {
#ifdef M_START_BODY_FOR_THE_DEAD
       start_out[c] = true
#else
       if
       :: phase[c] != CLOSED -> start_out[c] = true
       :: else -> pending--
       fi
#endif
     };
#else
     phase[c] = (phase[c] == STARTING -> SERVING : phase[c]);
#ifndef M_NO_LOOK_WHEN_READY
     t = c;
     send_pending_to(c, s, hand, dead);
     atomic { c = t; t = EMPTY };
#endif
#endif
     d_step {                                  /* closed meanwhile: kill */
       if
       :: closed && alive[c] -> alive[c] = false; died[c] = true
       :: else
       fi;
       c = EMPTY
     }
  od
}

/* MARK: - The pool's end */

#ifdef DRAIN
active proctype Drain() {
  byte s, seen[SLOTS];
  draining = true;                             /* finishAccepted */
  pending == 0;
  d_step { look_at_slots() };                  /* endWorkers */
  d_step {
    closed = true;
    do
    :: queue_count > 0 -> finish(queue_record[0]); queue_drop(0)
    :: else -> break
    od;
    s = 0
  };
  do
  :: d_step { s < SLOTS && seen[s] != EMPTY && phase[seen[s]] != CLOSED ->
       phase[seen[s]] = STOPPING;
       was_stopped[seen[s]] = true;
       s++
     }
  :: d_step { s < SLOTS && (seen[s] == EMPTY || phase[seen[s]] == CLOSED) ->
       s++
     }
  :: s == SLOTS -> break
  od
}
#endif

#ifdef SHUTDOWN
/* PoolCore.cancelAll, with a grace that never ends */
active proctype Shutdown() {
  byte s, seen[SLOTS];
  d_step {                                     /* PoolQueue.close */
    closed = true;
    do
    :: queue_count > 0 -> finish(queue_record[0]); queue_drop(0)
    :: else -> break
    od;
    s = 0
  };
  d_step { look_at_slots() };
  do
  :: d_step { s < SLOTS && seen[s] != EMPTY ->
#ifndef M_SHUTDOWN_STILL_ACCEPTS
       refuses[seen[s]] = true;
#endif
       j = 0;
       do
       :: j < count[seen[s]] ->
          cancelled[RECORD(seen[s], j)] = true;
          asked[seen[s]] = asked[seen[s]] | (1 << RECORD(seen[s], j));
          j++
       :: else -> break
       od;
       s++
     }
  :: d_step { s < SLOTS && seen[s] == EMPTY -> s++ }
  :: s == SLOTS -> break
  od;
  pending == 0
}
#endif

/* MARK: - The workers */

#define NEXT(c) (RECORD(c, over[c]))
#define CAN_END(c) (alive[c] && over[c] < count[c] && \
  (!IS_ENDLESS(NEXT(c)) || ((asked[c] >> NEXT(c)) & 1)))

inline worker(c) {
  if
  :: d_step { CAN_END(c) -> over[c]++ }
  :: d_step { alive[c] && kills < KILLS ->
       kills++;
       alive[c] = false;
       died[c] = true
     }
  :: d_step { alive[c] && phase[c] == STOPPING && over[c] == count[c] ->
       alive[c] = false;
       died[c] = true
     }
#if defined(LEAVES) || defined(ON_DEMAND)
  :: d_step { phase[c] == SERVING && stops == 0 ->       /* stop, retire */
       stops++;
       phase[c] = STOPPING;
       was_stopped[c] = true
     }
#endif
#ifdef START_BODY
  :: d_step { alive[c] && start_out[c] && !start_over[c] ->
       start_over[c] = true
     }
#endif
  fi
}

active proctype Workers() {
end_workers:
  do
  :: worker(0)
  :: worker(1)
#if CHANNELS > 2
  :: worker(2)
#endif
#if CHANNELS > 3
  :: worker(3)
#endif
#if CHANNELS > 4
  :: worker(4)
#endif
#if CHANNELS > 5
  :: worker(5)
#endif
  od
}

init {
  byte s;
  d_step {
    do
    :: s < SLOTS ->
#ifdef ON_DEMAND
       slot[s] = EMPTY;
#else
       slot[s] = channels;
       phase[channels] = SERVING;
       alive[channels] = true;
       channels++;
#endif
       s++
    :: else -> break
    od
  };
  atomic {
    s = 0;
    do
    :: s < SLOTS -> run Starter(s); s++
    :: else -> break
    od;
    s = 0;
    do
    :: s < CALLERS -> run Caller(s); s++
    :: else -> break
    od
  }
}
