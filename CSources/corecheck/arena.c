/* Arenas: placement, reuse, lack of memory, limits, hostile offsets. */
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096
#define CAPACITY (UINT64_C(16) << 30)

static void open_both(uint64_t capacity, struct mproc_arena **writer,
                      struct mproc_arena **reader)
{
    int fd = mproc_arena_create(capacity, MPROC_NODE_ANY);
    int reader_fd = mproc_arena_reader(fd);

    REQUIRE(fd >= 0 && reader_fd >= 0);
    REQUIRE(fcntl(reader_fd, F_GETFD) == FD_CLOEXEC);
    REQUIRE(mproc_arena_open(fd, 1, writer) == 0);
    REQUIRE(mproc_arena_open(reader_fd, 0, reader) == 0);
}

/* From here on `number` fails with `error`, or does nothing when it is 0. */
static void inject(int number, int error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof code[0], code};

    REQUIRE(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    REQUIRE(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

static void payloads_cross(void)
{
    struct mproc_arena *writer, *reader;
    struct mproc_arena_range range;
    const void *bytes;
    static const uint64_t sizes[] = {1, PAGE, PAGE + 1, 100000, 3 << 20};

    open_both(CAPACITY, &writer, &reader);
    REQUIRE(mproc_arena_capacity(reader) == CAPACITY);
    for (uint64_t i = 0; i < 5; i++) {
        REQUIRE(mproc_arena_allocate(writer, sizes[i], &range) == 0);
        REQUIRE(range.offset % PAGE == 0 && range.size_bytes >= sizes[i]);
        fill_pattern(range.bytes, sizes[i], i);
        REQUIRE(mproc_arena_view(reader, range.offset, sizes[i], &bytes) == 0);
        REQUIRE(bytes != range.bytes && has_pattern(bytes, sizes[i], i));
    }
    REQUIRE(mproc_arena_allocate(reader, 1, &range) == -EINVAL);
    mproc_arena_close(writer);
    mproc_arena_close(reader);
    mproc_arena_close(NULL);
}

static void warm_pages_are_used_again(void)
{
    struct mproc_arena *writer, *reader;
    struct mproc_arena_range first, second, range;

    open_both(CAPACITY, &writer, &reader);
    REQUIRE(mproc_arena_allocate(writer, 1 << 20, &first) == 0);
    REQUIRE(mproc_arena_allocate(writer, 1 << 20, &second) == 0);
    for (int i = 0; i < 1000; i++) { /* never empty, yet never more memory */
        REQUIRE(mproc_arena_release(writer, first.offset) == 0);
        REQUIRE(mproc_arena_allocate(writer, 1 << 20, &first) == 0);
        REQUIRE(mproc_arena_release(writer, second.offset) == 0);
        REQUIRE(mproc_arena_allocate(writer, 1 << 20, &second) == 0);
    }
    REQUIRE(mproc_arena_backed(writer) == 2 << 20);
    REQUIRE(mproc_arena_outstanding(writer) == 2 << 20);
    REQUIRE(mproc_arena_release(writer, 4096) == -ENOENT);
    REQUIRE(mproc_arena_trim(writer, first.offset, PAGE) == 0);
    REQUIRE(mproc_arena_trim(writer, first.offset, 2 * PAGE) == -EINVAL);
    REQUIRE(mproc_arena_trim(writer, first.offset + PAGE, PAGE) == -ENOENT);
    REQUIRE(mproc_arena_allocate(writer, 2 * PAGE, &range) == 0);
    REQUIRE(range.offset == first.offset + PAGE);
}

static void positions_release_in_order(void)
{
    struct mproc_arena *writer, *reader;
    struct mproc_arena_range ranges[4];

    open_both(16 * PAGE, &writer, &reader);
    for (int i = 0; i < 4; i++)
        REQUIRE(mproc_arena_allocate(writer, 4 * PAGE, &ranges[i]) == 0);
    REQUIRE(ranges[3].position == 16 * PAGE);
    REQUIRE(mproc_arena_allocate(writer, 1, &ranges[0]) == -EAGAIN);
    REQUIRE(mproc_arena_allocate(writer, 17 * PAGE, &ranges[0]) == -EMSGSIZE);
    REQUIRE(mproc_arena_allocate(writer, UINT64_MAX, &ranges[0]) ==
            -EMSGSIZE);
    REQUIRE(mproc_arena_release_through(writer, ranges[1].position) == 0);
    REQUIRE(mproc_arena_outstanding(writer) == 8 * PAGE);
    REQUIRE(mproc_arena_release_through(writer, PAGE) == -EPROTO);
    REQUIRE(mproc_arena_release_through(writer, 17 * PAGE) == -EPROTO);
    REQUIRE(mproc_arena_allocate(writer, 8 * PAGE, &ranges[0]) == 0);
    REQUIRE(ranges[0].offset == 0);
    REQUIRE(mproc_arena_release_through(writer, ranges[3].position) == 0);
    REQUIRE(mproc_arena_outstanding(writer) == 8 * PAGE);
    REQUIRE(mproc_arena_release_through(writer, ranges[0].position) == 0);
    REQUIRE(mproc_arena_outstanding(writer) == 0);
}

static void the_table_of_ranges_ends(void)
{
    struct mproc_arena *writer, *reader;
    struct mproc_arena_range range;

    open_both(CAPACITY, &writer, &reader);
    for (int i = 0; i < MPROC_ARENA_MAX_RANGES; i++)
        REQUIRE(mproc_arena_allocate(writer, PAGE, &range) == 0);
    REQUIRE(mproc_arena_allocate(writer, PAGE, &range) == -EAGAIN);
    REQUIRE(mproc_arena_release(writer, 7 * PAGE) == 0);
    REQUIRE(mproc_arena_allocate(writer, PAGE, &range) == 0);
    REQUIRE(range.offset == 7 * PAGE);
}

/* Random work against a model: ranges never overlap, contents survive. */
static void ranges_never_overlap(void)
{
    struct mproc_arena *writer, *reader;
    struct mproc_arena_range held[40];
    uint64_t numbers[40], random = 4242, number = 0;
    size_t count = 0;

    open_both(256 * PAGE, &writer, &reader);
    for (int i = 0; i < 20000; i++) {
        uint64_t pick = next_random(&random) >> 8;
        const void *bytes;

        if (count < 40 && (pick & 3) != 0) {
            uint64_t size = (pick >> 2) % (20 * PAGE) + 64;
            int result = mproc_arena_allocate(writer, size, &held[count]);
            REQUIRE(result == 0 || result == -EAGAIN);
            if (result == -EAGAIN)
                continue;
            fill_pattern(held[count].bytes, 64, number);
            memset((uint8_t *)held[count].bytes + size - 1, 0x5a, 1);
            for (size_t k = 0; k < count; k++)
                REQUIRE(held[k].offset >= held[count].offset +
                                              held[count].size_bytes ||
                        held[count].offset >= held[k].offset +
                                                  held[k].size_bytes);
            numbers[count++] = number++;
        } else if (count > 0) {
            size_t k = (pick >> 2) % count;
            REQUIRE(mproc_arena_view(reader, held[k].offset, 64, &bytes) == 0);
            REQUIRE(has_pattern(bytes, 63, numbers[k]));
            REQUIRE(mproc_arena_release(writer, held[k].offset) == 0);
            held[k] = held[--count];
            numbers[k] = numbers[count];
        }
    }
}

static void memory_is_given_back(void)
{
    struct mproc_arena *writer, *reader;
    struct mproc_arena_range range, small;
    struct stat status;
    const void *bytes;
    int fd = mproc_arena_create(CAPACITY, MPROC_NODE_ANY);
    int own = dup(fd), reader_fd = mproc_arena_reader(fd);
    uint64_t large = MPROC_ARENA_KEEP_BYTES + (16 << 20);

    REQUIRE(mproc_arena_open(fd, 1, &writer) == 0);
    REQUIRE(mproc_arena_open(reader_fd, 0, &reader) == 0);
    REQUIRE(fstat(own, &status) == 0 && status.st_blocks == 0);
    REQUIRE(mproc_arena_allocate(writer, large, &range) == 0);
    REQUIRE(mproc_arena_view(reader, 0, large, &bytes) == 0);
    REQUIRE(mproc_arena_allocate(writer, 1, &small) == 0);
    REQUIRE(mproc_arena_release(writer, range.offset) == 0);
    REQUIRE(mproc_arena_backed(writer) == large + PAGE);
    REQUIRE(mproc_arena_release(writer, small.offset) == 0);
    REQUIRE(mproc_arena_backed(writer) == MPROC_ARENA_KEEP_BYTES);
    REQUIRE(fstat(own, &status) == 0);
    REQUIRE((uint64_t)status.st_blocks * 512 == MPROC_ARENA_KEEP_BYTES);
    /* What was given back has no memory now, and a view of it says so. */
    REQUIRE(mproc_arena_view(reader, 0, large, &bytes) == -EPROTO);
    REQUIRE(mproc_arena_allocate(writer, large, &range) == 0);
    memset((uint8_t *)range.bytes + large - PAGE, 0x77, PAGE);
    REQUIRE(mproc_arena_view(reader, 0, large, &bytes) == 0);
    REQUIRE(((const uint8_t *)bytes)[large - 1] == 0x77);
}

static void lack_of_memory_is_an_error(void)
{
    struct mproc_arena *writer, *reader;
    struct mproc_arena_range range;

    open_both(CAPACITY, &writer, &reader);
    REQUIRE(mproc_arena_allocate(writer, PAGE, &range) == 0);
    inject(SYS_fallocate, ENOSPC);
    REQUIRE(mproc_arena_allocate(writer, PAGE, &range) == -ENOSPC);
    REQUIRE(mproc_arena_outstanding(writer) == PAGE);
    REQUIRE(mproc_arena_backed(writer) == PAGE);
    REQUIRE(mproc_arena_release(writer, 0) == 0);
    REQUIRE(mproc_arena_allocate(writer, PAGE, &range) == 0); /* is backed */
}

static void offsets_beyond_4_gib_work(void)
{
    struct mproc_arena *writer, *reader;
    struct mproc_arena_range hole, range;
    const void *bytes;

    open_both(CAPACITY, &writer, &reader);
    inject(SYS_fallocate, 0); /* address space only, no memory */
    inject(SYS_madvise, 0);
    REQUIRE(mproc_arena_allocate(writer, UINT64_C(5) << 30, &hole) == 0);
    REQUIRE(mproc_arena_allocate(writer, 3 * PAGE, &range) == 0);
    REQUIRE(range.offset == UINT64_C(5) << 30);
    fill_pattern(range.bytes, 3 * PAGE, 6);
    REQUIRE(mproc_arena_view(reader, range.offset, 3 * PAGE, &bytes) == 0);
    REQUIRE(has_pattern(bytes, 3 * PAGE, 6));
}

static void hostile_ranges_are_refused(void)
{
    struct mproc_arena *writer, *reader;
    struct mproc_arena_range range;
    const void *bytes;

    open_both(CAPACITY, &writer, &reader);
    REQUIRE(mproc_arena_allocate(writer, 4 * PAGE, &range) == 0);
    REQUIRE(mproc_arena_view(reader, 0, 4 * PAGE, &bytes) == 0);
    REQUIRE(mproc_arena_view(reader, 0, 0, &bytes) == -EPROTO);
    REQUIRE(mproc_arena_view(reader, 8, 8, &bytes) == -EPROTO);
    REQUIRE(mproc_arena_view(reader, 0, 4 * PAGE + 1, &bytes) == -EPROTO);
    REQUIRE(mproc_arena_view(reader, 8 * PAGE, 1, &bytes) == -EPROTO);
    REQUIRE(mproc_arena_view(reader, 0, CAPACITY, &bytes) == -EPROTO);
    REQUIRE(mproc_arena_view(reader, CAPACITY, 1, &bytes) == -EPROTO);
    REQUIRE(mproc_arena_view(reader, PAGE, UINT64_MAX, &bytes) == -EPROTO);
    REQUIRE(mproc_arena_view(reader, UINT64_MAX - PAGE + 1, PAGE, &bytes) ==
            -EPROTO);
    REQUIRE(mproc_arena_view(reader, CAPACITY - PAGE, PAGE + 1, &bytes) ==
            -EPROTO);
}

static void little_address_space_is_enough(void)
{
    struct rlimit limit = {UINT64_C(1) << 30, UINT64_C(1) << 30};
    struct mproc_arena *writer, *reader;
    struct mproc_arena_range first, range;
    const void *bytes;

    REQUIRE(setrlimit(RLIMIT_AS, &limit) == 0);
    open_both(CAPACITY, &writer, &reader);
    REQUIRE(mproc_arena_allocate(writer, PAGE, &first) == 0);
    fill_pattern(first.bytes, PAGE, 1);
    REQUIRE(mproc_arena_allocate(writer, 40 << 20, &range) == 0);
    fill_pattern(range.bytes, 40 << 20, 2);
    REQUIRE(has_pattern(first.bytes, PAGE, 1)); /* the old mapping still */
    REQUIRE(mproc_arena_view(reader, 0, PAGE, &bytes) == 0);
    REQUIRE(has_pattern(bytes, PAGE, 1));
    REQUIRE(mproc_arena_view(reader, range.offset, 40 << 20, &bytes) == 0);
    REQUIRE(has_pattern(bytes, 40 << 20, 2));
    REQUIRE(mproc_arena_allocate(writer, UINT64_C(2) << 30, &range) ==
            -ENOMEM);
    mproc_arena_close(writer);
    mproc_arena_close(reader);
}

const struct check arena_checks[] = {
    {"payloads cross an arena", payloads_cross, false},
    {"warm pages of an arena are used again", warm_pages_are_used_again,
     false},
    {"positions release ranges in order", positions_release_in_order, false},
    {"the table of ranges ends with EAGAIN", the_table_of_ranges_ends, false},
    {"ranges of an arena never overlap", ranges_never_overlap, false},
    {"an arena gives memory back when it is empty", memory_is_given_back,
     false},
    {"lack of memory is an error and changes nothing",
     lack_of_memory_is_an_error, false},
    {"offsets beyond 4 GiB work", offsets_beyond_4_gib_work, false},
    {"hostile arena ranges are refused", hostile_ranges_are_refused, false},
    {"little address space is enough for an arena",
     little_address_space_is_enough, UNDER_SANITIZER},
    {NULL, NULL, false},
};
