/* From places to lines and inlined functions, a unit at a time. */
#include <stdlib.h>
#include <string.h>

#include "dwarf_internal.h"

/* Abbreviations of one unit that are looked up by number. */
#define MOST_ABBREVIATIONS 65536
/* From an inlined call to the function's own name. */
#define MOST_ORIGINS 4

struct abbreviation {
  uint64_t tag; /* 0: none of this number */
  struct mproc__bytes list;
  int64_t size; /* of an entry, where that is always the same, else -1 */
};

/* MARK: - Names */

static bool unit_around(const struct mproc__elf *elf, uint64_t offset,
                        struct mproc__unit *unit) {
  uint64_t start = 0;
  while (mproc__unit_read(elf, start, unit)) {
    if (offset < unit->end)
      return true;
    start = unit->end;
  }
  return false;
}

/* The name of the function whose entry is at `offset`. */
static const char *function_name(const struct mproc__unit *unit,
                                 uint64_t offset) {
  struct mproc__unit other = *unit;
  const char *name = NULL;
  for (int i = 0; i < MOST_ORIGINS && offset != 0; i++) {
    struct mproc__entry entry;
    if ((offset < other.start || offset >= other.end) &&
        !unit_around(unit->elf, offset, &other))
      break;
    if (!mproc__entry_find(&other, offset, &entry))
      break;
    const char *linkage =
        mproc__value_string(&other, &entry.values[MPROC__LINKAGE_NAME]);
    if (linkage)
      return linkage;
    if (!name)
      name = mproc__value_string(&other, &entry.values[MPROC__NAME]);
    offset = mproc__value_reference(&other, &entry.values[MPROC__ORIGIN]);
  }
  return name;
}

/* Tells of the functions around a place, from the inside out. */
static void report(const struct mproc__unit *unit,
                   const struct mproc__lookups *lookups,
                   struct mproc__lookup *lookup) {
  char path[4096];
  uint64_t file = lookup->file;
  uint32_t line = lookup->line, column = lookup->column;
  for (uint32_t i = lookup->inlined_count + 1; i-- > 0;) {
    const struct mproc__inlined *inlined =
        i > 0 ? &lookup->inlined[i - 1] : NULL;
    uint64_t entry = inlined ? inlined->origin : lookup->subprogram;
    struct mproc_symbol symbol = {
        .function = entry ? function_name(unit, entry) : NULL,
        .file = line ? mproc__line_file(unit, file, path, sizeof path) : NULL,
        .line = line,
        .column = column,
        .is_inlined = inlined != NULL,
    };
    mproc__report(unit->elf, lookups, lookup, symbol);
    if (inlined) {
      file = inlined->call_file;
      line = inlined->call_line;
      column = inlined->call_column;
    }
  }
}

/* MARK: - Ranges that hold a place */

struct match {
  struct mproc__lookups *lookups;
  const struct mproc__entry *entry;
  const struct mproc__unit *unit;
  uint64_t offset; /* of the entry */
  bool is_any;
};

static void match_unit(void *context, uint64_t begin, uint64_t end) {
  struct match *match = context;
  if (begin == 0)
    return; /* removed by the linker */
  for (size_t i = mproc__lookups_from(match->lookups, begin);
       i < match->lookups->count && match->lookups->all[i].offset < end; i++) {
    struct mproc__lookup *lookup = &match->lookups->all[i];
    if (!lookup->is_done)
      lookup->is_in_unit = match->is_any = true;
  }
}

/* Entries come with those around them first, so an inlined call belongs into
 * the ones before it that hold the place too. */
static void match_entry(void *context, uint64_t begin, uint64_t end) {
  struct match *match = context;
  const struct mproc__value *values = match->entry->values;
  if (begin == 0)
    return;
  for (size_t i = mproc__lookups_from(match->lookups, begin);
       i < match->lookups->count && match->lookups->all[i].offset < end; i++) {
    struct mproc__lookup *lookup = &match->lookups->all[i];
    if (!lookup->is_in_unit)
      continue;
    if (match->entry->tag == DW_TAG_subprogram) {
      lookup->subprogram = match->offset;
      lookup->inlined_count = 0;
    } else if (lookup->inlined_count < MPROC__INLINED) {
      lookup->inlined[lookup->inlined_count++] = (struct mproc__inlined){
          mproc__value_reference(match->unit, &values[MPROC__ORIGIN]),
          (uint32_t)values[MPROC__CALL_FILE].number,
          (uint32_t)values[MPROC__CALL_LINE].number,
          (uint32_t)values[MPROC__CALL_COLUMN].number};
    }
  }
}

/* MARK: - All entries of a unit */

static int64_t size_of(const struct mproc__unit *unit,
                       struct mproc__bytes list) {
  uint64_t name, form;
  int64_t constant, total = 0;
  while (mproc__attribute_take(&list, &name, &form, &constant)) {
    int size = mproc__form_size(unit, form);
    if (size < 0)
      return -1;
    total += size;
  }
  return total;
}

/* The unit's abbreviations by number, which compilers give from 1 on. */
static struct abbreviation *abbreviations(const struct mproc__unit *unit,
                                          uint64_t *count) {
  struct mproc__bytes first = mproc__from(
      unit->elf->sections[MPROC__DEBUG_ABBREV], unit->abbreviations);
  struct mproc__bytes at = first;
  struct abbreviation *all = NULL;
  uint64_t code, name, form;
  int64_t constant;
  /* Once to see how many there are, once to take them. */
  for (int pass = 0; pass < 2; pass++, at = first) {
    uint64_t most = 0;
    while ((code = mproc__take_uleb(&at)) != 0) {
      uint64_t tag = mproc__take_uleb(&at);
      mproc__take(&at, 1); /* whether it has children */
      struct mproc__bytes list = at;
      while (mproc__attribute_take(&at, &name, &form, &constant))
        ;
      if (code > most && code < MOST_ABBREVIATIONS)
        most = code;
      if (pass == 1 && code < *count)
        all[code] = (struct abbreviation){tag, list, size_of(unit, list)};
    }
    if (pass == 0) {
      *count = most + 1;
      all = calloc(*count, sizeof *all);
      if (!all)
        return NULL;
    }
  }
  return all;
}

/* Passes over an entry that does not matter. */
static bool pass(const struct mproc__unit *unit,
                 const struct abbreviation *abbreviation,
                 struct mproc__bytes *at) {
  if (abbreviation->size >= 0) {
    mproc__skip(at, (uint64_t)abbreviation->size);
    return true;
  }
  struct mproc__bytes list = abbreviation->list;
  uint64_t name, form;
  int64_t constant;
  struct mproc__value value;
  while (mproc__attribute_take(&list, &name, &form, &constant))
    if (!mproc__form_take(unit, form, constant, at, &value))
      return false;
  return true;
}

static void walk(const struct mproc__unit *unit,
                 struct mproc__lookups *lookups) {
  struct mproc__bytes info = unit->elf->sections[MPROC__DEBUG_INFO];
  struct mproc__bytes at = {info.at + unit->entries, info.at + unit->end};
  uint64_t count = 0;
  struct abbreviation *all = abbreviations(unit, &count);
  while (all && mproc__left(&at) > 0) {
    struct mproc__entry entry;
    uint64_t offset = (uint64_t)(at.at - info.at);
    uint64_t code = mproc__take_uleb(&at);
    if (code == 0)
      continue; /* the end of somebody's children */
    if (code >= count || all[code].tag == 0)
      break;
    if (all[code].tag != DW_TAG_subprogram &&
        all[code].tag != DW_TAG_inlined_subroutine) {
      if (!pass(unit, &all[code], &at))
        break;
      continue;
    }
    if (!mproc__entry_read(unit, all[code].tag, all[code].list, &at, &entry))
      break;
    struct match match = {lookups, &entry, unit, offset, false};
    mproc__entry_ranges(unit, &entry, match_entry, &match);
  }
  free(all);
}

void mproc__dwarf_find(const struct mproc__elf *elf,
                       struct mproc__lookups *lookups, uint64_t most_bytes) {
  struct mproc__unit unit;
  for (uint64_t start = 0; mproc__unit_read(elf, start, &unit);
       start = unit.end) {
    struct mproc__entry first;
    if (!mproc__entry_find(&unit, unit.entries, &first))
      continue;
    struct match match = {lookups, &first, &unit, unit.entries, false};
    mproc__entry_ranges(&unit, &first, match_unit, &match);
    if (!match.is_any)
      continue;
    mproc__lines_find(&unit, lookups);
    if (unit.end - unit.start <= most_bytes) {
      most_bytes -= unit.end - unit.start;
      walk(&unit, lookups);
    }
    for (size_t i = 0; i < lookups->count; i++) {
      struct mproc__lookup *lookup = &lookups->all[i];
      if (!lookup->is_in_unit)
        continue;
      report(&unit, lookups, lookup);
      lookup->is_in_unit = false;
    }
  }
}
