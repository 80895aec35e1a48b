/* libnuma, as the module CNuma. */
#ifndef MPROC_CNUMA_SHIM_H
#define MPROC_CNUMA_SHIM_H

#if !__has_include(<numa.h>)
#error "libnuma's headers are missing: apt-get install libnuma-dev"
#endif

#include <numa.h>
#include <numaif.h>

#endif
