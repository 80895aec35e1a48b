/* The C core of swift-multiprocessing: starts, places, connects and watches
 * processes. Its only client is the Swift layer. */
#ifndef CMULTIPROCESSING_H
#define CMULTIPROCESSING_H

#include "mproc_activity.h"
#include "mproc_affinity.h"
#include "mproc_base.h"
#include "mproc_closure.h"
#include "mproc_crash.h"
#include "mproc_image.h"
#include "mproc_launch.h"
#include "mproc_memory_policy.h"
#include "mproc_process.h"
#include "mproc_arena.h"
#include "mproc_atomic.h"
#include "mproc_channel.h"
#include "mproc_segment.h"
#include "mproc_symbols.h"
#include "mproc_queue.h"
#include "mproc_ring.h"
#include "mproc_sync.h"

#endif
