// SPDX-License-Identifier: Apache-2.0
/* Synthetic SCSI controllers and what is attached to them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storvsp/storvsp.h"
#include "worker/disk_image.h"
#include "worker/lanes.h"
#include "worker/node_kinds.h"

#define SCSI_MAX          4u
#define SCSI_CHANNELS_MAX 8u	/* of a controller, each with a thread, and a ring for each file */

enum lun_kind { LUN_DISK, LUN_DVD };

struct lun {
	bool used;
	unsigned kind;			/* enum lun_kind */
	struct disk_image image;	/* no file: a DVD drive without a medium */
	char id[JSON_GUID_BYTES];
	bool read_only, direct;
};

struct scsi {
	struct node node;
	struct storvsp *storvsp;	/* while on a bus; only under the lock of the lanes */
	struct lanes *lanes;		/* a thread for each channel */
	unsigned closing;		/* disks that no unit took, and the controller */
	vsp_callback removed;		/* waits for them */
	void *removed_context;
	struct vsp_timer stop_timer;
	struct lun luns[STORVSP_LUN_COUNT];
};

static struct scsi *scsi_of(struct node *node)
{
	return (struct scsi *)node;
}

/* Reading */

struct lun_reading {
	struct lun lun;
	int64_t number;
	struct node_fds *fds;
};

static int take_number(struct json_object *value, const char *path, void *into, struct failure *why)
{
	struct lun_reading *reading = into;

	return json_take_number(value, path, 0, STORVSP_LUN_COUNT - 1, &reading->number, why);
}

static int take_kind(struct json_object *value, const char *path, void *into, struct failure *why)
{
	static const char *const names[] = { [LUN_DISK] = "disk", [LUN_DVD] = "dvd" };
	struct lun_reading *reading = into;

	return json_take_name(value, path, names, 2, &reading->lun.kind, why);
}

static int take_fd(struct json_object *value, const char *path, void *into, struct failure *why)
{
	struct lun_reading *reading = into;

	return node_take_fd(value, path, reading->fds, true, &reading->lun.image.file.fd, why);
}

static int take_format(struct json_object *value, const char *path, void *into, struct failure *why)
{
	struct lun_reading *reading = into;

	return json_take_name(value, path, disk_format_names, DISK_FORMAT_COUNT, &reading->lun.image.file.format, why);
}

static int take_parents(struct json_object *value, const char *path, void *into, struct failure *why)
{
	struct lun_reading *reading = into;

	return disk_image_take_parents(value, path, reading->fds, &reading->lun.image, why);
}

static int take_id(struct json_object *value, const char *path, void *into, struct failure *why)
{
	struct lun_reading *reading = into;

	return json_take_guid(value, path, reading->lun.id, why);
}

static int take_read_only(struct json_object *value, const char *path, void *into, struct failure *why)
{
	struct lun_reading *reading = into;

	reading->lun.read_only = json_object_get_boolean(value);
	return 0;
}

static int take_direct(struct json_object *value, const char *path, void *into, struct failure *why)
{
	struct lun_reading *reading = into;

	reading->lun.direct = json_object_get_boolean(value);
	return 0;
}

/* Into a free place of the controller. */
static int read_lun(struct scsi *scsi, struct json_object *object, const char *prefix, struct node_fds *fds, unsigned *out,
		    struct failure *why)
{
	static const struct json_member members[] = {
		{ "lun", json_type_int, take_number, false },
		{ "kind", json_type_string, take_kind, false },
		{ "fd", json_type_int, take_fd, false },
		{ "format", json_type_string, take_format, false },
		{ "parents", json_type_array, take_parents, true },
		{ "id", json_type_string, take_id, false },
		{ "read_only", json_type_boolean, take_read_only, true },
		{ "direct", json_type_boolean, take_direct, true },
	};
	struct lun_reading reading = { .lun = { .used = true, .image.file.fd = -1 }, .fds = fds };
	int r = json_take(object, prefix, members, sizeof members / sizeof members[0], &reading, why);

	if (r == 0 && scsi->luns[reading.number].used)
		r = failure_set(why, -EEXIST, "%slun: %lld is there twice", prefix, (long long)reading.number);
	if (r == 0 && reading.lun.image.file.fd < 0 && reading.lun.kind != LUN_DVD)
		r = failure_set(why, -EINVAL, "%sfd: a disk needs one", prefix);
	if (r) {
		disk_image_fini(&reading.lun.image);
		return r;
	}
	scsi->luns[reading.number] = reading.lun;
	*out = (unsigned)reading.number;
	return 0;
}

static int take_luns(struct json_object *value, const char *path, void *into, struct failure *why)
{
	struct node_reading *reading = into;
	size_t count = json_object_array_length(value);
	char prefix[64];
	int r = 0;

	(void)snprintf(prefix, sizeof prefix, "%s[].", path);
	if (count > STORVSP_LUN_COUNT)
		return failure_set(why, -EINVAL, "%s: %zu, %u are possible", path, count, STORVSP_LUN_COUNT);
	for (size_t i = 0; r == 0 && i < count; i++) {
		struct json_object *lun = json_object_array_get_idx(value, i);
		unsigned number;

		if (!json_object_is_type(lun, json_type_object))
			return failure_set(why, -EINVAL, "%s[%zu]: must be an object", path, i);
		r = read_lun(scsi_of(reading->node), lun, prefix, reading->fds, &number, why);
	}
	return r == -EEXIST ? -EINVAL : r;
}

static void fini(struct node *node)
{
	struct scsi *scsi = scsi_of(node);

	for (unsigned i = 0; i < STORVSP_LUN_COUNT; i++)
		if (scsi->luns[i].used)
			disk_image_fini(&scsi->luns[i].image);
}

/* On the bus */

/* Without the lock: the threads that end may wait for it. */
static void stop_lanes(void *context)
{
	struct scsi *scsi = context;
	vsp_callback removed = scsi->removed;

	lanes_stop(scsi->lanes);
	scsi->lanes = NULL;
	scsi->removed = NULL;
	removed(scsi->removed_context);
}

/* Only then may the loop end that closes it. */
static void on_part_closed(void *context)
{
	struct scsi *scsi = context;
	const struct vsp_host *host = scsi->node.bus->host;

	if (--scsi->closing || !scsi->removed)
		return;
	scsi->stop_timer = (struct vsp_timer){ .expired = stop_lanes, .context = scsi };
	host->ops->timer_arm(host->context, &scsi->stop_timer, 0);
}

static void close_unused(struct scsi *scsi, struct block_disk *disk)
{
	scsi->closing++;
	block_close(disk, on_part_closed, scsi);
}

static int open_image(const struct scsi *scsi, unsigned number, const struct disk_image *image, struct block_disk **out,
		      struct failure *why)
{
	const struct lun *lun = &scsi->luns[number];
	struct disk_options options = { .read_only = lun->read_only, .direct = lun->direct, .is_dvd = lun->kind == LUN_DVD };
	struct vmbus_guid id = node_guid(lun->id);
	struct failure cause = { "" };
	int r;

	memcpy(options.id, &id, sizeof options.id);
	r = disk_image_open(image, lanes_host(scsi->lanes), &options, out, &cause);
	return r ? failure_set(why, r, "SCSI controller %u, unit %u: %.160s", scsi->node.index, number, cause.text) : 0;
}

static int attach(struct scsi *scsi, unsigned number, struct failure *why)
{
	const struct lun *lun = &scsi->luns[number];
	struct vmbus_guid id = node_guid(lun->id);
	struct block_disk *disk = NULL;
	uint8_t bytes[16];
	int r = lun->image.file.fd >= 0 ? open_image(scsi, number, &lun->image, &disk, why) : 0;

	if (r)
		return r;
	memcpy(bytes, &id, sizeof bytes);
	r = lun->kind == LUN_DVD ? storvsp_attach_dvd(scsi->storvsp, number, bytes, disk)
				 : storvsp_attach_disk(scsi->storvsp, number, disk);
	if (r == 0)
		return 0;
	if (disk)
		close_unused(scsi, disk);
	return failure_set(why, r, "SCSI controller %u, unit %u: cannot be attached: %s", scsi->node.index, number,
			   strerror(-r));
}

static int create(struct scsi *scsi, unsigned channels, struct failure *why)
{
	const struct storvsp_options options = {
		.instance = node_guid(scsi->node.instance), .sub_channels_max = channels - 1,
	};
	int r = storvsp_create(scsi->node.bus->server, lanes_host(scsi->lanes), &options, &scsi->storvsp);

	if (r == 0)
		return 0;
	scsi->storvsp = NULL;
	return failure_set(why, r, "SCSI controller %u: %s", scsi->node.index, strerror(-r));
}

static int add(struct node *node, struct failure *why)
{
	struct scsi *scsi = scsi_of(node);
	const struct node_bus *bus = node->bus;
	const unsigned channels = bus->vp_count < SCSI_CHANNELS_MAX ? bus->vp_count : SCSI_CHANNELS_MAX;
	struct failure cause = { "" };
	int r = lanes_start(&scsi->lanes, channels, "storage", bus->backend, bus->mem, bus->loop, &cause);

	if (r)
		return failure_set(why, r, "SCSI controller %u: %.160s", node->index, cause.text);
	lanes_enter(scsi->lanes);
	r = create(scsi, channels, why);
	for (unsigned i = 0; r == 0 && i < STORVSP_LUN_COUNT; i++)
		if (scsi->luns[i].used)
			r = attach(scsi, i, why);
	lanes_leave(scsi->lanes);
	return r;
}

static void remove_controller(struct node *node, vsp_callback done, void *context)
{
	struct scsi *scsi = scsi_of(node);
	struct storvsp *storvsp = scsi->storvsp;

	scsi->storvsp = NULL;
	scsi->removed = done;
	scsi->removed_context = context;
	scsi->closing++;
	if (!storvsp) {
		on_part_closed(scsi);
		return;
	}
	lanes_enter(scsi->lanes);
	storvsp_destroy(storvsp, on_part_closed, scsi);
	lanes_leave(scsi->lanes);
}

static bool lun_stats(const struct scsi *scsi, unsigned number, struct storvsp_lun_stats *stats)
{
	int r;

	lanes_enter(scsi->lanes);
	r = storvsp_lun_stats(scsi->storvsp, number, stats);
	lanes_leave(scsi->lanes);
	return r == 0;
}

static void counters(struct node *node, struct counter_sink *sink)
{
	struct scsi *scsi = scsi_of(node);
	struct storvsp_lun_stats stats;

	for (unsigned i = 0; scsi->storvsp && i < STORVSP_LUN_COUNT; i++) {
		if (!scsi->luns[i].used || !lun_stats(scsi, i, &stats))
			continue;
		node_counts(node, (int)i, sink);
		sink->counter(sink, "reads", stats.reads);
		sink->counter(sink, "read_bytes", stats.read_bytes);
		sink->counter(sink, "writes", stats.writes);
		sink->counter(sink, "write_bytes", stats.write_bytes);
		sink->counter(sink, "flushes", stats.flushes);
		sink->counter(sink, "unmaps", stats.unmaps);
		sink->counter(sink, "errors", stats.errors);
		sink->histogram(sink, "read_latency_us_log2", stats.read_latency.commands, STORVSP_LATENCY_BUCKETS);
		sink->histogram(sink, "write_latency_us_log2", stats.write_latency.commands, STORVSP_LATENCY_BUCKETS);
	}
}

/* Calls */

struct lun_call {
	struct node_fds *fds;
	struct scsi *scsi;
	int64_t number, bytes;
	struct json_object *lun, *medium;
	struct disk_image image;
};

static int take_lun_object(struct json_object *value, const char *path, void *into, struct failure *why)
{
	struct lun_call *call = into;

	call->lun = value;
	return 0;
}

static int take_call_number(struct json_object *value, const char *path, void *into, struct failure *why)
{
	struct lun_call *call = into;
	int r = json_take_number(value, path, 0, STORVSP_LUN_COUNT - 1, &call->number, why);

	if (r == 0 && !call->scsi->luns[call->number].used)
		return failure_set(why, -ENOENT, "%s: the controller has no unit %lld", path, (long long)call->number);
	return r;
}

static void forget_lun(struct scsi *scsi, unsigned number)
{
	disk_image_fini(&scsi->luns[number].image);
	scsi->luns[number] = (struct lun){ .used = false };
}

static int call_add_lun(struct node *node, struct json_object *params, struct node_fds *fds, struct failure *why)
{
	static const struct json_member members[] = { { "lun", json_type_object, take_lun_object, false } };
	struct lun_call call = { .scsi = scsi_of(node) };
	unsigned number = 0;
	int r = node_take_params(params, members, 1, &call, why);

	if (r == 0)
		r = read_lun(call.scsi, call.lun, "params.lun.", fds, &number, why);
	if (r || !call.scsi->storvsp)
		return r;
	lanes_enter(call.scsi->lanes);
	r = attach(call.scsi, number, why);
	lanes_leave(call.scsi->lanes);
	if (r)
		forget_lun(call.scsi, number);
	return r;
}

static int call_remove_lun(struct node *node, struct json_object *params, struct node_fds *fds, struct failure *why)
{
	static const struct json_member members[] = { { "lun", json_type_int, take_call_number, false } };
	struct lun_call call = { .scsi = scsi_of(node) };
	int r = node_take_params(params, members, 1, &call, why);

	if (r)
		return r;
	if (call.scsi->storvsp) {
		lanes_enter(call.scsi->lanes);
		(void)!storvsp_detach(call.scsi->storvsp, (unsigned)call.number, NULL, NULL); /* it is there */
		lanes_leave(call.scsi->lanes);
	}
	forget_lun(call.scsi, (unsigned)call.number);
	return 0;
}

static int take_medium_fd(struct json_object *value, const char *path, void *into, struct failure *why)
{
	struct lun_call *call = into;

	return node_take_fd(value, path, call->fds, false, &call->image.file.fd, why);
}

static int take_medium_format(struct json_object *value, const char *path, void *into, struct failure *why)
{
	struct lun_call *call = into;

	return json_take_name(value, path, disk_format_names, DISK_FORMAT_COUNT, &call->image.file.format, why);
}

static int insert(struct lun_call *call, struct failure *why)
{
	const unsigned number = (unsigned)call->number;
	struct block_disk *disk;
	int r;

	r = open_image(call->scsi, number, &call->image, &disk, why);
	if (r)
		return r;
	(void)!storvsp_dvd_eject(call->scsi->storvsp, number);
	r = storvsp_dvd_insert(call->scsi->storvsp, number, disk);
	if (r == 0)
		return 0;
	close_unused(call->scsi, disk);
	return failure_set(why, r, "SCSI controller %u, unit %u: the medium does not go in: %s", call->scsi->node.index, number,
			   strerror(-r));
}

/* An image that has no file: nothing is in the drive afterwards. */
static int change_medium(struct lun_call *call, struct failure *why)
{
	int r = 0;

	if (!call->scsi->storvsp)
		return 0;
	lanes_enter(call->scsi->lanes);
	if (call->image.file.fd >= 0)
		r = insert(call, why);
	else
		(void)!storvsp_dvd_eject(call->scsi->storvsp, (unsigned)call->number); /* it is there */
	lanes_leave(call->scsi->lanes);
	return r;
}

static int call_set_medium(struct node *node, struct json_object *params, struct node_fds *fds, struct failure *why)
{
	static const struct json_member medium_members[] = {
		{ "fd", json_type_int, take_medium_fd, false },
		{ "format", json_type_string, take_medium_format, false },
	};
	static const struct json_member members[] = { { "lun", json_type_int, take_call_number, false } };
	struct lun_call call = { .scsi = scsi_of(node), .fds = fds, .image.file.fd = -1 };
	struct json_object *medium = NULL;
	struct lun *lun;
	bool given = json_object_object_get_ex(params, "medium", &medium);
	int r;

	if (!given || (medium && !json_object_is_type(medium, json_type_object)))
		return failure_set(why, -EINVAL, "params.medium: must be an object or null");
	medium = json_object_get(medium);
	json_object_object_del(params, "medium");
	r = node_take_params(params, members, 1, &call, why);
	if (r == 0 && call.scsi->luns[call.number].kind != LUN_DVD)
		r = failure_set(why, -EINVAL, "params.lun: unit %lld is no DVD drive", (long long)call.number);
	if (r == 0 && medium)
		r = json_take(medium, "params.medium.", medium_members, 2, &call, why);
	json_object_put(medium);
	if (r == 0)
		r = change_medium(&call, why);
	if (r) {
		disk_image_fini(&call.image);
		return r;
	}
	lun = &call.scsi->luns[call.number];
	disk_image_fini(&lun->image);
	lun->image = call.image;
	return 0;
}

static int call_refresh(struct node *node, struct json_object *params, struct node_fds *fds, struct failure *why)
{
	static const struct json_member members[] = { { "lun", json_type_int, take_call_number, false } };
	struct lun_call call = { .scsi = scsi_of(node) };
	int r = node_take_params(params, members, 1, &call, why);

	if (r || !call.scsi->storvsp)
		return r;
	lanes_enter(call.scsi->lanes);
	r = storvsp_refresh(call.scsi->storvsp, (unsigned)call.number);
	lanes_leave(call.scsi->lanes);
	return r ? failure_set(why, r, "SCSI controller %u, unit %lld: its size: %s", node->index, (long long)call.number,
			       strerror(-r)) : 0;
}

/* Outlives the unit, which may go before its disk has answered. */
struct resize {
	struct scsi *scsi;
	int64_t number, bytes;
};

static int take_bytes(struct json_object *value, const char *path, void *into, struct failure *why)
{
	struct lun_call *call = into;

	return json_take_number(value, path, 1, INT64_MAX, &call->bytes, why);
}

static void on_resized(void *context, int error)
{
	struct resize *resize = context;
	struct json_object *body = json_object_new_object();
	const char *code = error == -ENOSPC ? "failed" : node_error_code(error);

	(void)json_object_object_add(body, "lun", json_object_new_int64(resize->number));
	(void)json_object_object_add(body, "bytes", json_object_new_int64(resize->bytes));
	(void)json_object_object_add(body, "error", error ? json_object_new_string(code) : NULL);
	(void)json_object_object_add(body, "message", error ? json_object_new_string(strerror(-error)) : NULL);
	node_event(&resize->scsi->node, "resized", body);
	free(resize);
}

static int call_resize(struct node *node, struct json_object *params, struct node_fds *fds, struct failure *why)
{
	static const struct json_member members[] = {
		{ "lun", json_type_int, take_call_number, false },
		{ "bytes", json_type_int, take_bytes, false },
	};
	struct lun_call call = { .scsi = scsi_of(node) };
	struct block_failure cause = { "" };
	struct resize *resize;
	int r = node_take_params(params, members, 2, &call, why);

	if (r == 0 && !call.scsi->storvsp)
		r = failure_set(why, -ENOTCONN, "SCSI controller %u is being removed", node->index);
	if (r)
		return r;
	resize = malloc(sizeof *resize);
	if (!resize)
		return failure_set(why, -ENOMEM, "no memory");
	*resize = (struct resize){ call.scsi, call.number, call.bytes };
	lanes_enter(call.scsi->lanes);
	r = storvsp_resize(call.scsi->storvsp, (unsigned)call.number, (uint64_t)call.bytes, on_resized, resize, &cause);
	lanes_leave(call.scsi->lanes);
	if (r == 0)
		return 0;
	free(resize);
	return failure_set(why, r, "SCSI controller %u, unit %lld: %.160s", node->index, (long long)call.number, cause.text);
}

static const struct node_call calls[] = {
	{ "add_lun", call_add_lun, true },
	{ "remove_lun", call_remove_lun, true },
	{ "set_medium", call_set_medium, true },
	{ "refresh", call_refresh, true },
	{ "resize", call_resize, false },
};

static const struct json_member members[] = { { "luns", json_type_array, take_luns, false } };

const struct node_kind node_scsi = {
	.type = "scsi",
	.max = SCSI_MAX,
	.bytes = sizeof(struct scsi),
	.members = members,
	.member_count = 1,
	.fini = fini,
	.add = add,
	.remove = remove_controller,
	.counters = counters,
	.calls = calls,
	.call_count = sizeof calls / sizeof calls[0],
};
