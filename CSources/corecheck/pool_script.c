/*
 * What is sent in every exchange: single items and chunks, results that fit
 * and that do not, arguments in the arena, items that throw.
 */
#include "pool.h"

#include <string.h>

#define LARGEST 2304

const struct pool_item pool_items[POOL_ITEMS] = {
    {8, 8, false},
    /* a chunk */
    {112, 40, false}, {112, 44, false}, {112, 200, false}, {112, 40, false},
    /* its second result does not fit into the ring */
    {160, 72, false}, {160, 2304, false}, {160, 16, false},
    /* its third item throws */
    {100, 32, false}, {100, 32, false}, {100, 32, true}, {100, 32, false},
    /* arguments in the arena */
    {600, 1000, false}, {600, 1000, false},
    /* no bytes; then so many that the ring fills */
    {160, 0, false}, {160, 904, false}, {160, 904, false},
    {400, 64, true},
    {240, 2200, false}, {240, 8, false},
    {160, 700, false}, {160, 704, false}, {160, 708, false},
    /* throws beyond the ring, after results that are in it */
    {160, 24, false}, {160, 24, false}, {160, 2304, true},
    {200, 1, false}, {200, 100, false},
    {480, 300, false},
    {200, 1000, false}, {201, 8, false},
};

const struct pool_record pool_records[POOL_RECORDS] = {
    {0, 1},  {1, 4},  {5, 3},  {8, 4},  {12, 2}, {14, 3}, {17, 1},
    {18, 2}, {20, 3}, {23, 3}, {26, 2}, {28, 1}, {29, 2},
};

const char *const pool_mutant_names[MUTANT_COUNT] = {
    [AS_IT_SHOULD_BE] = "as it should be",
    [ACCEPTS_AFTER_RUNNING] = "a record accepted after it ran",
    [COUNTS_BEFORE_STORING] = "a cursor ahead of the result",
    [COUNTS_IN_TWO_STORES] = "a cursor of two stores",
    [KEEPS_THE_OLD_CURSOR] = "a cursor of the record before",
    [PUBLISHES_BEFORE_COMMITTING] = "a tail ahead of its record",
    [PUBLISHES_BEFORE_THE_HEADER] = "a tail ahead of its header",
    [SPILLS_OVER_COUNTED_RESULTS] = "a reference over counted results",
    [FORGETS_COUNTED_RESULTS] = "counted results given up",
    [NAMES_ARENA_BYTES_BEFORE_COPYING] = "a reference ahead of its bytes",
    [LOOKS_BEFORE_DRAINING] = "a death ahead of the last completions",
    [IGNORES_THE_CURSOR] = "a survivor that ignores the cursor",
    [KEEPS_RESULTS_TWICE] = "results kept twice",
    [HANDS_ON_WHAT_RAN] = "a record handed on that had begun",
    [FREES_WHAT_WAS_TAKEN] = "room free before the completion",
    [SHOWS_ROOM_BEFORE_READING] = "a head ahead of the reader",
    [RELEASES_ARENA_BEFORE_READING] = "arena memory released unread",
    [SUBMITS_BEFORE_COPYING] = "a submission ahead of its bytes",
};

static uint8_t arguments[POOL_ITEMS][LARGEST];
static uint8_t results[POOL_ITEMS][LARGEST];

const uint8_t *pool_argument(uint32_t item)
{
    return arguments[item];
}

const uint8_t *pool_result(uint32_t item)
{
    return results[item];
}

void pool_script_prepare(void)
{
    uint32_t next = 0;

    for (uint32_t i = 0; i < POOL_ITEMS; i++) {
        REQUIRE(pool_items[i].argument_size >= sizeof i);
        REQUIRE(pool_items[i].argument_size <= LARGEST);
        REQUIRE(pool_items[i].result_size <= LARGEST);
        fill_pattern(arguments[i], LARGEST, 100 + i);
        fill_pattern(results[i], LARGEST, 1 + i);
        memcpy(arguments[i], &i, sizeof i);
    }
    for (uint32_t i = 0; i < POOL_RECORDS; i++) {
        REQUIRE(pool_records[i].first == next && pool_records[i].count > 0);
        next += pool_records[i].count;
    }
    REQUIRE(next == POOL_ITEMS);
}
