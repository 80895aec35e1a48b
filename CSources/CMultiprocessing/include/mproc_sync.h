/*
 * What processes wait for in memory that they share: locks, semaphores,
 * conditions, events, atomics and barriers.
 *
 * Each object is a few words in a mapping of its users. Nobody serves it, and
 * an operation that has nothing to wait for makes no system call. Any
 * participant may be killed at any instruction:
 *
 * - Who waits sleeps in slices of at most MPROC_SYNC_SLICE_NS and looks again
 *   after each, so that a waker that died between its change and its wake
 *   costs a slice and no more.
 * - A lock names its holder by process number and start time. A waiter that
 *   finds the holder dead takes the lock over and learns that it did.
 * - Counters of sleepers may stay too high after a kill; that costs system
 *   calls without effect.
 *
 * Every word is read as what another process may have written into it at any
 * time: no value leads out of the object or into a wait that cannot end.
 *
 * Memory order: each word that hands something over (owner, value, is_set,
 * sequence, generation) is changed by a read-modify-write with release order
 * or stronger, and read with acquire order by whoever takes it over. Sleep and
 * wake is a Dekker pair: the sleeper counts itself in `sleepers` (sequentially
 * consistent) and FUTEX_WAIT compares the word again; the waker changes the
 * word, runs a full fence, and then reads `sleepers`.
 *
 * Processes of different PID namespaces cannot tell whether the other's
 * processes live, and must not share locks.
 */
#ifndef MPROC_SYNC_H
#define MPROC_SYNC_H

#include <stdbool.h>
#include <stdint.h>

#define MPROC_SYNC_SLICE_NS UINT64_C(20000000)

/* How long a wait may take. */
struct mproc_patience {
    uint64_t deadline_ns;      /* of mproc_now_ns; UINT64_MAX: none */
    const uint32_t *cancelled; /* not 0: give up; NULL: never. Not shared */
};

/* MARK: - Locks */

struct mproc_lock {
    /*
     * Low half: the holder's process number, and the flags of lock.c; the
     * word that sleepers wait on. High half: when that process started.
     */
    uint64_t owner;
    uint64_t pad[15];
};

/*
 * Waits for the lock. 0; 1 when the process that held it died: what the lock
 * guards may be half changed; -ETIMEDOUT; -ECANCELED. The holder is the
 * process, whichever thread takes the lock or gives it back; it must not ask
 * for it again. Uncontended: 10 ns, no system call.
 */
int mproc_lock_acquire(struct mproc_lock *lock, struct mproc_patience patience);
/* As above, or -EBUSY at once. A lock whose holder is dead is taken, and one
 * that is kept for those who wait. */
int mproc_lock_try(struct mproc_lock *lock);
/* -EPERM when this process does not hold it. */
int mproc_lock_release(struct mproc_lock *lock);
/* Whether this process holds it. */
bool mproc_lock_is_mine(const struct mproc_lock *lock);

/* The calling thread, among those of its process that live. */
uint64_t mproc_current_thread(void);

/* MARK: - Conditions */

struct mproc_condition {
    uint32_t sequence; /* counts notifications */
    uint32_t sleepers;
    uint64_t pad[15];
};

/* What to wait against; read with the lock held. */
uint32_t mproc_condition_ticket(const struct mproc_condition *condition);
/* Waits, without the lock, until there was a notification after `ticket`, or
 * until it is time to look again for who began to wait at that time of
 * mproc_now_ns: 0, -ETIMEDOUT or -ECANCELED. */
int mproc_condition_wait(struct mproc_condition *condition, uint32_t ticket,
                         uint64_t began_ns, struct mproc_patience patience);
void mproc_condition_notify(struct mproc_condition *condition, bool all);

/* MARK: - Semaphores */

struct mproc_semaphore {
    uint32_t value;
    uint32_t sleepers;
    uint64_t pad[15];
};

#define MPROC_SEMAPHORE_MAX INT32_MAX

int mproc_shared_semaphore_wait(struct mproc_semaphore *semaphore,
                                struct mproc_patience patience);
bool mproc_shared_semaphore_try(struct mproc_semaphore *semaphore);
/* -EOVERFLOW, and nothing is changed, beyond MPROC_SEMAPHORE_MAX. */
int mproc_shared_semaphore_signal(struct mproc_semaphore *semaphore,
                                  uint32_t count);

/* MARK: - Events */

struct mproc_event {
    uint32_t is_set; /* 0 or 1 */
    uint32_t sleepers;
    uint64_t pad[15];
};

bool mproc_event_is_set(const struct mproc_event *event);
void mproc_event_set(struct mproc_event *event);
void mproc_event_clear(struct mproc_event *event);
int mproc_event_wait(struct mproc_event *event, struct mproc_patience patience);

/* MARK: - Barriers */

#define MPROC_BARRIER_MAX_PARTIES 4096

struct mproc_barrier {
    struct mproc_lock lock; /* guards the rest, `generation` for writing */
    uint32_t parties;
    uint32_t arrived;
    uint32_t generation; /* counts the ends of rounds, of whatever kind */
    uint32_t breaks;     /* those that were no completions */
    uint32_t is_broken;  /* until it is reset */
    uint32_t sleepers;
    uint32_t completed;  /* the generation after the last completed round */
    uint32_t pad0;
    uint64_t pad[12];
    /* Who has arrived, then who was in the round before: `parties` words each,
     * as in a lock's owner. */
    uint64_t members[];
};

uint64_t mproc_barrier_bytes(uint32_t parties);
void mproc_barrier_init(struct mproc_barrier *barrier, uint32_t parties);
/*
 * Waits for the others. The index of the arrival, 0 for the first; -EPIPE when
 * the barrier was broken or reset, also by the death of a process that had
 * arrived in this round or was in the round before, which who waits notices
 * (an arrival counts, whatever comes after it: the last one does not look);
 * -ETIMEDOUT and -ECANCELED, which break it for all. `parties` as the caller
 * knows it, not as the memory says.
 */
int mproc_barrier_wait(struct mproc_barrier *barrier, uint32_t parties,
                       struct mproc_patience patience);
/* Breaks it, for those who wait and those who come, until it is reset. */
void mproc_barrier_abort(struct mproc_barrier *barrier);
/* Ready for a new round; who waits in the old one gets -EPIPE. */
void mproc_barrier_reset(struct mproc_barrier *barrier, uint32_t parties);

/* MARK: - Waiting on a value */

struct mproc_watched {
    uint64_t value;
    uint32_t sequence; /* counts notifications */
    uint32_t sleepers;
    uint64_t pad[14];
};

/* Waits while the value is `value`, looked at after each notification. */
int mproc_watched_wait(struct mproc_watched *watched, uint64_t value,
                       struct mproc_patience patience);
void mproc_watched_notify(struct mproc_watched *watched, bool all);

#endif
