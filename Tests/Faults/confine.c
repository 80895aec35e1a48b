/* Runs a command as a container's profile would, with some system calls
 * refused, in its children too:
 *
 *   confine ENOSYS|EPERM CALL… -- COMMAND…
 *
 * Exits with 125 when it cannot. */
#include <stdio.h>

#include "calls.h"

#define CANNOT 125

static int misuse(const char *what) {
  fprintf(stderr,
          "confine: %s\n"
          "usage: confine ENOSYS|EPERM CALL... -- COMMAND...\n",
          what);
  return CANNOT;
}

int main(int argc, char **argv) {
  int numbers[CALL_COUNT], next = 2;
  unsigned count = 0;
  int error = argc > 1 ? number_of(error_names, ERROR_COUNT, argv[1]) : -1;
  if (error < 0)
    return misuse("an unknown error");
  for (; next < argc && strcmp(argv[next], "--") != 0; next++) {
    int number = number_of(call_names, CALL_COUNT, argv[next]);
    if (number < 0 || count == CALL_COUNT)
      return misuse("an unknown call");
    numbers[count++] = number;
  }
  if (next + 1 >= argc)
    return misuse("no command");
  if (filter_calls(numbers, count,
                   SECCOMP_RET_ERRNO | ((unsigned)error & SECCOMP_RET_DATA),
                   0) < 0) {
    perror("confine: the filter");
    return CANNOT;
  }
  execvp(argv[next + 1], argv + next + 1);
  perror(argv[next + 1]);
  return CANNOT;
}
