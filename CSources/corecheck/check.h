/*
 * Named checks of the C core, without Swift. Each runs in a process of its own
 * under an alarm, so that a crash or a hang is one failure and not the end.
 */
#ifndef CHECK_H
#define CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "mproc_activity.h"
#include "mproc_arena.h"
#include "mproc_ring.h"

/* gcc says it by a macro, clang before its version 22 by a feature. */
#ifndef __has_feature
#define __has_feature(name) 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#else
#define UNDER_TSAN 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer) \
    || UNDER_TSAN
#define UNDER_SANITIZER 1
#else
#define UNDER_SANITIZER 0
#endif

struct check {
    const char *name;
    void (*run)(void);
    bool skip; /* cannot say anything in this build */
};

/* Asked for with -w: nothing is left out to save time. */
extern bool whole_sweep;

/* Ends the check as one that can say nothing here. */
_Noreturn void skip_check(const char *reason);

extern const struct check layout_checks[], ring_checks[], stress_checks[],
    corrupt_checks[], kill_checks[], preempt_checks[], lifeline_checks[],
    mutant_checks[], hostile_checks[], arena_checks[], crash_checks[],
    symbols_checks[], server_checks[], watched_checks[],
    end_status_checks[], sync_checks[], sync_kill_checks[], queue_checks[],
    queue_kill_checks[], wakes_checks[], stopped_checks[];

/* Ends the check with a message; also in its child processes and threads. */
#define REQUIRE(condition)                                                     \
    do {                                                                       \
        if (!(condition)) {                                                    \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__,       \
                    #condition);                                               \
            exit(1);                                                           \
        }                                                                      \
    } while (0)

/* A reproducible sequence of numbers (xorshift64*, Vigna 2016). */
static inline uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

/* The byte at `index` of the payload of record `number`. */
static inline uint8_t pattern(uint64_t number, size_t index)
{
    return (uint8_t)((number * 167 + index * 13) ^ (index >> 8));
}

/* Another value for a word of a ring of 4096 bytes, mostly near the truth:
 * what chance alone would write is refused at once. */
uint64_t plausible_word(uint64_t good, uint64_t *random);

void fill_pattern(void *payload, size_t size, uint64_t number);
bool has_pattern(const void *payload, size_t size, uint64_t number);

/* Both sides of a channel. */
struct pair {
    int a_fd, b_fd; /* a: written by the application, b: by the worker */
    struct mproc_segment a, b;
    struct mproc_segment a_reader, b_reader;
    struct mproc_channel application, worker;
};

enum mappings {
    TWO_MAPPINGS, /* as between processes: readers map read-only */
    ONE_MAPPING,  /* both sides over the same, for ThreadSanitizer */
};

void pair_open(struct pair *pair, uint64_t capacity, uint64_t start,
               enum mappings mappings);
void pair_close(struct pair *pair);

/* Waits for a child and requires that it ended with status 0. */
void require_success(int pid);

#endif
