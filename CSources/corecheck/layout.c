/* Segments: layout, validation by the attacher, seals. */
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void fresh_segment_has_documented_header(void)
{
    struct mproc_segment segment;
    int fd = mproc_segment_create(8192, 24, MPROC_NODE_ANY);

    REQUIRE(fd >= 0);
    REQUIRE(fcntl(fd, F_GETFD) == FD_CLOEXEC);
    REQUIRE(lseek(fd, 0, SEEK_END) == 4096 + 8192);
    REQUIRE(mproc_segment_map(fd, 0, &segment) == 0);
    REQUIRE(segment.mapped_bytes == 4096 + 8192);
    REQUIRE(segment.ring_capacity == 8192 && segment.start == 24);
    REQUIRE(memcmp(segment.header, "ORpmring", 8) == 0);
    REQUIRE(segment.header->tail == 24 && segment.header->head == 24);
    REQUIRE(segment.header->sleeping == 0 && segment.header->partial == 0);
    mproc_segment_unmap(&segment);
    REQUIRE(segment.header == NULL);
    mproc_segment_unmap(&segment);
    close(fd);
}

static void wrong_sizes_are_refused(void)
{
    static const uint64_t capacities[] = {
        0, 1, 2048, 4095, 4097, 12288, UINT64_C(1) << 31, UINT64_MAX,
    };

    for (size_t i = 0; i < sizeof capacities / sizeof capacities[0]; i++)
        REQUIRE(mproc_segment_create(capacities[i], 0, MPROC_NODE_ANY) ==
                -EINVAL);
    REQUIRE(mproc_segment_create(4096, 4, MPROC_NODE_ANY) == -EINVAL);
}

/* What a hostile creator could write in place of each word of line 0. */
static void corrupt_headers_are_refused(void)
{
    static const uint64_t values[] = {
        0, 1, 7, 8, 4095, 8192, UINT64_C(1) << 30, UINT64_C(1) << 62,
        UINT64_MAX, UINT64_MAX - 7,
    };
    struct mproc_segment segment;

    for (off_t word = 0; word < 32; word += 8) {
        for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
            int fd = mproc_segment_create(4096, 0, MPROC_NODE_ANY);

            REQUIRE(pwrite(fd, &values[i], 8, word) == 8);
            REQUIRE(mproc_segment_map(fd, 0, &segment) == -EPROTO);
            close(fd);
        }
    }
}

static void files_that_could_shrink_are_refused(void)
{
    struct mproc_segment segment;
    struct mproc_arena *arena;
    char header[4096] = {0};
    int good = mproc_segment_create(4096, 0, MPROC_NODE_ANY);
    int fd = memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int pipes[2];

    REQUIRE(pread(good, header, sizeof header, 0) == sizeof header);
    REQUIRE(pwrite(fd, header, sizeof header, 0) == sizeof header);
    REQUIRE(ftruncate(fd, 8192) == 0);
    REQUIRE(mproc_segment_map(fd, 0, &segment) == -EPROTO);
    REQUIRE(mproc_arena_open(fd, 0, &arena) == -EPROTO);
    REQUIRE(pipe(pipes) == 0);
    REQUIRE(mproc_segment_map(pipes[0], 0, &segment) == -EPROTO);
    REQUIRE(mproc_segment_map(-1, 0, &segment) == -EBADF);
    close(good);
}

static void seals_refuse_writes(void)
{
    struct pair pair;
    int reader, arena;

    pair_open(&pair, 4096, 0, TWO_MAPPINGS);
    REQUIRE(pwrite(pair.a_fd, "x", 1, 0) < 0 && errno == EPERM);
    REQUIRE(ftruncate(pair.a_fd, 0) < 0 && errno == EPERM);
    REQUIRE(ftruncate(pair.a_fd, 1 << 20) < 0 && errno == EPERM);
    REQUIRE(mproc_segment_map(pair.a_fd, MPROC_SEGMENT_WRITABLE,
                              &pair.b_reader) == -EPERM);
    REQUIRE(mprotect(pair.a_reader.header, 4096, PROT_READ | PROT_WRITE) < 0 &&
            errno == EACCES);
    REQUIRE(fallocate(pair.a_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                      4096) < 0 && errno == EPERM);
    REQUIRE(mproc_segment_seal(pair.a_fd) == 0);
    pair.a.header->control = 1; /* the writer's own mapping still works */

    arena = mproc_arena_create(1 << 20, MPROC_NODE_ANY);
    reader = mproc_arena_reader(arena);
    REQUIRE(arena >= 0 && reader >= 0);
    REQUIRE(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, reader, 0) ==
                MAP_FAILED && errno == EACCES);
    REQUIRE(ftruncate(arena, 0) < 0 && errno == EPERM);
}

static void bound_memory_lies_on_its_node(void)
{
    const uint64_t size = 64 * 4096;
    uint64_t there, elsewhere;
    int fd = mproc_arena_create(size, 0);
    char *bytes;

    if (fd == -ENOSYS || fd == -EPERM) {
        skip_check("the kernel, or a sandbox, has no NUMA calls");
    }
    REQUIRE(fd >= 0);
    bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    REQUIRE(bytes != MAP_FAILED);
    REQUIRE(mproc_memory_residence(bytes, size, 0, &there, &elsewhere) == 0);
    REQUIRE(there == 0 && elsewhere == 0);
    memset(bytes, 1, size / 2);
    REQUIRE(mproc_memory_residence(bytes, size, 0, &there, &elsewhere) == 0);
    REQUIRE(there == size / 4096 / 2 && elsewhere == 0);
    REQUIRE(mproc_memory_residence(bytes, size, 7, &there, &elsewhere) == 0);
    REQUIRE(there == 0 && elsewhere == size / 4096 / 2);
    munmap(bytes, size);
    close(fd);
    REQUIRE(mproc_arena_create(size, 1023) == -EINVAL);
    REQUIRE(mproc_arena_create(size, 1 << 20) == -EINVAL);
    REQUIRE(mproc_segment_create(4096, 0, -2) == -EINVAL);
}

static void only_two_halves_of_a_pair_open(void)
{
    struct mproc_segment a, b, none = {0};
    struct mproc_channel channel;
    int a_fd = mproc_segment_create(4096, 0, MPROC_NODE_ANY);
    int b_fd = mproc_segment_create(8192, 8, MPROC_NODE_ANY);

    REQUIRE(mproc_segment_map(a_fd, MPROC_SEGMENT_WRITABLE, &a) == 0);
    REQUIRE(mproc_segment_map(b_fd, 0, &b) == 0);
    REQUIRE(mproc_channel_open(&channel, &a, &b) == -EINVAL);
    REQUIRE(mproc_channel_open(&channel, &a, &a) == -EINVAL);
    REQUIRE(mproc_channel_open(&channel, &a, &none) == -EINVAL);
    REQUIRE(mproc_channel_open(&channel, &none, &b) == -EINVAL);
}

static void waited_time_is_true_at_every_instant(void)
{
    struct pair pair;
    struct mproc_channel *worker = &pair.worker;
    const struct mproc_channel *application = &pair.application;

    pair_open(&pair, 4096, 0, TWO_MAPPINGS);
    REQUIRE(mproc_channel_peer_waited(application, 1000) == 0);
    mproc_channel_begin_wait(worker, 1000);
    REQUIRE(mproc_channel_peer_waited(application, 1000) == 0);
    REQUIRE(mproc_channel_peer_waited(application, 1007) == 7);
    /* The reader's clock was read before the worker's. */
    REQUIRE(mproc_channel_peer_waited(application, 999) == 0);
    mproc_channel_end_wait(worker, 1010);
    REQUIRE(mproc_channel_peer_waited(application, 5000) == 10);
    mproc_channel_begin_wait(worker, 6000);
    REQUIRE(mproc_channel_peer_waited(application, 6005) == 15);
    mproc_channel_end_wait(worker, 6000);
    REQUIRE(mproc_channel_peer_waited(application, UINT64_MAX) == 10);
    pair_close(&pair);
}

const struct check layout_checks[] = {
    {"memory that is bound to a node lies there",
     bound_memory_lies_on_its_node, false},
    {"a fresh segment has the documented header",
     fresh_segment_has_documented_header, false},
    {"wrong sizes are refused", wrong_sizes_are_refused, false},
    {"corrupt segment headers are refused", corrupt_headers_are_refused,
     false},
    {"files that could shrink are refused",
     files_that_could_shrink_are_refused, false},
    {"seals refuse writes, resizing and holes", seals_refuse_writes, false},
    {"only the two halves of a pair make a channel",
     only_two_halves_of_a_pair_open, false},
    {"the time that a worker has waited is true at every instant",
     waited_time_is_true_at_every_instant, false},
    {NULL, NULL, false},
};
