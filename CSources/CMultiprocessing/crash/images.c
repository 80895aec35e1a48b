/* The loaded images, read from the dynamic linker's list for debuggers, which
 * needs no lock: a crash may have come in the middle of dlopen. */
#include <string.h>

#include "crash_internal.h"

extern const ElfW(Ehdr) __ehdr_start
    __attribute__((weak, visibility("hidden")));
extern ElfW(Dyn) _DYNAMIC[] __attribute__((weak, visibility("hidden")));

static bool is_readable_text(const char *text) {
  /* Asked again at each page. */
  for (uintptr_t at = (uintptr_t)text, asked = 0;; at++) {
    if (at >> 12 != asked) {
      if (!mproc__readable(at, 1))
        return false;
      asked = at >> 12;
    }
    if (*(const char *)at == 0)
      return true;
  }
}

/* From an image's mapped ELF header; false when there is none. `base` is known
 * but for the executable, where it follows from the header's own place. */
static bool describe(const ElfW(Ehdr) *header, bool knows_base,
                     uintptr_t base, struct mproc__image *image) {
  uintptr_t at = (uintptr_t)header;
  if (!mproc__readable(at, sizeof *header) ||
      memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
      header->e_phentsize != sizeof(ElfW(Phdr)))
    return false;
  const ElfW(Phdr) *segments = (const ElfW(Phdr) *)(at + header->e_phoff);
  int count = header->e_phnum;
  if (count > 256 || !mproc__readable((uintptr_t)segments,
                                      (size_t)count * sizeof *segments))
    return false;
  for (int i = 0; !knows_base && i < count; i++) {
    if (segments[i].p_type == PT_LOAD && segments[i].p_offset == 0) {
      base = at - segments[i].p_vaddr;
      knows_base = true;
    }
  }
  *image = (struct mproc__image){.base = base, .start = UINTPTR_MAX,
                                 .code_start = UINTPTR_MAX,
                                 .headers = segments, .header_count = count,
                                 .path = ""};
  for (int i = 0; i < count; i++) {
    if (segments[i].p_type != PT_LOAD)
      continue;
    uintptr_t start = base + segments[i].p_vaddr;
    uintptr_t end = start + segments[i].p_memsz;
    if (start < image->start)
      image->start = start;
    if (end > image->end)
      image->end = end;
    if (!(segments[i].p_flags & PF_X))
      continue;
    if (start < image->code_start)
      image->code_start = start;
    if (end > image->code_end)
      image->code_end = end;
  }
  return knows_base && image->end != 0;
}

static const struct link_map *first_link(void) {
  if (!_DYNAMIC)
    return NULL; /* linked statically: the executable is all there is */
  for (const ElfW(Dyn) *entry = _DYNAMIC; entry->d_tag != DT_NULL; entry++) {
    if (entry->d_tag != DT_DEBUG || entry->d_un.d_ptr == 0)
      continue;
    const struct r_debug *debug = (const struct r_debug *)entry->d_un.d_ptr;
    return mproc__readable((uintptr_t)debug, sizeof *debug) ? debug->r_map
                                                            : NULL;
  }
  return NULL;
}

int mproc__images_collect(struct mproc__image *images, int capacity) {
  int count = 0;
  if (&__ehdr_start && capacity > 0 &&
      describe(&__ehdr_start, false, 0, &images[0]))
    count = 1;
  const struct link_map *link = first_link();
  /* The first one is the executable. */
  for (int seen = 0; link && count < capacity && seen < 4096; seen++) {
    if (!mproc__readable((uintptr_t)link, sizeof *link))
      break;
    if (seen > 0 && is_readable_text(link->l_name) &&
        describe((const ElfW(Ehdr) *)link->l_addr, true, link->l_addr,
                 &images[count]))
      images[count++].path = link->l_name;
    link = link->l_next;
  }
  return count;
}
