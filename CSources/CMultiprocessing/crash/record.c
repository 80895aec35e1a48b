/* The application's side of a crash record: a copy of it, taken apart. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../memory/memfd.h"
#include "mproc_memory_policy.h"
#include "crash_internal.h"

static void clamp(uint32_t *count, uint32_t most) {
  if (*count > most)
    *count = most;
}

/* A copy that the other side cannot change any more. */
static int check(struct mproc_crash_record *record) {
  if (record->state != MPROC_CRASH_FACTS &&
      record->state != MPROC_CRASH_COMPLETE)
    return -ENODATA;
  clamp(&record->frame_count, MPROC_CRASH_FRAMES);
  clamp(&record->outer_count, MPROC_CRASH_OUTER_FRAMES);
  clamp(&record->scanned_count, MPROC_CRASH_SCANNED);
  clamp(&record->async_count, MPROC_CRASH_ASYNC_FRAMES);
  clamp(&record->image_count, MPROC_CRASH_IMAGES);
  record->thread_name[sizeof record->thread_name - 1] = 0;
  for (uint32_t i = 0; i < record->image_count; i++)
    record->images[i].name[sizeof record->images[i].name - 1] = 0;
  return 0;
}

int mproc_crash_read(const void *page, struct mproc_crash_record *record) {
  const struct mproc_crash_record *shared =
      (const struct mproc_crash_record *)((const char *)page +
                                          MPROC_CRASH_OFFSET);
  uint32_t state = __atomic_load_n(&shared->state, __ATOMIC_ACQUIRE); /* A1 */
  if (state == MPROC_CRASH_NONE)
    return -ENODATA;
  memcpy(record, shared, sizeof *record);
  return check(record);
}

int mproc_crash_open(const void **page) {
  int descriptor =
      mproc__memfd_create("mproc-crash", MPROC_CRASH_PAGE_BYTES, false,
                          MPROC_NODE_ANY);
  if (descriptor < 0)
    return descriptor;
  void *mapped = mmap(NULL, MPROC_CRASH_PAGE_BYTES, PROT_READ, MAP_SHARED,
                      descriptor, 0);
  if (mapped == MAP_FAILED) {
    int error = errno;
    close(descriptor);
    return -error;
  }
  *page = mapped;
  return descriptor;
}

void mproc_crash_close(const void *page) {
  munmap((void *)page, MPROC_CRASH_PAGE_BYTES);
}

static void append(const struct mproc_crash_record *record,
                   struct mproc_crash_frame *frames, size_t *count,
                   enum mproc_crash_frame_kind kind, uint64_t address) {
  struct mproc_crash_frame *frame = &frames[(*count)++];
  *frame = (struct mproc_crash_frame){
      .kind = kind, .image_index = UINT32_MAX, .address = address};
  for (uint32_t i = 0; kind != MPROC_FRAME_GAP && i < record->image_count;
       i++) {
    const struct mproc_crash_image *image = &record->images[i];
    if (address < image->start || address >= image->end)
      continue;
    frame->image_index = i;
    frame->place =
        (struct mproc_place){image->image, address - image->base};
    return;
  }
}

size_t mproc_crash_frames(const struct mproc_crash_record *record,
                          struct mproc_crash_frame *frames) {
  size_t count = 0;
  for (uint32_t i = 0; i < record->frame_count; i++) {
    append(record, frames, &count,
           i == 0 ? MPROC_FRAME_INSTRUCTION : MPROC_FRAME_RETURN,
           record->frames[i]);
    for (uint32_t j = 0; i == 0 && j < record->scanned_count; j++)
      append(record, frames, &count, MPROC_FRAME_SCANNED, record->scanned[j]);
    for (uint32_t j = 0; i == record->async_frame && j < record->async_count;
         j++)
      append(record, frames, &count, MPROC_FRAME_ASYNC,
             record->async_frames[j]);
  }
  if (record->skipped > 0)
    append(record, frames, &count, MPROC_FRAME_GAP, record->skipped);
  for (uint32_t i = 0; i < record->outer_count; i++)
    append(record, frames, &count, MPROC_FRAME_RETURN,
           record->outer_frames[i]);
  return count;
}
