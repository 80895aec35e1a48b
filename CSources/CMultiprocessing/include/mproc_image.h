/* Places in this program's code, named so that another copy of the same
 * executable finds them: by loaded image and offset from its base. */
#ifndef MPROC_IMAGE_H
#define MPROC_IMAGE_H

#include <stdint.h>

/* The executable is image 0; a shared library is the hash of its path and its
 * segments, so that one that the other side lacks, or has in another version,
 * is not found instead of mistaken. */
struct mproc_place {
  uint64_t image;
  uint64_t offset;
};

/* Where an address lies. */
enum mproc_place_kind {
  MPROC_PLACE_CODE = 1, /* an executable segment */
  MPROC_PLACE_DATA = 2, /* any other segment of an image */
};

/* Names `address`: its kind, or -ENOENT when no image holds it. */
int mproc_place_of(uintptr_t address, struct mproc_place *place);
/* Finds a place again: its kind, or -ENOENT when the image is not loaded here
 * or has no such offset. */
int mproc_place_find(struct mproc_place place, uintptr_t *address);

#endif
