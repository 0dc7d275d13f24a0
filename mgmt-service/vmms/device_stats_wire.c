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

void device_stats_read(struct device_stats *stats, struct json_object *result)
{
	struct json_object *devices, *name, *counters;

	device_stats_forget(stats);
	if (!json_object_object_get_ex(result, "devices", &devices) ||
	    !json_object_is_type(devices, json_type_array))
		return;
	stats->devices = calloc(DEVICE_STATS_DEVICES_MAX, sizeof(*stats->devices));
	for (size_t i = 0; stats->devices && i < json_object_array_length(devices); i++) {
		struct json_object *o = json_object_array_get_idx(devices, i);
		struct device_counters *device = &stats->devices[stats->count];

		if (stats->count == DEVICE_STATS_DEVICES_MAX)
			break;
		if (!json_object_is_type(o, json_type_object) ||
		    !json_object_object_get_ex(o, "name", &name) ||
		    !json_object_object_get_ex(o, "counters", &counters) ||
		    !json_object_is_type(name, json_type_string) ||
		    !json_object_is_type(counters, json_type_object) ||
		    !copy_name(device->device, json_object_get_string(name)))
			continue;
		read_counters(device, counters);
		stats->count++;
	}
	stats->taken_ms = model_now_ms();
}
