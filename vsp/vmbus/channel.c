// SPDX-License-Identifier: Apache-2.0
/* A device's view of its channels: packets in and out, GPADLs as memory. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmbus/server_state.h"
#include "vmbus/trace.h"

#define PACKET_BYTES_DEFAULT 4096u	/* what guests take when their driver says nothing else */

static const struct vsp_host *lane_host(const struct channel_group *group, unsigned index)
{
	return group->lanes ? &group->lanes->host[1 + index % (group->lanes->count - 1)] : group->host;
}

struct vmbus_channel *channel_new(struct server_device *device, struct vmbus_channel *primary, unsigned index)
{
	struct vmbus_channel *channel = calloc(1, sizeof *channel);

	if (!channel)
		return NULL;
	channel->server = device->server;
	channel->device = device;
	channel->group = device->device->lanes ? &device->own_group : &device->server->group;
	channel->host = lane_host(channel->group, index);
	channel->control.offer = primary ? primary->control.offer : device->device->offer;
	channel->control.primary = primary ? &primary->control : NULL;
	channel->control.index = (uint16_t)index;
	if (channel->control.offer.packet_bytes_max == 0)
		channel->control.offer.packet_bytes_max = PACKET_BYTES_DEFAULT;
	SLIST_INIT(&channel->gpadls);
	return channel;
}

struct vmbus_channel *channel_new_expelled(struct vmbus_server *server, const struct vmbus_guid *interface,
					   const struct vmbus_guid *instance, uint16_t index)
{
	struct vmbus_channel *channel = calloc(1, sizeof *channel);

	if (!channel)
		return NULL;
	channel->server = server;
	channel_expel(channel);
	channel->control.offer.interface = *interface;
	channel->control.offer.instance = *instance;
	channel->control.index = index;
	channel->control.revoked = true;
	SLIST_INIT(&channel->gpadls);
	return channel;
}

void channel_expel(struct vmbus_channel *channel)
{
	channel->device = NULL;
	channel->group = &channel->server->group;
	channel->host = channel->server->host;
}

static void rang(void *context)
{
	struct vmbus_channel *channel = context;

	channel->counters.signals_received++;
	if (channel->group->paused) {
		channel->rung = true;
		return;
	}
	group_enter(channel->group);
	channel_attend(channel);
	group_leave(channel->group);
}

/* ---- opening and closing */

static uint8_t **map_pages(struct vmbus_channel *channel, const struct gpadl *gpadl, unsigned count)
{
	const struct vsp_host *host = channel->host;
	uint8_t **pages = calloc(count, sizeof *pages);
	struct gpa_cursor cursor;
	uint32_t bytes;
	uint64_t gpa;

	if (!pages)
		return NULL;
	gpadl_pieces(gpadl, &cursor);
	for (unsigned i = 0; i < count && gpa_cursor_next(&cursor, &gpa, &bytes) > 0; i++) {
		pages[i] = host->ops->memory(host->context, gpa, bytes);
		if (!pages[i]) {
			free(pages);
			return NULL;
		}
	}
	return pages;
}

static int map_rings(struct vmbus_channel *channel, const struct channel_indices *resume)
{
	const struct gpadl *gpadl = control_find_gpadl(&channel->server->control, channel->control.open.gpadl);
	unsigned count = gpadl_whole_pages(gpadl), in_count = channel->control.open.downstream_page;
	int r;

	channel->pages = map_pages(channel, gpadl, count);
	if (!channel->pages)
		return -EFAULT;
	if (resume) {
		r = vmbus_ring_reader_resume(&channel->in, channel->pages, in_count, resume->read,
					     resume->read_published, resume->masked);
		return r ? r : vmbus_ring_writer_resume(&channel->out, channel->pages + in_count, count - in_count,
							resume->write, resume->write_published, resume->wanted);
	}
	r = vmbus_ring_reader_init(&channel->in, channel->pages, in_count);
	return r ? r : vmbus_ring_writer_init(&channel->out, channel->pages + in_count, count - in_count);
}

static uint32_t connection_of(const struct vmbus_channel *channel)
{
	return VMBUS_CONNECTION_CHANNELS + channel->control.relid;
}

static void close_doorbell(struct vmbus_channel *channel)
{
	channel->group->open_count--;
	channel->host->ops->doorbell_close(channel->host->context, connection_of(channel));
}

/* It is no longer on the channel's list. */
static void let_go(struct vmbus_channel *channel, struct held_gpadl *held)
{
	struct control *control = &channel->server->control;

	control_put_gpadl(control, control_find_gpadl(control, held->id));
	free(held->range.iov);
	free(held);
}

static void unmap(struct vmbus_channel *channel)
{
	struct held_gpadl *held;

	if (channel->dirty)
		TAILQ_REMOVE(&channel->group->dirty, channel, dirty_link);
	channel->dirty = channel->attached = channel->closing = false;
	while ((held = SLIST_FIRST(&channel->gpadls))) {
		SLIST_REMOVE_HEAD(&channel->gpadls, link);
		let_go(channel, held);
	}
	free(channel->pages);
	free(channel->packet);
	free(channel->iov);
	channel->pages = NULL;
	channel->packet = NULL;
	channel->iov = NULL;
	channel->packet_max = channel->iov_max = 0;
}

static int attach(struct vmbus_channel *channel, const struct channel_indices *resume)
{
	const struct vsp_host *host = channel->host;
	const struct vmbus_device *device = channel->device->device;
	int (*tell)(void *, struct vmbus_channel *) =
		resume && device->ops->restored ? device->ops->restored : device->ops->opened;
	int r;

	channel->context = NULL;
	channel->closing = channel->broken = channel->announced = channel->signal_due = channel->rung = false;
	channel->unread = channel->let_go = false;
	r = map_rings(channel, resume);
	if (r == 0)
		r = host->ops->doorbell_open(host->context, connection_of(channel), rang, channel);
	if (r) {
		unmap(channel);
		return r;
	}
	channel->attached = true;
	channel->group->open_count++;
	if (trace_is_on(channel->server))
		trace_open(channel);
	r = tell(device->context, channel);
	if (r) {
		close_doorbell(channel);
		unmap(channel);
	}
	return r;
}

int channel_attach(struct vmbus_channel *channel, const struct channel_indices *resume)
{
	int r;

	group_enter(channel->group);
	r = attach(channel, resume);
	group_leave(channel->group);
	return r;
}

void channel_detach(struct vmbus_channel *channel)
{
	const struct vmbus_device *device = channel->device->device;
	struct channel_group *group = channel->group;

	group_enter(group);
	close_doorbell(channel);
	channel->closing = true;
	if (trace_is_on(channel->server))
		trace_close(channel);
	device->ops->closing(device->context, channel);
	group_leave(group);
}

void channel_free(struct vmbus_channel *channel)
{
	struct channel_group *group = channel->group;

	group_enter(group);
	unmap(channel);
	group_leave(group);
	free(channel);
}

void channel_abandon(struct vmbus_channel *channel)
{
	if (channel->attached && !channel->closing)
		close_doorbell(channel);
	unmap(channel);
	free(channel);
}

void channel_release(struct vmbus_channel *channel)
{
	unmap(channel);
	control_closed(&channel->server->control, &channel->control);
}

void vmbus_channel_closed(struct vmbus_channel *channel)
{
	struct vmbus_server *server = channel->server;
	struct channel_group *group = channel->group;

	if (!channel->closing) {
		group_log(group, "a device closes channel %u, which the guest has open", channel->control.relid);
	} else if (group->lanes) {
		channel->let_go = true;
		group->host->ops->timer_arm(group->host->context, &group->release, 0);
	} else {
		server_enter(server);
		channel_release(channel);
		server_leave(server);
	}
}

/* ---- signals */

/* The guest may touch the rings until it is told that their memory is free; nobody here does after closing began. */
static bool usable(const struct vmbus_channel *channel)
{
	return channel->attached && !channel->closing && !channel->broken;
}

static int break_channel(struct vmbus_channel *channel, const char *why)
{
	if (!channel->broken)
		group_log(channel->group, "channel %u is dead: %s", channel->control.relid, why);
	channel->broken = true;
	return -EPROTO;
}

void channel_signal_if_due(struct vmbus_channel *channel)
{
	const struct vsp_host *host = channel->host;
	uint32_t vp = channel->control.open.target_vp;

	if (!channel->signal_due || !channel->announced || channel->group->paused || !usable(channel))
		return;
	channel->signal_due = false;
	if (vp == VMBUS_VP_NONE)
		return;
	if (host->ops->signal_event(host->context, vp, channel->server->control.sint, (uint16_t)channel->control.relid))
		channel->counters.signals_failed++;
	else
		channel->counters.signals_sent++;
}

void channel_announce(struct vmbus_channel *channel)
{
	group_enter(channel->group);
	channel->announced = true;
	channel_signal_if_due(channel);
	group_leave(channel->group);
}

void channel_resume(struct vmbus_channel *channel)
{
	if (!usable(channel))
		return;
	group_enter(channel->group);
	channel_signal_if_due(channel);
	if (channel->rung)
		channel_attend(channel);
	channel->rung = false;
	group_leave(channel->group);
}

static void publish_read(struct vmbus_channel *channel)
{
	channel->counters.batches_received += vmbus_ring_unpublished(&channel->in) != 0;
	channel->signal_due |= vmbus_ring_publish_read(&channel->in);
}

void channel_publish(struct vmbus_channel *channel)
{
	if (!usable(channel))
		return;
	publish_read(channel);
	if (channel->out.published != channel->out.write) {
		channel->counters.batches_sent++;
		channel->group->sent = true;
		channel->signal_due |= vmbus_ring_publish_write(&channel->out);
	}
	channel_signal_if_due(channel);
}

void channel_attend(struct vmbus_channel *channel)
{
	const struct vmbus_device *device;
	int readable, granted;

	if (!usable(channel))
		return;
	device = channel->device->device;
	readable = vmbus_ring_readable(&channel->in);
	granted = vmbus_ring_granted(&channel->out);
	if (readable < 0 || granted < 0)
		(void)break_channel(channel, "the guest wrote an impossible ring index");
	if (readable || granted)
		device->ops->ready(device->context, channel);
}

bool channel_watch(struct vmbus_channel *channel)
{
	uint32_t at;
	bool same;

	if (!usable(channel) || !channel->announced)
		return false;
	/* Nobody rang, yet there is something, and the guest thinks that it rang. */
	if (!channel->in.masked && vmbus_ring_readable(&channel->in) > 0) {
		channel->counters.signals_missed++;
		channel_attend(channel);
	}
	if (!usable(channel) || channel->control.open.target_vp == VMBUS_VP_NONE ||
	    !vmbus_ring_unread(&channel->out, &at)) {
		channel->unread = false;
		return false;
	}
	same = channel->unread && channel->unread_at == at;
	channel->unread = true;
	channel->unread_at = at;
	if (!same)
		return true;
	/* Once for each packet that nobody takes: a guest that stands still is not woken every second. */
	channel->counters.signals_lost++;
	channel->signal_due = true;
	channel_signal_if_due(channel);
	return false;
}

/* ---- reading */

static bool grow_packet(struct vmbus_channel *channel, uint32_t bytes)
{
	uint32_t max = channel->packet_max ? channel->packet_max : 1024;
	uint8_t *packet;

	if (bytes <= channel->packet_max)
		return true;
	while (max < bytes)
		max *= 2;
	packet = malloc(max);
	if (!packet)
		return false;
	free(channel->packet);
	channel->packet = packet;
	channel->packet_max = max;
	return true;
}

/* Appends a piece of memory, to the last one if it goes on there. */
static int add_piece(struct iovec **iov, unsigned *max, struct vmbus_gpa_range *range, void *base, uint32_t bytes)
{
	struct iovec *last = range->iov_count ? &(*iov)[range->iov_count - 1] : NULL;

	range->bytes += bytes;
	if (last && (uint8_t *)last->iov_base + last->iov_len == base) {
		last->iov_len += bytes;
		return 0;
	}
	if (range->iov_count == *max) {
		unsigned more = *max ? *max * 2 : 16;
		struct iovec *grown = realloc(*iov, more * sizeof **iov);

		if (!grown)
			return -ENOMEM;
		*iov = grown;
		*max = more;
	}
	(*iov)[range->iov_count++] = (struct iovec){ base, bytes };
	return 0;
}

/* 0; -EPROTO malformed; -EFAULT not RAM; -ENOMEM. *iov is an array for *max elements that grows. */
static int resolve(const struct vsp_host *host, struct gpa_cursor *cursor, struct iovec **iov, unsigned *max,
		   struct vmbus_gpa_range *out)
{
	uint32_t bytes;
	uint64_t gpa;
	int r;

	*out = (struct vmbus_gpa_range){ 0 };
	while ((r = gpa_cursor_next(cursor, &gpa, &bytes)) > 0) {
		void *base = host->ops->memory(host->context, gpa, bytes);

		r = base ? add_piece(iov, max, out, base, bytes) : -EFAULT;
		if (r)
			return r;
	}
	out->iov = *iov;
	return r;
}

static int take_ranges(struct vmbus_channel *channel, uint32_t descriptor_bytes, struct vmbus_packet *out)
{
	struct vmbus_gpa_direct_header header;
	struct gpa_cursor cursor;

	if (descriptor_bytes < sizeof header)
		return -EPROTO;
	memcpy(&header, channel->packet, sizeof header);
	gpa_cursor_init(&cursor, channel->packet + sizeof header, (uint32_t)(descriptor_bytes - sizeof header),
			header.range_count);
	return resolve(channel->host, &cursor, &channel->iov, &channel->iov_max, &out->range);
}

static int take_packet(struct vmbus_channel *channel, const struct vmbus_packet_descriptor *descriptor,
		       struct vmbus_packet *out)
{
	uint32_t bytes = descriptor->length8 * VMBUS_RING_ALIGN;
	uint32_t offset = descriptor->payload_offset8 * VMBUS_RING_ALIGN;
	int r = 0;

	if (!grow_packet(channel, bytes))
		return -ENOMEM;
	/* The descriptor that was checked, and the rest of the packet. */
	memcpy(channel->packet, descriptor, sizeof *descriptor);
	vmbus_ring_copy(&channel->in, sizeof *descriptor, channel->packet + sizeof *descriptor,
			(uint32_t)(bytes - sizeof *descriptor));
	*out = (struct vmbus_packet){
		.type = descriptor->type,
		.wants_completion = descriptor->flags & VMBUS_PACKET_FLAG_COMPLETION_REQUESTED,
		.transaction = descriptor->transaction,
		.payload = channel->packet + offset,
		.payload_bytes = bytes - offset,
	};
	if (descriptor->type == VMBUS_PACKET_GPA_DIRECT)
		r = take_ranges(channel, offset, out);
	else if (descriptor->type != VMBUS_PACKET_IN_BAND && descriptor->type != VMBUS_PACKET_COMPLETION)
		r = -EPROTO;
	return r;
}

static const char *reason(int error)
{
	switch (error) {
	case -EFAULT:
		return "a packet names memory that is not RAM";
	case -ENOMEM:
		return "no memory for a packet";
	default:
		return "the guest broke the ring";
	}
}

int vmbus_channel_read(struct vmbus_channel *channel, struct vmbus_packet *out)
{
	struct vmbus_packet_descriptor descriptor;
	int r;

	if (!usable(channel))
		return -EPROTO;
	vmbus_ring_mask(&channel->in);
	r = vmbus_ring_peek(&channel->in, &descriptor);
	if (r == 0) {
		/* Before the last look: a guest signals when it finds the ring empty, by the index that it was told. */
		publish_read(channel);
		channel_signal_if_due(channel);
		r = vmbus_ring_unmask(&channel->in);
		if (r > 0)
			r = vmbus_ring_peek(&channel->in, &descriptor);
	}
	if (r == 0)
		return 0;
	if (r > 0)
		r = take_packet(channel, &descriptor, out);
	if (r < 0)
		return break_channel(channel, reason(r));
	vmbus_ring_consume(&channel->in, &descriptor);
	channel->counters.packets_received++;
	if (trace_is_on(channel->server))
		trace_packet_in(channel, descriptor.length8 * VMBUS_RING_ALIGN, &out->range);
	/* A long batch does not keep the guest waiting for room. */
	if (vmbus_ring_unpublished(&channel->in) > channel->in.area.bytes / 4) {
		publish_read(channel);
		channel_signal_if_due(channel);
	}
	group_mark_dirty(channel);
	return 1;
}

/* ---- writing */

static size_t total_bytes(const struct iovec *parts, unsigned count)
{
	size_t total = 0;

	for (unsigned i = 0; i < count; i++)
		total += parts[i].iov_len;
	return total;
}

static int send_packet(struct vmbus_channel *channel, struct vmbus_packet_descriptor *descriptor,
		       const struct iovec *head, unsigned head_count, const struct iovec *parts, unsigned part_count)
{
	size_t head_bytes = total_bytes(head, head_count);
	size_t length = head_bytes + total_bytes(parts, part_count);
	size_t length8 = length / VMBUS_RING_ALIGN + (length % VMBUS_RING_ALIGN != 0);
	int r;

	if (!usable(channel))
		return -EPROTO;
	if (length8 > UINT16_MAX || length8 * VMBUS_RING_ALIGN > channel->control.offer.packet_bytes_max)
		return -EMSGSIZE;
	descriptor->payload_offset8 = (uint16_t)(head_bytes / VMBUS_RING_ALIGN);
	descriptor->length8 = (uint16_t)length8;
	r = vmbus_ring_write(&channel->out, head, head_count, parts, part_count, length);
	if (r == -EAGAIN) {
		/* What the guest has not seen it cannot take away. */
		channel_publish(channel);
		r = vmbus_ring_want(&channel->out, length);
		if (r == 0)
			r = vmbus_ring_write(&channel->out, head, head_count, parts, part_count, length);
	}
	if (r == -EPROTO)
		return break_channel(channel, reason(r));
	channel->counters.full += r == -EAGAIN;
	if (r)
		return r;
	channel->counters.packets_sent++;
	if (trace_is_on(channel->server))
		trace_packet_out(channel, head, head_count, parts, part_count);
	group_mark_dirty(channel);
	return 0;
}

int vmbus_channel_send(struct vmbus_channel *channel, uint16_t type, uint16_t flags, uint64_t transaction,
		       const struct iovec *parts, unsigned part_count)
{
	struct vmbus_packet_descriptor descriptor = { .type = type, .flags = flags, .transaction = transaction };
	const struct iovec head = { &descriptor, sizeof descriptor };

	return send_packet(channel, &descriptor, &head, 1, parts, part_count);
}

int vmbus_channel_complete(struct vmbus_channel *channel, uint64_t transaction, const void *payload, size_t bytes)
{
	const struct iovec part = { (void *)(uintptr_t)payload, bytes };

	return vmbus_channel_send(channel, VMBUS_PACKET_COMPLETION, 0, transaction, &part, 1);
}

_Static_assert(sizeof(struct vmbus_transfer_range) == sizeof(struct vmbus_transfer_page_range) &&
	       offsetof(struct vmbus_transfer_range, offset) == offsetof(struct vmbus_transfer_page_range, offset),
	       "ranges go to the ring as they are");

int vmbus_channel_send_transfer(struct vmbus_channel *channel, uint16_t set_id, uint64_t transaction,
				const struct vmbus_transfer_range *ranges, unsigned range_count,
				const struct iovec *parts, unsigned part_count)
{
	struct vmbus_transfer_page_header header = {
		.descriptor = {
			.type = VMBUS_PACKET_TRANSFER_PAGES,
			.flags = VMBUS_PACKET_FLAG_COMPLETION_REQUESTED,
			.transaction = transaction,
		},
		.set_id = set_id,
		.range_count = range_count,
	};
	const struct iovec head[] = {
		{ &header, sizeof header },
		{ (void *)(uintptr_t)ranges, range_count * sizeof *ranges },
	};

	return send_packet(channel, &header.descriptor, head, 2, parts, part_count);
}

void vmbus_channel_flush(struct vmbus_channel *channel)
{
	if (!channel->group->paused)
		channel_publish(channel);
}

size_t vmbus_channel_room(const struct vmbus_channel *channel)
{
	return usable(channel) ? vmbus_ring_room(&channel->out) : 0;
}

int vmbus_channel_want_room(struct vmbus_channel *channel, size_t bytes)
{
	int r;

	if (!usable(channel))
		return -EPROTO;
	if (bytes < VMBUS_CHANNEL_OVERHEAD || bytes >= channel->out.area.bytes)
		return -EMSGSIZE;
	if (vmbus_ring_room(&channel->out) >= bytes)
		return 0;
	channel_publish(channel);
	r = vmbus_ring_want(&channel->out, bytes - sizeof(struct vmbus_packet_trailer));
	if (r == -EPROTO)
		return break_channel(channel, reason(r));
	channel->counters.full += r == -EAGAIN;
	return r;
}

/* ---- GPADLs */

static struct held_gpadl *find_held(struct vmbus_channel *channel, uint32_t id)
{
	struct held_gpadl *held;

	SLIST_FOREACH(held, &channel->gpadls, link)
		if (held->id == id)
			break;
	return held;
}

static struct held_gpadl *hold(struct vmbus_channel *channel, struct gpadl *gpadl)
{
	struct held_gpadl *held = calloc(1, sizeof *held);
	struct iovec *iov = NULL;
	struct gpa_cursor cursor;
	unsigned max = 0;

	if (!held)
		return NULL;
	gpadl_pieces(gpadl, &cursor);
	if (resolve(channel->host, &cursor, &iov, &max, &held->range)) {
		free(iov);
		free(held);
		return NULL;
	}
	held->id = gpadl->id;
	gpadl->users++;
	SLIST_INSERT_HEAD(&channel->gpadls, held, link);
	return held;
}

int vmbus_channel_gpadl_get(struct vmbus_channel *channel, uint32_t gpadl, struct vmbus_gpa_range *out)
{
	struct gpadl *found = channel->group->lanes ? NULL : control_find_gpadl(&channel->server->control, gpadl);
	struct held_gpadl *held;

	if (!usable(channel) || !found || found->relid != channel->control.relid)
		return -ENOENT;
	/* After a restore devices come back to what the guest has asked for meanwhile. */
	if (found->state != GPADL_READY && !(found->state == GPADL_TEARING_DOWN && channel->server->restoring))
		return -ENOENT;
	held = find_held(channel, gpadl);
	if (!held)
		held = hold(channel, found);
	if (!held)
		return -ENOMEM;
	held->count++;
	*out = held->range;
	return 0;
}

void vmbus_channel_gpadl_put(struct vmbus_channel *channel, uint32_t gpadl)
{
	struct held_gpadl *held = find_held(channel, gpadl);

	if (!held || --held->count)
		return;
	server_enter(channel->server);
	SLIST_REMOVE(&channel->gpadls, held, held_gpadl, link);
	let_go(channel, held);
	server_leave(channel->server);
}

/* ---- what a device may ask */

unsigned vmbus_channel_index(const struct vmbus_channel *channel)
{
	return channel->control.index;
}

struct vmbus_device *vmbus_channel_device(struct vmbus_channel *channel)
{
	return channel->device->device;
}

void *vmbus_channel_context(const struct vmbus_channel *channel)
{
	return channel->context;
}

void vmbus_channel_set_context(struct vmbus_channel *channel, void *context)
{
	channel->context = context;
}

const struct vsp_host *vmbus_channel_host(const struct vmbus_channel *channel)
{
	return channel->host;
}
