/* SPDX-License-Identifier: Apache-2.0 */
/* What devices have counted, told one by one: first whose it is, then its counters. */
#ifndef WORKER_COUNTERS_H
#define WORKER_COUNTERS_H

#include <stdint.h>

#define COUNTER_NO_UNIT (-1)

struct counter_source {
	const char *name;
	const char *instance;		/* of the configuration document's device; NULL: it is none of those */
	int unit;			/* LUN or queue; COUNTER_NO_UNIT: all of the device */
};

/* All that is handed in is valid during the call only. */
struct counter_sink {
	void (*source)(struct counter_sink *sink, const struct counter_source *source);
	void (*counter)(struct counter_sink *sink, const char *name, uint64_t value);
	void (*histogram)(struct counter_sink *sink, const char *name, const uint64_t *counts, unsigned count);
};

#endif
