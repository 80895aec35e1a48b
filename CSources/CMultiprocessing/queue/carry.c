/* The descriptors of elements. They go through the sockets in the order of
 * their elements, because both are sent under the lock, and are received so. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "mproc_base.h"
#include "queue_internal.h"

/* A sender that writes messages without elements holds nobody up for ever. */
#define MOST_STRAYS 4096

int mproc_queue_ends(int ends[2])
{
    int pair[2], result = mproc_socket_pair(pair);

    for (int i = 0; i < 2 && result == 0; i++) {
        result = mproc_set_nonblocking(pair[i]);
        if (result < 0) {
            mproc_close(pair[0]);
            mproc_close(pair[1]);
        }
    }
    if (result < 0)
        return result;
    ends[0] = pair[0];
    ends[1] = pair[1];
    return 0;
}

int mproc__queue_carry(int sender, uint64_t message, const int *descriptors,
                       int count)
{
    struct mproc_piece piece = {&message, sizeof message};
    int result = mproc_try_send_message(sender, &piece, 1, descriptors,
                                        count);

    switch (result) {
    case -ETOOMANYREFS:
    case -ENOBUFS:
    case -ENOMEM:
        return -EAGAIN;
    case -ECONNRESET:
        return -EPIPE;
    default:
        return result;
    }
}

static void close_all(const int *descriptors, int count)
{
    while (count > 0)
        mproc_close(descriptors[--count]);
}

void mproc__queue_discard(int receiver)
{
    int descriptors[MPROC_QUEUE_DESCRIPTORS];

    for (int i = 0; i < MOST_STRAYS; i++) {
        uint64_t number;
        int count = MPROC_QUEUE_DESCRIPTORS;
        ptrdiff_t size = mproc_receive_message(receiver, &number, sizeof number,
                                               descriptors, &count,
                                               MSG_DONTWAIT);
        if (size > 0)
            close_all(descriptors, count);
        else if (size != -EPROTO && size != -EMFILE)
            return;
    }
}

int mproc__queue_fetch(int receiver, uint64_t message,
                       struct mproc_queue_element *element)
{
    element->descriptors =
        malloc(MPROC_QUEUE_DESCRIPTORS * sizeof *element->descriptors);
    if (element->descriptors == NULL)
        return -ENOMEM;
    for (int i = 0; i < MOST_STRAYS; i++) {
        uint64_t number = 0;
        ptrdiff_t size = mproc_peek_message(receiver, &number, sizeof number);
        int count = MPROC_QUEUE_DESCRIPTORS;

        /* A later one is another element's. */
        if (size == -EAGAIN || size == 0 ||
            (size == sizeof number && (int64_t)(number - message) > 0))
            return -ENODATA;
        if (size < 0)
            return (int)size;
        size = mproc_receive_message(receiver, &number, sizeof number,
                                     element->descriptors, &count,
                                     MSG_DONTWAIT);
        if (size == -EPROTO)
            continue;
        if (size < 0)
            return (int)size;
        if (number == message) {
            element->descriptor_count = count;
            return 0;
        }
        close_all(element->descriptors, count);
    }
    return -EPROTO;
}
