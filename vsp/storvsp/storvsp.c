// SPDX-License-Identifier: Apache-2.0
/*
 * Storage over VMBus: negotiation, requests, completions. Three rules carry it:
 * - a packet is read from the ring only when there is a free request for it and room for its completion, so that an
 *   answer
 *   always gets through and a guest that does not listen slows down nobody but itself;
 * - all requests of the controller hang on one list in the order of their arrival, where a reset is a fence: it is
 *   answered
 *   when nothing is left in front of it;
 * - after its completion a request's memory is not touched any more, and a channel is given back when none is under
 *   way.
 */
#include "storvsp/controller.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define OFFER_PACKET_BYTES_MAX 128u
#define COMPLETION_RING_BYTES  (16u + sizeof(struct storvsc_packet) + 8u)	/* descriptor, payload, trailer */
#define BATCH_MAX              256u	/* packets of one channel before others get their turn */

/* ---- sending */

static void pump(struct storvsp_channel *channel);

/*
 * Whether there is room for one packet more than the completions of all that is in use. When nothing is, the answer
 * is to try: a packet that does not get through makes the server tell when there is room, which nobody else would.
 */
static bool has_room(const struct storvsp_channel *channel)
{
	return channel->in_use == 0 ||
	       vmbus_channel_room(channel->vmbus) >= (size_t)(channel->in_use + 1) * COMPLETION_RING_BYTES;
}

static void channel_free(struct storvsp_channel *channel)
{
	struct storvsp_channel **link = &channel->storvsp->channels;
	struct vmbus_channel *vmbus = channel->vmbus;
	const struct vsp_host *host = vmbus_channel_host(vmbus);

	while (*link != channel)
		link = &(*link)->next;
	*link = channel->next;
	host->ops->timer_cancel(host->context, &channel->again);
	for (unsigned i = 0; i < STORVSP_QUEUE_DEPTH; i++)
		free(channel->requests[i].iov);
	vmbus_channel_set_context(vmbus, NULL);
	free(channel);
	vmbus_channel_closed(vmbus);
}

static void request_free(struct storvsp_request *request)
{
	struct storvsp_channel *channel = request->channel;

	request->next = channel->free;
	channel->free = request;
	channel->in_use--;
}

/* false: the ring is full; ready comes when it is not. After what was reserved only if the guest plays with it. */
static bool send_answer(struct storvsp_request *request)
{
	struct storvsp_channel *channel = request->channel;

	const int r = vmbus_channel_complete(channel->vmbus, request->transaction, &request->packet, sizeof request->packet);

	/* With other errors the channel is dead: nobody is there to be answered. */
	if (r == -EAGAIN)
		return false;
	channel->to_flush = true;
	request_free(request);
	return true;
}

static void send_unsent(struct storvsp_channel *channel)
{
	while (channel->unsent) {
		struct storvsp_request *request = channel->unsent;
		struct storvsp_request *next = request->next;

		if (!send_answer(request))
			return;
		channel->unsent = next;
		if (!next)
			channel->unsent_end = &channel->unsent;
	}
}

static void answer(struct storvsp_request *request)
{
	struct storvsp_channel *channel = request->channel;

	if (channel->closing) {
		request_free(request);
	} else if (channel->unsent || !send_answer(request)) {
		request->next = NULL;
		*channel->unsent_end = request;
		channel->unsent_end = &request->next;
	}
	/* Inside pump, it sees for itself. */
	if (channel->pumping)
		return;
	if (channel->closing && channel->in_use == 0)
		channel_free(channel);
	else if (!channel->closing && channel->throttled)
		pump(channel);
}

static void answer_status(struct storvsp_request *request, uint32_t status)
{
	request->packet.operation = STORVSC_COMPLETE_IO;
	request->packet.flags = 0;
	request->packet.status = status;
	answer(request);
}

/* ---- news for the guest */

static struct storvsp_channel *primary_of(const struct storvsp *storvsp)
{
	for (struct storvsp_channel *channel = storvsp->channels; channel; channel = channel->next)
		if (channel->primary)
			return channel;
	return NULL;
}

static bool tell(struct storvsp_channel *channel, enum storvsc_operation operation)
{
	const struct storvsc_packet packet = { .operation = operation };
	const struct iovec part = { (void *)&packet, sizeof packet };

	if (!has_room(channel) || vmbus_channel_send(channel->vmbus, VMBUS_PACKET_IN_BAND, 0, 0, &part, 1) == -EAGAIN) {
		channel->throttled = true;
		return false;
	}
	channel->to_flush = true;
	return true;
}

/* Sent when the guest is ready for it and the ring has room; until then one of a kind stands for all. */
void storvsp_tell_news(struct storvsp *storvsp)
{
	struct storvsp_channel *channel = primary_of(storvsp);

	if (storvsp->phase != PHASE_READY || !channel || channel->closing)
		return;
	if (storvsp->tell_removed && tell(channel, STORVSC_REMOVE_DEVICE))
		storvsp->tell_removed = false;
	if (storvsp->tell_enumerate && tell(channel, STORVSC_ENUMERATE_BUS))
		storvsp->tell_enumerate = false;
}

void storvsp_flush(struct storvsp *storvsp)
{
	for (struct storvsp_channel *channel = storvsp->channels; channel; channel = channel->next) {
		if (channel->to_flush && !channel->closing)
			vmbus_channel_flush(channel->vmbus);
		channel->to_flush = false;
	}
}

/* ---- the list */

static void list_append(struct storvsp_request *request)
{
	struct storvsp *storvsp = request->channel->storvsp;

	request->before = storvsp->newest;
	request->after = NULL;
	if (storvsp->newest)
		storvsp->newest->after = request;
	else
		storvsp->oldest = request;
	storvsp->newest = request;
}

static void list_remove(struct storvsp_request *request)
{
	struct storvsp *storvsp = request->channel->storvsp;

	if (request->before)
		request->before->after = request->after;
	else
		storvsp->oldest = request->after;
	if (request->after)
		request->after->before = request->before;
	else
		storvsp->newest = request->before;
	request->before = request->after = NULL;
}

static bool is_reset(const struct storvsp_request *request)
{
	return request->packet.operation >= STORVSC_RESET_LUN && request->packet.operation <= STORVSC_RESET_BUS;
}

static void answer_resets(struct storvsp *storvsp)
{
	while (storvsp->oldest && is_reset(storvsp->oldest)) {
		struct storvsp_request *reset = storvsp->oldest;

		list_remove(reset);
		answer_status(reset, STORVSC_STATUS_SUCCESS);
	}
}

/* ---- SRB */

static void srb_answer(struct storvsp_request *request, uint8_t srb_status)
{
	const struct scsi_task *task = &request->task;
	struct storvsc_srb *srb = &request->packet.srb;
	const uint8_t sense_room = srb->sense_info_length;

	srb->srb_status = srb_status;
	srb->scsi_status = (uint8_t)task->status;
	srb->data_transfer_length = task->moved;
	srb->sense_info_length = 0;
	if (task->status == SCSI_CHECK_CONDITION) {
		memset(srb->cdb_or_sense, 0, sizeof srb->cdb_or_sense);
		memcpy(srb->cdb_or_sense, task->sense, sizeof task->sense);
		srb->sense_info_length = sense_room < sizeof task->sense ? sense_room : sizeof task->sense;
		srb->srb_status |= SRB_STATUS_AUTOSENSE_VALID;
	}
	answer_status(request, STORVSC_STATUS_SUCCESS);
}

static void task_done(struct scsi_task *task)
{
	struct storvsp_request *request = (struct storvsp_request *)task;
	struct storvsp *storvsp = request->channel->storvsp;

	list_remove(request);
	/* BUSY goes with SUCCESS: guests try again then, but give up soon when both say no. */
	srb_answer(request, task->status == SCSI_CHECK_CONDITION ? SRB_STATUS_ERROR : SRB_STATUS_SUCCESS);
	answer_resets(storvsp);
}

/* The packet's range, cut to what the SRB moves, as the request's own list. false: there is no memory for it. */
static bool take_memory(struct storvsp_request *request, const struct vmbus_gpa_range *range, uint32_t bytes)
{
	struct scsi_task *task = &request->task;
	unsigned count = 0;
	uint64_t left = bytes;

	if (range->iov_count > request->iov_room) {
		struct iovec *iov = realloc(request->iov, range->iov_count * sizeof *iov);

		if (!iov)
			return false;
		request->iov = iov;
		request->iov_room = range->iov_count;
	}
	for (unsigned i = 0; i < range->iov_count && left; i++) {
		struct iovec piece = range->iov[i];

		if (piece.iov_len > left)
			piece.iov_len = (size_t)left;
		left -= piece.iov_len;
		if (piece.iov_len)
			request->iov[count++] = piece;
	}
	task->iov = request->iov;
	task->iov_count = count;
	task->bytes = bytes;
	return true;
}

/* Whether the SRB is in order in itself and fits its packet. */
static bool srb_ok(const struct storvsc_srb *srb, const struct vmbus_gpa_range *range)
{
	if (srb->cdb_length == 0 || srb->cdb_length > SCSI_CDB_BYTES || srb->data_in > SRB_DATA_NONE)
		return false;
	if (srb->data_in == SRB_DATA_NONE)
		return true;
	return srb->data_transfer_length <= range->bytes && srb->data_transfer_length <= SCSI_TRANSFER_MAX &&
	       range->iov_count <= BLOCK_IOV_MAX;
}

static bool srb_to_task(struct storvsp_request *request, const struct vmbus_packet *packet)
{
	static const enum scsi_data data[] = {
		[SRB_DATA_OUT] = SCSI_DATA_OUT, [SRB_DATA_IN] = SCSI_DATA_IN, [SRB_DATA_NONE] = SCSI_DATA_NONE,
	};
	const struct storvsc_srb *srb = &request->packet.srb;
	struct scsi_task *task = &request->task;

	memset(task, 0, sizeof *task);
	task->done = task_done;
	task->arrived_ns = request->channel->batch_ns;
	if (!srb_ok(srb, &packet->range)) {
		scsi_set_sense(task, SENSE_INVALID_FIELD);
		return false;
	}
	memcpy(task->cdb, srb->cdb_or_sense, srb->cdb_length);
	task->cdb_bytes = srb->cdb_length;
	task->data = data[srb->data_in];
	if (task->data == SCSI_DATA_NONE || srb->data_transfer_length == 0)
		return true;
	if (take_memory(request, &packet->range, srb->data_transfer_length))
		return true;
	task->status = SCSI_BUSY;
	return false;
}

/* SPC-4, REPORT LUNS: flat addresses. Of a target with units any LUN may be asked, also one that is not there. */
static void report_luns(const struct storvsp *storvsp, struct scsi_task *task, bool target_present)
{
	uint8_t data[8 + 8 * STORVSP_LUN_COUNT] = { 0 };
	size_t bytes = 8;

	if (task->cdb_bytes < 12) {
		scsi_set_sense(task, SENSE_INVALID_FIELD);
		return;
	}
	/* Select report 1: only well-known units, of which there are none. */
	for (unsigned lun = 0; target_present && task->cdb[2] != 1 && lun < STORVSP_LUN_COUNT; lun++) {
		if (storvsp->units[lun]) {
			data[bytes + 1] = (uint8_t)lun;
			bytes += 8;
		}
	}
	scsi_put32(data, (uint32_t)(bytes - 8));
	scsi_reply(task, data, bytes, scsi_get32(task->cdb + 6));
}

/*
 * A guest takes INQUIRY's data for good whatever the status says: they have to deny the unit. And it looks units up
 * by target and LUN alone when it is told that one is gone: that may be said only of path 0, or it would lose the
 * unit there.
 */
static void absent_unit(struct storvsp_request *request)
{
	static const uint8_t nothing[SCSI_INQUIRY_BYTES] = { [0] = 0x7f, [4] = SCSI_INQUIRY_BYTES - 5 };
	struct scsi_task *task = &request->task;

	if (task->cdb[0] == 0x12) {
		scsi_reply(task, nothing, sizeof nothing, scsi_get16(task->cdb + 3));
		srb_answer(request, SRB_STATUS_SUCCESS);
	} else if (request->packet.srb.path_id) {
		scsi_set_sense(task, SENSE_UNIT_NOT_SUPPORTED);
		srb_answer(request, SRB_STATUS_ERROR);
	} else {
		srb_answer(request, SRB_STATUS_INVALID_LUN);
	}
}

static void execute_srb(struct storvsp_request *request, const struct vmbus_packet *packet)
{
	struct storvsp *storvsp = request->channel->storvsp;
	struct scsi_task *task = &request->task;
	const struct storvsc_srb *srb = &request->packet.srb;
	const bool target_present = srb->path_id == 0 && srb->target_id == 0;
	struct scsi_unit *unit = target_present && srb->lun < STORVSP_LUN_COUNT ? storvsp->units[srb->lun] : NULL;

	if (!srb_to_task(request, packet)) {
		srb_answer(request, task->status == SCSI_BUSY ? SRB_STATUS_SUCCESS : SRB_STATUS_INVALID_REQUEST);
	} else if (task->cdb[0] == 0xa0) {
		report_luns(storvsp, task, target_present);
		srb_answer(request, task->status == SCSI_GOOD ? SRB_STATUS_SUCCESS : SRB_STATUS_ERROR);
	} else if (!unit) {
		absent_unit(request);
	} else {
		list_append(request);
		scsi_execute(unit, task);
	}
}

/* ---- negotiation */

static void query_version(struct storvsp_request *request)
{
	struct storvsp *storvsp = request->channel->storvsp;

	switch (request->packet.version.version) {
	case STORVSC_VERSION_WIN8:
	case STORVSC_VERSION_WIN8_1:
	case STORVSC_VERSION_WIN10:
		storvsp->phase = PHASE_VERSION_AGREED;
		answer_status(request, STORVSC_STATUS_SUCCESS);
		break;
	default:
		answer_status(request, STORVSC_STATUS_REVISION_MISMATCH);
	}
}

static void query_properties(struct storvsp_request *request)
{
	const unsigned sub_channels = request->channel->storvsp->sub_channels_max;

	request->packet.properties = (struct storvsc_properties){
		.max_channel_count = (uint16_t)sub_channels,
		.flags = sub_channels ? STORVSC_PROPERTY_MULTI_CHANNEL : 0,
		.max_transfer_bytes = SCSI_TRANSFER_MAX,
	};
	answer_status(request, STORVSC_STATUS_SUCCESS);
}

static void create_sub_channels(struct storvsp_request *request)
{
	struct storvsp *storvsp = request->channel->storvsp;
	const unsigned count = request->packet.sub_channel_count;

	if (count == 0 || count > storvsp->sub_channels_max) {
		answer_status(request, STORVSC_STATUS_INVALID_PARAMETER);
	} else if (storvsp->growing) {
		answer_status(request, STORVSC_STATUS_INVALID_DEVICE_STATE);
	} else {
		storvsp->growing = request;
		storvsp->host.ops->timer_arm(storvsp->host.context, &storvsp->grow_timer, 0);
	}
}

static void grow(void *context)
{
	struct storvsp *storvsp = context;
	struct storvsp_request *request = storvsp->growing;

	storvsp->growing = NULL;
	answer_status(request, vmbus_device_offer_subchannels(&storvsp->device, request->packet.sub_channel_count) == 0 ?
		      STORVSC_STATUS_SUCCESS : STORVSC_STATUS_INVALID_DEVICE_STATE);
	storvsp_flush(storvsp);
}

static void grow_no_more(struct storvsp *storvsp)
{
	if (!storvsp->growing)
		return;
	storvsp->host.ops->timer_cancel(storvsp->host.context, &storvsp->grow_timer);
	request_free(storvsp->growing);
	storvsp->growing = NULL;
}

static void negotiate(struct storvsp_request *request)
{
	struct storvsp *storvsp = request->channel->storvsp;
	const enum storvsp_phase phase = storvsp->phase;
	const uint32_t operation = request->packet.operation;

	if (operation == STORVSC_BEGIN_INITIALIZATION) {
		storvsp->phase = PHASE_INITIALIZING;
		answer_status(request, STORVSC_STATUS_SUCCESS);
	} else if (operation == STORVSC_QUERY_PROTOCOL_VERSION && phase == PHASE_INITIALIZING) {
		query_version(request);
	} else if (operation == STORVSC_QUERY_PROPERTIES && phase == PHASE_VERSION_AGREED) {
		query_properties(request);
	} else if (operation == STORVSC_END_INITIALIZATION && phase == PHASE_VERSION_AGREED) {
		storvsp->phase = PHASE_READY;
		/* The guest scans now: news from before are none. */
		storvsp->tell_removed = storvsp->tell_enumerate = false;
		answer_status(request, STORVSC_STATUS_SUCCESS);
	} else if (operation == STORVSC_CREATE_SUB_CHANNELS && phase == PHASE_READY) {
		create_sub_channels(request);
	} else {
		answer_status(request, STORVSC_STATUS_INVALID_DEVICE_STATE);
	}
}

/* ---- receiving */

static void dispatch(struct storvsp_request *request, const struct vmbus_packet *packet)
{
	struct storvsp *storvsp = request->channel->storvsp;

	switch (request->packet.operation) {
	case STORVSC_BEGIN_INITIALIZATION:
	case STORVSC_END_INITIALIZATION:
	case STORVSC_QUERY_PROTOCOL_VERSION:
	case STORVSC_QUERY_PROPERTIES:
	case STORVSC_CREATE_SUB_CHANNELS:
		if (request->channel->primary)
			negotiate(request);
		else
			answer_status(request, STORVSC_STATUS_INVALID_DEVICE_STATE);
		break;
	case STORVSC_EXECUTE_SRB:
		if (storvsp->phase == PHASE_READY)
			execute_srb(request, packet);
		else
			answer_status(request, STORVSC_STATUS_INVALID_DEVICE_STATE);
		break;
	case STORVSC_RESET_LUN:
	case STORVSC_RESET_ADAPTER:
	case STORVSC_RESET_BUS:
		list_append(request);
		answer_resets(storvsp);
		break;
	default:
		answer_status(request, STORVSC_STATUS_NOT_SUPPORTED);
	}
}

static void receive(struct storvsp_channel *channel, const struct vmbus_packet *packet)
{
	struct storvsp_request *request = channel->free;

	/* Without an answer the guest would never know what became of it; and completions of ours are not asked for. */
	if (!packet->wants_completion ||
	    (packet->type != VMBUS_PACKET_IN_BAND && packet->type != VMBUS_PACKET_GPA_DIRECT))
		return;
	channel->free = request->next;
	channel->in_use++;
	request->transaction = packet->transaction;
	memset(&request->packet, 0, sizeof request->packet);
	if (packet->payload_bytes < sizeof request->packet) {
		answer_status(request, STORVSC_STATUS_INVALID_PARAMETER);
		return;
	}
	memcpy(&request->packet, packet->payload, sizeof request->packet);
	dispatch(request, packet);
}

static void kick_units(struct storvsp *storvsp)
{
	for (unsigned lun = 0; lun < STORVSP_LUN_COUNT; lun++)
		if (storvsp->units[lun])
			scsi_unit_kick(storvsp->units[lun]);
}

static bool may_read(const struct storvsp_channel *channel)
{
	return !channel->closing && !channel->unsent && channel->free && has_room(channel);
}

/* true: the ring is empty, or the channel dead. */
static bool read_batch(struct storvsp_channel *channel)
{
	const struct vsp_host *host = &channel->storvsp->host;

	for (unsigned i = 0; i < BATCH_MAX; i++) {
		struct vmbus_packet packet;

		if (!may_read(channel))
			return false;
		if (vmbus_channel_read(channel->vmbus, &packet) <= 0)
			return true;
		if (i == 0)
			channel->batch_ns = host->ops->monotonic_ns(host->context);
		receive(channel, &packet);
	}
	return false;
}

static void pump(struct storvsp_channel *channel)
{
	struct storvsp *storvsp = channel->storvsp;
	const struct vsp_host *host = vmbus_channel_host(channel->vmbus);

	if (channel->pumping || channel->closing)
		return;
	channel->pumping = true;
	send_unsent(channel);
	channel->throttled = !read_batch(channel);
	channel->pumping = false;
	/* Only the end of the batch has stopped it. Else it goes on when a request is done or room is made. */
	if (channel->throttled && may_read(channel))
		host->ops->timer_arm(host->context, &channel->again, 0);
	storvsp_tell_news(storvsp);
	kick_units(storvsp);
	if (channel->closing && channel->in_use == 0)
		channel_free(channel);
}

static void pump_again(void *context)
{
	struct storvsp_channel *channel = context;
	struct storvsp *storvsp = channel->storvsp;

	pump(channel);
	storvsp_flush(storvsp);
}

/* ---- the device */

static int device_opened(void *device, struct vmbus_channel *vmbus)
{
	struct storvsp *storvsp = device;
	struct storvsp_channel *channel = calloc(1, sizeof *channel);

	if (!channel)
		return -ENOMEM;
	channel->storvsp = storvsp;
	channel->vmbus = vmbus;
	channel->primary = vmbus_channel_index(vmbus) == 0;
	channel->unsent_end = &channel->unsent;
	channel->again = (struct vsp_timer){ .expired = pump_again, .context = channel };
	for (unsigned i = 0; i < STORVSP_QUEUE_DEPTH; i++) {
		channel->requests[i].channel = channel;
		channel->requests[i].next = channel->free;
		channel->free = &channel->requests[i];
	}
	channel->next = storvsp->channels;
	storvsp->channels = channel;
	if (channel->primary)
		storvsp->phase = PHASE_IDLE;
	vmbus_channel_set_context(vmbus, channel);
	return 0;
}

static void drop_resets(struct storvsp_channel *channel)
{
	for (unsigned i = 0; i < STORVSP_QUEUE_DEPTH; i++) {
		struct storvsp_request *request = &channel->requests[i];

		if (request->before || request->after || channel->storvsp->oldest == request) {
			if (is_reset(request)) {
				list_remove(request);
				request_free(request);
			}
		}
	}
}

static void device_closing(void *device, struct vmbus_channel *vmbus)
{
	struct storvsp *storvsp = device;
	struct storvsp_channel *channel = vmbus_channel_context(vmbus);
	const struct vsp_host *host = vmbus_channel_host(vmbus);

	if (channel->primary) {
		storvsp->phase = PHASE_IDLE;
		grow_no_more(storvsp);
	}
	channel->closing = true;
	while (channel->unsent) {
		struct storvsp_request *request = channel->unsent;

		channel->unsent = request->next;
		request_free(request);
	}
	drop_resets(channel);
	host->ops->timer_cancel(host->context, &channel->again);
	if (channel->in_use == 0 && !channel->pumping)
		channel_free(channel);
}

static void device_ready(void *device, struct vmbus_channel *vmbus)
{
	pump(vmbus_channel_context(vmbus));
}

static const struct vmbus_device_ops device_ops = {
	.opened = device_opened,
	.closing = device_closing,
	.ready = device_ready,
};

int storvsp_create(struct vmbus_server *server, const struct vsp_host *host, const struct storvsp_options *options,
		   struct storvsp **ret_storvsp)
{
	struct storvsp *storvsp;
	int r;

	if (options->sub_channels_max > STORVSP_SUB_CHANNELS_MAX)
		return -EINVAL;
	storvsp = calloc(1, sizeof *storvsp);
	if (!storvsp)
		return -ENOMEM;
	storvsp->server = server;
	storvsp->host = *host;
	storvsp->sub_channels_max = options->sub_channels_max;
	storvsp->device.ops = &device_ops;
	storvsp->device.context = storvsp;
	storvsp->device.lanes = host->lanes;
	storvsp->grow_timer = (struct vsp_timer){ .expired = grow, .context = storvsp };
	storvsp->device.offer = (struct vmbus_offer){
		.interface = STORVSC_SCSI_INTERFACE,
		.instance = options->instance,
		.flags = VMBUS_OFFER_ENUMERATE_DEVICE_INTERFACE,
		.packet_bytes_max = OFFER_PACKET_BYTES_MAX,
	};
	r = vmbus_device_add(server, &storvsp->device);
	if (r) {
		free(storvsp);
		return r;
	}
	*ret_storvsp = storvsp;
	return 0;
}

static void device_removed(void *context)
{
	struct storvsp *storvsp = context;
	const vsp_callback done = storvsp->destroyed;
	void *const done_context = storvsp->destroyed_context;

	free(storvsp);
	done(done_context);
}

/* All requests are answered when all units are closed: only then may the guest learn that its channels go away. */
void storvsp_unit_gone(struct storvsp *storvsp)
{
	if (--storvsp->closing_units == 0 && storvsp->destroying)
		vmbus_device_remove(storvsp->server, &storvsp->device, device_removed, storvsp);
}

static void destroy_begun(void *context)
{
	storvsp_unit_gone(context);
}

void storvsp_destroy(struct storvsp *storvsp, vsp_callback done, void *context)
{
	storvsp->destroying = true;
	storvsp->destroyed = done;
	storvsp->destroyed_context = context;
	storvsp->closing_units++;
	for (unsigned lun = 0; lun < STORVSP_LUN_COUNT; lun++)
		if (storvsp->units[lun])
			(void)storvsp_detach(storvsp, lun, NULL, NULL);	/* it is there */
	storvsp->destroy_timer = (struct vsp_timer){ .expired = destroy_begun, .context = storvsp };
	storvsp->host.ops->timer_arm(storvsp->host.context, &storvsp->destroy_timer, 0);
}
