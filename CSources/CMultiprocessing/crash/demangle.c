/* Names as the source has them. The runtime's demanglers are found when the
 * program is linked, statically or not; where one is missing, names stay as
 * they are. */
#include <stdlib.h>
#include <string.h>

#include "mproc_symbols.h"

/* The form that the runtime's own backtraces use, for Swift and C++. */
extern char *_swift_backtrace_demangle(const char *name, size_t length,
                                       char *buffer, size_t *size)
    __attribute__((weak));
/* The long form. */
extern char *swift_demangle(const char *name, size_t length, char *buffer,
                            size_t *size, uint32_t flags)
    __attribute__((weak));

char *mproc_demangle(const char *name) {
  size_t length = strlen(name);
  if (_swift_backtrace_demangle)
    return _swift_backtrace_demangle(name, length, NULL, NULL);
  if (swift_demangle)
    return swift_demangle(name, length, NULL, NULL, 0);
  return NULL;
}
