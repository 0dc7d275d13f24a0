/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of one unit, since it was attached. */
#ifndef VSP_STORVSP_STATS_H
#define VSP_STORVSP_STATS_H

#include <stdint.h>

#define STORVSP_LATENCY_BUCKETS 24u

/* How many commands took how long, from the ring to their completion: [i] counts those of 2^i to 2^(i+1) - 1 microseconds,
 * the first also those that were faster, the last also those that were slower. */
struct storvsp_latency {
	uint64_t commands[STORVSP_LATENCY_BUCKETS];
};

struct storvsp_lun_stats {
	uint64_t reads, read_bytes;	/* READ commands that succeeded */
	uint64_t writes, write_bytes;	/* WRITE commands that succeeded */
	struct storvsp_latency read_latency, write_latency;	/* of those */
	uint64_t flushes;
	uint64_t unmaps;		/* ranges; also those of WRITE SAME that may unmap */
	uint64_t errors;		/* commands that storage below failed */
};

#endif
