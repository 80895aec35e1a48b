/* The memory of a queue (mproc_queue.h), and what its files share. */
#ifndef MPROC_QUEUE_INTERNAL_H
#define MPROC_QUEUE_INTERNAL_H

#include "../sync/sync_internal.h"
#include "mproc_queue.h"

#define MPROC__QUEUE_SIGNATURE UINT64_C(0x6575657571706d01)

/* One that a process has received elements as. */
struct mproc__consumer {
    uint64_t owner;   /* as in a lock; 0: nobody */
    uint64_t in_hand; /* 0: the place is free, whoever the owner is */
};

/* Where an element is. */
struct mproc__slot {
    uint64_t offset; /* from the beginning of the data */
    uint64_t size;
    uint64_t message; /* of the descriptors; 0: there are none */
    uint64_t pad;
};

struct mproc__queue_header {
    uint64_t signature;
    uint64_t capacity; /* both never change */
    uint64_t pad0[14];
    struct mproc_lock lock;             /* guards all that follows */
    struct mproc_condition not_empty;   /* there is an element, or an end */
    struct mproc_condition not_full;    /* there is room, or no receiver */
    struct mproc_condition less_to_do;  /* something is done */
    uint64_t tail;     /* elements sent; the store of it commits a push */
    uint64_t pad1[15];
    uint64_t head;     /* elements received; the store of it commits a pop */
    uint64_t pad2[15];
    uint64_t messages; /* the number of the last one, sent or not */
    uint64_t settled;  /* of the last one whose element was sent */
    uint64_t largest;  /* the largest extent that may have pages to give back */
    uint64_t finished; /* 0 or 1 */
    uint64_t consumers; /* how many entries have ever been in use */
    uint64_t pad3[11];
};

#define MPROC__CONSUMERS_OFFSET 4096
#define MPROC__SLOTS_OFFSET                                                    \
    (MPROC__CONSUMERS_OFFSET +                                                 \
     MPROC_QUEUE_CONSUMERS * sizeof(struct mproc__consumer))
_Static_assert(sizeof(struct mproc__queue_header) == 1024, "queue layout");
_Static_assert(offsetof(struct mproc__queue_header, lock) == 128, "lock");
_Static_assert(offsetof(struct mproc__queue_header, tail) == 640, "tail");
_Static_assert(offsetof(struct mproc__queue_header, head) == 768, "head");
_Static_assert(sizeof(struct mproc__slot) == 32, "slot");
_Static_assert(MPROC__SLOTS_OFFSET == 69632, "slots");

struct mproc_queue {
    struct mproc__queue_header *header;
    struct mproc__consumer *consumers;
    struct mproc__slot *slots;
    uint64_t capacity;
    uint64_t data_offset;
    uint64_t largest_extent; /* as the file is large enough */
    int memory;
    bool must_reserve; /* pages that are not asked for first may be SIGBUS */
    uint64_t place;    /* where among the consumers this process was last */
    void *extents[MPROC_QUEUE_MAX_LOG2 + 1]; /* mapped here when needed */
};

/* MARK: - Memory (memory.c) */

/* The extent of an offset, which is not 0. */
static inline unsigned mproc__extent_of(uint64_t offset)
{
    return 63 - (unsigned)__builtin_clzll(offset);
}

/* What an element takes up: never nothing, so that its place is its own. */
static inline uint64_t mproc__room_of(uint64_t size)
{
    return size == 0 ? 8 : (size + 7) & ~UINT64_C(7);
}

/* A copy of slot `index`; false when it does not lie in an extent. */
bool mproc__queue_slot(const struct mproc_queue *queue, uint64_t index,
                       struct mproc__slot *slot);
/* Whether an element that lies in an extent was ever written; a small one is
 * taken to be. */
bool mproc__queue_is_there(const struct mproc_queue *queue, uint64_t offset,
                           uint64_t size);
/* Where the bytes are, of an element that lies in an extent; NULL when that
 * cannot be mapped. */
void *mproc__queue_bytes(struct mproc_queue *queue, uint64_t offset);
/* A place for so many bytes behind the elements that are there: 0; -EAGAIN,
 * -EFBIG or -EPROTO. */
int mproc__queue_place(const struct mproc_queue *queue, uint64_t head,
                       uint64_t tail, uint64_t size, uint64_t *offset);
/* Has memory for a place, as far as that can be asked for. */
int mproc__queue_reserve(struct mproc_queue *queue, uint64_t offset,
                         uint64_t size);
/* Gives back the pages of what is empty, after the removal of an element that
 * lay at `offset`. */
void mproc__queue_trim(struct mproc_queue *queue, uint64_t head, uint64_t tail,
                       uint64_t offset);

/* MARK: - Descriptors (carry.c) */

/* -EAGAIN when the kernel holds too many that nobody has received. */
int mproc__queue_carry(int sender, uint64_t message, const int *descriptors,
                       int count);
/* -ENODATA when another one has taken them. */
int mproc__queue_fetch(int receiver, uint64_t message,
                       struct mproc_queue_element *element);

/* Throws away all messages, when no element is there. */
void mproc__queue_discard(int receiver);

/* MARK: - Consumers (join.c) */

/* Counts one more element in this process's hand, before it is removed. */
int mproc__queue_take_in_hand(struct mproc_queue *queue);
/* It was not removed. */
void mproc__queue_put_back(struct mproc_queue *queue);

/* MARK: - Waiting (queue.c) */

/* The lock, for half a second at least. */
int mproc__queue_enter(struct mproc_queue *queue,
                       struct mproc_patience patience);
void mproc__queue_leave(struct mproc_queue *queue);
/* Until the condition was notified, for a slice at most: 0 to look again. */
int mproc__queue_nap(struct mproc__nap *nap, struct mproc_condition *condition,
                     uint32_t ticket);

#endif
