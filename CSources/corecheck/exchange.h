/*
 * One whole exchange between an application and a worker (pool.h), which a
 * check drives: the script from its first record to the stop.
 */
#ifndef EXCHANGE_H
#define EXCHANGE_H

#include "pool.h"

enum exchange_mode {
    LAZY,  /* the application acts only when the worker can do nothing */
    EAGER, /* the application acts whenever it is let */
};

/* What differs between exchanges. */
struct exchange_options {
    enum exchange_mode mode;
    long delay; /* a lazy application acts after so many stops */
    uint64_t arena_bytes;
    uint32_t window; /* records in flight */
    uint64_t start;  /* position of both rings */
};

/* At how many points of a sweep the worker's death would find this. */
struct exchange_seen {
    long charged;   /* an item is charged with it */
    long kept;      /* results are saved from an unpublished completion */
    long handed_on; /* records go to the successor */
    long idle;      /* the worker announced that it sleeps for records, */
    long no_room;   /* for room in its ring, */
    long no_arena;  /* or waits for room in its arena */
};

/* In memory that processes share, at one address. */
struct exchange {
    struct pair pair;
    struct pool_application application;
    struct pool_worker worker;
    struct pool_truth truth;
    struct exchange_options options;
    long waited; /* stops, of a lazy application */
    struct exchange *successor;
    long points, bad;
    const char *wrong; /* what was bad first */
    struct exchange_seen seen;
    bool is_quiet;     /* does not end the check at the first bad point */
};

/* A new one, with a successor. */
struct exchange *exchange_open(const struct exchange_options *options);
void exchange_close(struct exchange *exchange);

/* For step_plan: the worker from the first record to the stop. */
void exchange_run_worker(void *exchange);
/* The application acts if it is its turn. */
void exchange_take_turn(void *exchange);
/* What would be, were the worker dead here: the verdict is counted. Then the
 * application's turn. */
void exchange_survey(void *exchange);

/* After the end: everything has come back, nothing was wrong, both rings have
 * wrapped. */
void exchange_require_complete(const struct exchange *exchange);
/* Adds what one sweep has seen. */
void exchange_add_seen(struct exchange_seen *sum,
                       const struct exchange *exchange);

#endif
