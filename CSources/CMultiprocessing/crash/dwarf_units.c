/* Compilation units and their entries. */
#include <string.h>

#include "dwarf_internal.h"

enum {
  DW_UT_compile = 1,
  DW_UT_partial = 3,

  DW_RLE_end_of_list = 0,
  DW_RLE_base_addressx,
  DW_RLE_startx_endx,
  DW_RLE_startx_length,
  DW_RLE_offset_pair,
  DW_RLE_base_address,
  DW_RLE_start_end,
  DW_RLE_start_length,
};

/* MARK: - Entries */

static int attribute_of(uint64_t name) {
  switch (name) {
  case DW_AT_name: return MPROC__NAME;
  case DW_AT_linkage_name:
  case DW_AT_MIPS_linkage_name: return MPROC__LINKAGE_NAME;
  case DW_AT_abstract_origin:
  case DW_AT_specification: return MPROC__ORIGIN;
  case DW_AT_low_pc: return MPROC__LOW;
  case DW_AT_high_pc: return MPROC__HIGH;
  case DW_AT_ranges: return MPROC__RANGES;
  case DW_AT_call_file: return MPROC__CALL_FILE;
  case DW_AT_call_line: return MPROC__CALL_LINE;
  case DW_AT_call_column: return MPROC__CALL_COLUMN;
  case DW_AT_stmt_list: return MPROC__LINES;
  case DW_AT_comp_dir: return MPROC__DIRECTORY;
  case DW_AT_str_offsets_base: return MPROC__STRING_OFFSETS;
  case DW_AT_addr_base: return MPROC__ADDRESSES;
  case DW_AT_rnglists_base: return MPROC__RANGE_LISTS;
  default: return -1;
  }
}

bool mproc__entry_read(const struct mproc__unit *unit, uint64_t tag,
                       struct mproc__bytes list, struct mproc__bytes *at,
                       struct mproc__entry *entry) {
  uint64_t name, form;
  int64_t constant;
  memset(entry, 0, sizeof *entry);
  entry->tag = tag;
  while (mproc__attribute_take(&list, &name, &form, &constant)) {
    struct mproc__value value;
    if (!mproc__form_take(unit, form, constant, at, &value))
      return false;
    int attribute = attribute_of(name);
    if (attribute >= 0)
      entry->values[attribute] = value;
  }
  return true;
}

/* The attributes of abbreviation `code`, by reading all before it. */
static bool find_abbreviation(const struct mproc__unit *unit, uint64_t code,
                              uint64_t *tag, struct mproc__bytes *list) {
  struct mproc__bytes at =
      mproc__from(unit->elf->sections[MPROC__DEBUG_ABBREV],
                  unit->abbreviations);
  uint64_t found, name, form;
  int64_t constant;
  while ((found = mproc__take_uleb(&at)) != 0) {
    *tag = mproc__take_uleb(&at);
    mproc__take(&at, 1); /* whether it has children */
    *list = at;
    if (found == code)
      return true;
    while (mproc__attribute_take(&at, &name, &form, &constant))
      ;
  }
  return false;
}

bool mproc__entry_find(const struct mproc__unit *unit, uint64_t offset,
                       struct mproc__entry *entry) {
  struct mproc__bytes list, at = unit->elf->sections[MPROC__DEBUG_INFO];
  uint64_t tag;
  if (offset < unit->entries || offset >= unit->end)
    return false;
  at.end = at.at + unit->end;
  mproc__skip(&at, offset);
  uint64_t code = mproc__take_uleb(&at);
  return code != 0 && find_abbreviation(unit, code, &tag, &list) &&
         mproc__entry_read(unit, tag, list, &at, entry);
}

/* MARK: - Units */

/* What the unit's first entry says, in the order in which it is needed. */
static void read_first_entry(struct mproc__unit *unit) {
  struct mproc__entry entry;
  if (!mproc__entry_find(unit, unit->entries, &entry))
    return;
  const struct mproc__value *values = entry.values;
  unit->string_offsets = values[MPROC__STRING_OFFSETS].number;
  unit->addresses = values[MPROC__ADDRESSES].number;
  unit->range_lists = values[MPROC__RANGE_LISTS].number;
  unit->has_lines = values[MPROC__LINES].form != 0;
  unit->lines = values[MPROC__LINES].number;
  unit->low = mproc__value_address(unit, &values[MPROC__LOW]);
  unit->directory = mproc__value_string(unit, &values[MPROC__DIRECTORY]);
}

bool mproc__unit_read(const struct mproc__elf *elf, uint64_t offset,
                      struct mproc__unit *unit) {
  struct mproc__bytes info = elf->sections[MPROC__DEBUG_INFO];
  struct mproc__bytes at = mproc__from(info, offset);
  *unit = (struct mproc__unit){.elf = elf, .start = offset,
                               .offset_size = 4};
  uint64_t length = mproc__take(&at, 4);
  if (length == UINT32_MAX) {
    unit->offset_size = 8;
    length = mproc__take(&at, 8);
  }
  if (length == 0 || length > mproc__left(&at))
    return false;
  unit->end = (uint64_t)(at.at - info.at) + length;
  unit->version = (uint8_t)mproc__take(&at, 2);
  uint64_t type = DW_UT_compile, address_size;
  if (unit->version >= 5) {
    type = mproc__take(&at, 1);
    address_size = mproc__take(&at, 1);
    unit->abbreviations = mproc__take(&at, unit->offset_size);
  } else {
    unit->abbreviations = mproc__take(&at, unit->offset_size);
    address_size = mproc__take(&at, 1);
  }
  unit->entries = (uint64_t)(at.at - info.at);
  /* One of another kind is passed over: it has no entries. */
  if (unit->version < 2 || unit->version > 5 || address_size != 8 ||
      (type != DW_UT_compile && type != DW_UT_partial))
    unit->entries = unit->end;
  else
    read_first_entry(unit);
  return true;
}

/* MARK: - Ranges */

static void old_ranges(const struct mproc__unit *unit, uint64_t offset,
                       mproc__range body, void *context) {
  struct mproc__bytes at =
      mproc__from(unit->elf->sections[MPROC__DEBUG_RANGES], offset);
  uint64_t base = unit->low;
  while (mproc__left(&at) >= 16) {
    uint64_t begin = mproc__take(&at, 8), end = mproc__take(&at, 8);
    if (begin == 0 && end == 0)
      return;
    if (begin == UINT64_MAX)
      base = end;
    else
      body(context, base + begin, base + end);
  }
}

static void new_ranges(const struct mproc__unit *unit, uint64_t offset,
                       mproc__range body, void *context) {
  struct mproc__bytes at =
      mproc__from(unit->elf->sections[MPROC__DEBUG_RNGLISTS], offset);
  uint64_t base = unit->low;
  while (mproc__left(&at) > 0) {
    uint64_t begin, end;
    switch (mproc__take(&at, 1)) {
    case DW_RLE_base_addressx:
      base = mproc__unit_address(unit, mproc__take_uleb(&at));
      continue;
    case DW_RLE_base_address:
      base = mproc__take(&at, 8);
      continue;
    case DW_RLE_startx_endx:
      begin = mproc__unit_address(unit, mproc__take_uleb(&at));
      end = mproc__unit_address(unit, mproc__take_uleb(&at));
      break;
    case DW_RLE_startx_length:
      begin = mproc__unit_address(unit, mproc__take_uleb(&at));
      end = begin + mproc__take_uleb(&at);
      break;
    case DW_RLE_offset_pair:
      begin = base + mproc__take_uleb(&at);
      end = base + mproc__take_uleb(&at);
      break;
    case DW_RLE_start_end:
      begin = mproc__take(&at, 8);
      end = mproc__take(&at, 8);
      break;
    case DW_RLE_start_length:
      begin = mproc__take(&at, 8);
      end = begin + mproc__take_uleb(&at);
      break;
    default: /* DW_RLE_end_of_list, or damage */
      return;
    }
    body(context, begin, end);
  }
}

void mproc__entry_ranges(const struct mproc__unit *unit,
                         const struct mproc__entry *entry, mproc__range body,
                         void *context) {
  const struct mproc__value *ranges = &entry->values[MPROC__RANGES];
  const struct mproc__value *low = &entry->values[MPROC__LOW];
  const struct mproc__value *high = &entry->values[MPROC__HIGH];
  if (ranges->form != 0) {
    uint64_t offset = ranges->number;
    if (unit->version < 5) {
      old_ranges(unit, offset, body, context);
      return;
    }
    if (ranges->form == DW_FORM_rnglistx) {
      struct mproc__bytes at = mproc__from(
          unit->elf->sections[MPROC__DEBUG_RNGLISTS], unit->range_lists);
      if (offset > UINT32_MAX)
        return;
      mproc__skip(&at, offset * unit->offset_size);
      offset = unit->range_lists + mproc__take(&at, unit->offset_size);
    }
    new_ranges(unit, offset, body, context);
  } else if (low->form != 0 && high->form != 0) {
    uint64_t begin = mproc__value_address(unit, low);
    uint64_t end = mproc__value_address(unit, high);
    bool is_address = high->form == DW_FORM_addr ||
                      high->form == DW_FORM_addrx ||
                      (high->form >= DW_FORM_addrx1 &&
                       high->form <= DW_FORM_addrx4);
    body(context, begin, is_address ? end : begin + end);
  }
}
