/* Names of system calls and errors, and the filter that singles calls out. */
#ifndef FAULTS_CALLS_H
#define FAULTS_CALLS_H

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined __x86_64__
#define FAULTS_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined __aarch64__
#define FAULTS_ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "add the AUDIT_ARCH_ constant of this machine"
#endif

struct name {
  const char *name;
  int number;
};

#define CALL(name) {#name, SYS_##name}
static const struct name call_names[] = {
#ifdef SYS_dup2 /* the calls that newer architectures do without */
    CALL(dup2),         CALL(epoll_wait),   CALL(poll),
    CALL(vfork),
#endif
    CALL(chdir),        CALL(clock_nanosleep), CALL(clone),
    CALL(clone3),       CALL(close_range),  CALL(dup3),
    CALL(epoll_create1), CALL(epoll_ctl),   CALL(epoll_pwait),
    CALL(eventfd2),     CALL(execve),       CALL(fallocate),
    CALL(fcntl),        CALL(fstat),        CALL(ftruncate),
    CALL(futex),        CALL(getrandom),    CALL(getsockopt),
    CALL(ioctl),        CALL(kill),         CALL(lseek),
    CALL(madvise),      CALL(memfd_create), CALL(mmap),
    CALL(mprotect),     CALL(newfstatat),   CALL(openat),
    CALL(pidfd_open),   CALL(pidfd_send_signal), CALL(pipe2),
    CALL(ppoll),        CALL(prctl),        CALL(pread64),
    CALL(prlimit64),    CALL(pwrite64),     CALL(read),
    CALL(recvmsg),      CALL(sched_getaffinity), CALL(sched_setaffinity),
    CALL(sendmsg),      CALL(set_mempolicy), CALL(setpgid),
    CALL(setpriority),  CALL(socketpair),   CALL(wait4),
    CALL(waitid),       CALL(write),
};
#undef CALL

static const struct name error_names[] = {
    {"EAGAIN", EAGAIN}, {"EINTR", EINTR},   {"EMFILE", EMFILE},
    {"ENOMEM", ENOMEM}, {"ENOSPC", ENOSPC}, {"ENOSYS", ENOSYS},
    {"EPERM", EPERM},
};

#define CALL_COUNT (sizeof call_names / sizeof *call_names)
#define ERROR_COUNT (sizeof error_names / sizeof *error_names)

/* -1: there is none of that name here. */
static inline int number_of(const struct name *names, size_t count,
                            const char *name) {
  for (size_t i = 0; i < count; i++)
    if (strcmp(names[i].name, name) == 0)
      return names[i].number;
  return -1;
}

/* From now on, here and in all children, these calls meet `action`, one of
 * SECCOMP_RET_…. The listener with SECCOMP_FILTER_FLAG_NEW_LISTENER, else 0. */
static inline int filter_calls(const int *numbers, unsigned count,
                               unsigned action, unsigned flags) {
  struct sock_filter filter[CALL_COUNT + 5];
  unsigned length = 0;
  if (count > CALL_COUNT) {
    errno = EINVAL;
    return -1;
  }
  /* For each call one comparison, which jumps to the last instruction. */
  filter[length++] = (struct sock_filter)BPF_STMT(
      BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
  filter[length++] = (struct sock_filter)BPF_JUMP(
      BPF_JMP | BPF_JEQ | BPF_K, FAULTS_ARCHITECTURE, 0,
      (unsigned char)(count + 1));
  filter[length++] = (struct sock_filter)BPF_STMT(
      BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  for (unsigned i = 0; i < count; i++)
    filter[length++] = (struct sock_filter)BPF_JUMP(
        BPF_JMP | BPF_JEQ | BPF_K, (unsigned)numbers[i],
        (unsigned char)(count - i), 0);
  filter[length++] =
      (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action);
  struct sock_fprog program = {(unsigned short)length, filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
    return -1;
  return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

#endif
