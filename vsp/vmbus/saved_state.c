// SPDX-License-Identifier: Apache-2.0
/*
 * A server's state as bytes: a head, then GPADLs, channels and messages, each a fixed part and what it says that
 * follows. Little endian, as everything here. Read with the same care as a guest's message: it may come from another
 * machine.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hv/hv_synic.h"
#include "vmbus/server_state.h"

#define STATE_MAGIC   0x53424d56u	/* "VMBS" */
#define STATE_VERSION 2u

struct state_head {
	uint32_t magic, version;
	uint32_t bus_version;		/* 0: not connected */
	uint32_t vp;
	uint32_t gpadl_count, channel_count, message_count;
	uint8_t sint, offers_sent;
	uint16_t rsvd;
};

struct state_gpadl {
	uint32_t id, relid;
	uint16_t range_count, range_bytes, received;
	uint8_t tearing_down, complete;
};

struct state_channel {
	struct vmbus_guid interface, instance;
	uint16_t home, index;
	uint8_t offered, open, revoked, declined, broken, announced, signal_due, masked, socket;
	uint8_t rsvd[3];
	struct control_open ring;
	uint32_t read, read_published, write, write_published, wanted;
};

struct state_message {
	uint32_t vp, opened_relid;
	uint8_t sint, bytes;
	uint8_t rsvd[2];
};

/* ---- saving */

struct output {
	uint8_t *bytes;
	size_t used, max;
	bool failed;
};

static void put(struct output *out, const void *bytes, size_t count)
{
	if (out->max - out->used < count && !out->failed) {
		size_t max = (out->max + count) * 2;
		uint8_t *grown = realloc(out->bytes, max);

		out->failed = !grown;
		if (grown) {
			out->bytes = grown;
			out->max = max;
		}
	}
	if (out->failed)
		return;
	memcpy(out->bytes + out->used, bytes, count);
	out->used += count;
}

static void put_gpadl(struct output *out, const struct gpadl *gpadl)
{
	const struct state_gpadl fixed = {
		.id = gpadl->id,
		.relid = gpadl->relid,
		.range_count = gpadl->range_count,
		.range_bytes = gpadl->range_bytes,
		.received = gpadl->received,
		.tearing_down = gpadl->state == GPADL_TEARING_DOWN,
		.complete = gpadl->state != GPADL_COLLECTING,
	};

	put(out, &fixed, sizeof fixed);
	put(out, gpadl->ranges, gpadl->received);
}

static void put_channel(struct output *out, const struct vmbus_channel *channel)
{
	const struct state_channel fixed = {
		.interface = channel->control.offer.interface,
		.instance = channel->control.offer.instance,
		.home = (uint16_t)channel->control.home,
		.index = channel->control.index,
		.offered = channel->control.relid != 0,
		.open = channel->control.state == CONTROL_OPEN,
		.revoked = channel->control.revoked,
		.declined = channel->control.declined,
		.broken = channel->broken,
		.announced = channel->announced,
		.signal_due = channel->signal_due,
		.masked = channel->in.masked,
		.socket = control_is_socket(&channel->control),
		.ring = channel->control.open,
		.read = channel->in.read,
		.read_published = channel->in.published,
		.write = channel->out.write,
		.write_published = channel->out.published,
		.wanted = channel->out.wanted,
	};

	put(out, &fixed, sizeof fixed);
}

static void put_message(struct output *out, const struct control_message *message)
{
	const struct state_message fixed = {
		.vp = message->vp,
		.opened_relid = message->opened_relid,
		.sint = message->sint,
		.bytes = message->bytes,
	};

	put(out, &fixed, sizeof fixed);
	put(out, message->payload, message->bytes);
}

/* At rest: no device is about to close, none is on its way out with a channel open. But for sockets, which do not
 * survive. */
static bool at_rest(const struct vmbus_server *server)
{
	const struct control_channel *channel;
	const struct server_device *entry;

	if (server->control.state == CONTROL_RESETTING)
		return false;
	TAILQ_FOREACH(entry, &server->devices, link)
		if (entry->state == DEVICE_LEAVING)
			return false;
	TAILQ_FOREACH(channel, &server->control.channels, link)
		if (channel->state == CONTROL_CLOSING ||
		    (channel->state == CONTROL_OPEN && channel->revoked && !control_is_socket(channel)))
			return false;
	return true;
}

int vmbus_server_save(struct vmbus_server *server, void **out_state, size_t *out_bytes)
{
	struct control *control = &server->control;
	const struct state_head head = {
		.magic = STATE_MAGIC,
		.version = STATE_VERSION,
		.bus_version = control->version,
		.vp = control->vp,
		.gpadl_count = control->gpadl_count,
		.channel_count = control->channel_count,
		.message_count = control->message_count,
		.sint = control->sint,
		.offers_sent = control->offers_sent,
	};
	const struct control_message *message;
	struct control_channel *channel;
	const struct gpadl *gpadl;
	struct output out = { 0 };

	if (!server->group.paused || !at_rest(server))
		return -EBUSY;
	put(&out, &head, sizeof head);
	TAILQ_FOREACH(gpadl, &control->gpadls, link)
		put_gpadl(&out, gpadl);
	TAILQ_FOREACH(channel, &control->channels, link) {
		group_lock(channel_of(channel)->group);
		put_channel(&out, channel_of(channel));
		group_unlock(channel_of(channel)->group);
	}
	STAILQ_FOREACH(message, &control->messages, link)
		put_message(&out, message);
	if (out.failed) {
		free(out.bytes);
		return -ENOMEM;
	}
	*out_state = out.bytes;
	*out_bytes = out.used;
	return 0;
}

/* ---- restoring */

struct input {
	const uint8_t *at;
	size_t left;
};

static bool get(struct input *in, void *to, size_t count)
{
	if (in->left < count)
		return false;
	memcpy(to, in->at, count);
	in->at += count;
	in->left -= count;
	return true;
}

static bool is_ram(const struct vsp_host *host, const struct gpadl *gpadl)
{
	struct gpa_cursor cursor;
	uint32_t bytes;
	uint64_t gpa;

	gpadl_pieces(gpadl, &cursor);
	while (gpa_cursor_next(&cursor, &gpa, &bytes) > 0)
		if (!host->ops->memory(host->context, gpa, bytes))
			return false;
	return true;
}

static int get_gpadl(struct vmbus_server *server, struct input *in)
{
	struct state_gpadl fixed;
	struct gpadl *gpadl;

	if (!get(in, &fixed, sizeof fixed) || fixed.id == 0 || fixed.range_bytes == 0 ||
	    fixed.received > fixed.range_bytes || fixed.received > in->left ||
	    (fixed.received == fixed.range_bytes) != (fixed.complete != 0) || (fixed.tearing_down && !fixed.complete))
		return -EINVAL;
	gpadl = gpadl_new(&(struct vmbus_gpadl_header_message){
		.relid = fixed.relid,
		.gpadl = fixed.id,
		.range_bytes = fixed.range_bytes,
		.range_count = fixed.range_count,
	});
	if (!gpadl)
		return -ENOMEM;
	(void)gpadl_append(gpadl, in->at, fixed.received);
	in->at += fixed.received;
	in->left -= fixed.received;
	if (fixed.complete)
		gpadl->state = fixed.tearing_down ? GPADL_TEARING_DOWN : GPADL_READY;
	if ((fixed.complete && (!gpadl_well_formed(gpadl) || !is_ram(server->host, gpadl))) ||
	    control_adopt_gpadl(&server->control, gpadl)) {
		free(gpadl);
		return -EINVAL;
	}
	return 0;
}

static struct server_device *find_device(struct vmbus_server *server, const struct state_channel *state)
{
	struct server_device *entry;

	TAILQ_FOREACH(entry, &server->devices, link)
		if (!memcmp(&entry->primary->control.offer.instance, &state->instance, sizeof state->instance) &&
		    !memcmp(&entry->primary->control.offer.interface, &state->interface, sizeof state->interface))
			break;
	return entry;
}

/* The channel object of a saved one: a device's primary, a new sub-channel of it, or one that only keeps a channel
 * id which the guest has not released, as of a socket. NULL: there is no such device, or no memory. */
static struct vmbus_channel *place(struct vmbus_server *server, const struct state_channel *state)
{
	struct server_device *entry = state->revoked || state->socket ? NULL : find_device(server, state);
	struct vmbus_channel *channel = NULL;

	if (entry && state->index == 0)
		return entry->primary;
	if (entry)
		channel = channel_new(entry, entry->primary, state->index);
	else if (state->revoked || state->socket)
		channel = channel_new_expelled(server, &state->interface, &state->instance, state->index);
	if (!channel)
		return NULL;
	if (state->socket) {
		channel->control.offer.flags = VMBUS_OFFER_TLNPI_PROVIDER;
		channel->control.untold = !state->revoked;
	}
	if (control_add(&server->control, &channel->control)) {
		free(channel);
		return NULL;
	}
	if (entry)
		entry->channel_count++;
	return channel;
}

static int get_channel(struct vmbus_server *server, struct input *in)
{
	struct state_channel state;
	struct vmbus_channel *channel;
	struct channel_indices indices;
	int r;

	if (!get(in, &state, sizeof state) || (state.open && state.revoked && !state.socket))
		return -EINVAL;
	if ((state.revoked || state.socket) && !state.offered)
		return 0;		/* waited for the sub-channels of a device that is gone, or is a socket */
	channel = place(server, &state);
	if (!channel || (state.home && control_adopt_home(&server->control, &channel->control, state.home)) ||
	    (state.offered && control_adopt_offer(&server->control, &channel->control)))
		return -EINVAL;
	channel->control.declined = state.declined;
	if (!state.open || state.socket)
		return 0;
	channel->control.open = state.ring;
	r = control_adopt_open(&server->control, &channel->control);
	if (r)
		return r;
	indices = (struct channel_indices){
		state.read, state.read_published, state.write, state.write_published, state.wanted, state.masked,
	};
	r = channel_attach(channel, &indices);
	if (r) {
		channel->control.state = CONTROL_CLOSED;
		return r;
	}
	group_enter(channel->group);
	channel->broken = state.broken;
	channel->announced = state.announced;
	channel->signal_due = state.signal_due;
	/* Whatever the guest or the device did last: both look again. */
	channel->rung = true;
	group_mark_dirty(channel);
	group_leave(channel->group);
	return 0;
}

static int get_message(struct vmbus_server *server, struct input *in)
{
	uint8_t payload[VMBUS_MESSAGE_BYTES_MAX];
	struct control *control = &server->control;
	struct state_message fixed;

	if (!get(in, &fixed, sizeof fixed) || fixed.bytes > sizeof payload || !get(in, payload, fixed.bytes) ||
	    fixed.opened_relid > VMBUS_RELID_MAX || fixed.vp >= control->limits.vp_count ||
	    fixed.sint >= HV_SINT_COUNT)
		return -EINVAL;
	control->vp = fixed.vp;
	control->sint = fixed.sint;
	return control_post(control, payload, fixed.bytes, fixed.opened_relid) ? 0 : -ENOMEM;
}

static int get_all(struct vmbus_server *server, struct input *in)
{
	struct control *control = &server->control;
	struct state_head head;
	int r = 0;

	if (!get(in, &head, sizeof head) || head.magic != STATE_MAGIC || head.version != STATE_VERSION ||
	    head.vp >= control->limits.vp_count || head.sint >= HV_SINT_COUNT)
		return -EINVAL;
	for (uint32_t i = 0; r == 0 && i < head.gpadl_count; i++)
		r = get_gpadl(server, in);
	for (uint32_t i = 0; r == 0 && i < head.channel_count; i++)
		r = get_channel(server, in);
	for (uint32_t i = 0; r == 0 && i < head.message_count; i++)
		r = get_message(server, in);
	if (r || in->left)
		return r ? r : -EINVAL;
	control->vp = head.vp;
	control->sint = head.sint;
	if (head.bus_version)
		control_adopt_connection(control, head.bus_version, head.offers_sent);
	return 0;
}

int vmbus_server_restore(struct vmbus_server *server, const void *state, size_t bytes)
{
	struct input in = { state, bytes };
	int r;

	if (server->control.state != CONTROL_DISCONNECTED || server->control.gpadl_count ||
	    server->control.message_count)
		return -EINVAL;
	server_set_paused(server, true);
	server->restoring = true;
	server_enter(server);
	r = get_all(server, &in);
	server->restoring = false;
	server_leave(server);
	return r;
}
