/* Crash records: written by every kind of end, and by nothing else. */
#include "check.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../CMultiprocessing/crash/crash_internal.h"
#include "mproc_crash.h"

/* How a child ends. */
enum end {
    END_TRAP,
    END_BAD_ACCESS,
    END_ABORT,
    END_NULL_CALL,
    END_STACK_OVERFLOW,
    END_FRAME_POINTER, /* a trap with a damaged one */
    END_SENT,          /* a signal from outside */
    END_LIMIT,
};

static volatile int zero;

__attribute__((noinline)) static int overflow(volatile char *above, int depth)
{
    volatile char local[200];

    local[0] = (char)(depth + above[0]);
    if (depth < 0)
        return 0; /* never */
    return overflow(local, depth + 1) + local[0];
}

__attribute__((noinline)) static void trap_with_frame_pointer(uintptr_t value)
{
#if defined(__x86_64__)
    __asm__ volatile("mov %0, %%rbp\n ud2" ::"r"(value) : "memory");
#else
    __asm__ volatile("mov x29, %0\n udf #0" ::"r"(value) : "memory");
#endif
    zero++;
}

__attribute__((noinline)) static void end_by(enum end end)
{
    /* Mapped, but not up the stack; up the stack, but not aligned; nowhere. */
    static const uintptr_t frame_pointers[] = {16, 0x7fff00000001, ~0ul - 7};

    switch (end) {
    case END_TRAP:
        __builtin_trap();
    case END_BAD_ACCESS:
        *(volatile int *)(uintptr_t)(0x123450 + zero) = 1;
        break;
    case END_ABORT:
        abort();
    case END_NULL_CALL:
        ((void (*)(void))(uintptr_t)zero)();
        break;
    case END_STACK_OVERFLOW:
        overflow("", 0);
        break;
    case END_FRAME_POINTER:
        trap_with_frame_pointer(
            frame_pointers[(uintptr_t)getpid() %
                           (sizeof frame_pointers / sizeof *frame_pointers)]);
        break;
    case END_SENT:
        kill(getpid(), SIGSEGV);
        break;
    case END_LIMIT:
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){100, 100});
        REQUIRE(pwrite(memfd_create("limited", 0), "", 1, 100) < 0);
        break;
    }
    zero++;
}

/* The status of a child that runs `body`, and what it recorded. */
static int record_of(void (*body)(void *), void *context,
                     struct mproc_crash_record *record, int *found)
{
    const void *page = NULL;
    int status, fd = mproc_crash_open(&page);
    pid_t pid;

    REQUIRE(fd >= 0);
    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        setrlimit(RLIMIT_STACK, &(struct rlimit){1 << 20, 1 << 20});
        if (mproc_crash_arm(fd) < 0)
            _exit(99);
        body(context);
        _exit(0);
    }
    REQUIRE(waitpid(pid, &status, 0) == pid);
    *found = mproc_crash_read(page, record);
    mproc_crash_close(page);
    close(fd);
    return status;
}

__attribute__((noinline)) static void end(void *context)
{
    end_by(*(enum end *)context);
    zero++;
}

static bool has_return_into(const struct mproc_crash_record *record,
                            void (*function)(void *))
{
    for (uint32_t i = 0; i < record->frame_count; i++)
        if (record->frames[i] - (uintptr_t)function < 100)
            return true;
    return false;
}

static void every_end_is_recorded(void)
{
    static const struct {
        enum end end;
        int signal;
        bool has_address, has_frames;
    } cases[] = {
#if defined(__x86_64__)
        {END_TRAP, SIGILL, true, true},
        {END_FRAME_POINTER, SIGILL, true, false},
#else
        {END_TRAP, SIGTRAP, true, true},
        {END_FRAME_POINTER, SIGILL, true, false},
#endif
        {END_BAD_ACCESS, SIGSEGV, true, true},
        {END_ABORT, SIGABRT, false, true},
        {END_NULL_CALL, SIGSEGV, true, true},
        {END_SENT, SIGSEGV, false, true},
        {END_LIMIT, SIGXFSZ, false, true},
    };
    struct mproc_crash_record record;
    struct mproc_crash_frame frames[MPROC_CRASH_ALL_FRAMES];
    int found;

    for (int round = 0; round < 10; round++) {
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            enum end how = cases[i].end;
            int status = record_of(end, &how, &record, &found);

            REQUIRE(WIFSIGNALED(status));
            REQUIRE(WTERMSIG(status) == cases[i].signal);
            REQUIRE(found == 0 && record.state == MPROC_CRASH_COMPLETE);
            REQUIRE(record.signal == cases[i].signal);
            REQUIRE(record.has_address == cases[i].has_address);
            REQUIRE(record.resident_bytes > 100000);
            REQUIRE(record.thread > 0 && record.thread_name[0] != 0);
            REQUIRE(record.frame_count >= 1 && record.frame_count < 32);
            REQUIRE(record.frames[0] == record.pc);
            REQUIRE(record.skipped == 0 && record.outer_count == 0);
            if (cases[i].has_frames)
                REQUIRE(has_return_into(&record, end));
            REQUIRE(mproc_crash_frames(&record, frames) >= record.frame_count);
            if (how == END_BAD_ACCESS)
                REQUIRE(record.address == 0x123450);
            if (how == END_NULL_CALL)
                REQUIRE(record.scanned_count > 0 && record.pc == 0);
        }
    }
}

static void a_stack_overflow_keeps_both_ends_of_the_stack(void)
{
    struct mproc_crash_record record;
    struct mproc_crash_frame frames[MPROC_CRASH_ALL_FRAMES];
    enum end how = END_STACK_OVERFLOW;
    bool is_outer = false;
    int found, status = record_of(end, &how, &record, &found);
    size_t count;

    REQUIRE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    REQUIRE(found == 0 && record.state == MPROC_CRASH_COMPLETE);
    REQUIRE(record.frame_count == MPROC_CRASH_FRAMES);
    REQUIRE(record.outer_count == MPROC_CRASH_OUTER_FRAMES);
    REQUIRE(record.skipped > 1000);
    for (uint32_t i = 0; i < record.outer_count; i++)
        is_outer |= record.outer_frames[i] - (uintptr_t)end < 100;
    REQUIRE(is_outer);
    count = mproc_crash_frames(&record, frames);
    REQUIRE(count >= MPROC_CRASH_FRAMES + MPROC_CRASH_OUTER_FRAMES + 1);
    REQUIRE(frames[count - 1].kind == MPROC_FRAME_RETURN);
    REQUIRE(frames[count - 1].address ==
            record.outer_frames[record.outer_count - 1]);
}

static void *end_in_thread(void *context)
{
    end(context);
    return NULL;
}

static void end_beside(void *context)
{
    pthread_t thread;

    REQUIRE(pthread_create(&thread, NULL, end_in_thread, context) == 0);
    pthread_setname_np(thread, "beside");
    pthread_join(thread, NULL);
}

static void a_crash_of_another_thread_is_recorded(void)
{
    static const enum end ends[] = {END_BAD_ACCESS, END_ABORT};
    struct mproc_crash_record record;
    int found;

    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        enum end how = ends[i];
        int status = record_of(end_beside, &how, &record, &found);

        REQUIRE(WIFSIGNALED(status));
        REQUIRE(found == 0 && record.state == MPROC_CRASH_COMPLETE);
        REQUIRE(record.signal == WTERMSIG(status));
        REQUIRE(has_return_into(&record, end));
        REQUIRE(record.thread_name[0] != 0);
    }
}

/* No other stack to write a record on: the end is all that is known. */
static void another_thread_without_stack_ends_with_its_signal(void)
{
    struct mproc_crash_record record;
    enum end how = END_STACK_OVERFLOW;
    int found, status = record_of(end_beside, &how, &record, &found);

    REQUIRE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    REQUIRE(found == -ENODATA);
}

static void end_at_once(void *context)
{
    pthread_t threads[8];

    for (int i = 0; i < 8; i++)
        REQUIRE(pthread_create(&threads[i], NULL, end_in_thread, context) == 0);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
}

static void of_threads_that_crash_at_once_one_is_recorded_whole(void)
{
    struct mproc_crash_record record;
    enum end how = END_BAD_ACCESS;
    int found;

    for (int round = 0; round < 100; round++) {
        int status = record_of(end_at_once, &how, &record, &found);

        REQUIRE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
        REQUIRE(found == 0 && record.state == MPROC_CRASH_COMPLETE);
        REQUIRE(record.address == 0x123450);
    }
}

/* MARK: - Crashes of the handler */

/* Takes away every shared page, the record among them. */
static void end_without_record(void *context)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    unsigned long begins[16], ends[16];
    char line[512];
    int count = 0;

    while (count < 16 && fgets(line, sizeof line, maps) != NULL)
        if (strstr(line, "mproc-crash") != NULL &&
            sscanf(line, "%lx-%lx", &begins[count], &ends[count]) == 2)
            count++;
    fclose(maps);
    REQUIRE(count > 0);
    for (int i = 0; i < count; i++)
        munmap((void *)begins[i], ends[i] - begins[i]);
    end(context);
}

static void a_crash_of_the_handler_keeps_the_first_signal(void)
{
    static const enum end ends[] = {END_TRAP, END_ABORT, END_BAD_ACCESS};
    struct mproc_crash_record record;
    int found;

    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        enum end how = ends[i];
        int expected = record_of(end, &how, &record, &found);
        int status = record_of(end_without_record, &how, &record, &found);

        REQUIRE(WIFSIGNALED(status));
        REQUIRE(WTERMSIG(status) == WTERMSIG(expected));
        REQUIRE(found == -ENODATA);
    }
}

/* MARK: - Frames */

__attribute__((noinline)) static uintptr_t next_instruction(void)
{
    return (uintptr_t)__builtin_return_address(0);
}

/* As where a function has made room for the arguments of a tail call. */
static void a_return_address_that_was_moved_is_found(void)
{
    static struct mproc_crash_record record;
    uintptr_t first = next_instruction(), moved = next_instruction();
    uintptr_t last = next_instruction(), stack[16] = {0};
    struct mproc__registers registers = {
        first, (uintptr_t)&stack[2], (uintptr_t)&stack[2], 0};

    stack[2] = (uintptr_t)&stack[6];
    stack[3] = first;
    stack[6] = (uintptr_t)&stack[12];
    stack[7] = 0x12345678; /* what was there before: in no code */
    stack[10] = moved;
    stack[13] = last;
    mproc__walk(&record, &registers);
    REQUIRE(record.frame_count == 4);
    REQUIRE(record.frames[1] == first);
    REQUIRE(record.frames[2] == moved);
    REQUIRE(record.frames[3] == last);
}

/* MARK: - Others' handlers */

static void exit_with_code(int signal, siginfo_t *info, void *context)
{
    (void)context;
    _exit(signal == SIGSEGV && info->si_addr == (void *)0x123450 ? 42 : 43);
}

static void take_segv(void)
{
    struct sigaction action = {.sa_sigaction = exit_with_code,
                               .sa_flags = SA_SIGINFO};

    sigaction(SIGSEGV, &action, NULL);
}

static void end_with_handler(void *context)
{
    take_segv();
    end(context);
}

static void a_handler_that_comes_later_wins(void)
{
    struct mproc_crash_record record;
    enum end how = END_BAD_ACCESS;
    int found, status = record_of(end_with_handler, &how, &record, &found);

    REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 42);
    REQUIRE(found == -ENODATA);
}

static void a_handler_that_was_there_comes_after_the_record(void)
{
    struct mproc_crash_record record;
    enum end how = END_BAD_ACCESS;
    int found, status;

    take_segv();
    status = record_of(end, &how, &record, &found);
    REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 42);
    REQUIRE(found == 0 && record.signal == SIGSEGV);
}

static void quit(void *context)
{
    (void)context;
    raise(SIGQUIT);
}

static void an_ignored_signal_stays_ignored(void)
{
    struct mproc_crash_record record;
    int found, status;

    signal(SIGQUIT, SIG_IGN);
    status = record_of(quit, NULL, &record, &found);
    REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    signal(SIGQUIT, SIG_DFL);
    status = record_of(quit, NULL, &record, &found);
    REQUIRE(WIFSIGNALED(status) && WTERMSIG(status) == SIGQUIT);
    REQUIRE(found == 0 && record.signal == SIGQUIT);
}

static void end_in_copy(void *context)
{
    int status;
    pid_t pid = fork();

    if (pid == 0)
        end(context);
    REQUIRE(waitpid(pid, &status, 0) == pid);
    _exit(WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}

static void a_copy_of_the_process_leaves_its_record_alone(void)
{
    struct mproc_crash_record record;
    enum end how = END_BAD_ACCESS;
    int found, status = record_of(end_in_copy, &how, &record, &found);

    REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == SIGSEGV);
    REQUIRE(found == -ENODATA);
}

/* MARK: - Reading */

static void what_a_damaged_process_left_is_cut_to_size(void)
{
    static _Alignas(8) char page[MPROC_CRASH_PAGE_BYTES];
    struct mproc_crash_record record;
    struct mproc_crash_frame frames[MPROC_CRASH_ALL_FRAMES];
    uint64_t random = 1;

    for (int round = 0; round < 20000; round++) {
        for (size_t i = 0; i + 8 <= sizeof page; i += 8) {
            uint64_t word = next_random(&random);

            if (round % 2)
                word |= next_random(&random);
            memcpy(page + i, &word, sizeof word);
        }
        page[MPROC_CRASH_OFFSET + 1] = page[MPROC_CRASH_OFFSET + 2] = 0;
        page[MPROC_CRASH_OFFSET + 3] = 0;
        page[MPROC_CRASH_OFFSET] = (char)(round % 4);
        if (round % 4 == 0 || round % 4 == 3) {
            REQUIRE(mproc_crash_read(page, &record) == -ENODATA);
            continue;
        }
        REQUIRE(mproc_crash_read(page, &record) == 0);
        REQUIRE(mproc_crash_frames(&record, frames) <= MPROC_CRASH_ALL_FRAMES);
        REQUIRE(strlen(record.thread_name) < sizeof record.thread_name);
    }
}

const struct check crash_checks[] = {
    {"every end by a signal is recorded", every_end_is_recorded,
     UNDER_SANITIZER},
    {"a stack overflow keeps both ends of the stack",
     a_stack_overflow_keeps_both_ends_of_the_stack, UNDER_SANITIZER},
    {"a crash of another thread is recorded",
     a_crash_of_another_thread_is_recorded, UNDER_SANITIZER},
    {"another thread without stack ends with its signal",
     another_thread_without_stack_ends_with_its_signal, UNDER_SANITIZER},
    {"of threads that crash at once one is recorded whole",
     of_threads_that_crash_at_once_one_is_recorded_whole, UNDER_SANITIZER},
    {"a crash of the handler keeps the first signal",
     a_crash_of_the_handler_keeps_the_first_signal, UNDER_SANITIZER},
    {"a return address that was moved is found",
     a_return_address_that_was_moved_is_found, false},
    {"a handler that comes later wins", a_handler_that_comes_later_wins,
     UNDER_SANITIZER},
    {"a handler that was there comes after the record",
     a_handler_that_was_there_comes_after_the_record, UNDER_SANITIZER},
    {"an ignored signal stays ignored", an_ignored_signal_stays_ignored,
     UNDER_SANITIZER},
    {"a copy of the process leaves its record alone",
     a_copy_of_the_process_leaves_its_record_alone, UNDER_SANITIZER},
    {"what a damaged process left is cut to size",
     what_a_damaged_process_left_is_cut_to_size, false},
    {NULL, NULL, false},
};
