/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of one unit, since it was attached. */
#ifndef VSP_STORVSP_STATS_H
#define VSP_STORVSP_STATS_H

#include <stdint.h>

struct storvsp_lun_stats {
	uint64_t reads, read_bytes;	/* READ commands that succeeded */
	uint64_t writes, write_bytes;	/* WRITE commands that succeeded */
	uint64_t flushes;
	uint64_t unmaps;		/* ranges; also those of WRITE SAME that may unmap */
	uint64_t errors;		/* commands that storage below failed */
};

#endif
