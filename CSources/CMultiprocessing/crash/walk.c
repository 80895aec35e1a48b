/* The stack of a crashed thread, as far as it can be trusted: frame pointers,
 * which Swift keeps in every build. Every word is asked about before it is
 * read, and the walk only ever goes up the stack. */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../base/image_internal.h"
#include "crash_internal.h"

#define PAGE ((uintptr_t)4096)
/* Frames that a walk passes at most, and how far apart two of them may be. */
#define MOST_FRAMES (1u << 18)
#define FARTHEST_FRAME ((uintptr_t)64 << 20)
/* Words below the first frame that are looked at. */
#define MOST_SCANNED_WORDS 1024
#define SMALLEST_ADDRESS ((uintptr_t)65536)

/* One crash at a time is recorded, so these need not lie on a stack. */
static struct mproc__image images[MPROC__IMAGES];
static int image_count;
static uint64_t outer[MPROC_CRASH_OUTER_FRAMES];

/* MARK: - Memory that may not be there */

static bool page_is_readable(uintptr_t address) {
  /* The kernel copies the new mask in before it looks at `how`, which is none:
   * EINVAL for memory that can be read, EFAULT for other. Nothing changes. */
  syscall(SYS_rt_sigprocmask, ~0, address & ~(PAGE - 1), NULL, 8);
  return errno == EINVAL;
}

bool mproc__readable(uintptr_t address, size_t size) {
  static uintptr_t last;
  uintptr_t end = address + size - 1;
  if (address < SMALLEST_ADDRESS || end < address)
    return false;
  for (uintptr_t page = address & ~(PAGE - 1); page <= end; page += PAGE) {
    if (page == last)
      continue;
    if (!page_is_readable(page))
      return false;
    last = page;
  }
  return true;
}

static uintptr_t word_at(uintptr_t address) {
  uintptr_t word;
  memcpy(&word, (const void *)address, sizeof word);
  return word;
}

uintptr_t mproc__strip(uintptr_t address) {
#if defined(__aarch64__)
  /* xpaclri; nothing on a machine without such codes. */
  register uintptr_t value __asm__("x30") = address;
  __asm__("hint #7" : "+r"(value));
  return value;
#else
  return address;
#endif
}

/* MARK: - Images */

static const struct mproc__image *image_of(uintptr_t address) {
  for (int i = 0; i < image_count; i++)
    if (address >= images[i].code_start && address < images[i].code_end)
      return &images[i];
  return NULL;
}

static void note_image(struct mproc_crash_record *record, uintptr_t address) {
  const struct mproc__image *image = image_of(address);
  uint32_t count = record->image_count;
  if (!image || count == MPROC_CRASH_IMAGES)
    return;
  for (uint32_t i = 0; i < count; i++)
    if (record->images[i].start == image->start)
      return;
  struct mproc_crash_image *noted = &record->images[count];
  noted->image = image == images ? 0
                                 : mproc__image_name(image->path,
                                                     image->headers,
                                                     image->header_count);
  noted->base = image->base;
  noted->start = image->start;
  noted->end = image->end;
  const char *slash = strrchr(image->path, '/');
  strncpy(noted->name, slash ? slash + 1 : image->path,
          sizeof noted->name - 1);
  record->image_count = count + 1;
}

/* MARK: - Return addresses */

/* Whether `address` is the one after a call in some image's code. */
static bool is_return_address(uintptr_t address) {
  if (!image_of(address) || !image_of(address - 8) ||
      !mproc__readable(address - 8, 8))
    return false;
#if defined(__x86_64__)
  const uint8_t *end = (const uint8_t *)address;
  if (end[-5] == 0xe8)
    return true;
  /* FF /2, with what addresses its operand: 2, 3, 4, 6 or 7 bytes. */
  static const int lengths[] = {2, 3, 4, 6, 7};
  for (unsigned i = 0; i < sizeof lengths / sizeof *lengths; i++)
    if (end[-lengths[i]] == 0xff && (end[1 - lengths[i]] & 0x38) == 0x10)
      return true;
  return false;
#else
  uint32_t instruction;
  memcpy(&instruction, (const void *)(address - 4), 4);
  return (instruction & 0xfc000000) == 0x94000000 || /* bl */
         (instruction & 0xfe1ff800) == 0xd61f0800 || /* blra… */
         (instruction & 0xfffffc1f) == 0xd63f0000;   /* blr */
#endif
}

/* Whether a frame record, saved pointer and return address, lies there. */
static bool is_frame(uintptr_t frame, uintptr_t lowest) {
  if (frame % 8 != 0 || frame < lowest || frame - lowest > FARTHEST_FRAME ||
      !mproc__readable(frame, 16))
    return false;
  return is_return_address(mproc__strip(word_at(frame + 8)));
}

/* For a crash in code without frame pointers: what may be return addresses of
 * it and its callers, and the first frame record after them. */
static uintptr_t scan(struct mproc_crash_record *record,
                      const struct mproc__registers *registers) {
  uintptr_t sp = (registers->sp + 7) & ~(uintptr_t)7;
  bool is_known = is_frame(registers->fp, sp);
  for (int i = 0; i < MOST_SCANNED_WORDS; i++) {
    uintptr_t at = sp + 8 * (uintptr_t)i;
    if (is_known && at >= registers->fp)
      return registers->fp;
    if (!mproc__readable(at, 8))
      break;
    uintptr_t word = mproc__strip(word_at(at));
    uint32_t count = record->scanned_count;
    if (count < MPROC_CRASH_SCANNED && is_return_address(word)) {
      note_image(record, word);
      record->scanned[count] = word;
      record->scanned_count = count + 1;
    }
    /* A record whose caller's is one as well. */
    if (!is_known && at % 16 == 0 && is_frame(at, sp) &&
        is_frame(word_at(at), at + 16))
      return at;
  }
  return registers->fp;
}

/* MARK: - Frames */

static void push(struct mproc_crash_record *record, uint64_t *total,
                 uintptr_t address) {
  uint64_t number = (*total)++;
  if (number < MPROC_CRASH_FRAMES) {
    note_image(record, address);
    record->frames[number] = address;
    record->frame_count = (uint32_t)number + 1;
  } else {
    outer[number % MPROC_CRASH_OUTER_FRAMES] = address;
  }
}

static void store_outer(struct mproc_crash_record *record, uint64_t total) {
  if (total <= MPROC_CRASH_FRAMES)
    return;
  uint64_t count = total - MPROC_CRASH_FRAMES;
  if (count > MPROC_CRASH_OUTER_FRAMES)
    count = MPROC_CRASH_OUTER_FRAMES;
  record->skipped = total - MPROC_CRASH_FRAMES - count;
  for (uint64_t i = 0; i < count; i++) {
    uint64_t address =
        outer[(total - count + i) % MPROC_CRASH_OUTER_FRAMES];
    note_image(record, address);
    record->outer_frames[i] = address;
    record->outer_count = (uint32_t)i + 1;
  }
}

/* The function that awaits has its caller's async context where it keeps it,
 * below its frame record: [parent context, where it goes on]. Whether the
 * frame is such a function's shows only with its name. */
static void follow_contexts(struct mproc_crash_record *record,
                            uint32_t frame_number, uintptr_t frame) {
  if (record->async_count > 0 || !mproc__readable(frame - 8, 8))
    return;
  uintptr_t context = word_at(frame - 8);
  for (uint32_t i = 0; i < MPROC_CRASH_ASYNC_FRAMES; i++) {
    if (context % 16 != 0 || !mproc__readable(context, 16))
      return;
    uintptr_t resume = mproc__strip(word_at(context + 8));
    if (!image_of(resume))
      return;
    note_image(record, resume);
    record->async_frame = frame_number;
    record->async_frames[i] = resume;
    record->async_count = i + 1;
    uintptr_t parent = word_at(context);
    if (parent == context)
      return;
    context = parent;
  }
}

/* The return address of a frame. A function that makes room for the arguments
 * of a tail call (async ones do) has it some words higher. */
static uintptr_t caller_of(uintptr_t frame) {
  uintptr_t caller = mproc__strip(word_at(frame + 8));
  if (image_of(caller))
    return caller;
  for (uintptr_t at = frame + 16; at <= frame + 64; at += 8) {
    if (!mproc__readable(at, 8))
      break;
    uintptr_t word = mproc__strip(word_at(at));
    if (is_return_address(word))
      return word;
  }
  return caller;
}

void mproc__walk(struct mproc_crash_record *record,
                 const struct mproc__registers *registers) {
  uint64_t total = 0;
  uintptr_t lowest = registers->sp;
  image_count = mproc__images_collect(images, MPROC__IMAGES);
  push(record, &total, registers->pc);
  uintptr_t frame = scan(record, registers);
  /* Bit 60 marks an async function's frame where the compiler sets it. */
  frame &= ~((uintptr_t)1 << 60);
  while (total < MOST_FRAMES && frame % 8 == 0 && frame >= lowest &&
         frame - lowest <= FARTHEST_FRAME && mproc__readable(frame, 16)) {
    uintptr_t caller = caller_of(frame);
    if (caller < SMALLEST_ADDRESS)
      break;
    if (total <= MPROC_CRASH_FRAMES)
      follow_contexts(record, (uint32_t)total - 1, frame);
    push(record, &total, caller);
    lowest = frame + 16;
    frame = word_at(frame) & ~((uintptr_t)1 << 60);
  }
  store_outer(record, total);
}
