// SPDX-License-Identifier: Apache-2.0
/* The synthetic keyboard. Nobody types on it yet: a screen will. */
#include <string.h>

#include "keyboard/keyboard.h"
#include "worker/node_kinds.h"

struct keyboard_node {
	struct node node;
	struct keyboard keyboard;
	bool offered;
};

static void on_leds(void *context, uint8_t leds)
{
}

static int add(struct node *node, struct failure *why)
{
	static const struct keyboard_events events = { .leds = on_leds };
	struct keyboard_node *this = (struct keyboard_node *)node;
	int r;

	keyboard_init(&this->keyboard, &events, node);
	this->keyboard.device.offer.instance = node_guid(node->instance);
	r = vmbus_device_add(node->bus->server, &this->keyboard.device);
	this->offered = r == 0;
	return r ? failure_set(why, r, "keyboard: %s", strerror(-r)) : 0;
}

static void remove_keyboard(struct node *node, vsp_callback done, void *context)
{
	struct keyboard_node *this = (struct keyboard_node *)node;

	if (this->offered)
		vmbus_device_remove(node->bus->server, &this->keyboard.device, done, context);
	else
		done(context);
}

static void pause_keyboard(struct node *node)
{
	keyboard_pause(&((struct keyboard_node *)node)->keyboard);
}

static void resume_keyboard(struct node *node)
{
	keyboard_resume(&((struct keyboard_node *)node)->keyboard);
}

const struct node_kind node_keyboard = {
	.type = "keyboard",
	.max = 1,
	.bytes = sizeof(struct keyboard_node),
	.add = add,
	.remove = remove_keyboard,
	.pause = pause_keyboard,
	.resume = resume_keyboard,
};
