/* The NUMA policy call, declared and described in mproc_memory_policy.h. */
#include "mproc_memory_policy.h"

#include <errno.h>
#include <limits.h>
#include <numaif.h>
#include <sys/syscall.h>
#include <unistd.h>

_Static_assert(MPROC_MEMORY_POLICY_DEFAULT == MPOL_DEFAULT, "kernel ABI");
_Static_assert(MPROC_MEMORY_POLICY_PREFERRED == MPOL_PREFERRED, "kernel ABI");
_Static_assert(MPROC_MEMORY_POLICY_BIND == MPOL_BIND, "kernel ABI");
_Static_assert(MPROC_MEMORY_POLICY_INTERLEAVE == MPOL_INTERLEAVE,
               "kernel ABI");
_Static_assert(MPROC_MEMORY_POLICY_LOCAL == MPOL_LOCAL, "kernel ABI");

int mproc_memory_policy_set(int mode, const unsigned long *nodes,
                            size_t size_bytes)
{
    if (size_bytes > INT_MAX / CHAR_BIT)
        return -EINVAL;
    /* The kernel takes one off before it uses the number of bits. */
    unsigned long bits = nodes ? size_bytes * CHAR_BIT + 1 : 0;
    if (syscall(SYS_set_mempolicy, mode, nodes, bits) < 0)
        return -errno;
    return 0;
}
