/* The crash record: what a process notes of its own end by a signal, in memory
 * that it shares with the application.
 *
 * A handler for the signals that dump core writes it on a stack of its own,
 * with system calls and plain loads alone, and passes the signal on, so that
 * the process still ends by it, with the registers of the crash. Where user
 * code installs a handler of its own, that one wins, and there is no record.
 *
 * The record lies at MPROC_CRASH_OFFSET of a page: the first page of a
 * worker's completion segment, or a memfd of its own.
 *
 *   offset                                  written
 *        0  state      R1                   last, twice: see below
 *        4  signal … resident_bytes         before state FACTS
 *       88  counts                          as the lists grow
 *      120  images                          before the first frame in each
 *     1144  frames, innermost first         before state COMPLETE
 *     2168  outer_frames, after a gap
 *     2424  scanned
 *     2552  async_frames
 *
 * Memory order: R1, state, is stored with release by the crashing process and
 * loaded with acquire (A1) by the application; what was written before it is
 * complete. The application reads after the process's end, so all else is
 * ordered by that; and it trusts nothing: counts are clamped in a copy.
 * A crash inside of the handler leaves the state at FACTS, and the lists as
 * far as they go. */
#ifndef MPROC_CRASH_H
#define MPROC_CRASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mproc_image.h"

#define MPROC_CRASH_PAGE_BYTES 4096
#define MPROC_CRASH_OFFSET 1024

#define MPROC_CRASH_FRAMES 128
#define MPROC_CRASH_OUTER_FRAMES 32
#define MPROC_CRASH_SCANNED 16
#define MPROC_CRASH_ASYNC_FRAMES 32
#define MPROC_CRASH_IMAGES 16

enum mproc_crash_state {
  MPROC_CRASH_NONE = 0,
  MPROC_CRASH_FACTS = 1, /* everything but the lists */
  MPROC_CRASH_COMPLETE = 2,
};

/* A loaded file that holds a frame; of more than fit, those met first. */
struct mproc_crash_image {
  uint64_t image; /* as in struct mproc_place */
  uint64_t base;
  uint64_t start, end;
  char name[32]; /* the end of its path; empty for the executable */
};

struct mproc_crash_record {
  uint32_t state;
  int32_t signal;
  int32_t code; /* si_code */
  int32_t thread;
  char thread_name[16];
  uint32_t has_address; /* 1: the kernel named an address */
  uint32_t reserved;
  uint64_t address;
  uint64_t pc, sp, fp, lr; /* lr: arm64 alone */
  uint64_t resident_bytes; /* 0: not known */
  uint64_t skipped;        /* frames between frames and outer_frames */
  uint32_t frame_count, outer_count, scanned_count, async_count;
  uint32_t image_count;
  uint32_t async_frame; /* the frame whose context async_frames continue */
  struct mproc_crash_image images[MPROC_CRASH_IMAGES];
  /* The instruction, then return addresses. */
  uint64_t frames[MPROC_CRASH_FRAMES];
  /* The outermost ones of a deep stack, also from the inside out. */
  uint64_t outer_frames[MPROC_CRASH_OUTER_FRAMES];
  /* What looks like return addresses below the first frame with a pointer:
   * the callers of functions that keep none (the C library's). */
  uint64_t scanned[MPROC_CRASH_SCANNED];
  /* Where the awaiting functions go on, from the inside out. */
  uint64_t async_frames[MPROC_CRASH_ASYNC_FRAMES];
};

#define MPROC__AT(field, offset)                                               \
  _Static_assert(offsetof(struct mproc_crash_record, field) == (offset),       \
                 "crash record layout: " #field)
MPROC__AT(state, 0);
MPROC__AT(signal, 4);
MPROC__AT(thread_name, 16);
MPROC__AT(address, 40);
MPROC__AT(resident_bytes, 80);
MPROC__AT(skipped, 88);
MPROC__AT(frame_count, 96);
MPROC__AT(images, 120);
MPROC__AT(frames, 1144);
MPROC__AT(outer_frames, 2168);
MPROC__AT(scanned, 2424);
MPROC__AT(async_frames, 2552);
_Static_assert(MPROC_CRASH_OFFSET + sizeof(struct mproc_crash_record) <=
                   MPROC_CRASH_PAGE_BYTES,
               "the record fits into its page");
#undef MPROC__AT

/* In a child, on its main thread: crashes are recorded from now on in the page
 * at the start of `descriptor`, which stays open. Handlers that are there
 * already get the signal afterwards; an ignored signal stays ignored. */
int mproc_crash_arm(int descriptor);
/* On another thread that is to be recorded also when it has used up its
 * stack; one such thread a process, instead of the main one. */
void mproc_crash_arm_thread(void);
/* As before it was armed. */
void mproc_crash_disarm(void);
/* Whether a signal would be recorded. Async-signal-safe. */
bool mproc_crash_handles(int signal);

/* In the application, after the end of the process. 0 with a copy whose counts
 * are in range, -ENODATA when there is no record. */
int mproc_crash_read(const void *page, struct mproc_crash_record *record);

/* A page for the record of a process without rings, mapped for reading: its
 * descriptor, for the process. */
int mproc_crash_open(const void **page);
void mproc_crash_close(const void *page);

/* What kind of place a frame is. */
enum mproc_crash_frame_kind {
  MPROC_FRAME_INSTRUCTION = 1, /* the one that crashed */
  MPROC_FRAME_SCANNED = 2, /* its caller, if that keeps no frame pointer */
  MPROC_FRAME_RETURN = 3,
  MPROC_FRAME_GAP = 4, /* so many frames in `address` are left out */
  MPROC_FRAME_ASYNC = 5,
};

struct mproc_crash_frame {
  uint32_t kind;
  uint32_t image_index; /* into images; UINT32_MAX: in none */
  struct mproc_place place; /* where image_index is one */
  uint64_t address;
};

#define MPROC_CRASH_ALL_FRAMES                                                 \
  (MPROC_CRASH_FRAMES + MPROC_CRASH_OUTER_FRAMES + MPROC_CRASH_SCANNED +       \
   MPROC_CRASH_ASYNC_FRAMES + 1)

static inline size_t mproc_crash_all_frames(void) {
  return MPROC_CRASH_ALL_FRAMES; /* Swift sees no computed macros */
}

/* All lists of a record in one, from the inside out; how many. `frames` has
 * room for MPROC_CRASH_ALL_FRAMES. */
size_t mproc_crash_frames(const struct mproc_crash_record *record,
                          struct mproc_crash_frame *frames);

#endif
