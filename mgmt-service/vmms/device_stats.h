/* SPDX-License-Identifier: Apache-2.0 */
/* What the worker of a running machine counts, asked for every few seconds and kept until the next answer. */
#ifndef VMMS_DEVICE_STATS_H
#define VMMS_DEVICE_STATS_H

#include <stdint.h>

#include "vmms/worker.h"

#define DEVICE_STATS_DEVICES_MAX  512
#define DEVICE_STATS_COUNTERS_MAX 96
#define DEVICE_STATS_NAME_SIZE    40

struct device_counter {
	char name[DEVICE_STATS_NAME_SIZE];
	uint64_t value;
};

struct device_counters {
	char device[DEVICE_STATS_NAME_SIZE];
	unsigned count;
	struct device_counter *counters;
};

struct device_stats {
	int64_t asked_ms; /* monotonic */
	int64_t taken_ms; /* since 1970; 0: nothing has come yet */
	unsigned count;
	struct device_counters *devices;
};

/* Asks when it is time. */
void device_stats_tick(struct vm *vm, int64_t monotonic_ms);
/* They are of a worker that is gone. */
void device_stats_forget(struct device_stats *stats);
/* In device_stats_wire.c: takes the "result" of a call in place of what was there; what is malformed in it is
 * left out. */
void device_stats_read(struct device_stats *stats, struct json_object *result);

#endif
