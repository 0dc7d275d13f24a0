/* SPDX-License-Identifier: Apache-2.0 */
/* What machines have done to their disks since they started. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/objects.h"

#define STATISTICS "Undercroft_DeviceStatistics"

/* What of a disk's counters is summed up, and where to. */
static const struct {
	const char *counter, *sum;
} sums[] = {{"read_bytes", "AggregatedDiskDataRead"}, {"write_bytes", "AggregatedDiskDataWritten"},
	    {"reads", "AggregatedIOCount"},           {"writes", "AggregatedIOCount"},
	    {"flushes", "AggregatedIOCount"},         {"unmaps", "AggregatedIOCount"},
	    {"errors", "AggregatedIOErrors"}};
#define SUM_COUNT (sizeof(sums) / sizeof(sums[0]))

#define BUCKETS 24

struct latency {
	uint64_t counts[BUCKETS]; /* by powers of two of microseconds */
};

static void add_latency(struct latency *latency, json *statistics, const char *property)
{
	json *list = object_member(statistics, property);

	for (size_t i = 0; list && i < json_object_array_length(list) && i < BUCKETS; i++)
		latency->counts[i] += json_object_get_uint64(json_object_array_get_idx(list, i));
}

/* All but one of `but_one_of` took no longer than so many microseconds, as exactly as the histogram says; null
 * without any. */
static json *percentile(const struct latency *latency, uint64_t but_one_of)
{
	uint64_t total = 0, seen = 0;
	unsigned i = 0;

	for (unsigned k = 0; k < BUCKETS; k++)
		total += latency->counts[k];
	if (!total)
		return NULL;
	while (i < BUCKETS - 1 && (seen += latency->counts[i]) < total - total / but_one_of)
		i++;
	return json_object_new_uint64((UINT64_C(2) << i) - 1);
}

static json *disk_metrics(json *statistics)
{
	json *o = json_object_new_object(), *names = object_member(statistics, "CounterNames"),
	     *values = object_member(statistics, "CounterValues");
	struct latency reads = {{0}}, writes = {{0}};

	object_put_text(o, "Name", object_text(statistics, "ElementName"));
	object_put_text(o, "DriveId", object_text(statistics, "SettingID"));
	for (size_t i = 0; names && values && i < json_object_array_length(names); i++)
		object_put(
			o, json_object_get_string(json_object_array_get_idx(names, i)),
			json_object_new_int64(json_object_get_int64(json_object_array_get_idx(values, i))));
	add_latency(&reads, statistics, "ReadLatency");
	add_latency(&writes, statistics, "WriteLatency");
	object_put(o, "ReadLatencyMedian", percentile(&reads, 2));
	object_put(o, "ReadLatency99", percentile(&reads, 100));
	object_put(o, "WriteLatencyMedian", percentile(&writes, 2));
	object_put(o, "WriteLatency99", percentile(&writes, 100));
	return o;
}

static void measure(struct stage *stage, json *vm)
{
	json *found = object_list_where(stage, STATISTICS, "SystemName", object_text(vm, "Id")), *o, *disks;
	struct latency all = {{0}};

	if (!found)
		return;
	o = json_object_new_object();
	disks = json_object_new_array();
	object_put_text(o, "VMName", object_text(vm, "Name"));
	for (size_t i = 0; i < SUM_COUNT; i++)
		object_put(o, sums[i].sum, json_object_new_int64(0));
	for (size_t i = 0; i < json_object_array_length(found); i++) {
		json *statistics = json_object_array_get_idx(found, i), *disk;

		if (!*object_text(statistics, "SettingID"))
			continue;
		disk = disk_metrics(statistics);
		for (size_t k = 0; k < SUM_COUNT; k++)
			object_put(o, sums[k].sum,
				   json_object_new_int64(object_number(o, sums[k].sum) +
							 object_number(disk, sums[k].counter)));
		add_latency(&all, statistics, "ReadLatency");
		add_latency(&all, statistics, "WriteLatency");
		json_object_array_add(disks, disk);
	}
	object_put(o, "DiskLatencyMedian", percentile(&all, 2));
	object_put(o, "DiskLatency99", percentile(&all, 100));
	object_put(o, "HardDiskMetrics", disks);
	object_put_text(o, "VMId", object_text(vm, "Id"));
	json_object_array_add(stage->output, o);
	json_object_put(found);
}

void verb_measure_vm(struct stage *stage)
{
	json *vms = vm_chosen(stage, "Name");

	for (size_t i = 0; i < json_object_array_length(vms); i++)
		measure(stage, json_object_array_get_idx(vms, i));
	json_object_put(vms);
}
