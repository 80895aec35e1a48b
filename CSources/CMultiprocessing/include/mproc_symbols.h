/* Names and source lines of places in this program's code, from the symbol
 * table and the debug information (DWARF 2 to 5) of the files that it was
 * loaded from. In the application, at leisure: files are mapped and read, which
 * takes milliseconds. Files may be stripped, damaged or gone; then less is
 * found. Compressed and separate debug information is not read. */
#ifndef MPROC_SYMBOLS_H
#define MPROC_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A function at a place; what is not known is NULL or 0. Valid only during the
 * call that it is given to. */
struct mproc_symbol {
  const char *function; /* as the linker knows it, or as the source does */
  const char *file;
  uint32_t line, column;
  bool is_inlined; /* into the one that comes next */
  /* Of one that is not: its code begins by setting up a frame pointer. */
  bool keeps_frame_pointer;
};

/* Hears of each function at offsets[index], from the inside out. */
typedef void (*mproc_symbol_found)(void *context, size_t index,
                                   const struct mproc_symbol *symbol);

#define MPROC_SYMBOLS_MOST 256

/* Looks up `count` places, MPROC_SYMBOLS_MOST at most, in the loaded image
 * (struct mproc_place). Of the debug information at most `most_bytes` are
 * walked for inlined functions, some 100 MB/s. 0, also when nothing was found,
 * or -errno when the image's file cannot be read or is another one by now. */
int mproc_symbols_find(uint64_t image, const uint64_t *offsets, size_t count,
                       uint64_t most_bytes, mproc_symbol_found found,
                       void *context);

/* A name of the linker's as the source has it, for free(); NULL: it is none of
 * Swift's or C++'s. */
char *mproc_demangle(const char *name);

#endif
