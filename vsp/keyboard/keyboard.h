/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Synthetic keyboard: key strokes into the guest, LEDs back.
 *
 * The owner gives keyboard->device to vmbus_device_add, and keeps the keyboard in place until the device is removed.
 */
#ifndef VSP_KEYBOARD_KEYBOARD_H
#define VSP_KEYBOARD_KEYBOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host.h"
#include "vmbus/channel.h"
#include "vmbus/keyboard.h"

#define KEYBOARD_QUEUE_MAX 1024		/* strokes that wait for room in the guest's ring */

struct keyboard_events {
	/* The guest wants these LEDs lit: KEYBOARD_LED_... */
	void (*leds)(void *context, uint8_t leds);
};

enum keyboard_phase {
	KEYBOARD_CLOSED,
	KEYBOARD_OPEN,			/* the guest has not asked for a protocol that we speak yet */
	KEYBOARD_READY,
	KEYBOARD_BROKEN,		/* the guest broke the ring */
	KEYBOARD_PHASE_COUNT
};

struct keyboard_stroke {
	uint8_t code, info;		/* info: KEYBOARD_INFO_... */
};

struct keyboard_state {
	uint8_t phase;			/* enum keyboard_phase */
	uint8_t leds;
	bool owes_completion, owes_response, accepted;	/* of what the guest asked, when its ring was full */
	uint64_t completion;		/* transaction */
	uint32_t first, count;		/* in the queue, a ring */
	struct keyboard_stroke queue[KEYBOARD_QUEUE_MAX];
};

struct keyboard_counters {
	uint64_t strokes;		/* sent */
	uint64_t dropped;		/* packets of the guest that mean nothing to us */
};

struct keyboard {
	struct vmbus_device device;
	struct vmbus_channel *channel;
	struct keyboard_state state;
	bool paused;
	struct vsp_timer again;
	struct keyboard_counters counters;
	const struct keyboard_events *events;
	void *context;
};

void keyboard_init(struct keyboard *keyboard, const struct keyboard_events *events, void *context);

/* Bytes as a keyboard with scan code set 1 would send them: 0xe0 and 0xe1 announce the next byte, bit 7 is a
 * release. All or none is taken. 0; -ENOTCONN no driver; -EINVAL ends within a sequence; -ENOSPC more than the
 * guest takes. */
int keyboard_type(struct keyboard *keyboard, const uint8_t *scancodes, size_t count);

/* The partition stands still: strokes are taken, but wait. */
void keyboard_pause(struct keyboard *keyboard);
void keyboard_resume(struct keyboard *keyboard);

/* For save and restore: get of a paused keyboard; set before its server is restored, whose channel goes on with it.
 * 0; -EINVAL; -EBUSY open. */
void keyboard_get_state(const struct keyboard *keyboard, struct keyboard_state *out);
int keyboard_set_state(struct keyboard *keyboard, const struct keyboard_state *state);

#endif
