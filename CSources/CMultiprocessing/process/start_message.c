/* The first message on a control socket: what the child is to be.
 *
 * Both sides are the same executable, which the message proves by the device
 * and inode of /proc/self/exe; so the format needs no versions beyond that. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mproc_base.h"
#include "process_internal.h"

#define START_SIGNATURE 0x31545254534d504dull /* "MPMSTRT1" */

struct wire {
  uint64_t signature;
  uint64_t device, inode;
  uint32_t role;
  int32_t worker_index;
  int32_t application;
  int32_t niceness;
  uint32_t ignores_interrupt;
  int32_t policy_mode;
  uint32_t descriptors; /* bit i: the i-th of the list below is there */
  uint32_t name_bytes; /* with the final NUL; 0: none */
  uint32_t directory_bytes;
  uint32_t affinity_bytes;
  uint32_t policy_nodes_bytes;
  uint32_t limit_bytes;
  uint32_t payload_bytes;
  uint32_t awaits_go;
};

static void this_executable(struct wire *wire) {
  struct stat status;
  /* Without /proc both sides say zero. */
  if (stat("/proc/self/exe", &status) < 0)
    return;
  wire->device = status.st_dev;
  wire->inode = status.st_ino;
}

int mproc__send_start(int control, const struct mproc_start *start,
                      int lifeline) {
  struct wire wire = {
      .signature = START_SIGNATURE,
      .role = start->role,
      .worker_index = start->worker_index,
      .application = getpid(),
      .niceness = start->niceness,
      .ignores_interrupt = start->ignores_interrupt,
      .policy_mode = start->policy_mode,
      .name_bytes = start->name ? (uint32_t)strlen(start->name) + 1 : 0,
      .directory_bytes =
          start->directory ? (uint32_t)strlen(start->directory) + 1 : 0,
      .affinity_bytes = (uint32_t)start->affinity_bytes,
      .policy_nodes_bytes = (uint32_t)start->policy_nodes_bytes,
      .limit_bytes =
          (uint32_t)(start->limit_count * sizeof(struct mproc_limit)),
      .payload_bytes = (uint32_t)start->payload_bytes,
      .awaits_go = start->awaits_go,
  };
  this_executable(&wire);
  const int sources[] = {lifeline,           start->standard_output,
                         start->standard_error, start->submissions,
                         start->completions, start->bell,
                         start->payload_descriptor,
                         start->argument_arena, start->result_arena,
                         start->crash,
                         start->current_directory};
  int descriptors[MPROC_MESSAGE_DESCRIPTORS], count = 0;
  for (unsigned i = 0; i < sizeof sources / sizeof *sources; i++) {
    if (sources[i] < 0)
      continue;
    wire.descriptors |= 1u << i;
    descriptors[count++] = sources[i];
  }
  struct mproc_piece pieces[] = {
      {&wire, sizeof wire},
      {start->limits, wire.limit_bytes},
      {start->affinity, wire.affinity_bytes},
      {start->policy_nodes, wire.policy_nodes_bytes},
      {start->name, wire.name_bytes},
      {start->directory, wire.directory_bytes},
      {start->payload, wire.payload_bytes},
  };
  return mproc_send_message(control, pieces, 7, descriptors, count);
}

/* The next `size` bytes, moved to an address that any type may have. */
static const void *take(const char **cursor, const char *end, size_t size,
                        int *error) {
  if (size == 0 || *error)
    return NULL;
  if ((size_t)(end - *cursor) < size) {
    *error = -EPROTO;
    return NULL;
  }
  void *copy = malloc(size);
  if (!copy) {
    *error = -ENOMEM;
    return NULL;
  }
  memcpy(copy, *cursor, size);
  *cursor += size;
  return copy;
}

static int parse(const char *bytes, size_t size, const int *descriptors,
                 int descriptor_count, struct mproc_start *start) {
  struct wire wire, own = {0};
  if (size < sizeof wire)
    return -EPROTO;
  memcpy(&wire, bytes, sizeof wire);
  this_executable(&own);
  if (wire.signature != START_SIGNATURE || wire.device != own.device ||
      wire.inode != own.inode)
    return -EPROTO;
  const char *cursor = bytes + sizeof wire, *end = bytes + size;
  int error = 0;
  *start = (struct mproc_start){
      .role = wire.role,
      .worker_index = wire.worker_index,
      .application = wire.application,
      .niceness = wire.niceness,
      .ignores_interrupt = wire.ignores_interrupt,
      .policy_mode = wire.policy_mode,
      .affinity_bytes = wire.affinity_bytes,
      .policy_nodes_bytes = wire.policy_nodes_bytes,
      .limit_count = wire.limit_bytes / sizeof(struct mproc_limit),
      .payload_bytes = wire.payload_bytes,
      .awaits_go = wire.awaits_go,
  };
  start->limits = take(&cursor, end, wire.limit_bytes, &error);
  start->affinity = take(&cursor, end, wire.affinity_bytes, &error);
  start->policy_nodes = take(&cursor, end, wire.policy_nodes_bytes, &error);
  start->name = take(&cursor, end, wire.name_bytes, &error);
  start->directory = take(&cursor, end, wire.directory_bytes, &error);
  start->payload = take(&cursor, end, wire.payload_bytes, &error);
  int *targets[] = {&start->lifeline,        &start->standard_output,
                    &start->standard_error,  &start->submissions,
                    &start->completions,     &start->bell,
                    &start->payload_descriptor,
                    &start->argument_arena,  &start->result_arena,
                    &start->crash,
                    &start->current_directory};
  int next = 0;
  for (unsigned i = 0; i < sizeof targets / sizeof *targets; i++) {
    *targets[i] = -1;
    if (!(wire.descriptors & 1u << i))
      continue;
    if (next == descriptor_count)
      return -EPROTO;
    *targets[i] = descriptors[next++];
  }
  return error;
}

int mproc__receive_start(int control, struct mproc_start *start) {
  int descriptors[MPROC_MESSAGE_DESCRIPTORS];
  int count = MPROC_MESSAGE_DESCRIPTORS;
  char *bytes = malloc(MPROC_MESSAGE_BYTES + 8192);
  if (!bytes)
    return -ENOMEM;
  ssize_t size = mproc_receive_message(control, bytes,
                                       MPROC_MESSAGE_BYTES + 8192, descriptors,
                                       &count, 0);
  int result = size == 0  ? -EPIPE
               : size < 0 ? (int)size
                          : parse(bytes, (size_t)size, descriptors, count,
                                  start);
  free(bytes);
  if (result == 0)
    start->control = control;
  return result;
}

int mproc__send_go(int control) {
  struct mproc_command go = {.kind = MPROC_COMMAND_GO};
  struct mproc_piece piece = {&go, sizeof go};
  return mproc_send_message(control, &piece, 1, NULL, 0);
}

bool mproc__receive_go(int control) {
  struct mproc_command go = {0};
  return mproc_receive_message(control, &go, sizeof go, NULL, NULL, 0) ==
             sizeof go &&
         go.kind == MPROC_COMMAND_GO;
}
