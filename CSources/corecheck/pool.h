/*
 * Both sides of a pool's worker in C, in the order of WorkerMain.swift and of
 * WorkerChannel+*.swift, so that either can be stopped or killed at any of its
 * instructions. What travels is what PoolRecords.swift says.
 *
 * A script (pool_script.c) says what is sent and what must come back. The
 * worker tells the check what it really did, in memory that the application
 * does not look at (pool_truth); pool_verdict compares.
 */
#ifndef POOL_H
#define POOL_H

#include "check.h"

#define POOL_CAPACITY 4096
#define POOL_ARENA 8192 /* a worker has to wait for some of it */
#define POOL_LARGE_ARENA 65536
#define POOL_INLINE_LIMIT 512
#define POOL_MINIMUM_ROOM 1024 /* for a completion */
#define POOL_OUTPUT 8192
#define POOL_WINDOW 12

enum { POOL_ITEMS = 31, POOL_RECORDS = 13 };

/* MARK: - What travels */

struct task_header {
    uint64_t number;
    uint32_t body, count, flags, reserved;
};
struct completion_header {
    uint64_t number;
    uint32_t first, count, flags, nanoseconds;
};
struct arena_reference {
    uint64_t offset, size_bytes, position;
};
enum { TASK_DEFINE = 1, TASK_ITEMS = 2, TASK_STOP = 3 };
enum { COMPLETION_VALUES = 1, COMPLETION_FAILURE = 2 };
enum { TASK_IN_ARENA = 1 };
enum { COMPLETION_IN_ARENA = 1, COMPLETION_LAST = 2 };

/* MARK: - The script */

struct pool_item {
    uint16_t argument_size, result_size; /* an argument begins with its item */
    bool throws;
};
struct pool_record {
    uint32_t first, count;
};
extern const struct pool_item pool_items[POOL_ITEMS];
extern const struct pool_record pool_records[POOL_RECORDS];

const uint8_t *pool_argument(uint32_t item);
const uint8_t *pool_result(uint32_t item);
/* Fills the two above; also checks the tables against each other. */
void pool_script_prepare(void);

/* MARK: - Ways to be wrong */

/* What the checks must notice. Each is one thing done in the wrong order. */
enum pool_mutant {
    AS_IT_SHOULD_BE,
    /* worker */
    ACCEPTS_AFTER_RUNNING,
    COUNTS_BEFORE_STORING,
    COUNTS_IN_TWO_STORES,
    KEEPS_THE_OLD_CURSOR,
    PUBLISHES_BEFORE_COMMITTING,
    PUBLISHES_BEFORE_THE_HEADER,
    SPILLS_OVER_COUNTED_RESULTS,
    FORGETS_COUNTED_RESULTS,
    NAMES_ARENA_BYTES_BEFORE_COPYING,
    /* application, when its worker has died */
    LOOKS_BEFORE_DRAINING,
    IGNORES_THE_CURSOR,
    KEEPS_RESULTS_TWICE,
    HANDS_ON_WHAT_RAN,
    FREES_WHAT_WAS_TAKEN,
    /* application, alive */
    FIRST_MUTANT_ALIVE,
    SHOWS_ROOM_BEFORE_READING = FIRST_MUTANT_ALIVE,
    RELEASES_ARENA_BEFORE_READING,
    SUBMITS_BEFORE_COPYING,
    MUTANT_COUNT
};
extern const char *const pool_mutant_names[MUTANT_COUNT];

/* MARK: - The worker */

/* Told by the worker to the check, a byte before or after what it is about. */
struct pool_truth {
    uint64_t taken; /* number of the record that it was about to accept */
    uint8_t begun[POOL_ITEMS];
    uint8_t finished[POOL_ITEMS];
    uint8_t counted[POOL_ITEMS]; /* by the cursor, or published */
    uint8_t damaged;             /* it was shown what nobody sent */
    uint8_t waits;               /* for room in the arena */
};

struct pool_worker {
    struct mproc_channel channel;
    struct mproc_arena *arguments, *results;
    struct pool_truth *truth;
    enum pool_mutant mutant;
    int bell;
    bool stopped;
    /* Called when it can do nothing; `observed` as mproc_channel_sleep. */
    void (*wait)(struct pool_worker *, enum mproc_channel_word, uint32_t);
    void *wait_context;
    /* What is being written: into the ring's room, or a copy. */
    uint8_t *room;
    size_t room_size, count;
    bool spilled;
    uint8_t own[POOL_OUTPUT];
};

/* Serves until it is told to stop, by a record or by setting `stopped`. */
void pool_worker_serve(struct pool_worker *worker);

/* MARK: - The application */

enum pool_outcome { NONE, VALUE, FAILURE, CRASHED, SKIPPED, HANDED_ON };

struct pool_entry {
    uint64_t number, start, end;
    uint32_t first, count, received;
    bool in_arena;
    uint64_t arena_offset;
};

struct pool_application {
    struct mproc_channel channel;
    struct mproc_arena *arguments, *results;
    enum pool_mutant mutant;
    int bell;
    struct pool_entry outstanding[POOL_RECORDS];
    uint32_t front, end; /* positions, modulo the size */
    uint32_t window;     /* so many of them at most */
    uint64_t last_number;
    bool is_defined, is_open, is_armed;
    /* A copy, which looks what would become of the original: the arena of the
     * arguments belongs to that one. */
    bool is_copy;
    bool suspects; /* its worker may write anything; that is not wrong */
    uint8_t outcome[POOL_ITEMS];
    uint32_t submitted; /* records of the script */
    bool stop_sent;
    struct pool_entry rest[POOL_RECORDS]; /* after the worker's end */
    uint32_t rest_count;
    uint32_t kept; /* items that the cursor alone counted */
    const char *wrong; /* the first thing that must not happen */
};

/* Sends a record; false when there is no room. Not published yet. */
bool pool_submit(struct pool_application *application, uint32_t first,
                 uint32_t count, const void *bytes, size_t size);
void pool_publish(struct pool_application *application);
void pool_drain(struct pool_application *application);
/* The worker rings when it publishes, until the next pool_drain. */
void pool_arm(struct pool_application *application);
/* Everything that can be done now: drains, submits from the script, arms. */
void pool_turn(struct pool_application *application);
/* Its worker has ended. The records that it had not begun are in `rest`. */
void pool_worker_ended(struct pool_application *application);
/* The arguments of such a record; their size is rounded up. */
const void *pool_arguments_of(struct pool_application *application,
                              const struct pool_entry *entry, size_t *size);
/* What is wrong, or NULL (pool_verdict.c). */
const char *pool_verdict(const struct pool_application *application,
                         const struct pool_truth *truth);

#endif
