/* Shared by the files that read symbols. Everything here comes from files that
 * may be damaged: cursors never pass their end, and reading beyond it gives 0
 * and leaves them there. */
#ifndef MPROC_SYMBOLS_INTERNAL_H
#define MPROC_SYMBOLS_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mproc_symbols.h"

struct mproc__bytes {
  const uint8_t *at, *end;
};

static inline size_t mproc__left(const struct mproc__bytes *bytes) {
  return (size_t)(bytes->end - bytes->at);
}

static inline void mproc__skip(struct mproc__bytes *bytes, uint64_t size) {
  bytes->at = size > mproc__left(bytes) ? bytes->end : bytes->at + size;
}

/* `size` is 1 to 8. */
static inline uint64_t mproc__take(struct mproc__bytes *bytes, size_t size) {
  uint64_t value = 0;
  if (mproc__left(bytes) < size) {
    bytes->at = bytes->end;
    return 0;
  }
  __builtin_memcpy(&value, bytes->at, size); /* little-endian machines only */
  bytes->at += size;
  return value;
}

uint64_t mproc__take_uleb(struct mproc__bytes *bytes);
int64_t mproc__take_sleb(struct mproc__bytes *bytes);
/* A string with its end, or NULL. */
const char *mproc__take_string(struct mproc__bytes *bytes);
/* What is at `offset`, to the end; nothing when that is beyond. */
struct mproc__bytes mproc__from(struct mproc__bytes bytes, uint64_t offset);

/* elf.c */

enum mproc__section {
  MPROC__SYMBOLS,
  MPROC__STRINGS,
  MPROC__DEBUG_INFO,
  MPROC__DEBUG_ABBREV,
  MPROC__DEBUG_LINE,
  MPROC__DEBUG_STR,
  MPROC__DEBUG_LINE_STR,
  MPROC__DEBUG_STR_OFFSETS,
  MPROC__DEBUG_ADDR,
  MPROC__DEBUG_RANGES,
  MPROC__DEBUG_RNGLISTS,
  MPROC__SECTIONS,
};

struct mproc__elf {
  struct mproc__bytes file;
  struct mproc__bytes sections[MPROC__SECTIONS];
};

/* Finds the sections in a mapped file. */
int mproc__elf_parse(struct mproc__bytes file, struct mproc__elf *elf);
/* Maps the file of a loaded image, if it still is the one that was loaded. */
int mproc__elf_open(uint64_t image, struct mproc__elf *elf);
void mproc__elf_close(struct mproc__elf *elf);
/* The code from `offset` of the image on, as it is in the file. */
struct mproc__bytes mproc__elf_code(const struct mproc__elf *elf,
                                    uint64_t offset);

/* symbols.c */

#define MPROC__INLINED 24

struct mproc__inlined {
  uint64_t origin; /* the function's entry in .debug_info */
  uint32_t call_file, call_line, call_column;
};

/* One place on its way to a name. */
struct mproc__lookup {
  uint64_t offset;
  size_t index; /* the caller's */
  const char *function;
  uint64_t function_start, function_size;
  bool is_done;
  /* In the unit at hand. */
  bool is_in_unit;
  uint64_t subprogram; /* its entry; 0: not found */
  uint32_t file, line, column;
  uint32_t inlined_count;
  struct mproc__inlined inlined[MPROC__INLINED]; /* from the outside in */
};

/* Sorted by offset. */
struct mproc__lookups {
  struct mproc__lookup *all;
  size_t count;
  mproc_symbol_found found;
  void *context;
};

/* The first one at or after `offset`. */
size_t mproc__lookups_from(const struct mproc__lookups *lookups,
                           uint64_t offset);
/* Tells of a lookup's own function, or of one around it. */
void mproc__report(const struct mproc__elf *elf,
                   const struct mproc__lookups *lookups,
                   struct mproc__lookup *lookup, struct mproc_symbol symbol);
/* mproc_symbols_find in an open file. */
int mproc__symbols_find(const struct mproc__elf *elf, const uint64_t *offsets,
                        size_t count, uint64_t most_bytes,
                        mproc_symbol_found found, void *context);

/* dwarf.c: reports every lookup that lies in some unit. */
void mproc__dwarf_find(const struct mproc__elf *elf,
                       struct mproc__lookups *lookups, uint64_t most_bytes);

#endif
