/* From places to names: the symbol table in one pass over it, whatever the
 * number of places, then the debug information. */
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

#include "symbols_internal.h"

static int by_offset(const void *left, const void *right) {
  const struct mproc__lookup *a = left, *b = right;
  return a->offset < b->offset ? -1 : a->offset > b->offset;
}

size_t mproc__lookups_from(const struct mproc__lookups *lookups,
                           uint64_t offset) {
  size_t low = 0, high = lookups->count;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (lookups->all[middle].offset < offset)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/* MARK: - The symbol table */

/* How far a symbol without a size reaches. */
#define UNSIZED_BYTES 64

/* Takes the innermost symbol around the place. */
static void offer(struct mproc__lookup *lookup, const ElfW(Sym) *symbol,
                  const char *name) {
  bool is_closer = symbol->st_value > lookup->function_start ||
                   lookup->function == NULL;
  bool is_bounded = symbol->st_size > 0 && lookup->function_size == 0;
  if (!is_closer && !(symbol->st_value == lookup->function_start && is_bounded))
    return;
  lookup->function = name;
  lookup->function_start = symbol->st_value;
  lookup->function_size = symbol->st_size;
}

static void find_functions(const struct mproc__elf *elf,
                           struct mproc__lookups *lookups) {
  struct mproc__bytes symbols = elf->sections[MPROC__SYMBOLS];
  uint64_t last = lookups->all[lookups->count - 1].offset;
  ElfW(Sym) symbol;
  while (mproc__left(&symbols) >= sizeof symbol) {
    memcpy(&symbol, symbols.at, sizeof symbol);
    mproc__skip(&symbols, sizeof symbol);
    int type = ELF64_ST_TYPE(symbol.st_info);
    if ((type != STT_FUNC && type != STT_GNU_IFUNC) ||
        symbol.st_shndx == SHN_UNDEF || symbol.st_value > last)
      continue;
    size_t first = mproc__lookups_from(lookups, symbol.st_value);
    struct mproc__bytes strings =
        mproc__from(elf->sections[MPROC__STRINGS], symbol.st_name);
    const char *name = NULL;
    for (size_t i = first; i < lookups->count; i++) {
      struct mproc__lookup *lookup = &lookups->all[i];
      if (lookup->offset - symbol.st_value >=
          (symbol.st_size > 0 ? symbol.st_size : UNSIZED_BYTES))
        break;
      if (!name && !(name = mproc__take_string(&strings)))
        break;
      offer(lookup, &symbol, name);
    }
  }
}

/* push rbp, mov rbp, rsp; stp x29, x30 and mov x29, sp: among the first
 * instructions, because others may be put before or between. */
static bool keeps_frame_pointer(const struct mproc__elf *elf,
                                uint64_t function) {
  struct mproc__bytes code = mproc__elf_code(elf, function);
  size_t size = mproc__left(&code);
#if defined(__x86_64__)
  /* mov rbp, rsp in both encodings; lea rbp, [rsp + n] in async functions. */
  static const uint8_t moves[][4] = {
      {0x48, 0x89, 0xe5}, {0x48, 0x8b, 0xec}, {0x48, 0x8d, 0x6c, 0x24}};
  static const size_t sizes[] = {3, 3, 4};
  bool is_pushed = false;
  for (size_t i = 0; i < 24 && i + 4 <= size; i++) {
    if (code.at[i] == 0x55)
      is_pushed = true;
    for (unsigned j = 0; is_pushed && j < 3; j++)
      if (memcmp(code.at + i, moves[j], sizes[j]) == 0)
        return true;
  }
#elif defined(__aarch64__)
  for (size_t i = 0; i < 32 && i + 4 <= size; i += 4) {
    uint32_t instruction;
    memcpy(&instruction, code.at + i, 4);
    /* add x29, sp, #n */
    if ((instruction & 0xffc003ff) == 0x910003fd)
      return true;
  }
#endif
  return false;
}

void mproc__report(const struct mproc__elf *elf,
                   const struct mproc__lookups *lookups,
                   struct mproc__lookup *lookup, struct mproc_symbol symbol) {
  if (!symbol.is_inlined) {
    lookup->is_done = true;
    if (lookup->function) {
      symbol.function = lookup->function;
      symbol.keeps_frame_pointer =
          keeps_frame_pointer(elf, lookup->function_start);
    }
  }
  lookups->found(lookups->context, lookup->index, &symbol);
}

int mproc__symbols_find(const struct mproc__elf *elf, const uint64_t *offsets,
                        size_t count, uint64_t most_bytes,
                        mproc_symbol_found found, void *context) {
  if (count == 0)
    return 0;
  if (count > MPROC_SYMBOLS_MOST)
    return -EINVAL;
  struct mproc__lookup *all = calloc(count, sizeof *all);
  if (!all)
    return -ENOMEM;
  for (size_t i = 0; i < count; i++) {
    all[i].offset = offsets[i];
    all[i].index = i;
  }
  qsort(all, count, sizeof *all, by_offset);
  struct mproc__lookups lookups = {all, count, found, context};
  find_functions(elf, &lookups);
  mproc__dwarf_find(elf, &lookups, most_bytes);
  for (size_t i = 0; i < count; i++)
    if (!all[i].is_done && all[i].function)
      mproc__report(elf, &lookups, &all[i], (struct mproc_symbol){0});
  free(all);
  return 0;
}

int mproc_symbols_find(uint64_t image, const uint64_t *offsets, size_t count,
                       uint64_t most_bytes, mproc_symbol_found found,
                       void *context) {
  struct mproc__elf elf;
  int result = mproc__elf_open(image, &elf);
  if (result < 0)
    return result;
  result = mproc__symbols_find(&elf, offsets, count, most_bytes, found,
                               context);
  mproc__elf_close(&elf);
  return result;
}
