// SPDX-License-Identifier: Apache-2.0
#include "keyboard/keyboard.h"

#include <errno.h>
#include <string.h>

#define SCANCODE_E0    0xe0
#define SCANCODE_E1    0xe1
#define SCANCODE_BREAK 0x80
#define DRAIN_MAX      32	/* packets at a time: a guest that writes on and on gets no more */

static bool may_talk(const struct keyboard *keyboard)
{
	return keyboard->channel && keyboard->state.phase != KEYBOARD_BROKEN && !keyboard->paused;
}

static int send_packet(struct keyboard *keyboard, const void *payload, size_t bytes)
{
	const struct iovec part = { (void *)(uintptr_t)payload, bytes };

	return vmbus_channel_send(keyboard->channel, VMBUS_PACKET_IN_BAND, 0, 0, &part, 1);
}

/* What the guest waits for goes first. 0, or what the channel said. */
static int send_owed(struct keyboard *keyboard)
{
	struct keyboard_state *state = &keyboard->state;
	int r;

	if (state->owes_completion) {
		r = vmbus_channel_complete(keyboard->channel, state->completion, "", 0);
		if (r)
			return r;
		state->owes_completion = false;
	}
	if (state->owes_response) {
		const struct keyboard_message response = {
			.type = KEYBOARD_PROTOCOL_RESPONSE,
			.value = state->accepted ? KEYBOARD_ACCEPTED : 0,
		};

		r = send_packet(keyboard, &response, sizeof response);
		if (r)
			return r;
		state->owes_response = false;
		state->phase = state->accepted ? KEYBOARD_READY : KEYBOARD_OPEN;
	}
	return 0;
}

static int send_strokes(struct keyboard *keyboard)
{
	struct keyboard_state *state = &keyboard->state;

	while (state->phase == KEYBOARD_READY && state->count) {
		const struct keyboard_stroke *stroke = &state->queue[state->first];
		const struct keyboard_event event = {
			.type = KEYBOARD_EVENT,
			.make_code = stroke->code,
			.info = stroke->info,
		};
		int r = send_packet(keyboard, &event, sizeof event);

		if (r)
			return r;
		keyboard->counters.strokes++;
		state->first = (state->first + 1) % KEYBOARD_QUEUE_MAX;
		state->count--;
	}
	return 0;
}

/* Sends what there is and the ring takes. False: not all of the answers, so that nothing more is to be read now. */
static bool send_all(struct keyboard *keyboard)
{
	int r = send_owed(keyboard);
	bool answered = r == 0;

	if (r == 0)
		r = send_strokes(keyboard);
	/* A ring that holds not even one packet is as bad as one that is broken. */
	if (r == -EPROTO || r == -EMSGSIZE)
		keyboard->state.phase = KEYBOARD_BROKEN;
	else
		vmbus_channel_flush(keyboard->channel);
	return answered;
}

static void packet_read(struct keyboard *keyboard, const struct vmbus_packet *packet)
{
	struct keyboard_state *state = &keyboard->state;
	struct keyboard_message message = { 0 };

	if (packet->type == VMBUS_PACKET_IN_BAND && packet->payload_bytes >= sizeof message)
		memcpy(&message, packet->payload, sizeof message);
	state->owes_completion = packet->wants_completion;
	state->completion = packet->transaction;
	switch (message.type) {
	case KEYBOARD_PROTOCOL_REQUEST:
		/* Also from a driver that starts over on the same channel: it is ready when it has the response. */
		state->accepted = message.value == KEYBOARD_VERSION_1_0;
		state->owes_response = true;
		state->phase = KEYBOARD_OPEN;
		break;
	case KEYBOARD_SET_LED:
		state->leds = message.value & KEYBOARD_LED_MASK;
		keyboard->events->leds(keyboard->context, state->leds);
		break;
	default:
		keyboard->counters.dropped++;
		break;
	}
}

static void drain(void *context)
{
	struct keyboard *keyboard = context;
	struct vmbus_packet packet;

	for (unsigned n = 0; may_talk(keyboard) && send_all(keyboard); n++) {
		int r;

		if (!may_talk(keyboard))
			return;
		if (n == DRAIN_MAX) {
			const struct vsp_host *host = vmbus_channel_host(keyboard->channel);

			host->ops->timer_arm(host->context, &keyboard->again, 0);
			return;
		}
		r = vmbus_channel_read(keyboard->channel, &packet);
		if (r < 0)
			keyboard->state.phase = KEYBOARD_BROKEN;
		if (r <= 0)
			return;
		packet_read(keyboard, &packet);
	}
}

static void again_cancel(struct keyboard *keyboard)
{
	const struct vsp_host *host = vmbus_channel_host(keyboard->channel);

	host->ops->timer_cancel(host->context, &keyboard->again);
}

static int opened(void *device, struct vmbus_channel *channel)
{
	struct keyboard *keyboard = device;

	keyboard->channel = channel;
	memset(&keyboard->state, 0, sizeof keyboard->state);
	keyboard->state.phase = KEYBOARD_OPEN;
	return 0;
}

static int restored(void *device, struct vmbus_channel *channel)
{
	struct keyboard *keyboard = device;

	if (keyboard->state.phase == KEYBOARD_CLOSED)
		return -EINVAL;
	keyboard->channel = channel;
	return 0;
}

static void closing(void *device, struct vmbus_channel *channel)
{
	struct keyboard *keyboard = device;

	again_cancel(keyboard);
	keyboard->channel = NULL;
	keyboard->state.phase = KEYBOARD_CLOSED;
	keyboard->state.count = 0;
	vmbus_channel_closed(channel);
}

static void ready(void *device, struct vmbus_channel *channel)
{
	(void)channel;
	drain(device);
}

static const struct vmbus_device_ops keyboard_ops = {
	.opened = opened,
	.closing = closing,
	.ready = ready,
	.restored = restored,
};

void keyboard_init(struct keyboard *keyboard, const struct keyboard_events *events, void *context)
{
	memset(keyboard, 0, sizeof *keyboard);
	keyboard->device.offer = (struct vmbus_offer){
		.interface = { 0xf912ad6d, 0x2b17, 0x48ea, { 0xbd, 0x65, 0xf9, 0x27, 0xa6, 0x1c, 0x76, 0x84 } },
		.instance = { 0xd34b2567, 0xb9b6, 0x42b9, { 0x87, 0x78, 0x0a, 0x4e, 0xc0, 0xb9, 0x55, 0xbf } },
		.flags = VMBUS_OFFER_ENUMERATE_DEVICE_INTERFACE,
		.packet_bytes_max = 4096,
	};
	keyboard->device.ops = &keyboard_ops;
	keyboard->device.context = keyboard;
	keyboard->again = (struct vsp_timer){ .expired = drain, .context = keyboard };
	keyboard->events = events;
	keyboard->context = context;
}

int keyboard_type(struct keyboard *keyboard, const uint8_t *scancodes, size_t count)
{
	struct keyboard_state *state = &keyboard->state;
	uint32_t taken = 0;
	uint8_t prefix = 0;

	if (!keyboard->channel || state->phase != KEYBOARD_READY)
		return -ENOTCONN;
	/* Into the free part of the queue; it counts when all of it is there. */
	for (size_t i = 0; i < count; i++) {
		struct keyboard_stroke *stroke;

		if (prefix == 0 && (scancodes[i] == SCANCODE_E0 || scancodes[i] == SCANCODE_E1)) {
			prefix = scancodes[i] == SCANCODE_E0 ? KEYBOARD_INFO_E0 : KEYBOARD_INFO_E1;
			continue;
		}
		if (taken == KEYBOARD_QUEUE_MAX - state->count)
			return -ENOSPC;
		stroke = &state->queue[(state->first + state->count + taken) % KEYBOARD_QUEUE_MAX];
		stroke->code = scancodes[i] & (uint8_t)~SCANCODE_BREAK;
		stroke->info = prefix | (scancodes[i] & SCANCODE_BREAK ? KEYBOARD_INFO_BREAK : 0);
		taken++;
		prefix = 0;
	}
	if (prefix)
		return -EINVAL;
	state->count += taken;
	if (may_talk(keyboard))
		(void)send_all(keyboard);
	return 0;
}

void keyboard_pause(struct keyboard *keyboard)
{
	keyboard->paused = true;
	if (keyboard->channel)
		again_cancel(keyboard);
}

void keyboard_resume(struct keyboard *keyboard)
{
	keyboard->paused = false;
	drain(keyboard);
}

void keyboard_get_state(const struct keyboard *keyboard, struct keyboard_state *out)
{
	*out = keyboard->state;
}

int keyboard_set_state(struct keyboard *keyboard, const struct keyboard_state *state)
{
	if (keyboard->channel)
		return -EBUSY;
	if (state->phase >= KEYBOARD_PHASE_COUNT || state->leds > KEYBOARD_LED_MASK ||
	    state->first >= KEYBOARD_QUEUE_MAX || state->count > KEYBOARD_QUEUE_MAX)
		return -EINVAL;
	keyboard->state = *state;
	return 0;
}
