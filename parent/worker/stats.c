// SPDX-License-Identifier: Apache-2.0
#include "worker/stats.h"

#include "worker/worker_msg.h"

#define FRAME_BYTES 1024u	/* of a packet, for all that is around devices and VPs */

struct stats_sink {
	struct counter_sink base;	/* first */
	struct json_object *devices;
	struct json_object *entry, *counters, *histograms;	/* of the source under way; NULL before the first */
	uint64_t at, from, next;	/* sources; next 0: all have fitted so far */
	size_t room;
};

static void add_number(struct json_object *object, const char *name, uint64_t value)
{
	(void)json_object_object_add(object, name, json_object_new_uint64(value));
}

static size_t text_bytes(struct json_object *object)
{
	size_t bytes = 0;

	(void)json_object_to_json_string_length(object, JSON_C_TO_STRING_PLAIN, &bytes);
	return bytes + 1;		/* a comma */
}

/* The source under way is complete. */
static void end_source(struct stats_sink *sink)
{
	struct json_object *entry = sink->entry;
	const uint64_t at = sink->at;
	size_t bytes;

	if (!entry)
		return;
	sink->entry = NULL;
	sink->at++;
	bytes = text_bytes(entry);
	if (at >= sink->from && !sink->next && bytes > sink->room)
		sink->next = at;
	if (at < sink->from || sink->next) {
		json_object_put(entry);
		return;
	}
	sink->room -= bytes;
	(void)json_object_array_add(sink->devices, entry);
}

static void take_source(struct counter_sink *base, const struct counter_source *source)
{
	struct stats_sink *sink = (struct stats_sink *)base;

	end_source(sink);
	sink->entry = json_object_new_object();
	sink->counters = json_object_new_object();
	sink->histograms = json_object_new_object();
	(void)json_object_object_add(sink->entry, "name", json_object_new_string(source->name));
	(void)json_object_object_add(sink->entry, "instance",
				     source->instance ? json_object_new_string(source->instance) : NULL);
	(void)json_object_object_add(sink->entry, "unit",
				     source->unit == COUNTER_NO_UNIT ? NULL : json_object_new_int(source->unit));
	(void)json_object_object_add(sink->entry, "counters", sink->counters);
	(void)json_object_object_add(sink->entry, "histograms", sink->histograms);
}

static void take_counter(struct counter_sink *base, const char *name, uint64_t value)
{
	add_number(((struct stats_sink *)base)->counters, name, value);
}

/* Without the zeroes at its end. */
static void take_histogram(struct counter_sink *base, const char *name, const uint64_t *counts, unsigned count)
{
	struct json_object *list = json_object_new_array();

	while (count && counts[count - 1] == 0)
		count--;
	for (unsigned i = 0; i < count; i++)
		(void)json_object_array_add(list, json_object_new_uint64(counts[i]));
	(void)json_object_object_add(((struct stats_sink *)base)->histograms, name, list);
}

static struct json_object *vp_counters(struct vp_thread *vp)
{
	struct json_object *entry = json_object_new_object();
	struct json_object *exits = json_object_new_object();

	add_number(entry, "index", vp->context.index);
	for (unsigned i = 0; i < INTERCEPT_KIND_COUNT; i++)
		add_number(exits, intercept_kind_names[i], atomic_load_explicit(&vp->counters[i], memory_order_relaxed));
	(void)json_object_object_add(entry, "exits", exits);
	return entry;
}

struct json_object *stats_answer(struct machine *machine, uint64_t from)
{
	struct json_object *result = json_object_new_object();
	struct json_object *vps = json_object_new_array();
	struct stats_sink sink = {
		.base = { take_source, take_counter, take_histogram },
		.devices = json_object_new_array(),
		.from = from,
	};

	for (unsigned i = 0; machine->built && from == 0 && i < machine->vps.count; i++)
		(void)json_object_array_add(vps, vp_counters(&machine->vps.threads[i]));
	sink.room = WORKER_MSG_MAX - FRAME_BYTES - text_bytes(vps);
	if (machine->built) {
		devices_counters(&machine->devices, &sink.base);
		vmbus_counters(machine->vmbus, &sink.base);
		end_source(&sink);
	}
	(void)json_object_object_add(result, "devices", sink.devices);
	(void)json_object_object_add(result, "vps", vps);
	if (sink.next)
		add_number(result, "next", sink.next);
	return result;
}
