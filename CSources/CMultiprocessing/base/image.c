#include "mproc_image.h"

#include <errno.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "image_internal.h"

/* One search over the loaded images, by address or by name. */
struct search {
  bool by_address;
  uintptr_t address;
  struct mproc_place place;
  int kind;
  bool first;
};

static uint64_t mix(uint64_t hash, uint64_t value) {
  /* FNV-1a, 64 bits, over the bytes of `value`. */
  for (int i = 0; i < 8; i++)
    hash = (hash ^ (value >> (8 * i) & 0xff)) * 0x100000001b3ull;
  return hash;
}

uint64_t mproc__image_name(const char *path, const ElfW(Phdr) *segments,
                           int count) {
  uint64_t hash = 0xcbf29ce484222325ull;
  for (const char *c = path; *c; c++)
    hash = mix(hash, (unsigned char)*c);
  for (int i = 0; i < count; i++) {
    hash = mix(hash, segments[i].p_vaddr);
    hash = mix(hash, segments[i].p_memsz);
  }
  return hash | 1;
}

static uint64_t image_name(const struct dl_phdr_info *info) {
  return mproc__image_name(info->dlpi_name, info->dlpi_phdr, info->dlpi_phnum);
}

/* The kind of the segment at `offset` from the image's base, or 0. */
static int segment_kind(const struct dl_phdr_info *info, uint64_t offset) {
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
    if (segment->p_type == PT_LOAD && offset >= segment->p_vaddr &&
        offset - segment->p_vaddr < segment->p_memsz)
      return segment->p_flags & PF_X ? MPROC_PLACE_CODE : MPROC_PLACE_DATA;
  }
  return 0;
}

static int visit(struct dl_phdr_info *info, size_t size, void *context) {
  (void)size;
  struct search *search = context;
  bool is_executable = search->first;
  search->first = false;
  if (search->by_address) {
    uint64_t offset = search->address - info->dlpi_addr;
    search->kind = segment_kind(info, offset);
    if (!search->kind)
      return 0;
    search->place = (struct mproc_place){
        is_executable ? 0 : image_name(info), offset};
    return 1;
  }
  if (search->place.image != (is_executable ? 0 : image_name(info)))
    return 0;
  search->kind = segment_kind(info, search->place.offset);
  search->address = info->dlpi_addr + search->place.offset;
  return 1;
}

int mproc_place_of(uintptr_t address, struct mproc_place *place) {
  struct search search = {
      .by_address = true, .address = address, .first = true};
  if (!dl_iterate_phdr(visit, &search))
    return -ENOENT;
  *place = search.place;
  return search.kind;
}

int mproc_place_find(struct mproc_place place, uintptr_t *address) {
  struct search search = {.place = place, .first = true};
  if (!dl_iterate_phdr(visit, &search) || !search.kind)
    return -ENOENT;
  *address = search.address;
  return search.kind;
}

/* MARK: - By name alone */

struct named {
  uint64_t image;
  struct mproc__loaded *loaded;
  bool first;
};

static int visit_named(struct dl_phdr_info *info, size_t size, void *context) {
  (void)size;
  struct named *named = context;
  uint64_t image = named->first ? 0 : image_name(info);
  named->first = false;
  if (image != named->image)
    return 0;
  named->loaded->base = info->dlpi_addr;
  named->loaded->segments = info->dlpi_phdr;
  named->loaded->count = info->dlpi_phnum;
  snprintf(named->loaded->path, sizeof named->loaded->path, "%s",
           info->dlpi_name);
  return 1;
}

int mproc__image_find(uint64_t image, struct mproc__loaded *loaded) {
  struct named named = {image, loaded, true};
  return dl_iterate_phdr(visit_named, &named) ? 0 : -ENOENT;
}
