/* The file that an image was loaded from: its sections. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/image_internal.h"
#include "symbols_internal.h"

/* MARK: - Cursors */

uint64_t mproc__take_uleb(struct mproc__bytes *bytes) {
  uint64_t value = 0;
  for (unsigned shift = 0; bytes->at < bytes->end; shift += 7) {
    uint8_t byte = *bytes->at++;
    if (shift < 64)
      value |= (uint64_t)(byte & 0x7f) << shift;
    if (!(byte & 0x80))
      break;
  }
  return value;
}

int64_t mproc__take_sleb(struct mproc__bytes *bytes) {
  uint64_t value = 0;
  for (unsigned shift = 0; bytes->at < bytes->end;) {
    uint8_t byte = *bytes->at++;
    if (shift < 64)
      value |= (uint64_t)(byte & 0x7f) << shift;
    shift += 7;
    if (byte & 0x80)
      continue;
    if (shift < 64 && byte & 0x40)
      value |= ~UINT64_C(0) << shift;
    break;
  }
  return (int64_t)value;
}

const char *mproc__take_string(struct mproc__bytes *bytes) {
  const uint8_t *begin = bytes->at;
  const uint8_t *end =
      begin < bytes->end ? memchr(begin, 0, mproc__left(bytes)) : NULL;
  bytes->at = end ? end + 1 : bytes->end;
  return end ? (const char *)begin : NULL;
}

struct mproc__bytes mproc__from(struct mproc__bytes bytes, uint64_t offset) {
  mproc__skip(&bytes, offset);
  return bytes;
}

/* MARK: - Sections */

static const char *const names[MPROC__SECTIONS] = {
    [MPROC__SYMBOLS] = ".symtab",
    [MPROC__STRINGS] = ".strtab",
    [MPROC__DEBUG_INFO] = ".debug_info",
    [MPROC__DEBUG_ABBREV] = ".debug_abbrev",
    [MPROC__DEBUG_LINE] = ".debug_line",
    [MPROC__DEBUG_STR] = ".debug_str",
    [MPROC__DEBUG_LINE_STR] = ".debug_line_str",
    [MPROC__DEBUG_STR_OFFSETS] = ".debug_str_offsets",
    [MPROC__DEBUG_ADDR] = ".debug_addr",
    [MPROC__DEBUG_RANGES] = ".debug_ranges",
    [MPROC__DEBUG_RNGLISTS] = ".debug_rnglists",
};

/* `size` bytes at `offset` of the file; nothing when they are not all there. */
static struct mproc__bytes part(struct mproc__bytes file, uint64_t offset,
                                uint64_t size) {
  struct mproc__bytes bytes = mproc__from(file, offset);
  if (size > mproc__left(&bytes))
    size = 0;
  bytes.end = bytes.at + size;
  return bytes;
}

static ElfW(Shdr) section_at(struct mproc__bytes table, size_t index) {
  ElfW(Shdr) section = {0};
  struct mproc__bytes one =
      part(table, index * sizeof section, sizeof section);
  if (mproc__left(&one) == sizeof section)
    memcpy(&section, one.at, sizeof section);
  return section;
}

int mproc__elf_parse(struct mproc__bytes file, struct mproc__elf *elf) {
  ElfW(Ehdr) header;
  if (mproc__left(&file) < sizeof header)
    return -ENOEXEC;
  memcpy(&header, file.at, sizeof header);
  if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
      header.e_ident[EI_CLASS] != ELFCLASS64 ||
      header.e_shentsize != sizeof(ElfW(Shdr)))
    return -ENOEXEC;
  *elf = (struct mproc__elf){.file = file};
  struct mproc__bytes table = mproc__from(file, header.e_shoff);
  ElfW(Shdr) strings = section_at(table, header.e_shstrndx);
  struct mproc__bytes texts = part(file, strings.sh_offset, strings.sh_size);
  struct mproc__bytes dynamic_symbols = {0}, dynamic_strings = {0};
  for (size_t i = 0; i < header.e_shnum; i++) {
    ElfW(Shdr) section = section_at(table, i);
    struct mproc__bytes at = mproc__from(texts, section.sh_name);
    const char *name = mproc__take_string(&at);
    if (!name || section.sh_type == SHT_NOBITS ||
        section.sh_flags & SHF_COMPRESSED)
      continue;
    struct mproc__bytes bytes =
        part(file, section.sh_offset, section.sh_size);
    for (int kind = 0; kind < MPROC__SECTIONS; kind++)
      if (strcmp(name, names[kind]) == 0)
        elf->sections[kind] = bytes;
    if (section.sh_type == SHT_DYNSYM) {
      ElfW(Shdr) link = section_at(table, section.sh_link);
      dynamic_symbols = bytes;
      dynamic_strings = part(file, link.sh_offset, link.sh_size);
    }
  }
  if (mproc__left(&elf->sections[MPROC__SYMBOLS]) == 0) {
    elf->sections[MPROC__SYMBOLS] = dynamic_symbols;
    elf->sections[MPROC__STRINGS] = dynamic_strings;
  }
  return 0;
}

/* MARK: - The loaded image's file */

/* Segments and notes (the build's id) are those in memory. */
static bool is_same(struct mproc__bytes file,
                    const struct mproc__loaded *loaded) {
  ElfW(Ehdr) header;
  if (mproc__left(&file) < sizeof header)
    return false;
  memcpy(&header, file.at, sizeof header);
  size_t size = (size_t)loaded->count * sizeof(ElfW(Phdr));
  struct mproc__bytes segments = part(file, header.e_phoff, size);
  if (header.e_phnum != loaded->count || mproc__left(&segments) != size ||
      memcmp(segments.at, loaded->segments, size) != 0)
    return false;
  for (int i = 0; i < loaded->count; i++) {
    const ElfW(Phdr) *segment = &loaded->segments[i];
    if (segment->p_type != PT_NOTE)
      continue;
    struct mproc__bytes note =
        part(file, segment->p_offset, segment->p_filesz);
    if (mproc__left(&note) != segment->p_filesz ||
        memcmp(note.at, (const void *)(loaded->base + segment->p_vaddr),
               segment->p_filesz) != 0)
      return false;
  }
  return true;
}

int mproc__elf_open(uint64_t image, struct mproc__elf *elf) {
  struct mproc__loaded loaded;
  struct stat status;
  int result = mproc__image_find(image, &loaded);
  if (result < 0)
    return result;
  int descriptor = open(image == 0 ? "/proc/self/exe" : loaded.path,
                        O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
    return -errno;
  void *file = MAP_FAILED;
  if (fstat(descriptor, &status) == 0 && status.st_size > 0)
    file = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE,
                descriptor, 0);
  result = file == MAP_FAILED ? -errno : 0;
  close(descriptor);
  if (result < 0)
    return result;
  const uint8_t *begin = file;
  struct mproc__bytes bytes = {begin, begin + status.st_size};
  result = is_same(bytes, &loaded) ? mproc__elf_parse(bytes, elf) : -ESTALE;
  if (result < 0)
    munmap(file, (size_t)status.st_size);
  return result;
}

void mproc__elf_close(struct mproc__elf *elf) {
  munmap((void *)elf->file.at, mproc__left(&elf->file));
}

struct mproc__bytes mproc__elf_code(const struct mproc__elf *elf,
                                    uint64_t offset) {
  ElfW(Ehdr) header;
  ElfW(Phdr) segment;
  memcpy(&header, elf->file.at, sizeof header); /* checked when parsed */
  struct mproc__bytes table = mproc__from(elf->file, header.e_phoff);
  for (int i = 0; i < header.e_phnum; i++) {
    struct mproc__bytes one =
        part(table, (uint64_t)i * sizeof segment, sizeof segment);
    if (mproc__left(&one) != sizeof segment)
      break;
    memcpy(&segment, one.at, sizeof segment);
    if (segment.p_type != PT_LOAD || offset < segment.p_vaddr ||
        offset - segment.p_vaddr >= segment.p_filesz)
      continue;
    struct mproc__bytes bytes =
        part(elf->file, segment.p_offset, segment.p_filesz);
    return mproc__from(bytes, offset - segment.p_vaddr);
  }
  return (struct mproc__bytes){elf->file.end, elf->file.end};
}
