/* Shared by the files that read DWARF. */
#ifndef MPROC_DWARF_INTERNAL_H
#define MPROC_DWARF_INTERNAL_H

#include "symbols_internal.h"

/* Names of the standard that are used here. */
enum {
  DW_TAG_inlined_subroutine = 0x1d,
  DW_TAG_subprogram = 0x2e,

  DW_AT_name = 0x03,
  DW_AT_stmt_list = 0x10,
  DW_AT_low_pc = 0x11,
  DW_AT_high_pc = 0x12,
  DW_AT_comp_dir = 0x1b,
  DW_AT_abstract_origin = 0x31,
  DW_AT_specification = 0x47,
  DW_AT_ranges = 0x55,
  DW_AT_call_column = 0x57,
  DW_AT_call_file = 0x58,
  DW_AT_call_line = 0x59,
  DW_AT_linkage_name = 0x6e,
  DW_AT_str_offsets_base = 0x72,
  DW_AT_addr_base = 0x73,
  DW_AT_rnglists_base = 0x74,
  DW_AT_MIPS_linkage_name = 0x2007,

  DW_FORM_addr = 0x01,
  DW_FORM_block2 = 0x03,
  DW_FORM_block4 = 0x04,
  DW_FORM_data2 = 0x05,
  DW_FORM_data4 = 0x06,
  DW_FORM_data8 = 0x07,
  DW_FORM_string = 0x08,
  DW_FORM_block = 0x09,
  DW_FORM_block1 = 0x0a,
  DW_FORM_data1 = 0x0b,
  DW_FORM_flag = 0x0c,
  DW_FORM_sdata = 0x0d,
  DW_FORM_strp = 0x0e,
  DW_FORM_udata = 0x0f,
  DW_FORM_ref_addr = 0x10,
  DW_FORM_ref1 = 0x11,
  DW_FORM_ref2 = 0x12,
  DW_FORM_ref4 = 0x13,
  DW_FORM_ref8 = 0x14,
  DW_FORM_ref_udata = 0x15,
  DW_FORM_indirect = 0x16,
  DW_FORM_sec_offset = 0x17,
  DW_FORM_exprloc = 0x18,
  DW_FORM_flag_present = 0x19,
  DW_FORM_strx = 0x1a,
  DW_FORM_addrx = 0x1b,
  DW_FORM_ref_sup4 = 0x1c,
  DW_FORM_strp_sup = 0x1d,
  DW_FORM_data16 = 0x1e,
  DW_FORM_line_strp = 0x1f,
  DW_FORM_ref_sig8 = 0x20,
  DW_FORM_implicit_const = 0x21,
  DW_FORM_loclistx = 0x22,
  DW_FORM_rnglistx = 0x23,
  DW_FORM_ref_sup8 = 0x24,
  DW_FORM_strx1 = 0x25,
  DW_FORM_strx2 = 0x26,
  DW_FORM_strx3 = 0x27,
  DW_FORM_strx4 = 0x28,
  DW_FORM_addrx1 = 0x29,
  DW_FORM_addrx4 = 0x2c,
};

/* One compilation unit: its header, and what its first entry says. */
struct mproc__unit {
  const struct mproc__elf *elf;
  uint64_t start, end;     /* in .debug_info */
  uint64_t entries;        /* where the first entry begins */
  uint64_t abbreviations;  /* in .debug_abbrev */
  uint8_t version;
  uint8_t offset_size; /* 4 or 8 */
  bool has_lines;
  uint64_t lines; /* in .debug_line */
  const char *directory;
  uint64_t low;
  uint64_t string_offsets, addresses, range_lists; /* bases */
};

/* The attributes that matter here. */
enum mproc__attribute {
  MPROC__NAME,
  MPROC__LINKAGE_NAME,
  MPROC__ORIGIN, /* abstract origin or specification */
  MPROC__LOW,
  MPROC__HIGH,
  MPROC__RANGES,
  MPROC__CALL_FILE,
  MPROC__CALL_LINE,
  MPROC__CALL_COLUMN,
  MPROC__LINES,
  MPROC__DIRECTORY,
  MPROC__STRING_OFFSETS,
  MPROC__ADDRESSES,
  MPROC__RANGE_LISTS,
  MPROC__ATTRIBUTES,
};

/* As it is in the entry; form 0: it is not. */
struct mproc__value {
  uint64_t form;
  uint64_t number;
  const char *string; /* of DW_FORM_string */
};

struct mproc__entry {
  uint64_t tag;
  struct mproc__value values[MPROC__ATTRIBUTES];
};

/* dwarf_forms.c */

/* Bytes of a value of this form where that is always the same, else -1. */
int mproc__form_size(const struct mproc__unit *unit, uint64_t form);
/* Takes one value; false when the form is not known. */
bool mproc__form_take(const struct mproc__unit *unit, uint64_t form,
                      int64_t constant, struct mproc__bytes *at,
                      struct mproc__value *value);
/* Takes the next pair of a list of attributes and forms; false at its end. */
bool mproc__attribute_take(struct mproc__bytes *list, uint64_t *name,
                           uint64_t *form, int64_t *constant);
/* What a value means. */
const char *mproc__value_string(const struct mproc__unit *unit,
                                const struct mproc__value *value);
uint64_t mproc__value_address(const struct mproc__unit *unit,
                              const struct mproc__value *value);
/* A place in .debug_info; 0: none that is known. */
uint64_t mproc__value_reference(const struct mproc__unit *unit,
                                const struct mproc__value *value);
uint64_t mproc__unit_address(const struct mproc__unit *unit, uint64_t index);

/* dwarf_units.c */

/* The unit whose header is at `offset`; false at the end, and when the header
 * makes no sense. `unit->end` is where the next one begins. */
bool mproc__unit_read(const struct mproc__elf *elf, uint64_t offset,
                      struct mproc__unit *unit);
/* Reads the entry at `at`, whose attributes and forms are in `list`. */
bool mproc__entry_read(const struct mproc__unit *unit, uint64_t tag,
                       struct mproc__bytes list, struct mproc__bytes *at,
                       struct mproc__entry *entry);
/* The same for one place, after a search for its abbreviation. */
bool mproc__entry_find(const struct mproc__unit *unit, uint64_t offset,
                       struct mproc__entry *entry);
/* Calls `body` with each range of addresses of an entry. */
typedef void (*mproc__range)(void *context, uint64_t begin, uint64_t end);
void mproc__entry_ranges(const struct mproc__unit *unit,
                         const struct mproc__entry *entry, mproc__range body,
                         void *context);

/* dwarf_lines.c */

/* Sets file, line and column of the lookups that are in the unit. */
void mproc__lines_find(const struct mproc__unit *unit,
                       struct mproc__lookups *lookups);
/* The path of a file in the unit's line table; NULL when there is none. */
const char *mproc__line_file(const struct mproc__unit *unit, uint64_t index,
                             char *buffer, size_t size);

#endif
