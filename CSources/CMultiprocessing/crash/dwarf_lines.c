/* The line table of a unit: a program that is run, and names of files. */
#include <stdio.h>
#include <string.h>

#include "dwarf_internal.h"

enum {
  DW_LNS_extended = 0,
  DW_LNS_copy = 1,
  DW_LNS_advance_pc = 2,
  DW_LNS_advance_line = 3,
  DW_LNS_set_file = 4,
  DW_LNS_set_column = 5,
  DW_LNS_const_add_pc = 8,
  DW_LNS_fixed_advance_pc = 9,

  DW_LNE_end_sequence = 1,
  DW_LNE_set_address = 2,

  DW_LNCT_path = 1,
  DW_LNCT_directory_index = 2,
};

struct header {
  struct mproc__unit unit; /* for its forms: sizes are this table's own */
  struct mproc__bytes program, directories, files;
  uint8_t minimum, operations, line_range, opcode_base;
  int8_t line_base;
  struct mproc__bytes lengths; /* of the standard opcodes' operands */
};

static bool read_header(const struct mproc__unit *unit,
                        struct header *header) {
  struct mproc__bytes at = mproc__from(
      unit->elf->sections[MPROC__DEBUG_LINE], unit->lines);
  *header = (struct header){.unit = *unit};
  header->unit.offset_size = 4;
  uint64_t length = mproc__take(&at, 4);
  if (length == UINT32_MAX) {
    header->unit.offset_size = 8;
    length = mproc__take(&at, 8);
  }
  if (length == 0 || length > mproc__left(&at))
    return false;
  at.end = at.at + length;
  header->unit.version = (uint8_t)mproc__take(&at, 2);
  if (header->unit.version < 2 || header->unit.version > 5)
    return false;
  if (header->unit.version >= 5)
    mproc__take(&at, 2); /* sizes of addresses and segments */
  uint64_t rest = mproc__take(&at, header->unit.offset_size);
  header->program = mproc__from(at, rest);
  header->minimum = (uint8_t)mproc__take(&at, 1);
  header->operations =
      header->unit.version >= 4 ? (uint8_t)mproc__take(&at, 1) : 1;
  mproc__take(&at, 1); /* is_stmt */
  header->line_base = (int8_t)mproc__take(&at, 1);
  header->line_range = (uint8_t)mproc__take(&at, 1);
  header->opcode_base = (uint8_t)mproc__take(&at, 1);
  header->lengths = at;
  mproc__skip(&at, header->opcode_base ? header->opcode_base - 1u : 0);
  header->directories = at;
  return header->line_range != 0 && header->opcode_base != 0;
}

/* MARK: - The program */

struct row {
  uint64_t address;
  uint64_t file, line, column;
};

/* Those from the last row's address to the next row's are at the last row. */
static void note(struct mproc__lookups *lookups, const struct row *row,
                 uint64_t end) {
  for (size_t i = mproc__lookups_from(lookups, row->address);
       i < lookups->count && lookups->all[i].offset < end; i++) {
    struct mproc__lookup *lookup = &lookups->all[i];
    if (!lookup->is_in_unit)
      continue;
    lookup->file = (uint32_t)row->file;
    lookup->line = (uint32_t)row->line;
    lookup->column = (uint32_t)row->column;
  }
}

struct machine {
  struct row state, last;
  bool has_last;
};

static void emit(struct mproc__lookups *lookups, struct machine *machine,
                 bool is_end) {
  /* What the linker has removed begins at 0. */
  if (machine->has_last && machine->last.address != 0 &&
      machine->state.address > machine->last.address)
    note(lookups, &machine->last, machine->state.address);
  machine->last = machine->state;
  machine->has_last = !is_end;
  if (is_end)
    machine->state = (struct row){.file = 1, .line = 1};
}

static void run_extended(struct mproc__bytes *at,
                         struct mproc__lookups *lookups,
                         struct machine *machine) {
  uint64_t length = mproc__take_uleb(at);
  struct mproc__bytes operands = *at;
  mproc__skip(at, length);
  operands.end = at->at;
  switch (mproc__take(&operands, 1)) {
  case DW_LNE_end_sequence:
    emit(lookups, machine, true);
    break;
  case DW_LNE_set_address:
    machine->state.address = mproc__take(&operands, 8);
    break;
  }
}

static void run_standard(const struct header *header, uint8_t opcode,
                         struct mproc__bytes *at,
                         struct mproc__lookups *lookups,
                         struct machine *machine) {
  struct mproc__bytes length;
  switch (opcode) {
  case DW_LNS_copy:
    emit(lookups, machine, false);
    break;
  case DW_LNS_advance_pc:
    machine->state.address += mproc__take_uleb(at) * header->minimum;
    break;
  case DW_LNS_advance_line:
    machine->state.line += (uint64_t)mproc__take_sleb(at);
    break;
  case DW_LNS_set_file:
    machine->state.file = mproc__take_uleb(at);
    break;
  case DW_LNS_set_column:
    machine->state.column = mproc__take_uleb(at);
    break;
  case DW_LNS_const_add_pc:
    machine->state.address +=
        (uint64_t)((255 - header->opcode_base) / header->line_range) *
        header->minimum;
    break;
  case DW_LNS_fixed_advance_pc:
    machine->state.address += mproc__take(at, 2);
    break;
  default:
    length = mproc__from(header->lengths, opcode - 1u);
    for (uint64_t i = mproc__take(&length, 1); i > 0; i--)
      mproc__take_uleb(at);
  }
}

void mproc__lines_find(const struct mproc__unit *unit,
                       struct mproc__lookups *lookups) {
  struct header header;
  if (!unit->has_lines || !read_header(unit, &header))
    return;
  struct machine machine = {.state = {.file = 1, .line = 1}};
  struct mproc__bytes at = header.program;
  while (mproc__left(&at) > 0) {
    uint8_t opcode = (uint8_t)mproc__take(&at, 1);
    if (opcode == DW_LNS_extended) {
      run_extended(&at, lookups, &machine);
    } else if (opcode < header.opcode_base) {
      run_standard(&header, opcode, &at, lookups, &machine);
    } else {
      uint8_t step = (uint8_t)(opcode - header.opcode_base);
      machine.state.address +=
          (uint64_t)(step / header.line_range) * header.minimum;
      machine.state.line +=
          (uint64_t)(header.line_base + step % header.line_range);
      emit(lookups, &machine, false);
    }
  }
}

/* MARK: - Files */

/* An entry of the tables of DWARF 5: formats, then values. */
static bool take_entry(const struct header *header,
                       struct mproc__bytes formats, uint64_t format_count,
                       struct mproc__bytes *at, const char **path,
                       uint64_t *directory) {
  *path = NULL;
  *directory = 0;
  for (uint64_t i = 0; i < format_count; i++) {
    uint64_t content = mproc__take_uleb(&formats);
    uint64_t form = mproc__take_uleb(&formats);
    struct mproc__value value;
    if (!mproc__form_take(&header->unit, form, 0, at, &value))
      return false;
    if (content == DW_LNCT_path)
      *path = mproc__value_string(&header->unit, &value);
    else if (content == DW_LNCT_directory_index)
      *directory = value.number;
  }
  return true;
}

/* Entry `index` of a table of DWARF 5, and where the table ends when it has no
 * such entry. */
static bool table_entry(const struct header *header, struct mproc__bytes *at,
                        uint64_t index, const char **path,
                        uint64_t *directory) {
  uint64_t format_count = mproc__take(at, 1);
  struct mproc__bytes formats = *at;
  for (uint64_t i = 0; i < 2 * format_count; i++)
    mproc__take_uleb(at);
  uint64_t count = mproc__take_uleb(at);
  if (count > mproc__left(at))
    count = mproc__left(at); /* each takes some */
  for (uint64_t i = 0; i < count; i++) {
    if (!take_entry(header, formats, format_count, at, path, directory))
      return false;
    if (i == index)
      return true;
  }
  return false;
}

static bool find_new(const struct header *header, uint64_t index,
                     const char **name, const char **directory) {
  struct mproc__bytes at = header->directories;
  uint64_t number;
  /* Past the directories. */
  table_entry(header, &at, UINT64_MAX, name, &number);
  if (!table_entry(header, &at, index, name, &number) || !*name)
    return false;
  uint64_t ignored;
  at = header->directories;
  if (!table_entry(header, &at, number, directory, &ignored))
    *directory = NULL;
  return true;
}

static bool find_old(const struct header *header, uint64_t index,
                     const char **name, const char **directory) {
  struct mproc__bytes at = header->directories;
  const char *text;
  uint64_t number = 0;
  while ((text = mproc__take_string(&at)) && *text)
    ;
  for (uint64_t i = 1; i <= index; i++) {
    *name = mproc__take_string(&at);
    if (!*name || !**name)
      return false;
    number = mproc__take_uleb(&at);
    mproc__take_uleb(&at); /* time */
    mproc__take_uleb(&at); /* size */
  }
  *directory = NULL;
  at = header->directories;
  for (uint64_t i = 1; i <= number; i++)
    if (!(*directory = mproc__take_string(&at)) || !**directory)
      return true;
  return index > 0;
}

const char *mproc__line_file(const struct mproc__unit *unit, uint64_t index,
                             char *buffer, size_t size) {
  struct header header;
  const char *name = NULL, *directory = NULL;
  if (!unit->has_lines || !read_header(unit, &header))
    return NULL;
  bool is_found = header.unit.version >= 5
                      ? find_new(&header, index, &name, &directory)
                      : find_old(&header, index, &name, &directory);
  if (!is_found)
    return NULL;
  if (name[0] == '/')
    directory = "";
  else if (!directory || !*directory)
    directory = unit->directory ? unit->directory : "";
  const char *root = *directory && *directory != '/' && unit->directory
                         ? unit->directory
                         : "";
  const char *slash = *directory && strcmp(directory, "/") != 0 ? "/" : "";
  int length = snprintf(buffer, size, "%s%s%s%s%s", root, *root ? "/" : "",
                        directory, slash, name);
  return length > 0 && (size_t)length < size ? buffer : NULL;
}
