/*
 * Atomic access to words of shared memory, one helper for each order in use.
 *
 * The words are plain integers, because Swift does not import structs with
 * _Atomic members; every access to a word that two threads or processes use
 * goes through this file. What each order pairs with is in the table of the
 * header that owns the structure (mproc_ring.h).
 */
#ifndef MPROC_ATOMIC_H
#define MPROC_ATOMIC_H

#include <stdint.h>

static inline uint64_t mproc_load_relaxed(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline uint64_t mproc_load_acquire(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static inline void mproc_store_relaxed(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
}

static inline void mproc_store_release(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

/* MARK: - Sequentially consistent, for words that users share */

static inline uint64_t mproc_load_seq(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static inline void mproc_store_seq(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

static inline uint64_t mproc_exchange_seq(uint64_t *word, uint64_t value)
{
    return __atomic_exchange_n(word, value, __ATOMIC_SEQ_CST);
}

/* The value before; the exchange was made when that is `expected`. */
static inline uint64_t mproc_compare_exchange_seq(uint64_t *word,
                                                  uint64_t expected,
                                                  uint64_t desired)
{
    __atomic_compare_exchange_n(word, &expected, desired, 0, __ATOMIC_SEQ_CST,
                                __ATOMIC_SEQ_CST);
    return expected;
}

static inline uint64_t mproc_add_seq(uint64_t *word, uint64_t value)
{
    return __atomic_fetch_add(word, value, __ATOMIC_SEQ_CST);
}

/*
 * Full barrier: no load after it may be satisfied before a store ahead of it
 * is visible. Only sleep/wake needs it; no payload is ordered by it, so
 * ThreadSanitizer, which does not model fences, has nothing to misread.
 * On x86-64 a locked read-modify-write of the stack is the cheapest one
 * (compilers disagree, and mfence costs twice as much).
 */
static inline void mproc_fence_full(void)
{
#if defined(__x86_64__)
    __asm__ volatile("lock; orl $0, (%%rsp)" ::: "memory", "cc");
#else
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

/* Tells the CPU that this is a spin loop; the compiler must reload after it. */
static inline void mproc_pause(void)
{
#if defined(__x86_64__)
    __asm__ volatile("pause" ::: "memory");
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#else
    __asm__ volatile("" ::: "memory");
#endif
}

#endif
