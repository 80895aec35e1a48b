/*
 * Shared memory with a name, for processes that have nothing else in common:
 * files in /dev/shm, as shm_open makes them. One is made without a name and
 * linked when it has its size, so that nobody ever opens half of one.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mproc_base.h"

#define DIRECTORY "/dev/shm/"

static int path_of(const char *name, char path[PATH_MAX])
{
    if (!*name || strchr(name, '/') || strlen(name) > NAME_MAX ||
        strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return -EINVAL;
    snprintf(path, PATH_MAX, DIRECTORY "%s", name);
    return 0;
}

static int set_size(int fd, size_t size)
{
    if (size > INT64_MAX)
        return -EFBIG;
    if (size == 0)
        return 0;
    /* Touching a page that the file system has no room for is SIGBUS. */
    while (fallocate(fd, 0, 0, (off_t)size) < 0)
        if (errno != EINTR)
            return -errno;
    return 0;
}

int mproc_named_create(const char *name, size_t size)
{
    char path[PATH_MAX], own[48];
    int result = path_of(name, path);

    if (result < 0)
        return result;
    int fd = open(DIRECTORY, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    result = set_size(fd, size);
    snprintf(own, sizeof own, "/proc/self/fd/%d", fd);
    if (result == 0 &&
        linkat(AT_FDCWD, own, AT_FDCWD, path, AT_SYMLINK_FOLLOW) < 0)
        result = -errno;
    if (result == 0)
        return fd;
    close(fd);
    return result;
}

int mproc_named_open(const char *name)
{
    char path[PATH_MAX];
    struct stat status;
    int result = path_of(name, path);

    if (result < 0)
        return result;
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
        return fd;
    close(fd);
    return -EINVAL;
}

int mproc_named_unlink(const char *name)
{
    char path[PATH_MAX];
    int result = path_of(name, path);

    return result < 0 ? result : unlink(path) < 0 ? -errno : 0;
}
