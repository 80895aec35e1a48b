/* How a process comes to life, is watched, and ends.
 *
 * Three ways, one child: the fork server's child, a spawned copy of this
 * executable, and a fork of the caller all hold a control socket (SEQPACKET)
 * and a lifeline, set themselves up in C in the same order, answer READY or
 * FAILED on the control socket, and only then enter Swift. */
#ifndef MPROC_PROCESS_H
#define MPROC_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a child is for. */
enum mproc_role {
  MPROC_ROLE_CHILD = 1,  /* runs one body */
  MPROC_ROLE_WORKER = 2, /* serves a pool's rings */
  MPROC_ROLE_SERVER = 3, /* forks others */
  MPROC_ROLE_FORKED = 4, /* a fork of the application itself */
};

/* What failed while a child set itself up. */
enum mproc_setup_step {
  MPROC_SETUP_NONE = 0,
  MPROC_SETUP_LIFELINE,
  MPROC_SETUP_STREAMS,
  MPROC_SETUP_AFFINITY,
  MPROC_SETUP_MEMORY_POLICY,
  MPROC_SETUP_NICENESS,
  MPROC_SETUP_LIMITS,
  MPROC_SETUP_DIRECTORY,
  MPROC_SETUP_THREAD, /* of a forked copy, for its body */
  MPROC_SETUP_LOCKS,  /* of a forked copy: held by threads it does not have */
};

struct mproc_limit {
  int32_t resource; /* RLIMIT_… */
  int32_t reserved;
  uint64_t soft, hard; /* UINT64_MAX: unlimited */
};

/* Resources are numbered from 0. */
static const int32_t mproc_limit_count = 16; /* RLIM_NLIMITS */
/* Fills in the limit of `resource` that this process has. */
int mproc_limit_get(struct mproc_limit *limit);

#define MPROC_NICENESS_INHERIT INT32_MIN
/* The calling thread's. */
int32_t mproc_niceness(void);

/* What a child is told. Descriptors are -1 where there is none; they stay the
 * caller's. */
struct mproc_start {
  uint32_t role;
  int32_t worker_index;    /* -1 outside a pool */
  int32_t application;     /* pid; filled in by the core */
  int32_t niceness;        /* MPROC_NICENESS_INHERIT: as it is */
  uint32_t ignores_interrupt; /* 1: SIGINT is ignored */
  uint32_t awaits_go;      /* filled in by the core: GO must come first */
  int32_t policy_mode;     /* MPOL_…, -1: as it is */
  const char *name;        /* also the thread name */
  const char *directory;   /* NULL: as it is */
  const unsigned long *affinity; /* NULL: as it is */
  size_t affinity_bytes;
  const unsigned long *policy_nodes;
  size_t policy_nodes_bytes;
  const struct mproc_limit *limits;
  size_t limit_count;
  const void *payload; /* for the Swift side */
  size_t payload_bytes;
  int control, lifeline, standard_output, standard_error;
  int submissions, completions, bell, payload_descriptor;
  int argument_arena, result_arena;
  int crash; /* a page for the crash record; -1: a worker's is in completions */
  int current_directory; /* what `directory` is relative to */
};

/* A started process as its application holds it. (int32_t: with pid_t of
 * <sys/types.h> here, Swift may take that type from this internal module.) */
struct mproc_process {
  int32_t pid;
  int pidfd;
  int control;  /* our end of the control socket */
  int lifeline; /* write end; closing it kills the process group; -1: none */
};

/* The first word of every control message from a child. */
enum mproc_message {
  MPROC_MESSAGE_READY = 1,
  MPROC_MESSAGE_FAILED = 2,
  MPROC_MESSAGE_RESULT = 3,
  MPROC_MESSAGE_SERVING = 4, /* from a fork server */
  MPROC_MESSAGE_STUCK = 5,   /* from a forked copy that can never go on */
};
/* READY and FAILED; READY is followed by the CPU mask that the kernel gave. */
struct mproc_answer {
  uint32_t message;
  uint32_t step;
  int32_t error; /* errno */
  uint32_t mask_bytes;
};

/* RESULT, followed by `size` bytes, or with a memfd of that size. */
struct mproc_result {
  uint32_t message;
  uint32_t reserved;
  uint64_t size;
};

/* SERVING: a fork server is ready, or ends because it has threads. Before it
 * comes the RESULT of the preload body, if the start had one. */
struct mproc_serving {
  uint32_t message;
  uint32_t serves;
};

/* What the application tells a child on its control socket. */
enum mproc_command_kind {
  MPROC_COMMAND_CANCEL = 1, /* the task `number` */
  MPROC_COMMAND_ATTACH = 2, /* a shared object's memory, with its descriptor */
  MPROC_COMMAND_GO = 3,     /* the start is complete; the core's own */
  MPROC_COMMAND_DETACH = 4, /* no task will name that object any more */
};
struct mproc_command {
  uint32_t kind;
  uint32_t reserved;
  uint64_t number;
  uint64_t size;
};

/* Starts a copy of this executable with `environment` ("NAME=value", NULL
 * terminated; NULL: as it is) by posix_spawn. Cost: an exec, 1 to 5 ms. */
int mproc_spawn(const struct mproc_start *start, char *const *environment,
                bool outlives, struct mproc_process *process);

/* fork() of the calling process. In the copy, set up as `start` says, a new
 * thread calls `body` with the child's end of the control socket; the copy ends
 * with it. READY comes when the body has called mproc_fork_begin. The copy ends
 * by itself, with FAILED or STUCK, when all its threads wait for locks for
 * ever. */
int mproc_fork_self(const struct mproc_start *start, bool outlives,
                    void (*body)(void *context, int control), void *context,
                    struct mproc_process *process);
void mproc_fork_begin(void);
/* Without the C library's lock, which another thread may have held. */
void mproc_fork_set_environment(char **environment);
/* Takes the lock of the dynamic linker that a fork does not free. */
void mproc_fork_probe_loader(void);

/* One fork server. */
struct mproc_server {
  struct mproc_process process;
  int requests; /* SEQPACKET; one request, one answer */
  int exits;    /* SEQPACKET; struct mproc_exit from the server */
};
#define MPROC_STATUS_UNKNOWN (-1)
struct mproc_exit {
  uint64_t serial;
  int32_t status; /* as waitpid's, or MPROC_STATUS_UNKNOWN */
  int32_t reserved;
};
/* Returns when the server's process exists; it then sends FAILED or SERVING on
 * its control socket. Its payload is its preload body, or none. */
int mproc_server_start(const struct mproc_start *start,
                       char *const *environment, struct mproc_server *server);
/* Asks the server for a child; its end comes over `exits` under `serial`.
 * -ETIMEDOUT when the server does not answer (it may be stopped), -EPIPE when
 * it is gone, -EBUSY when it has threads and must not fork. After any error
 * the child, should there be one, ends without having run anything: so the
 * start may be tried elsewhere. Cost: a fork of the small server, 0.1 to
 * 0.3 ms, whatever this process's size. One caller at a time per server. */
int mproc_server_fork(const struct mproc_server *server,
                      const struct mproc_start *start, bool outlives,
                      uint64_t serial, int timeout_ms,
                      struct mproc_process *process);
/* Sends `signal` to the process group that the child `serial` leads. */
int mproc_server_signal_group(const struct mproc_server *server,
                              uint64_t serial, int signal);

/* 1: the kernel, and the container around this process, let processes be held
 * by pidfds; 0: they refuse (ENOSYS, EPERM). Then no server can be used, and a
 * child's `pidfd` is a pipe that becomes readable when the child has ended; all
 * that follows takes it too. Looked up once. */
int mproc_pidfds_granted(void);
int mproc_pidfd_close(int pidfd);
/* A pidfd of the process `parent` that started this one; -ESRCH when it has
 * ended. It holds the other end of the socket `control`, or, where that is -1,
 * getppid() has told its number. */
int mproc_parent_open(int32_t parent, int control);

/* Signals one process; -ESRCH when it has ended. */
int mproc_pidfd_signal(int pidfd, int signal);
/* Signals the process group that the process leads, where the kernel can do
 * so through a pidfd (Linux 6.9), else -EINVAL. */
int mproc_pidfd_signal_group(int pidfd, int signal);
/* 1 when the process has ended. */
int mproc_pidfd_has_ended(int pidfd);
/* 1 when our child is stopped, by a signal or a debugger. */
int mproc_pidfd_is_stopped(int pidfd);
/* Ends what is left of the group of our own ended child and reaps it; -ECHILD
 * when somebody else has. `status` as waitpid's. */
int mproc_reap(int32_t pid, int pidfd, int *status);
/* Sends `signal` to the group of our own child, which must not be reaped. */
int mproc_signal_group(int32_t pid, int pidfd, int signal);
/* The status of an ended process that is not ours to reap: known before it is
 * reaped, and from Linux 6.15 on also after that, else -ENODATA, as always
 * where pidfds are refused. -EAGAIN: ask again later. */
int mproc_pidfd_status(int pidfd, int *status);

/* The name that this program was started by, without its folder. */
const char *mproc_program_name(void);
/* Resident set of a process, in bytes. */
int64_t mproc_resident_bytes(int32_t pid);
/* 0 in the application, a mproc_role in a child. */
uint32_t mproc_current_role(void);

/* On a child's main thread: waits until the eventfd `wake` is rung or the main
 * queue has work, and does that work. May return early. */
void mproc_main_thread_wait(int wake);

/* What the Swift layer defines: called in a child that is set up, on its main
 * thread; the process exits with what it returns. */
int mproc_child_main(const struct mproc_start *start);
/* And this, called once in a fork server, on its main thread: runs the preload
 * body and sends its RESULT. Below 0: it has failed. */
int mproc_server_prepare(const struct mproc_start *start);

#endif
