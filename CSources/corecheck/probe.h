/*
 * The physical limit of every exchange between two CPUs: the round trip of two
 * cache lines, with nothing around it. On virtual machines the distance between
 * two CPUs changes every few seconds, so a trial is bracketed by two probes; it
 * counts only when both agree about its level, near or far. C and C++.
 */
#ifndef PROBE_H
#define PROBE_H

#include <stdint.h>
#include <time.h>

#include "mproc_atomic.h"

#define FAR_NS 250.0
#define BROKEN_NS 3000.0

enum { PROBE_BATCHES = 12, PROBE_TRIPS = 40 };

/* Shared by the two sides, zero at first; 128 bytes keep neighbouring lines,
 * which are fetched together, apart. */
struct probe {
    uint64_t ping[16], pong[16];
};

static inline double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Nanoseconds for a round trip, the best of some batches. `trips` counts them
 * on either side, from 0. */
static inline double probe_lead(struct probe *probe, uint64_t *trips)
{
    double best = 1e18;

    for (int batch = 0; batch < PROBE_BATCHES; batch++) {
        double begin = now_ns(), each;
        for (int trip = 0; trip < PROBE_TRIPS; trip++) {
            uint64_t n = ++*trips;
            mproc_store_release(&probe->ping[0], n);
            while (mproc_load_acquire(&probe->pong[0]) != n)
                ;
        }
        each = (now_ns() - begin) / PROBE_TRIPS;
        if (each < best)
            best = each;
    }
    return best;
}

static inline void probe_follow(struct probe *probe, uint64_t *trips)
{
    for (int trip = 0; trip < PROBE_BATCHES * PROBE_TRIPS; trip++) {
        uint64_t n = ++*trips;
        while (mproc_load_acquire(&probe->ping[0]) != n)
            ;
        mproc_store_release(&probe->pong[0], n);
    }
}

/* 0: near, 1: far, -1: the probes before and after disagree. */
static inline int level_of(double before, double after)
{
    if (before > BROKEN_NS || after > BROKEN_NS)
        return -1;
    return (before > FAR_NS) == (after > FAR_NS) ? before > FAR_NS : -1;
}

#endif
