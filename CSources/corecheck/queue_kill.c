/* What is left of a queue when a participant is killed at any instruction, or
 * writes nonsense. */
#include "queue_check.h"

#include <sys/mman.h>
#include <sys/prctl.h>

#include "../CMultiprocessing/queue/queue_internal.h"
#include "step.h"

/* MARK: - Killed anywhere */

/* What the process that is killed works on. */
static struct open_queue victim;
/* Bytes of the elements; a descriptor with each or none. */
static size_t size_of_each;
static bool with_descriptors;
static uint64_t next_number;
static long losses, survivals;

static int send_one(uint64_t number, struct mproc_patience patience)
{
    static uint8_t bytes[1 << 17];
    int ends[2] = {-1, -1}, result;

    fill_pattern(bytes, size_of_each, number);
    memcpy(bytes, &number, sizeof number);
    if (with_descriptors) {
        /* One that tells the element's number. */
        REQUIRE(pipe(ends) == 0);
        REQUIRE(write(ends[1], &number, sizeof number) == sizeof number);
        close(ends[1]);
    }
    result = mproc_queue_push(victim.queue, victim.sender, bytes, size_of_each,
                              &ends[0], with_descriptors, patience);
    close(ends[0]);
    return result;
}

/* The result; a whole element with its own descriptor. */
static int receive_one(uint64_t *number)
{
    struct mproc_queue_element element;
    uint64_t told = 0;
    int result = mproc_queue_pop(victim.queue, victim.receiver, &element,
                                 within_ms(1));

    if (result != 1) {
        REQUIRE(result == -ETIMEDOUT);
        return result;
    }
    REQUIRE(element.size == size_of_each && is_numbered(&element, number));
    REQUIRE(element.descriptor_count == with_descriptors);
    if (with_descriptors) {
        int end = element.descriptors[0];
        REQUIRE(read(end, &told, sizeof told) == sizeof told);
        REQUIRE(told == *number);
        close(end);
        free(element.descriptors);
    }
    free(element.bytes);
    REQUIRE(mproc_queue_mark_done(victim.queue) == 0);
    return result;
}

static void fill_with(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        REQUIRE(send_one(next_number + i, AT_ONCE) == 0);
}

/* Three were there. The first may be missing, and one more may have come; the
 * queue works on, and nothing holds a join up. */
static void judge(bool may_lack, bool may_have_more)
{
    uint64_t number, expected = next_number, begin = mproc_now_ns();

    while (receive_one(&number) == 1) {
        if (may_lack && expected == next_number && number == expected + 1) {
            losses++;
            expected++;
        }
        REQUIRE(number == expected);
        expected++;
    }
    REQUIRE(expected == next_number + 3 ||
            (may_have_more && expected == next_number + 4));
    survivals += expected == next_number + 4;
    REQUIRE(mproc_peek_message(victim.receiver, &number, sizeof number) ==
            -EAGAIN);
    REQUIRE(mproc_queue_join(victim.queue, within_ms(900)) == 0);
    REQUIRE(mproc_now_ns() - begin < 1000000000);
    next_number += 4;
    fill_with(3);
    REQUIRE(mproc_queue_count(victim.queue) == 3);
}

static void know_oneself(void *context)
{
    (void)context;
    mproc_lock_is_mine(&victim.queue->header->lock);
}

static void go_on(void *context)
{
    (void)context;
}

static int prepared_end;
static uint8_t prepared[1 << 17];

static void prepare_element(void *context)
{
    uint64_t number = next_number + 3;
    int ends[2];

    know_oneself(context);
    fill_pattern(prepared, size_of_each, number);
    memcpy(prepared, &number, sizeof number);
    REQUIRE(pipe(ends) == 0);
    REQUIRE(write(ends[1], &number, sizeof number) == sizeof number);
    close(ends[1]);
    prepared_end = ends[0];
}

static void push_element(void *context)
{
    (void)context;
    mproc_queue_push(victim.queue, victim.sender, prepared, size_of_each,
                     &prepared_end, with_descriptors, PATIENT);
}

static void pop_element(void *context)
{
    struct mproc_queue_element element;

    (void)context;
    mproc_queue_pop(victim.queue, victim.receiver, &element, PATIENT);
}

static void pop_and_mark(void *context)
{
    pop_element(context);
    mproc_queue_mark_done(victim.queue);
}

static void push_in_vain(void *context)
{
    (void)context;
    mproc_queue_push(victim.queue, victim.sender, prepared, size_of_each,
                     &prepared_end, with_descriptors, within_ms(3));
}

static void judge_push(void)
{
    judge(false, true);
}

static void judge_pop(void)
{
    judge(true, false);
}

static void judge_nothing(void)
{
    judge(false, false);
}

/* Every other time as if somebody slept, so that the wakes are stepped too. */
static void have_sleepers(long kill_number)
{
    struct mproc__queue_header *header = victim.queue->header;

    header->not_empty.sleepers = kill_number % 2 != 0;
    header->not_full.sleepers = kill_number % 2 != 0;
    header->less_to_do.sleepers = kill_number % 2 != 0;
}

static void sweep(const char *name, void (*body)(void *),
                  void (*judge_it)(void), long stride)
{
    struct step_plan plan = {.body = body, .at_step = go_on, .stride = 1,
                             .prepare = prepare_element};
    long steps = 0;

    losses = survivals = 0;
    while (steps += stride, step_and_kill(step_way_here(), &plan, steps)) {
        judge_it();
        have_sleepers(steps / stride);
    }
    judge_it(); /* the last one lived */
    printf("       %s: %ld kills, stride %ld, %ld sent, %ld lost\n", name,
           steps / stride, stride, survivals, losses);
}

static void open_victim(uint64_t capacity, size_t size, bool descriptors)
{
    victim = open_queue(capacity);
    size_of_each = size;
    with_descriptors = descriptors;
    next_number = 1;
    fill_with(3);
}

static void killed_at_every_instruction(void)
{
    const long stride = whole_sweep ? 1 : 5;

    open_victim(4, 24, false);
    sweep("push", push_element, judge_push, stride);
    sweep("pop", pop_and_mark, judge_pop, stride);
    close_queue(&victim);
    open_victim(3, 24, false);
    sweep("push that waits", push_in_vain, judge_nothing, 16 * stride);
    close_queue(&victim);
}

static void killed_with_descriptors(void)
{
    const long stride = whole_sweep ? 1 : 7;

    open_victim(4, 24, true);
    sweep("push", push_element, judge_push, stride);
    sweep("pop", pop_and_mark, judge_pop, stride);
    close_queue(&victim);
}

/* The fourth element needs another extent than the three before it. */
static void killed_as_it_grows(void)
{
    const long stride = whole_sweep ? 151 : 701;

    open_victim(4, 20000, false);
    sweep("push", push_element, judge_push, stride);
    sweep("pop", pop_and_mark, judge_pop, stride);
    close_queue(&victim);
}

/* The last element of a large extent, whose removal gives the pages back. */
static void have_large_extent(void)
{
    uint64_t number;

    for (uint64_t i = 0; i < 2; i++)
        REQUIRE(send_numbered(&victim, i, 1200000, AT_ONCE) == 0);
    REQUIRE(send_numbered(&victim, 2, 24, AT_ONCE) == 0);
    for (uint64_t i = 0; i < 2; i++) {
        REQUIRE(receive_numbered(&victim, &number, AT_ONCE) == 1);
        REQUIRE(number == i && mproc_queue_mark_done(victim.queue) == 0);
    }
}

static void judge_trim(void)
{
    uint64_t number;
    int result = receive_numbered(&victim, &number, within_ms(1));

    REQUIRE(result == -ETIMEDOUT || (result == 1 && number == 2));
    if (result == 1)
        REQUIRE(mproc_queue_mark_done(victim.queue) == 0);
    losses += result != 1;
    have_large_extent();
}

static void killed_as_it_shrinks(void)
{
    victim = open_queue(4);
    have_large_extent();
    sweep("pop", pop_element, judge_trim, whole_sweep ? 1 : 7);
    /* What those who died had not given back, the next one has. */
    pop_element(NULL);
    REQUIRE(victim.queue->header->largest == 0);
    REQUIRE(memory_of(&victim) < 4 << 20);
    close_queue(&victim);
}

/* MARK: - Nonsense */

static struct {
    uint32_t stop;
} *storm;

/* Writes into every word that both sides use, for as long as it lives. */
static void write_nonsense(struct mproc_queue *queue, uint64_t random)
{
    struct mproc__queue_header *header = queue->header;
    struct mproc__queue_header good = *header;
    const size_t skip = offsetof(struct mproc__queue_header, lock) / 8;

    while (__atomic_load_n(&storm->stop, __ATOMIC_RELAXED) == 0) {
        uint64_t value = next_random(&random) >> next_random(&random) % 64;
        uint64_t *words = (uint64_t *)header;
        size_t count = sizeof *header / 8;

        switch (next_random(&random) % 6) {
        case 0:
            words[skip + next_random(&random) % (count - skip)] = value;
            break;
        case 1: /* near the truth */
            header->tail = header->head + value % (queue->capacity + 2);
            break;
        case 2:
            words = (uint64_t *)queue->slots;
            words[next_random(&random) % (4 * queue->capacity)] = value;
            break;
        case 3:
            words = (uint64_t *)queue->consumers;
            words[next_random(&random) % 64] = value;
            break;
        case 4:
            queue->slots[value % queue->capacity].offset &= ~UINT64_C(7);
            break;
        default: /* often enough in order to come far */
            memcpy((uint64_t *)header + skip, (uint64_t *)&good + skip,
                   sizeof good - 8 * skip);
            break;
        }
    }
}

static void one_of_each(struct open_queue *open, uint64_t *done, uint64_t i)
{
    struct mproc_queue_element element;
    uint64_t begin = mproc_now_ns();
    int result = mproc_queue_push(open->queue, open->sender, &i, sizeof i,
                                  &open->memory, i % 3 == 0, within_ms(2));

    *done += result == 0;
    REQUIRE(mproc_now_ns() - begin < 1000000000);
    begin = mproc_now_ns();
    result = mproc_queue_pop(open->queue, open->receiver, &element,
                             within_ms(2));
    if (result == 1) {
        for (int k = 0; k < element.descriptor_count; k++)
            close(element.descriptors[k]);
        free(element.descriptors);
        free(element.bytes);
        ++*done;
    }
    mproc_queue_join(open->queue, within_ms(2));
    mproc_queue_count(open->queue);
    REQUIRE(mproc_now_ns() - begin < 1000000000);
}

static void nonsense_does_no_harm(void)
{
    const uint64_t rounds = UNDER_SANITIZER ? 500 : whole_sweep ? 20000
                                                                : 1500;
    struct open_queue open = open_queue(4);
    uint64_t done = 0;
    pid_t pid;

    storm = mmap(NULL, sizeof *storm, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(storm != MAP_FAILED);
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* also when the check fails */
        write_nonsense(open.queue, 99);
        _exit(0);
    }
    for (uint64_t i = 0; i < rounds; i++)
        one_of_each(&open, &done, i);
    storm->stop = 1;
    require_success(pid);
    printf("       %lu of %lu attempts did something\n", done, 2 * rounds);
    REQUIRE(done > 0);
    close_queue(&open);
}

/* What cannot be is said to be damaged, and no address is made of it. */
static void impossible_words_are_refused(void)
{
    static const struct mproc__slot slots[] = {
        {0, 8, 0, 0}, {8, 8, 0, 0}, {65528, 8, 0, 0}, {65537, 8, 0, 0},
        {UINT64_C(1) << 40, 8, 0, 0}, {UINT64_MAX - 7, 8, 0, 0},
        {65536, 65537, 0, 0}, {65536, UINT64_MAX, 0, 0},
        {131064, 9, 0, 0}, {131064, 16, 0, 0}, {98304, 40000, 0, 0},
        {UINT64_C(1) << 39, UINT64_C(1) << 39, 0, 0},
    };
    struct open_queue open = open_queue(4);
    struct mproc__queue_header *header = open.queue->header;
    struct mproc_queue_element element;

    for (size_t i = 0; i < sizeof slots / sizeof slots[0]; i++) {
        uint64_t number = 0;

        REQUIRE(send_numbered(&open, i, 24, AT_ONCE) == 0);
        open.queue->slots[header->head % 4] = slots[i];
        REQUIRE(mproc_queue_pop(open.queue, open.receiver, &element,
                                AT_ONCE) == -EPROTO);
        REQUIRE(send_numbered(&open, i, 24, AT_ONCE) == 0);
        REQUIRE(send_numbered(&open, i + 1, 24, AT_ONCE) == 0);
        open.queue->slots[(header->tail - 1) % 4] = slots[i];
        if (i < sizeof slots / sizeof slots[0] - 1)
            REQUIRE(send_numbered(&open, 2, 24, AT_ONCE) == -EPROTO);
        REQUIRE(receive_numbered(&open, &number, AT_ONCE) == 1 && number == i);
        REQUIRE(mproc_queue_pop(open.queue, open.receiver, &element,
                                AT_ONCE) == -EPROTO);
        header->tail = header->head;
        /* Memory that nobody has written is not made by reading it. */
        open.queue->slots[header->head % 4] = (struct mproc__slot){
            UINT64_C(1) << (20 + i), UINT64_C(1) << (17 + i), 0, 0};
        header->tail = header->head + 1;
        REQUIRE(mproc_queue_pop(open.queue, open.receiver, &element,
                                AT_ONCE) == -EPROTO);
    }
    for (uint64_t i = 0, number; i < 4; i++) /* so that all slots are good */
        REQUIRE(send_numbered(&open, i, 24, AT_ONCE) == 0 &&
                receive_numbered(&open, &number, AT_ONCE) == 1);
    header->tail = header->head + 5;
    REQUIRE(send_numbered(&open, 1, 24, AT_ONCE) == -EPROTO);
    REQUIRE(mproc_queue_pop(open.queue, open.receiver, &element, AT_ONCE) ==
            -EPROTO);
    REQUIRE(mproc_queue_count(open.queue) == 4);
    header->tail = header->head - 1;
    REQUIRE(send_numbered(&open, 1, 24, AT_ONCE) == -EPROTO);
    REQUIRE(mproc_queue_count(open.queue) == 0);
    header->consumers = header->largest = UINT64_MAX;
    header->tail = header->head;
    REQUIRE(send_numbered(&open, 1, 24, AT_ONCE) == 0);
    REQUIRE(mproc_queue_pop(open.queue, open.receiver, &element, AT_ONCE) == 1);
    free(element.bytes);
    mproc_queue_join(open.queue, AT_ONCE);
    close_queue(&open);
}

static void a_file_of_another_kind_is_refused(void)
{
    struct mproc_queue *queue;
    int fd = mproc_memfd("mproc-other", 1 << 20, -1);

    REQUIRE(fd >= 0 && mproc_queue_open(fd, &queue) == -EPROTO);
    close(fd);
    fd = mproc_queue_create(100);
    uint64_t capacity = 1 << 20;
    REQUIRE(fd >= 0);
    for (; capacity != 0; capacity <<= 1) {
        struct open_queue open = {NULL, fd, -1, -1};
        REQUIRE(mproc_write_at(fd, &capacity, sizeof capacity, 8) == 0);
        int result = mproc_queue_open(fd, &open.queue);
        REQUIRE(result == -EPROTO || capacity <= MPROC_QUEUE_MAX_CAPACITY);
        if (result == 0)
            mproc_queue_close(open.queue);
    }
    close(fd);
}

const struct check queue_kill_checks[] = {
    {"sweep: a queue loses what was in a dead hand and no more",
     killed_at_every_instruction, UNDER_SANITIZER},
    {"sweep: a queue with descriptors likewise", killed_with_descriptors,
     UNDER_SANITIZER},
    {"sweep: a queue that grows likewise", killed_as_it_grows,
     UNDER_SANITIZER},
    {"sweep: a queue that shrinks likewise", killed_as_it_shrinks,
     UNDER_SANITIZER},
    {"nonsense in a queue's words does no harm", nonsense_does_no_harm,
     UNDER_TSAN},
    {"impossible words in a queue are refused", impossible_words_are_refused,
     false},
    {"the memory of a queue is known as such",
     a_file_of_another_kind_is_refused, false},
    {NULL, NULL, false},
};
