/* Names and lines of this very program, and of damaged copies of it. */
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../CMultiprocessing/crash/symbols_internal.h"
#include "mproc_image.h"

/* What was told of the last place. */
struct told {
    int count;
    char functions[8][64];
    char files[8][256];
    uint32_t lines[8];
    bool are_inlined[8];
};

static void tell(void *context, size_t index, const struct mproc_symbol *symbol)
{
    struct told *told = context;
    int i = told->count;

    REQUIRE(index == 0);
    REQUIRE(symbol->function == NULL || strlen(symbol->function) < 10000);
    if (i == 8)
        return;
    snprintf(told->functions[i], sizeof told->functions[i], "%.60s",
             symbol->function ? symbol->function : "");
    snprintf(told->files[i], sizeof told->files[i], "%.250s",
             symbol->file ? symbol->file : "");
    told->lines[i] = symbol->line;
    told->are_inlined[i] = symbol->is_inlined;
    told->count = i + 1;
}

static uint64_t own_offset(const void *address)
{
    struct mproc_place place;

    REQUIRE(mproc_place_of((uintptr_t)address, &place) == MPROC_PLACE_CODE);
    REQUIRE(place.image == 0);
    return place.offset;
}

/* A place in this function, wherever it is inlined into. */
static inline __attribute__((always_inline)) const void *inner(void)
{
    const void *here;
#if defined(__x86_64__)
    __asm__ volatile("1: lea 1b(%%rip), %0" : "=r"(here));
#else
    __asm__ volatile("adr %0, ." : "=r"(here));
#endif
    return here;
}
enum { INNER_LINE = __LINE__ - 9 };

__attribute__((noinline)) static const void *outer(void)
{
    return inner();
}
enum { OUTER_LINE = __LINE__ - 2 };

static void functions_have_names_files_and_lines(void)
{
    struct told told = {0};
    uint64_t place = own_offset(outer());

    REQUIRE(mproc_symbols_find(0, &place, 1, UINT64_MAX, tell, &told) == 0);
    REQUIRE(told.count == 2);
    REQUIRE(strcmp(told.functions[0], "inner") == 0);
    REQUIRE(told.are_inlined[0] && !told.are_inlined[1]);
    REQUIRE(told.lines[0] >= INNER_LINE && told.lines[0] < INNER_LINE + 9);
    REQUIRE(strcmp(told.functions[1], "outer") == 0);
    REQUIRE(told.lines[1] == OUTER_LINE);
    for (int i = 0; i < 2; i++)
        REQUIRE(strstr(told.files[i], "/corecheck/symbols.c") != NULL);
}

static void without_allowance_only_the_outer_function_is_named(void)
{
    struct told told = {0};
    uint64_t place = own_offset(outer());

    REQUIRE(mproc_symbols_find(0, &place, 1, 0, tell, &told) == 0);
    REQUIRE(told.count == 1);
    REQUIRE(strcmp(told.functions[0], "outer") == 0);
    REQUIRE(told.lines[0] >= INNER_LINE && told.lines[0] < INNER_LINE + 9);
}

static void shared_libraries_have_names_too(void)
{
    struct told told = {0};
    struct mproc_place place;

    REQUIRE(mproc_place_of((uintptr_t)qsort, &place) >= 0);
    REQUIRE(mproc_symbols_find(place.image, &place.offset, 1, UINT64_MAX, tell,
                               &told) == 0);
    REQUIRE(told.count >= 1);
    REQUIRE(strstr(told.functions[told.count - 1], "qsort") != NULL);
    REQUIRE(mproc_symbols_find(12345, &place.offset, 1, 0, tell, &told) ==
            -ENOENT);
}

/* MARK: - Damage */

static struct mproc__bytes own_file(size_t *size)
{
    struct stat status;
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    uint8_t *copy;

    REQUIRE(fd >= 0 && fstat(fd, &status) == 0);
    *size = (size_t)status.st_size;
    copy = malloc(*size);
    REQUIRE(copy != NULL && pread(fd, copy, *size, 0) == status.st_size);
    close(fd);
    return (struct mproc__bytes){copy, copy + *size};
}

static void ask(struct mproc__bytes file, uint64_t place)
{
    struct mproc__elf elf;
    struct told told = {0};

    if (mproc__elf_parse(file, &elf) == 0)
        mproc__symbols_find(&elf, &place, 1, UINT64_MAX, tell, &told);
}

/* Any result will do, but it must be one. */
static void damaged_files_are_survived(void)
{
    uint64_t random = 7, place = own_offset(outer());
    size_t size;
    struct mproc__bytes file = own_file(&size);
    uint8_t *bytes = (uint8_t *)file.at;
    struct mproc__elf elf;

    REQUIRE(mproc__elf_parse(file, &elf) == 0);
    for (int round = 0; round < 1500; round++) {
        uint8_t *places[32], before[32];
        int count = 1 + (int)(next_random(&random) % 32);

        for (int i = 0; i < count; i++) {
            /* Mostly where it is read, not in code. */
            struct mproc__bytes section =
                elf.sections[next_random(&random) % MPROC__SECTIONS];
            size_t left = mproc__left(&section);
            uint8_t *target = bytes + next_random(&random) % size;

            if (left > 0)
                target = bytes + (section.at - bytes) +
                         next_random(&random) % left;
            if (round % 16 == 0)
                target = bytes + next_random(&random) % 64;
            places[i] = target;
            before[i] = *target;
            *target = next_random(&random) % 4 == 0
                          ? 0xff
                          : (uint8_t)next_random(&random);
        }
        ask(file, place);
        while (count-- > 0)
            *places[count] = before[count];
    }
    free(bytes);
}

static void cut_files_are_survived(void)
{
    uint64_t random = 9, place = own_offset(outer());
    size_t size;
    struct mproc__bytes file = own_file(&size);

    for (int round = 0; round < 300; round++) {
        size_t left = round < 70 ? (size_t)round : next_random(&random) % size;
        /* Its own memory, so that a sanitizer sees its end. */
        uint8_t *copy = malloc(left + 1);

        REQUIRE(copy != NULL);
        memcpy(copy, file.at, left);
        ask((struct mproc__bytes){copy, copy + left}, place);
        free(copy);
    }
    free((void *)file.at);
}

const struct check symbols_checks[] = {
    {"functions have names, files and lines",
     functions_have_names_files_and_lines, UNDER_SANITIZER},
    {"without allowance only the outer function is named",
     without_allowance_only_the_outer_function_is_named, UNDER_SANITIZER},
    {"shared libraries have names too", shared_libraries_have_names_too,
     false},
    {"damaged files are survived", damaged_files_are_survived, false},
    {"files that end early are survived", cut_files_are_survived, false},
    {NULL, NULL, false},
};
