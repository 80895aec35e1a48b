/* All processes that descend from this one, which must be a subreaper: those
 * that lose their parents become its children. */
#ifndef FAULTS_PROCESSES_H
#define FAULTS_PROCESSES_H

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* The first line of a file; empty when it cannot be read. */
static inline void read_line(const char *path, char *text, size_t size) {
  int file = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t length = file < 0 ? 0 : read(file, text, size - 1);
  text[length < 0 ? 0 : length] = 0;
  text[strcspn(text, "\n")] = 0;
  if (file >= 0)
    close(file);
}

/* One line for the thread: its name, where it sleeps, its system call. */
static inline void describe_thread(const char *process, const char *thread) {
  char path[128], name[32], sleeps[64], call[128];
  const struct {
    const char *file;
    char *text;
    size_t size;
  } parts[] = {{"comm", name, sizeof name},
               {"wchan", sleeps, sizeof sleeps},
               {"syscall", call, sizeof call}};
  for (size_t i = 0; i < 3; i++) {
    snprintf(path, sizeof path, "/proc/%.16s/task/%.16s/%s", process, thread,
             parts[i].file);
    read_line(path, parts[i].text, parts[i].size);
  }
  printf("process %s thread %s %s: %s, %s\n", process, thread, name, sleeps,
         call);
}

/* Calls `act` on each child of the process, deepest first. */
static inline void for_descendants(pid_t process, void (*act)(pid_t)) {
  char path[64], list[4096], *next = list;
  snprintf(path, sizeof path, "/proc/%d/task", process);
  DIR *threads = opendir(path);
  struct dirent *thread;
  while (threads && (thread = readdir(threads))) {
    char file[128];
    snprintf(file, sizeof file, "/proc/%d/task/%.16s/children", process,
             thread->d_name);
    read_line(file, list, sizeof list);
    next = list;
    for (long child; (child = strtol(next, &next, 10)) > 0;) {
      for_descendants((pid_t)child, act);
      act((pid_t)child);
    }
  }
  if (threads)
    closedir(threads);
}

static inline void describe_process(pid_t process) {
  char name[16], path[64];
  snprintf(name, sizeof name, "%d", process);
  snprintf(path, sizeof path, "/proc/%d/task", process);
  DIR *threads = opendir(path);
  struct dirent *thread;
  while (threads && (thread = readdir(threads)))
    if (thread->d_name[0] != '.')
      describe_thread(name, thread->d_name);
  if (threads)
    closedir(threads);
}

static inline void end_process(pid_t process) {
  kill(process, SIGKILL);
}

/* Returns when there are none any more. */
static inline void end_descendants(void) {
  for (;;) {
    for_descendants(getpid(), end_process);
    if (waitpid(-1, NULL, 0) < 0)
      return;
  }
}

#endif
