/*
 * Sleeping and waking with the store buffers of x86-TSO: a store is visible
 * to others only when it has left its thread's buffer, at any later time, in
 * order; a fence waits until the buffer is empty. The system calls are taken
 * to be no fences.
 *
 *  FUTEX  the worker sleeps on the submission ring's tail, or on the
 *         completion ring's head: the same code with the other word
 *  BELL   the application's channel is armed, its reactor sleeps in epoll
 *  QUEUE  a record is put into the pool's queue, while a worker's last
 *         completion is taken: one of the two threads must send it
 *
 * Checked: all that was published is taken (no invalid end state).
 */

#define RECORDS 3
#define WORD 0                 /* tail or head; QUEUE: the queue's count */
#define SLEEPING 1             /* QUEUE: the worker's load */

byte memory[2];
chan waker_buffer = [2] of { byte, byte };
chan sleeper_buffer = [2] of { byte, byte };

bool futex_waits, bell;        /* the kernel's */
byte sent;

proctype StoreBuffer(chan buffer) {
  byte word, value;
end:
  do
  :: atomic {
       buffer ? word, value -> memory[word] = value;
       word = 0;
       value = 0
     }
  od
}

#ifdef M_NO_FENCE_WAKER
#define D1 skip
#else
#define D1 empty(waker_buffer)
#endif
#ifdef M_NO_FENCE_SLEEPER
#define S2 skip
#else
#define S2 empty(sleeper_buffer)
#endif

#ifndef QUEUE

/* mproc_ring_publish or _publish_head, then mproc_channel_peer_sleeps */
proctype Waker() {
  byte published, seen, rung;
  do
  :: published == RECORDS -> break
  :: published < RECORDS ->
     published++;
     waker_buffer ! WORD, published;                     /* P1, C2 */
     D1;
     seen = memory[SLEEPING];                            /* D2 */
     if
     :: (seen & 1) && seen != rung ->
#ifdef FUTEX
        d_step {                                         /* FUTEX_WAKE */
          if
          :: futex_waits -> futex_waits = false; rung = seen
          :: else
          fi
        }
#else
        d_step { bell = true; rung = seen }
#endif
     :: else
     fi
  od
}

proctype Sleeper() {
  byte taken, generation;
  do
  :: taken == RECORDS -> break
  :: taken < RECORDS ->
     if
     :: memory[WORD] != taken -> taken++                 /* C1, P2 */
     :: memory[WORD] == taken ->
        generation = generation + 2;
        sleeper_buffer ! SLEEPING, (generation | 1);     /* S1 */
        S2;
#ifdef FUTEX
        /* mproc_channel_sleep */
        d_step {                                         /* FUTEX_WAIT */
          if
          :: memory[WORD] == taken -> futex_waits = true
          :: else
          fi
        };
        !futex_waits;
#else
        /* WorkerChannel.arm, PoolCore.bellRang */
        if
        :: memory[WORD] == taken -> atomic { bell -> bell = false }
        :: memory[WORD] != taken
        fi;
#endif
        sleeper_buffer ! SLEEPING, generation
     fi
  od
}

#else

/*
 * PoolCore.enqueue: appends, then looks who has nothing to do. What the locks
 * order is less than what they fence: an unlock is a release, no more.
 */
proctype Waker() {
  waker_buffer ! WORD, 1;
  D1;
  if
  :: memory[SLEEPING] == 0 -> sent++
  :: memory[SLEEPING] != 0
  fi
}

/* takeCompletions of the last record, then settle */
proctype Sleeper() {
  sleeper_buffer ! SLEEPING, 0;
  S2;                          /* D1 of mproc_ring_publish_head */
  if
  :: memory[WORD] == 1 -> sent++
  :: memory[WORD] == 0
  fi
}

#endif

init {
#ifdef QUEUE
  memory[SLEEPING] = 1;
#endif
  atomic {
    run StoreBuffer(waker_buffer);
    run StoreBuffer(sleeper_buffer);
    run Waker();
    run Sleeper()
  };
#ifdef QUEUE
  /* The queue's lock lets only one of two have it. */
  _nr_pr == 3 && empty(waker_buffer) && empty(sleeper_buffer);
  sent > 0
#endif
}
