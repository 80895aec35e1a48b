/*
 * How a worker learns that a record has been cancelled: the control thread and
 * the main thread (RecordCancellation, WorkerMain.run, Worker.serve).
 *
 * The bodies of records 3 and 4 end only when their task is cancelled; the
 * others are short. 1, 3 and 4 are cancelled in this order, at any moment:
 * before they are taken, while they run, or too late.
 *
 * Checked: 3 and 4 end (no invalid end state); no record runs as cancelled that
 * nobody cancelled.
 */

#define RECORDS 5
#define ENDLESS(n) ((n) == 3 || (n) == 4)
#define CANCELLED(n) ((n) == 1 || ENDLESS(n))

byte current;
bool has_requests, locked;
byte requests;                 /* bit n: record n */
bool has_task, is_cancelled;   /* the task that runs records */

/* On the control thread */
proctype ControlThread() {
  byte number = 1;
  do
  :: number > RECORDS -> break
  :: number <= RECORDS && !CANCELLED(number) -> number++
  :: number <= RECORDS && CANCELLED(number) ->
#ifdef M_FLAG_OUTSIDE_THE_LOCK
     has_requests = true;
     atomic { !locked -> locked = true };
#else
     atomic { !locked -> locked = true };
     has_requests = true;
#endif
     if
#ifdef M_NUMBER_NOT_CHECKED
     :: has_task -> is_cancelled = true
     :: else -> requests = requests | (1 << number)
#else
     :: current == number -> is_cancelled = has_task || is_cancelled
     :: current != number -> requests = requests | (1 << number)
#endif
     fi;
     locked = false;
     number++
  od
}

proctype MainThread() {
  byte number = 1;
  bool runs;
  do
  :: number > RECORDS -> break
  :: number <= RECORDS ->
     /* reset and set: a new task */
     atomic { !locked -> locked = true };
     has_task = false;
     has_requests = requests != 0;
     d_step { locked = false; is_cancelled = false };
     atomic { !locked -> has_task = true };
     /* Worker.serve */
     do
     :: number > RECORDS -> break
     :: number <= RECORDS ->
        current = number;                                /* begin */
        if
        :: !has_requests -> runs = true
        :: has_requests ->
           d_step { !locked ->
             runs = !((requests >> number) & 1);
             requests = requests & ~((1 << (number + 1)) - 1)
           }
        fi;
        if
        :: !runs -> assert(CANCELLED(number))
        :: runs && ENDLESS(number) -> is_cancelled
        :: runs && !ENDLESS(number) ->
           assert(!is_cancelled || CANCELLED(number))
        fi;
        current = 0;                                     /* end */
#ifndef M_END_DOES_NOT_WAIT
        if
        :: has_requests -> !locked
        :: !has_requests
        fi;
#endif
        number++;
        if
        :: has_requests && is_cancelled -> break
        :: !has_requests || !is_cancelled
        fi
     od
  od
}

init {
  atomic { run ControlThread(); run MainThread() }
}
