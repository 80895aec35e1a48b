/* The values of attributes: how long they are, and what they mean. */
#include <string.h>

#include "dwarf_internal.h"

int mproc__form_size(const struct mproc__unit *unit, uint64_t form) {
  switch (form) {
  case DW_FORM_flag_present:
  case DW_FORM_implicit_const:
    return 0;
  case DW_FORM_data1:
  case DW_FORM_flag:
  case DW_FORM_ref1:
  case DW_FORM_strx1:
  case DW_FORM_addrx1:
    return 1;
  case DW_FORM_data2:
  case DW_FORM_ref2:
  case DW_FORM_strx2:
  case DW_FORM_addrx1 + 1:
    return 2;
  case DW_FORM_strx3:
  case DW_FORM_addrx1 + 2:
    return 3;
  case DW_FORM_data4:
  case DW_FORM_ref4:
  case DW_FORM_ref_sup4:
  case DW_FORM_strx4:
  case DW_FORM_addrx4:
    return 4;
  case DW_FORM_addr:
  case DW_FORM_data8:
  case DW_FORM_ref8:
  case DW_FORM_ref_sig8:
  case DW_FORM_ref_sup8:
    return 8;
  case DW_FORM_data16:
    return 16;
  case DW_FORM_ref_addr:
    return unit->version < 3 ? 8 : unit->offset_size;
  case DW_FORM_strp:
  case DW_FORM_line_strp:
  case DW_FORM_strp_sup:
  case DW_FORM_sec_offset:
    return unit->offset_size;
  default:
    return -1;
  }
}

/* Forms without a fixed size. */
static bool take_variable(const struct mproc__unit *unit, uint64_t form,
                          struct mproc__bytes *at,
                          struct mproc__value *value) {
  switch (form) {
  case DW_FORM_string:
    value->string = mproc__take_string(at);
    return true;
  case DW_FORM_sdata:
    value->number = (uint64_t)mproc__take_sleb(at);
    return true;
  case DW_FORM_udata:
  case DW_FORM_ref_udata:
  case DW_FORM_strx:
  case DW_FORM_addrx:
  case DW_FORM_loclistx:
  case DW_FORM_rnglistx:
    value->number = mproc__take_uleb(at);
    return true;
  case DW_FORM_block1:
    mproc__skip(at, mproc__take(at, 1));
    return true;
  case DW_FORM_block2:
    mproc__skip(at, mproc__take(at, 2));
    return true;
  case DW_FORM_block4:
    mproc__skip(at, mproc__take(at, 4));
    return true;
  case DW_FORM_block:
  case DW_FORM_exprloc:
    mproc__skip(at, mproc__take_uleb(at));
    return true;
  case DW_FORM_indirect:
    form = mproc__take_uleb(at);
    return form != DW_FORM_indirect && form != DW_FORM_implicit_const &&
           mproc__form_take(unit, form, 0, at, value);
  default:
    return false;
  }
}

bool mproc__form_take(const struct mproc__unit *unit, uint64_t form,
                      int64_t constant, struct mproc__bytes *at,
                      struct mproc__value *value) {
  *value = (struct mproc__value){.form = form};
  int size = mproc__form_size(unit, form);
  if (size < 0)
    return take_variable(unit, form, at, value);
  if (form == DW_FORM_implicit_const)
    value->number = (uint64_t)constant;
  else if (form == DW_FORM_flag_present)
    value->number = 1;
  else if (size <= 8)
    value->number = mproc__take(at, (size_t)size);
  else
    mproc__skip(at, (uint64_t)size);
  return true;
}

bool mproc__attribute_take(struct mproc__bytes *list, uint64_t *name,
                           uint64_t *form, int64_t *constant) {
  *name = mproc__take_uleb(list);
  *form = mproc__take_uleb(list);
  *constant =
      *form == DW_FORM_implicit_const ? mproc__take_sleb(list) : 0;
  return *name != 0 || *form != 0;
}

/* MARK: - Meaning */

static const char *string_at(const struct mproc__unit *unit,
                             enum mproc__section section, uint64_t offset) {
  struct mproc__bytes at =
      mproc__from(unit->elf->sections[section], offset);
  return mproc__take_string(&at);
}

const char *mproc__value_string(const struct mproc__unit *unit,
                                const struct mproc__value *value) {
  struct mproc__bytes offsets;
  switch (value->form) {
  case DW_FORM_string:
    return value->string;
  case DW_FORM_strp:
    return string_at(unit, MPROC__DEBUG_STR, value->number);
  case DW_FORM_line_strp:
    return string_at(unit, MPROC__DEBUG_LINE_STR, value->number);
  case DW_FORM_strx:
  case DW_FORM_strx1:
  case DW_FORM_strx2:
  case DW_FORM_strx3:
  case DW_FORM_strx4:
    if (value->number > UINT32_MAX)
      return NULL;
    offsets = mproc__from(unit->elf->sections[MPROC__DEBUG_STR_OFFSETS],
                          unit->string_offsets);
    mproc__skip(&offsets, value->number * unit->offset_size);
    if (mproc__left(&offsets) < unit->offset_size)
      return NULL;
    return string_at(unit, MPROC__DEBUG_STR,
                     mproc__take(&offsets, unit->offset_size));
  default:
    return NULL;
  }
}

uint64_t mproc__unit_address(const struct mproc__unit *unit, uint64_t index) {
  if (index > UINT32_MAX)
    return 0;
  struct mproc__bytes at = mproc__from(
      unit->elf->sections[MPROC__DEBUG_ADDR], unit->addresses);
  mproc__skip(&at, index * 8);
  return mproc__take(&at, 8);
}

uint64_t mproc__value_address(const struct mproc__unit *unit,
                              const struct mproc__value *value) {
  bool is_index = value->form == DW_FORM_addrx ||
                  (value->form >= DW_FORM_addrx1 &&
                   value->form <= DW_FORM_addrx4);
  return is_index ? mproc__unit_address(unit, value->number) : value->number;
}

uint64_t mproc__value_reference(const struct mproc__unit *unit,
                                const struct mproc__value *value) {
  switch (value->form) {
  case DW_FORM_ref1:
  case DW_FORM_ref2:
  case DW_FORM_ref4:
  case DW_FORM_ref8:
  case DW_FORM_ref_udata:
    return value->number < unit->end - unit->start
               ? unit->start + value->number
               : 0;
  case DW_FORM_ref_addr:
    return value->number;
  default:
    return 0;
  }
}
