/* Shared by the files of crash/ alone. What is marked so runs in a handler of
 * a fatal signal: no locks, no memory allocation, system calls and loads only,
 * and no load from an address that was not asked about first. */
#ifndef MPROC_CRASH_INTERNAL_H
#define MPROC_CRASH_INTERNAL_H

#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mproc_crash.h"

struct mproc__registers {
  uintptr_t pc, sp, fp;
  uintptr_t lr; /* 0 where the machine has none */
};

/* A loaded image as the dynamic linker's list has it. */
struct mproc__image {
  uintptr_t base, start, end;
  uintptr_t code_start, code_end;
  const ElfW(Phdr) *headers;
  int header_count;
  const char *path; /* empty for the executable */
};

#define MPROC__IMAGES 128

/* All loaded images, the executable first: how many. In a handler. */
int mproc__images_collect(struct mproc__image *images, int capacity);

/* Whether `size` bytes at `address` can be read. In a handler. */
bool mproc__readable(uintptr_t address, size_t size);

/* The lists of the record. In a handler. */
void mproc__walk(struct mproc_crash_record *record,
                 const struct mproc__registers *registers);

/* Removes a pointer authentication code. In a handler. */
uintptr_t mproc__strip(uintptr_t address);

#endif
