/* Sleeping on words of shared memory, in slices. */
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "mproc_atomic.h"
#include "mproc_base.h"
#include "sync_internal.h"

#define FIRST_SLICE_NS UINT64_C(1000000)

struct mproc__nap mproc__nap_begin(struct mproc_patience patience)
{
    return (struct mproc__nap){.patience = patience,
                               .slice_ns = FIRST_SLICE_NS};
}

static int look_at_limits(const struct mproc_patience *patience,
                          uint64_t *left_ns)
{
    uint64_t now;

    if (patience->cancelled != NULL &&
        __atomic_load_n(patience->cancelled, __ATOMIC_ACQUIRE) != 0)
        return -ECANCELED;
    if (patience->deadline_ns == UINT64_MAX)
        return 0;
    now = mproc_now_ns();
    if (now >= patience->deadline_ns)
        return -ETIMEDOUT;
    *left_ns = patience->deadline_ns - now;
    return 0;
}

int mproc__nap(struct mproc__nap *nap, const uint32_t *word, uint32_t observed,
               uint32_t *sleepers)
{
    uint64_t time = nap->slice_ns, left = UINT64_MAX;
    struct timespec timeout;
    int result = look_at_limits(&nap->patience, &left);

    if (result < 0)
        return result;
    if (time > left)
        time = left;
    timeout.tv_sec = (time_t)(time / 1000000000);
    timeout.tv_nsec = (long)(time % 1000000000);
    /* Before FUTEX_WAIT compares the word: the waker's fence pairs with it. */
    if (sleepers != NULL)
        __atomic_fetch_add(sleepers, 1, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, word, FUTEX_WAIT, observed, &timeout, NULL, 0);
    if (sleepers != NULL)
        __atomic_fetch_sub(sleepers, 1, __ATOMIC_RELAXED);
    if (nap->slice_ns < MPROC_SYNC_SLICE_NS)
        nap->slice_ns *= 2;
    if (nap->slice_ns > MPROC_SYNC_SLICE_NS)
        nap->slice_ns = MPROC_SYNC_SLICE_NS;
    nap->count++;
    return 0;
}

void mproc__wake(const uint32_t *word, uint32_t count)
{
    syscall(SYS_futex, word, FUTEX_WAKE,
            count > INT32_MAX ? INT32_MAX : (int)count, NULL, NULL, 0);
}

void mproc__wake_sleepers(const uint32_t *word, const uint32_t *sleepers,
                          uint32_t count)
{
    mproc_fence_full();
    if (__atomic_load_n(sleepers, __ATOMIC_RELAXED) != 0)
        mproc__wake(word, count);
}
