/* What the core's other parts need of images. */
#ifndef MPROC_IMAGE_INTERNAL_H
#define MPROC_IMAGE_INTERNAL_H

#include <link.h>
#include <stdint.h>

/* The name of a shared library in struct mproc_place, never 0. Reads only what
 * it is given, so that a signal handler can call it. */
uint64_t mproc__image_name(const char *path, const ElfW(Phdr) *segments,
                           int count);

/* A loaded image; its path is that of the dynamic linker. */
struct mproc__loaded {
  uintptr_t base;
  const ElfW(Phdr) *segments;
  int count;
  char path[4096];
};
/* 0, or -ENOENT. Not in a signal handler. */
int mproc__image_find(uint64_t image, struct mproc__loaded *loaded);

#endif
