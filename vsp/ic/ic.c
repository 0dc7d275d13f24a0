// SPDX-License-Identifier: Apache-2.0
#include "ic/ic.h"

#include <errno.h>
#include <string.h>

#define NEGOTIATE_TIMEOUT_NS (30 * IC_SECOND_NS)
#define LATE_POLL_NS         IC_SECOND_NS
#define UNREAD_POLL_NS       (10 * IC_SECOND_NS) /* a negotiation may stay unread for ever */
#define DRAIN_MAX            32	/* packets at a time: a guest that writes on and on gets no more */
#define VERSIONS_MAX         8

_Static_assert(sizeof(struct ic_header) + sizeof(struct ic_negotiate) + 2 * sizeof(struct ic_version) == 44,
	       "what a guest writes over a negotiation");

static void negotiate(struct ic *ic);

void ic_timer_arm(const struct ic *ic, struct vsp_timer *timer, uint64_t after_ns)
{
	const struct vsp_host *host = vmbus_channel_host(ic->channel);

	host->ops->timer_arm(host->context, timer, after_ns);
}

void ic_timer_cancel(const struct ic *ic, struct vsp_timer *timer)
{
	const struct vsp_host *host = vmbus_channel_host(ic->channel);

	host->ops->timer_cancel(host->context, timer);
}

bool ic_is_ready(const struct ic *ic)
{
	return ic->state.phase == IC_READY && ic->channel;
}

bool ic_speaks(const struct ic *ic, uint16_t major, uint16_t minor)
{
	const struct ic_version *version = &ic->state.message;

	return ic_is_ready(ic) && (version->major > major || (version->major == major && version->minor >= minor));
}

/* Ends what was going on with this channel; the phase says why. */
static void leave(struct ic *ic, enum ic_phase phase)
{
	bool was_ready = ic->state.phase == IC_READY;

	ic_timer_cancel(ic, &ic->deadline);
	ic_timer_cancel(ic, &ic->again);
	ic->state.phase = (uint8_t)phase;
	ic->state.waiting = IC_WAITING_NONE;
	if (was_ready && ic->kind->closed)
		ic->kind->closed(ic);
}

static int send_request(struct ic *ic, uint16_t type, const void *body, size_t bytes, uint64_t timeout_ns)
{
	struct ic_header header = {
		.pipe_type = IC_PIPE_DATA,
		.pipe_bytes = (uint32_t)(sizeof header - IC_PIPE_HEADER_BYTES + bytes),
		.framework = ic->state.framework,
		.message_type = type,
		.message = ic->state.message,
		.body_bytes = (uint16_t)bytes,
		.transaction = (uint8_t)(ic->state.transaction + 1),
		.flags = IC_FLAG_TRANSACTION | IC_FLAG_REQUEST,
	};
	const struct iovec parts[] = {
		{ &header, sizeof header },
		{ (void *)(uintptr_t)body, bytes },
	};
	int r = vmbus_channel_send(ic->channel, VMBUS_PACKET_IN_BAND, 0, header.transaction, parts, 2);

	if (r == -EPROTO)
		leave(ic, IC_BROKEN);
	if (r)
		return r;
	/* Requests may start at a timer, outside of the server's own loop. */
	vmbus_channel_flush(ic->channel);
	ic->counters.requests++;
	ic->state.transaction = header.transaction;
	ic->state.waiting = IC_WAITING_ANSWER;
	ic->state.timeout_ns = timeout_ns;
	ic_timer_arm(ic, &ic->deadline, timeout_ns);
	return 0;
}

/* The answer comes in the same packet, so what the guest has read is out of the ring. */
static bool guest_has_read(const struct ic *ic)
{
	return vmbus_channel_room(ic->channel) >= ic->state.room_empty;
}

int ic_request(struct ic *ic, const void *body, size_t bytes, uint64_t timeout_ns)
{
	if (!ic_is_ready(ic))
		return -ENOTCONN;
	if (ic->state.waiting == IC_WAITING_ANSWER)
		return -EBUSY;
	if (ic->state.paused)
		return -EHOSTDOWN;
	if (ic->state.waiting == IC_WAITING_LATE && !guest_has_read(ic))
		return -EHOSTDOWN;
	return send_request(ic, ic->kind->message_type, body, bytes, timeout_ns);
}

/* A full ring at this point is the guest's own doing; `ready` tries again when there is room. */
static void negotiate(struct ic *ic)
{
	const struct ic_kind *kind = ic->kind;
	struct {
		struct ic_negotiate counts;
		struct ic_version versions[2 * VERSIONS_MAX];
	} body = { .counts = { .framework_count = kind->framework_count, .message_count = kind->message_count } };
	size_t count = (size_t)kind->framework_count + kind->message_count;

	memcpy(body.versions, kind->frameworks, kind->framework_count * sizeof body.versions[0]);
	memcpy(body.versions + kind->framework_count, kind->messages, kind->message_count * sizeof body.versions[0]);
	ic->state.framework = kind->frameworks[0];
	ic->state.message = kind->messages[0];
	if (send_request(ic, IC_MESSAGE_NEGOTIATE, &body, sizeof body.counts + count * sizeof body.versions[0],
			 NEGOTIATE_TIMEOUT_NS) == -EMSGSIZE)
		leave(ic, IC_BROKEN);
}

static bool has_version(const struct ic_version *list, unsigned count, struct ic_version version)
{
	for (unsigned i = 0; i < count; i++) {
		if (list[i].major == version.major && list[i].minor == version.minor)
			return true;
	}
	return false;
}

static void negotiate_answer(struct ic *ic, uint32_t status, const uint8_t *body, size_t bytes)
{
	const struct ic_kind *kind = ic->kind;
	struct ic_negotiate counts = { 0 };
	struct ic_version chosen[2] = { { 0, 0 } };

	if (bytes >= sizeof counts + sizeof chosen) {
		memcpy(&counts, body, sizeof counts);
		memcpy(chosen, body + sizeof counts, sizeof chosen);
	}
	if (status != IC_STATUS_OK || counts.framework_count != 1 || counts.message_count != 1 ||
	    !has_version(kind->frameworks, kind->framework_count, chosen[0]) ||
	    !has_version(kind->messages, kind->message_count, chosen[1])) {
		ic->state.phase = IC_MISMATCH;
		if (kind->mismatched)
			kind->mismatched(ic);
		return;
	}
	ic->state.phase = IC_READY;
	ic->state.framework = chosen[0];
	ic->state.message = chosen[1];
	if (kind->negotiated)
		kind->negotiated(ic);
}

/* Whether a packet is an answer to what was asked last; the ring's own transaction id is not every guest's to
 * return. */
static bool is_answer(const struct ic *ic, const struct vmbus_packet *packet, struct ic_header *out_header)
{
	uint16_t expected = ic->state.phase == IC_NEGOTIATING ? IC_MESSAGE_NEGOTIATE : ic->kind->message_type;

	if (ic->state.waiting == IC_WAITING_NONE || packet->type != VMBUS_PACKET_IN_BAND ||
	    packet->payload_bytes < sizeof *out_header)
		return false;
	memcpy(out_header, packet->payload, sizeof *out_header);
	return out_header->pipe_type == IC_PIPE_DATA &&
	       out_header->pipe_bytes >= sizeof *out_header - IC_PIPE_HEADER_BYTES &&
	       out_header->pipe_bytes <= packet->payload_bytes - IC_PIPE_HEADER_BYTES &&
	       out_header->body_bytes <= out_header->pipe_bytes - (sizeof *out_header - IC_PIPE_HEADER_BYTES) &&
	       (out_header->flags & IC_FLAG_RESPONSE) && out_header->message_type == expected &&
	       out_header->transaction == ic->state.transaction;
}

static void packet_read(struct ic *ic, const struct vmbus_packet *packet)
{
	struct ic_header header;
	struct ic_answer answer = { 0 };
	bool late = ic->state.waiting == IC_WAITING_LATE;

	if (!is_answer(ic, packet, &header)) {
		ic->counters.dropped++;
		return;
	}
	ic->counters.answers++;
	ic->state.waiting = IC_WAITING_NONE;
	ic_timer_cancel(ic, &ic->deadline);
	answer.status = header.status;
	answer.body = packet->payload + sizeof header;
	answer.body_bytes = header.body_bytes;
	if (ic->state.phase == IC_NEGOTIATING)
		negotiate_answer(ic, answer.status, answer.body, answer.body_bytes);
	else if (!late)
		ic->kind->answered(ic, &answer);
	else if (ic->kind->freed)
		ic->kind->freed(ic);
}

static bool may_talk(const struct ic *ic)
{
	return ic->channel && ic->state.phase != IC_BROKEN && !ic->state.paused;
}

static void drain(void *context)
{
	struct ic *ic = context;
	struct vmbus_packet packet;

	for (unsigned n = 0; may_talk(ic); n++) {
		int r;

		if (n == DRAIN_MAX) {
			ic_timer_arm(ic, &ic->again, 0);
			return;
		}
		r = vmbus_channel_read(ic->channel, &packet);
		if (r < 0)
			leave(ic, IC_BROKEN);
		if (r <= 0)
			break;
		packet_read(ic, &packet);
	}
	if (may_talk(ic) && ic->state.phase == IC_NEGOTIATING && ic->state.waiting == IC_WAITING_NONE)
		negotiate(ic);
}

static void deadline_arm(struct ic *ic)
{
	if (ic->state.waiting == IC_WAITING_ANSWER)
		ic_timer_arm(ic, &ic->deadline, ic->state.timeout_ns);
	else if (ic->state.waiting == IC_WAITING_LATE)
		ic_timer_arm(ic, &ic->deadline, ic->state.phase == IC_NEGOTIATING ? UNREAD_POLL_NS : LATE_POLL_NS);
}

static void deadline_expired(void *context)
{
	static const struct ic_answer none = { .error = -ETIMEDOUT };
	struct ic *ic = context;

	if (ic->state.waiting == IC_WAITING_ANSWER) {
		ic->counters.timeouts++;
		ic->state.waiting = IC_WAITING_LATE;
		deadline_arm(ic);
		if (ic->state.phase == IC_READY)
			ic->kind->answered(ic, &none);
		return;
	}
	if (!guest_has_read(ic)) {
		deadline_arm(ic);
		return;
	}
	/* Read, and still no answer: it will not come, or too late to matter. */
	ic->state.waiting = IC_WAITING_NONE;
	if (ic->state.phase == IC_NEGOTIATING)
		negotiate(ic);
	else if (ic->kind->freed)
		ic->kind->freed(ic);
}

static void resume_talking(struct ic *ic)
{
	deadline_arm(ic);
	if (ic->state.phase == IC_READY && ic->kind->resumed)
		ic->kind->resumed(ic);
	drain(ic);
}

static int opened(void *device, struct vmbus_channel *channel)
{
	struct ic *ic = device;

	ic->channel = channel;
	ic->state = (struct ic_state){
		.phase = IC_NEGOTIATING,
		.transaction = ic->state.transaction,
		.paused = ic->state.paused,
		.room_empty = vmbus_channel_room(channel),
	};
	if (may_talk(ic))
		negotiate(ic);
	return 0;
}

static int restored(void *device, struct vmbus_channel *channel)
{
	struct ic *ic = device;

	if (ic->state.phase == IC_CLOSED)
		return -EINVAL;
	ic->channel = channel;
	return 0;
}

static void closing(void *device, struct vmbus_channel *channel)
{
	struct ic *ic = device;

	leave(ic, IC_CLOSED);
	ic->channel = NULL;
	vmbus_channel_closed(channel);
}

static void ready(void *device, struct vmbus_channel *channel)
{
	(void)channel;
	drain(device);
}

static const struct vmbus_device_ops ic_ops = {
	.opened = opened,
	.closing = closing,
	.ready = ready,
	.restored = restored,
};

void ic_init(struct ic *ic, const struct ic_kind *kind)
{
	const uint32_t pipe_mode = VMBUS_PIPE_MODE_MESSAGE;

	memset(ic, 0, sizeof *ic);
	ic->kind = kind;
	ic->deadline = (struct vsp_timer){ .expired = deadline_expired, .context = ic };
	ic->again = (struct vsp_timer){ .expired = drain, .context = ic };
	ic->device.ops = &ic_ops;
	ic->device.context = ic;
	ic->device.offer.interface = kind->interface;
	ic->device.offer.instance = kind->instance;
	ic->device.offer.flags = VMBUS_OFFER_ENUMERATE_DEVICE_INTERFACE | VMBUS_OFFER_NAMED_PIPE_MODE;
	ic->device.offer.packet_bytes_max = kind->packet_bytes_max;
	memcpy(ic->device.offer.user_defined, &pipe_mode, sizeof pipe_mode);
}

void ic_pause(struct ic *ic)
{
	if (ic->state.paused)
		return;
	if (ic->channel) {
		ic_timer_cancel(ic, &ic->deadline);
		ic_timer_cancel(ic, &ic->again);
	}
	if (ic_is_ready(ic) && ic->kind->paused)
		ic->kind->paused(ic);
	ic->state.paused = true;
}

void ic_resume(struct ic *ic)
{
	if (!ic->state.paused)
		return;
	ic->state.paused = false;
	if (may_talk(ic))
		resume_talking(ic);
}

int ic_set_state(struct ic *ic, const struct ic_state *state)
{
	const struct ic_kind *kind = ic->kind;

	if (ic->channel)
		return -EBUSY;
	if (!state->paused || state->phase >= IC_PHASE_COUNT || state->waiting >= IC_WAITING_COUNT)
		return -EINVAL;
	if (state->waiting != IC_WAITING_NONE && state->phase != IC_NEGOTIATING && state->phase != IC_READY)
		return -EINVAL;
	if (state->phase == IC_READY && (!has_version(kind->frameworks, kind->framework_count, state->framework) ||
					 !has_version(kind->messages, kind->message_count, state->message)))
		return -EINVAL;
	ic->state = *state;
	return 0;
}
