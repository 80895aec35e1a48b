/* The handler of fatal signals in a child (mproc_crash.h). */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "crash_internal.h"

/* Those whose default is to dump core. */
static const int fatal[] = {SIGILL, SIGTRAP, SIGABRT, SIGBUS,  SIGFPE,
                            SIGSEGV, SIGSYS, SIGQUIT, SIGXCPU, SIGXFSZ};
#define FATAL_COUNT (sizeof fatal / sizeof *fatal)

/* How long a thread that crashes too waits for the one that came first. */
#define WAIT_MS 2000

/* The main thread's; another thread's own stack serves, unless it is used up.
 * Static, because a page that is never touched costs nothing. */
static _Alignas(16) char alternate_stack[64 << 10];

static struct {
  struct mproc_crash_record *record;
  pid_t process; /* a copy of this process must not write into its record */
  struct sigaction before[FATAL_COUNT];
} armed;

/* The thread that writes the record, and the signal that it came for. Private
 * memory: nobody else can hold up a crash. */
static int32_t owner;
static int first_signal;
static siginfo_t first_info;

static int32_t this_thread(void) {
  return (int32_t)syscall(SYS_gettid);
}

static void read_registers(const ucontext_t *context,
                           struct mproc__registers *registers) {
#if defined(__x86_64__)
  const greg_t *all = context->uc_mcontext.gregs;
  *registers = (struct mproc__registers){(uintptr_t)all[REG_RIP],
                                         (uintptr_t)all[REG_RSP],
                                         (uintptr_t)all[REG_RBP], 0};
#elif defined(__aarch64__)
  const mcontext_t *all = &context->uc_mcontext;
  *registers = (struct mproc__registers){all->pc, all->sp, all->regs[29],
                                         mproc__strip(all->regs[30])};
#else
#error "the registers of this machine are not known"
#endif
}

/* The second number of statm, in pages. */
static uint64_t resident_bytes(void) {
  char text[64];
  int descriptor = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
    return 0;
  ssize_t size = read(descriptor, text, sizeof text);
  close(descriptor);
  ssize_t i = 0;
  uint64_t pages = 0;
  while (i < size && text[i] != ' ')
    i++;
  for (i++; i < size && text[i] >= '0' && text[i] <= '9'; i++)
    pages = pages * 10 + (uint64_t)(text[i] - '0');
  return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void write_record(struct mproc_crash_record *record, int signal,
                         const siginfo_t *info, const ucontext_t *context) {
  struct mproc__registers registers;
  read_registers(context, &registers);
  record->signal = signal;
  record->code = info->si_code;
  record->thread = this_thread();
  prctl(PR_GET_NAME, record->thread_name);
  /* A signal that was sent has its sender's number there. */
  record->has_address = info->si_code > 0 && info->si_code != SI_KERNEL &&
                        signal != SIGSYS && signal != SIGXCPU &&
                        signal != SIGXFSZ;
  record->address = record->has_address ? (uintptr_t)info->si_addr : 0;
  record->pc = registers.pc;
  record->sp = registers.sp;
  record->fp = registers.fp;
  record->lr = registers.lr;
  record->resident_bytes = resident_bytes();
  __atomic_store_n(&record->state, MPROC_CRASH_FACTS, __ATOMIC_RELEASE); /* R1 */
  mproc__walk(record, &registers);
  __atomic_store_n(&record->state, MPROC_CRASH_COMPLETE,
                   __ATOMIC_RELEASE); /* R1 */
}

/* Gives the signal to whoever would have had it: blocked until the handler
 * returns, so that it comes with the registers and the stack of the crash. */
static void pass_on(int signal, siginfo_t *info) {
  sigset_t only;
  for (size_t i = 0; i < FATAL_COUNT; i++)
    if (fatal[i] == signal)
      sigaction(signal, &armed.before[i], NULL);
  sigemptyset(&only);
  sigaddset(&only, signal);
  pthread_sigmask(SIG_BLOCK, &only, NULL);
  pid_t process = getpid();
  int32_t thread = this_thread();
  if (syscall(SYS_rt_tgsigqueueinfo, process, thread, signal, info) == 0)
    return;
  /* A fault comes again by itself. */
  if (info->si_code <= 0)
    syscall(SYS_tgkill, process, thread, signal);
}

static void wait_for_owner(void) {
  const struct timespec millisecond = {.tv_nsec = 1000000};
  for (int i = 0; i < WAIT_MS; i++)
    nanosleep(&millisecond, NULL); /* ends with the process */
}

static void handle(int signal, siginfo_t *info, void *context) {
  int saved = errno;
  int32_t expected = 0;
  if (getpid() != armed.process) {
    pass_on(signal, info);
  } else if (__atomic_compare_exchange_n(&owner, &expected, this_thread(),
                                         false, __ATOMIC_RELAXED,
                                         __ATOMIC_RELAXED)) {
    first_signal = signal;
    first_info = *info;
    write_record(armed.record, signal, info, context);
    pass_on(signal, info);
  } else if (expected == this_thread()) {
    /* The handler itself has crashed: the end is still that of the crash, and
     * here, because returning would bring the same fault again. */
    pass_on(first_signal, &first_info);
    sigset_t only;
    sigemptyset(&only);
    sigaddset(&only, first_signal);
    pthread_sigmask(SIG_UNBLOCK, &only, NULL);
  } else {
    wait_for_owner();
    pass_on(signal, info);
  }
  errno = saved;
}

static int use_alternate_stack(void) {
  stack_t before, own = {.ss_sp = alternate_stack,
                         .ss_size = sizeof alternate_stack};
  if (sigaltstack(NULL, &before) == 0 && !(before.ss_flags & SS_DISABLE))
    return 0; /* somebody's, such as a sanitizer's */
  return sigaltstack(&own, NULL) < 0 ? -errno : 0;
}

static void install(void) {
  struct sigaction action = {.sa_sigaction = handle,
                             .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
  sigfillset(&action.sa_mask);
  /* A fault while its signal is blocked ends the process at once, under a
   * signal that is not the crash's. */
  static const int faults[] = {SIGILL, SIGTRAP, SIGBUS,
                               SIGFPE, SIGSEGV, SIGSYS};
  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
    sigdelset(&action.sa_mask, faults[i]);
  for (size_t i = 0; i < FATAL_COUNT; i++)
    if (sigaction(fatal[i], NULL, &armed.before[i]) == 0 &&
        armed.before[i].sa_handler != SIG_IGN)
      sigaction(fatal[i], &action, NULL);
}

void mproc_crash_arm_thread(void) {
  use_alternate_stack();
}

bool mproc_crash_handles(int signal) {
  struct sigaction present;
  return sigaction(signal, NULL, &present) == 0 &&
         present.sa_sigaction == handle;
}

void mproc_crash_disarm(void) {
  for (size_t i = 0; i < FATAL_COUNT; i++)
    if (mproc_crash_handles(fatal[i]))
      sigaction(fatal[i], &armed.before[i], NULL);
  if (armed.record)
    munmap((char *)armed.record - MPROC_CRASH_OFFSET, MPROC_CRASH_PAGE_BYTES);
  armed.record = NULL;
}

int mproc_crash_arm(int descriptor) {
  void *page = mmap(NULL, MPROC_CRASH_PAGE_BYTES, PROT_READ | PROT_WRITE,
                    MAP_SHARED, descriptor, 0);
  if (page == MAP_FAILED)
    return -errno;
  int result = use_alternate_stack();
  if (result < 0) {
    munmap(page, MPROC_CRASH_PAGE_BYTES);
    return result;
  }
  armed.record =
      (struct mproc_crash_record *)((char *)page + MPROC_CRASH_OFFSET);
  armed.process = getpid();
  owner = 0;
  install();
  return 0;
}
