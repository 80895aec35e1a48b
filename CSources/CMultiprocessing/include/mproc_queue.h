/*
 * Queues between processes: many senders, many receivers, bounded, elements of
 * any size, with descriptors or without. Elements leave in the order in which
 * they came.
 *
 * A queue is a memfd and the two ends of a socket pair. The memory holds the
 * elements. The sockets carry the descriptors of those that have some, and
 * tell each side whether the other is still there: who may send holds a copy
 * of the one end, who may receive a copy of the other, and the kernel counts
 * them, also those of the dead and those on their way in a message.
 *
 * In the file (its size is fixed; only pages in use have memory):
 *
 *   offset
 *        0  the header: lock, conditions, `head`, `tail`
 *     4096  consumers: who has received how many elements and not yet marked
 *           them as done
 *    69632  slots, one for each element: where its bytes are
 *     data  bytes, in extents: extent k has the 2^k bytes from data + 2^k on
 *
 * Elements of one extent form a ring. One that does not fit into the extent of
 * the one before it begins a larger extent; an empty queue begins again with
 * the smallest that will do. Extents of more than MPROC_QUEUE_KEPT_LOG2 give
 * their pages back when they are empty.
 *
 * Killed right here: everything is changed under the lock, and an element is
 * there from the store of `tail` behind it on until the store of `head` behind
 * its removal. What a process had written before it died ahead of its store is
 * in nobody's way. So there is nothing to repair for who takes the lock over.
 * The descriptors of an element set out before it is stored and are taken
 * before it is removed: a message without an element is thrown away, and an
 * element without its message was in the hand of a receiver that died.
 *
 * Everything in the memory is read as what another process may have written
 * into it at any time: each word once, checked before use.
 */
#ifndef MPROC_QUEUE_H
#define MPROC_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mproc_base.h"
#include "mproc_sync.h"

#define MPROC_QUEUE_MAX_CAPACITY 16777216
/* Most descriptors of one element. */
#define MPROC_QUEUE_DESCRIPTORS MPROC_MESSAGE_DESCRIPTORS
/* Most processes that have elements in hand. */
#define MPROC_QUEUE_CONSUMERS 4096
/* Extents from 64 KiB to 512 GiB; up to 32 MiB they are kept, all together 64
 * MiB: new pages cost several times what the copies do. */
#define MPROC_QUEUE_MIN_LOG2 16
#define MPROC_QUEUE_MAX_LOG2 39
#ifndef MPROC_QUEUE_KEPT_LOG2
#define MPROC_QUEUE_KEPT_LOG2 25
#endif

/* A queue as a process has it mapped. */
struct mproc_queue;

/* The memory of a new queue of 1 to MPROC_QUEUE_MAX_CAPACITY elements: a
 * descriptor, or -errno. */
int mproc_queue_create(uint64_t capacity);
/* Its ends: ends[0] is who sends, ends[1] who receives. */
int mproc_queue_ends(int ends[2]);
/* Maps it; `memory` stays the caller's and open until mproc_queue_close.
 * -EPROTO when it is not the memory of a queue. */
int mproc_queue_open(int memory, struct mproc_queue **queue);
void mproc_queue_close(struct mproc_queue *queue);

/*
 * All that follow may be called by several threads at once. With a deadline
 * they may wait for the lock half a second longer: so MPROC_QUEUE_ATTEMPT, a
 * deadline that has passed, waits for the lock and for nothing else. A deadline
 * of 0 waits not even for the lock. Damaged memory is -EPROTO.
 */
#define MPROC_QUEUE_ATTEMPT ((struct mproc_patience){1, NULL})

/*
 * Waits for room. -EPIPE after mproc_queue_finish, and when there is no room
 * and no receiver; -EFBIG for more bytes than there could ever be; -ENOSPC and
 * -ENOMEM; -ETIMEDOUT and -ECANCELED. Without waiting and without descriptors
 * no system call, unless somebody sleeps.
 */
int mproc_queue_push(struct mproc_queue *queue, int sender, const void *bytes,
                     size_t size, const int *descriptors, int descriptor_count,
                     struct mproc_patience patience);

struct mproc_queue_element {
    void *bytes; /* to be freed with free */
    size_t size;
    int *descriptors; /* to be closed, and freed with free; NULL: none */
    int descriptor_count;
};

/*
 * Waits for an element: 1, and the process has one more in hand. 0 when the
 * queue is empty and finished, or without a sender. -ETIMEDOUT, -ECANCELED,
 * -ENOMEM; -EUSERS when too many processes have elements in hand; -EMFILE, and
 * an element is lost whose descriptors this process cannot have.
 */
int mproc_queue_pop(struct mproc_queue *queue, int receiver,
                    struct mproc_queue_element *element,
                    struct mproc_patience patience);

/* No more is sent; what is there is still received. */
void mproc_queue_finish(struct mproc_queue *queue);
/* Wakes all who wait, so that they look at the ends: for who has closed one. */
void mproc_queue_stir(struct mproc_queue *queue);

/* An element is done that this process has received; if it has none in hand,
 * one that another process has. -ECHILD when nobody has. */
int mproc_queue_mark_done(struct mproc_queue *queue);
/* Waits until all that were sent before are done, or were in the hand of a
 * process that died. 0, -ETIMEDOUT, -ECANCELED. */
int mproc_queue_join(struct mproc_queue *queue,
                     struct mproc_patience patience);

/* How many elements wait; by now it may be another number. */
uint64_t mproc_queue_count(const struct mproc_queue *queue);

#endif
