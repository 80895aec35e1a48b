/* What queues between processes promise; queue_kill.c has what is left of them
 * when somebody is killed or writes nonsense. */
#include "queue_check.h"

#include <dirent.h>
#include <pthread.h>

#define PRODUCERS 3
#define CONSUMERS 3
#define PER_PRODUCER (UNDER_SANITIZER ? 2000 : 20000)

/* MARK: - Order */

static size_t some_size(uint64_t *random)
{
    uint64_t dice = next_random(random);

    return 8 + (size_t)(dice % 64 == 0 ? dice / 64 % 70000
                                       : dice / 64 % 200);
}

static void produce(struct open_queue *open, uint64_t producer)
{
    uint64_t random = producer + 7;

    for (uint64_t i = 0; i < PER_PRODUCER; i++)
        REQUIRE(send_numbered(open, producer << 32 | i, some_size(&random),
                              PATIENT) == 0);
}

/* How many came; each producer's in order. */
static uint64_t consume(struct open_queue *open)
{
    uint64_t next[PRODUCERS] = {0}, number, count = 0;
    int result;

    while ((result = receive_numbered(open, &number, PATIENT)) == 1) {
        uint64_t producer = number >> 32;

        REQUIRE(producer < PRODUCERS);
        REQUIRE((number & UINT32_MAX) >= next[producer]);
        next[producer] = (number & UINT32_MAX) + 1;
        REQUIRE(mproc_queue_mark_done(open->queue) == 0);
        count++;
    }
    REQUIRE(result == 0);
    return count;
}

static void between_processes(uint64_t capacity)
{
    struct open_queue open = open_queue(capacity);
    int counts[2];
    uint64_t count, sum = 0;
    pid_t pids[PRODUCERS + CONSUMERS];

    REQUIRE(pipe(counts) == 0);
    for (uint64_t i = 0; i < PRODUCERS + CONSUMERS; i++) {
        pids[i] = fork();
        if (pids[i] != 0)
            continue;
        REQUIRE(mproc_queue_open(open.memory, &open.queue) == 0);
        if (i < PRODUCERS) {
            produce(&open, i);
        } else {
            close_end(&open.sender);
            count = consume(&open);
            REQUIRE(write(counts[1], &count, sizeof count) == sizeof count);
        }
        _exit(0);
    }
    close_end(&open.sender);
    close_end(&open.receiver);
    for (int i = 0; i < CONSUMERS; i++) {
        REQUIRE(read(counts[0], &count, sizeof count) == sizeof count);
        sum += count;
    }
    REQUIRE(sum == PRODUCERS * PER_PRODUCER);
    for (int i = 0; i < PRODUCERS + CONSUMERS; i++)
        require_success(pids[i]);
    REQUIRE(mproc_queue_join(open.queue, AT_ONCE) == 0);
    close_queue(&open);
}

static void many_of_both(void)
{
    between_processes(1);
    between_processes(4);
    between_processes(1000);
}

static struct open_queue shared_by_threads;

static void *produce_on_a_thread(void *producer)
{
    produce(&shared_by_threads, (uint64_t)(uintptr_t)producer);
    return NULL;
}

static void *consume_on_a_thread(void *sum)
{
    __atomic_fetch_add((uint64_t *)sum, consume(&shared_by_threads),
                       __ATOMIC_RELAXED);
    return NULL;
}

static void between_threads(void)
{
    pthread_t threads[PRODUCERS + CONSUMERS];
    uint64_t sum = 0;

    shared_by_threads = open_queue(8);
    for (int i = 0; i < PRODUCERS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, produce_on_a_thread,
                               (void *)(uintptr_t)i) == 0);
    for (int i = 0; i < CONSUMERS; i++)
        REQUIRE(pthread_create(&threads[PRODUCERS + i], NULL,
                               consume_on_a_thread, &sum) == 0);
    for (int i = 0; i < PRODUCERS; i++)
        pthread_join(threads[i], NULL);
    mproc_queue_finish(shared_by_threads.queue);
    for (int i = 0; i < CONSUMERS; i++)
        pthread_join(threads[PRODUCERS + i], NULL);
    REQUIRE(sum == PRODUCERS * PER_PRODUCER);
    close_queue(&shared_by_threads);
}

/* MARK: - Room */

static void capacity_is_kept(void)
{
    struct open_queue open = open_queue(3);
    uint64_t number;

    REQUIRE(mproc_queue_create(0) == -EINVAL);
    REQUIRE(mproc_queue_create(MPROC_QUEUE_MAX_CAPACITY + 1) == -EINVAL);
    REQUIRE(receive_numbered(&open, &number, AT_ONCE) == -ETIMEDOUT);
    REQUIRE(receive_numbered(&open, &number, within_ms(3)) == -ETIMEDOUT);
    for (uint64_t i = 0; i < 3; i++)
        REQUIRE(send_numbered(&open, i, 8, AT_ONCE) == 0);
    REQUIRE(mproc_queue_count(open.queue) == 3);
    REQUIRE(send_numbered(&open, 3, 8, AT_ONCE) == -ETIMEDOUT);
    REQUIRE(send_numbered(&open, 3, 8, within_ms(3)) == -ETIMEDOUT);
    uint32_t cancelled = 1;
    REQUIRE(send_numbered(&open, 3, 8,
                          (struct mproc_patience){UINT64_MAX, &cancelled}) ==
            -ECANCELED);
    for (uint64_t i = 0; i < 3; i++)
        REQUIRE(receive_numbered(&open, &number, AT_ONCE) == 1 && number == i);
    close_queue(&open);
}

/* At random, with the first and last element in extents of all kinds. */
static void sizes_of_all_kinds(void)
{
    struct open_queue open = open_queue(40);
    uint64_t random = 3, sent = 0, received = 0, number;

    for (int i = 0; i < (UNDER_SANITIZER ? 1000 : 6000); i++) {
        size_t size = (size_t)8 << next_random(&random) % 19;

        size += next_random(&random) % size;
        if (next_random(&random) % 2 == 0 && sent < received + 40)
            REQUIRE(send_numbered(&open, sent++, size, AT_ONCE) == 0);
        else if (received < sent)
            REQUIRE(receive_numbered(&open, &number, AT_ONCE) == 1 &&
                    number == received++);
        REQUIRE(mproc_queue_count(open.queue) == sent - received);
    }
    for (; received < sent; received++)
        REQUIRE(receive_numbered(&open, &number, AT_ONCE) == 1 &&
                number == received);
    REQUIRE(memory_of(&open) < 3 << 20);
    close_queue(&open);
}

static void large_ones_leave_no_memory(void)
{
    const size_t large = 64 << 20;
    struct open_queue open = open_queue(4);
    struct mproc_queue_element element;
    uint64_t number;

    for (uint64_t i = 0; i < 2; i++) {
        REQUIRE(send_numbered(&open, i, large, AT_ONCE) == 0);
        REQUIRE(memory_of(&open) >= large);
        REQUIRE(receive_numbered(&open, &number, AT_ONCE) == 1 && number == i);
        REQUIRE(memory_of(&open) < 1 << 20);
    }
    /* Never empty: the old extents are given back all the same. */
    REQUIRE(send_numbered(&open, 0, 3 << 20, AT_ONCE) == 0);
    REQUIRE(send_numbered(&open, 1, 3 << 20, AT_ONCE) == 0);
    REQUIRE(memory_of(&open) >= 6 << 20);
    REQUIRE(receive_numbered(&open, &number, AT_ONCE) == 1 && number == 0);
    REQUIRE(memory_of(&open) < 4 << 20);
    REQUIRE(receive_numbered(&open, &number, AT_ONCE) == 1 && number == 1);
    REQUIRE(mproc_queue_push(open.queue, open.sender, "", SIZE_MAX, NULL, 0,
                             AT_ONCE) == -EFBIG);
    REQUIRE(mproc_queue_push(open.queue, open.sender, NULL, 0, NULL, 0,
                             AT_ONCE) == 0);
    REQUIRE(mproc_queue_pop(open.queue, open.receiver, &element, AT_ONCE) == 1);
    REQUIRE(element.size == 0);
    free(element.bytes);
    close_queue(&open);
}

/* MARK: - Ends */

static void the_end_comes_with_the_last_sender(void)
{
    for (int is_killed = 0; is_killed < 2; is_killed++) {
        struct open_queue open = open_queue(4);
        uint64_t number, begin;
        pid_t pid = fork();

        if (pid == 0) {
            REQUIRE(send_numbered(&open, 5, 100, PATIENT) == 0);
            if (is_killed)
                pause();
            _exit(0);
        }
        close_end(&open.sender);
        REQUIRE(receive_numbered(&open, &number, PATIENT) == 1 && number == 5);
        begin = mproc_now_ns();
        if (is_killed)
            REQUIRE(kill(pid, SIGKILL) == 0);
        REQUIRE(receive_numbered(&open, &number, PATIENT) == 0);
        REQUIRE(mproc_now_ns() - begin < 1000000000);
        REQUIRE(waitpid(pid, NULL, 0) == pid);
        close_queue(&open);
    }
}

static void sending_to_nobody_ends(void)
{
    struct open_queue open = open_queue(1);
    uint64_t number;

    close_end(&open.receiver);
    REQUIRE(send_numbered(&open, 1, 8, PATIENT) == 0);
    REQUIRE(send_numbered(&open, 2, 8, PATIENT) == -EPIPE);
    close_queue(&open);
    open = open_queue(2);
    REQUIRE(send_numbered(&open, 1, 8, PATIENT) == 0);
    mproc_queue_finish(open.queue);
    REQUIRE(send_numbered(&open, 2, 8, PATIENT) == -EPIPE);
    REQUIRE(receive_numbered(&open, &number, PATIENT) == 1 && number == 1);
    REQUIRE(receive_numbered(&open, &number, PATIENT) == 0);
    close_queue(&open);
}

/* MARK: - Done */

static void join_waits_for_what_is_in_hand(void)
{
    struct open_queue open = open_queue(4);
    uint64_t number;
    pid_t pid;

    REQUIRE(mproc_queue_join(open.queue, AT_ONCE) == 0);
    REQUIRE(mproc_queue_mark_done(open.queue) == -ECHILD);
    REQUIRE(send_numbered(&open, 1, 8, PATIENT) == 0);
    REQUIRE(send_numbered(&open, 2, 8, PATIENT) == 0);
    REQUIRE(mproc_queue_join(open.queue, within_ms(2)) == -ETIMEDOUT);
    REQUIRE(receive_numbered(&open, &number, PATIENT) == 1);
    pid = fork();
    if (pid == 0) {
        REQUIRE(receive_numbered(&open, &number, PATIENT) == 1);
        REQUIRE(send_numbered(&open, 3, 8, PATIENT) == 0);
        REQUIRE(receive_numbered(&open, &number, PATIENT) == 1);
        pause();
    }
    while (mproc_queue_count(open.queue) > 0)
        usleep(100);
    usleep(2000);
    REQUIRE(mproc_queue_join(open.queue, within_ms(2)) == -ETIMEDOUT);
    /* One's own, then another's. */
    REQUIRE(mproc_queue_mark_done(open.queue) == 0);
    REQUIRE(mproc_queue_mark_done(open.queue) == 0);
    REQUIRE(mproc_queue_join(open.queue, within_ms(2)) == -ETIMEDOUT);
    REQUIRE(kill(pid, SIGKILL) == 0);
    REQUIRE(mproc_queue_join(open.queue, within_ms(5000)) == 0);
    REQUIRE(waitpid(pid, NULL, 0) == pid);
    REQUIRE(mproc_queue_mark_done(open.queue) == -ECHILD);
    close_queue(&open);
}

/* MARK: - Descriptors */

static void descriptors_travel(void)
{
    struct open_queue open = open_queue(1000);
    struct mproc_queue_element element;
    int ends[2], sent = 0;
    pid_t pid;

    REQUIRE(pipe(ends) == 0);
    /* The kernel takes so many only; those without go on. */
    while (mproc_queue_push(open.queue, open.sender, &sent, sizeof sent,
                            &ends[1], sent % 2, AT_ONCE) == 0)
        sent++;
    REQUIRE(sent > 40 && sent <= 1000);
    pid = fork();
    if (pid == 0) {
        close(ends[1]);
        for (int i = 0; i < sent; i++) {
            REQUIRE(mproc_queue_pop(open.queue, open.receiver, &element,
                                    AT_ONCE) == 1);
            REQUIRE(memcmp(element.bytes, &i, sizeof i) == 0);
            REQUIRE(element.descriptor_count == i % 2);
            if (i % 2 == 0)
                continue;
            REQUIRE(write(element.descriptors[0], &i, sizeof i) == sizeof i);
            close(element.descriptors[0]);
            free(element.descriptors);
            free(element.bytes);
        }
        _exit(0);
    }
    close(ends[1]);
    for (int i = 1, got = 0; i < sent; i += 2)
        REQUIRE(read(ends[0], &got, sizeof got) == sizeof got && got == i);
    require_success(pid);
    /* Nobody has the other end any more. */
    REQUIRE(read(ends[0], &sent, sizeof sent) == 0);
    close_queue(&open);
}

static int open_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    int count = 0;

    REQUIRE(directory != NULL);
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

static void nothing_is_left(void)
{
    int before = open_descriptors();

    for (int i = 0; i < (UNDER_SANITIZER ? 500 : 10000); i++) {
        struct open_queue open = open_queue(10);

        REQUIRE(mproc_queue_push(open.queue, open.sender, &i, sizeof i,
                                 &open.sender, i % 2, AT_ONCE) == 0);
        REQUIRE(send_numbered(&open, 1, 100000, AT_ONCE) == 0);
        close_queue(&open);
    }
    REQUIRE(open_descriptors() == before);
}

const struct check queue_checks[] = {
    {"queues keep the order between processes", many_of_both, false},
    {"queues keep the order between threads", between_threads, false},
    {"queues hold as many elements as they say", capacity_is_kept, false},
    {"queues take elements of all sizes", sizes_of_all_kinds, false},
    {"queues give memory back", large_ones_leave_no_memory, UNDER_SANITIZER},
    {"a queue ends with its last sender", the_end_comes_with_the_last_sender,
     false},
    {"a queue without receivers is closed", sending_to_nobody_ends, false},
    {"a queue is joined when all is done or its consumer dead",
     join_waits_for_what_is_in_hand, false},
    {"queues carry descriptors", descriptors_travel, false},
    {"queues leave nothing behind", nothing_is_left, false},
    {NULL, NULL, false},
};
