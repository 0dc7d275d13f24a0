/* SPDX-License-Identifier: Apache-2.0 */
/* What the worker of a running machine counts, asked for every few seconds and kept until the next answer. */
#ifndef VMMS_DEVICE_STATS_H
#define VMMS_DEVICE_STATS_H

#include <stdbool.h>
#include <stdint.h>

#include "vmms/worker.h"

#define DEVICE_STATS_DEVICES_MAX  512
#define DEVICE_STATS_COUNTERS_MAX 96
#define DEVICE_STATS_NAME_SIZE    40
#define DEVICE_STATS_NO_UNIT      (-1)
#define DEVICE_STATS_BUCKETS      24 /* of a latency histogram of the contract */

struct device_counter {
	char name[DEVICE_STATS_NAME_SIZE];
	uint64_t value;
};

struct device_latency {
	uint64_t reads[DEVICE_STATS_BUCKETS], writes[DEVICE_STATS_BUCKETS];
};

struct device_counters {
	char device[DEVICE_STATS_NAME_SIZE];
	char instance[DEVICE_STATS_NAME_SIZE]; /* empty: no VMBus device */
	int unit;                              /* LUN or queue, or DEVICE_STATS_NO_UNIT */
	unsigned count;
	struct device_counter *counters;
	struct device_latency *latency; /* NULL: it has none */
};

struct device_stats {
	int64_t asked_ms; /* monotonic */
	int64_t taken_ms; /* since 1970; 0: nothing has come yet */
	unsigned count;
	struct device_counters *devices;
	/* The next ones come in parts: */
	bool asking;   /* a part was asked for */
	uint64_t from; /* from this device on */
	unsigned coming_count;
	struct device_counters *coming;
};

/* Asks when it is time. */
void device_stats_tick(struct vm *vm, int64_t monotonic_ms);
/* They are of a worker that is gone. */
void device_stats_forget(struct device_stats *stats);
/* Of a list of devices, which is empty then. */
void device_stats_drop(struct device_counters **devices, unsigned *count);
/* In device_stats_wire.c: "params" of the call for the part that is due. */
struct json_object *device_stats_params(const struct device_stats *stats);
/*
 * There too: takes the "result" of a call; what is malformed in it is left out. True: that was the
 * last part, and what has come is in place of what was there. False: stats->from is to be asked for.
 */
bool device_stats_read(struct device_stats *stats, struct json_object *result);

#endif
