// SPDX-License-Identifier: Apache-2.0
#include "ic/heartbeat.h"

#include <errno.h>
#include <string.h>

static const struct ic_version frameworks[] = { { 1, 0 }, { 3, 0 } };
static const struct ic_version messages[] = { { 1, 0 }, { 3, 0 } };

static void put(struct heartbeat *heartbeat, enum heartbeat_status status, uint8_t application)
{
	struct heartbeat_state *state = &heartbeat->state;

	if (state->status == status && state->application == application)
		return;
	state->status = (uint16_t)status;
	state->application = application;
	heartbeat->events->changed(heartbeat->context, status, (enum ic_application_state)application);
}

static void ask(struct heartbeat *heartbeat)
{
	const struct ic_heartbeat body = { .sequence = heartbeat->state.sequence + 1 };

	/* What stands against it, an unread request above all, is a missed beat. */
	if (ic_request(&heartbeat->ic, &body, sizeof body, HEARTBEAT_MISSED_MAX * HEARTBEAT_PERIOD_NS) == 0)
		heartbeat->state.sequence++;
	if (ic_is_ready(&heartbeat->ic))
		ic_timer_arm(&heartbeat->ic, &heartbeat->period, HEARTBEAT_PERIOD_NS);
}

static void period_over(void *context)
{
	struct heartbeat *heartbeat = context;
	struct heartbeat_state *state = &heartbeat->state;

	if (state->answered)
		state->missed = 0;
	else if (state->missed < HEARTBEAT_MISSED_MAX)
		state->missed++;
	state->answered = false;
	if (state->missed == HEARTBEAT_MISSED_MAX && state->status == HEARTBEAT_OK)
		put(heartbeat, HEARTBEAT_LOST_COMMUNICATION, IC_APPLICATION_UNKNOWN);
	ask(heartbeat);
}

static void start(struct heartbeat *heartbeat)
{
	heartbeat->state.missed = 0;
	heartbeat->state.answered = false;
	ask(heartbeat);
}

static void negotiated(struct ic *ic)
{
	start((struct heartbeat *)ic);
}

static void mismatched(struct ic *ic)
{
	put((struct heartbeat *)ic, HEARTBEAT_PROTOCOL_MISMATCH, IC_APPLICATION_UNKNOWN);
}

static void answered(struct ic *ic, const struct ic_answer *answer)
{
	struct heartbeat *heartbeat = (struct heartbeat *)ic;
	struct ic_heartbeat body = { 0 };
	uint8_t application = IC_APPLICATION_UNKNOWN;

	if (answer->error || answer->status != IC_STATUS_OK || answer->body_bytes < sizeof body.sequence)
		return;
	memcpy(&body, answer->body, answer->body_bytes < sizeof body ? answer->body_bytes : sizeof body);
	if (body.sequence != heartbeat->state.sequence + 1)
		return;
	if (ic_speaks(ic, 3, 0) && body.application_state <= IC_APPLICATION_STOPPED)
		application = (uint8_t)body.application_state;
	heartbeat->state.answered = true;
	put(heartbeat, HEARTBEAT_OK, application);
}

static void closed(struct ic *ic)
{
	struct heartbeat *heartbeat = (struct heartbeat *)ic;

	ic_timer_cancel(ic, &heartbeat->period);
	put(heartbeat, HEARTBEAT_NO_CONTACT, IC_APPLICATION_UNKNOWN);
}

static void paused(struct ic *ic)
{
	struct heartbeat *heartbeat = (struct heartbeat *)ic;

	ic_timer_cancel(ic, &heartbeat->period);
	heartbeat->events->changed(heartbeat->context, HEARTBEAT_PAUSED,
				   (enum ic_application_state)heartbeat->state.application);
}

static void resumed(struct ic *ic)
{
	struct heartbeat *heartbeat = (struct heartbeat *)ic;

	heartbeat->events->changed(heartbeat->context, (enum heartbeat_status)heartbeat->state.status,
				   (enum ic_application_state)heartbeat->state.application);
	start(heartbeat);
}

static const struct ic_kind kind = {
	.interface = { 0x57164f39, 0x9115, 0x4e78, { 0xab, 0x55, 0x38, 0x2f, 0x3b, 0xd5, 0x42, 0x2d } },
	.instance = { 0xfd149e91, 0x82e0, 0x4a7d, { 0xaf, 0xa6, 0x2a, 0x41, 0x66, 0xcb, 0xd7, 0xc0 } },
	.message_type = IC_MESSAGE_HEARTBEAT,
	.packet_bytes_max = 4096,
	.frameworks = frameworks,
	.messages = messages,
	.framework_count = sizeof frameworks / sizeof frameworks[0],
	.message_count = sizeof messages / sizeof messages[0],
	.negotiated = negotiated,
	.mismatched = mismatched,
	.answered = answered,
	.closed = closed,
	.paused = paused,
	.resumed = resumed,
};

void heartbeat_init(struct heartbeat *heartbeat, const struct heartbeat_events *events, void *context)
{
	memset(heartbeat, 0, sizeof *heartbeat);
	ic_init(&heartbeat->ic, &kind);
	heartbeat->state.status = HEARTBEAT_NO_CONTACT;
	heartbeat->period = (struct vsp_timer){ .expired = period_over, .context = heartbeat };
	heartbeat->events = events;
	heartbeat->context = context;
}

enum heartbeat_status heartbeat_status(const struct heartbeat *heartbeat)
{
	if (heartbeat->ic.state.paused && ic_is_ready(&heartbeat->ic))
		return HEARTBEAT_PAUSED;
	return (enum heartbeat_status)heartbeat->state.status;
}

enum ic_application_state heartbeat_application(const struct heartbeat *heartbeat)
{
	return (enum ic_application_state)heartbeat->state.application;
}

void heartbeat_get_state(const struct heartbeat *heartbeat, struct heartbeat_state *out)
{
	*out = heartbeat->state;
	out->ic = heartbeat->ic.state;
}

static bool is_status(uint16_t status)
{
	return status == HEARTBEAT_OK || status == HEARTBEAT_NO_CONTACT || status == HEARTBEAT_LOST_COMMUNICATION ||
	       status == HEARTBEAT_PROTOCOL_MISMATCH;
}

int heartbeat_set_state(struct heartbeat *heartbeat, const struct heartbeat_state *state)
{
	int r;

	if (!is_status(state->status) || state->application > IC_APPLICATION_STOPPED ||
	    state->missed > HEARTBEAT_MISSED_MAX)
		return -EINVAL;
	r = ic_set_state(&heartbeat->ic, &state->ic);
	if (r == 0)
		heartbeat->state = *state;
	return r;
}
