/* SPDX-License-Identifier: Apache-2.0 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "vmms/device_stats.h"

/* Names are printable and fit. */
static bool copy_name(char out[DEVICE_STATS_NAME_SIZE], const char *name)
{
	size_t size = name ? strlen(name) : 0;

	for (size_t i = 0; i < size; i++)
		if ((unsigned char)name[i] <= 0x20 || (unsigned char)name[i] >= 0x7f)
			return false;
	if (!size || size >= DEVICE_STATS_NAME_SIZE)
		return false;
	memcpy(out, name, size + 1);
	return true;
}

static void read_counters(struct device_counters *device, struct json_object *counters)
{
	device->counters = calloc(DEVICE_STATS_COUNTERS_MAX, sizeof(*device->counters));
	if (!device->counters)
		return;
	json_object_object_foreach(counters, name, value)
	{
		struct device_counter *counter = &device->counters[device->count];

		if (device->count == DEVICE_STATS_COUNTERS_MAX)
			break;
		if (!json_object_is_type(value, json_type_int) || !copy_name(counter->name, name))
			continue;
		counter->value = json_object_get_uint64(value);
		device->count++;
	}
}

static void read_histogram(struct device_counters *device, struct json_object *histograms, const char *name,
			   bool is_write)
{
	struct json_object *list;
	uint64_t *counts;

	if (!json_object_object_get_ex(histograms, name, &list) || !json_object_is_type(list, json_type_array))
		return;
	if (!device->latency)
		device->latency = calloc(1, sizeof(*device->latency));
	if (!device->latency)
		return;
	counts = is_write ? device->latency->writes : device->latency->reads;
	for (size_t i = 0; i < DEVICE_STATS_BUCKETS && i < json_object_array_length(list); i++) {
		struct json_object *count = json_object_array_get_idx(list, i);

		if (json_object_is_type(count, json_type_int))
			counts[i] = json_object_get_uint64(count);
	}
}

static void read_source(struct device_counters *device, struct json_object *o)
{
	struct json_object *value;

	device->unit = DEVICE_STATS_NO_UNIT;
	if (!json_object_object_get_ex(o, "instance", &value) || !json_object_is_type(value, json_type_string) ||
	    !copy_name(device->instance, json_object_get_string(value)))
		return;
	if (json_object_object_get_ex(o, "unit", &value) && json_object_is_type(value, json_type_int) &&
	    json_object_get_int(value) >= 0)
		device->unit = json_object_get_int(value);
}

/* False: it is none. */
static bool read_device(struct device_counters *device, struct json_object *o)
{
	struct json_object *name, *counters, *histograms;

	memset(device, 0, sizeof(*device));
	if (!json_object_is_type(o, json_type_object) || !json_object_object_get_ex(o, "name", &name) ||
	    !json_object_object_get_ex(o, "counters", &counters) ||
	    !json_object_is_type(name, json_type_string) || !json_object_is_type(counters, json_type_object) ||
	    !copy_name(device->device, json_object_get_string(name)))
		return false;
	read_source(device, o);
	read_counters(device, counters);
	if (json_object_object_get_ex(o, "histograms", &histograms) &&
	    json_object_is_type(histograms, json_type_object)) {
		read_histogram(device, histograms, "read_latency_us_log2", false);
		read_histogram(device, histograms, "write_latency_us_log2", true);
	}
	return true;
}

/* Room for so many more, or for as many as there can be. False: there is none. */
static bool make_room(struct device_stats *stats, size_t more)
{
	size_t room = DEVICE_STATS_DEVICES_MAX - stats->coming_count;
	struct device_counters *devices;

	room = stats->coming_count + (more < room ? more : room);
	devices = room ? realloc(stats->coming, room * sizeof(*devices)) : NULL;
	if (devices)
		stats->coming = devices;
	return devices;
}

/* The number of entries, also of those that are left out. */
static size_t read_devices(struct device_stats *stats, struct json_object *result)
{
	struct json_object *devices;
	size_t count;

	if (!json_object_object_get_ex(result, "devices", &devices) ||
	    !json_object_is_type(devices, json_type_array))
		return 0;
	count = json_object_array_length(devices);
	if (!make_room(stats, count))
		return 0;
	for (size_t i = 0; i < count && stats->coming_count < DEVICE_STATS_DEVICES_MAX; i++)
		if (read_device(&stats->coming[stats->coming_count], json_object_array_get_idx(devices, i)))
			stats->coming_count++;
	return count;
}

struct json_object *device_stats_params(const struct device_stats *stats)
{
	struct json_object *params = json_object_new_object();

	json_object_object_add(params, "from", json_object_new_uint64(stats->from));
	return params;
}

bool device_stats_read(struct device_stats *stats, struct json_object *result)
{
	struct json_object *next;
	size_t count;

	if (stats->from == 0)
		device_stats_drop(&stats->coming, &stats->coming_count);
	count = read_devices(stats, result);
	/* Each part brings it forward, so that there is an end whatever a worker says. */
	if (count && json_object_object_get_ex(result, "next", &next) &&
	    json_object_is_type(next, json_type_int) &&
	    json_object_get_uint64(next) == stats->from + count &&
	    stats->from + count < DEVICE_STATS_DEVICES_MAX) {
		stats->from += count;
		return false;
	}
	device_stats_drop(&stats->devices, &stats->count);
	stats->devices = stats->coming;
	stats->count = stats->coming_count;
	stats->coming = NULL;
	stats->coming_count = 0;
	stats->from = 0;
	stats->taken_ms = model_now_ms();
	return true;
}
