// SPDX-License-Identifier: Apache-2.0
#include "ic/shutdown.h"

#include <errno.h>
#include <string.h>

static const struct ic_version frameworks[] = { { 1, 0 }, { 3, 0 } };
static const struct ic_version messages[] = { { 1, 0 }, { 3, 0 }, { 3, 1 }, { 3, 2 } };

static const struct {
	uint32_t flags;
	struct ic_version since;
} actions[] = {
	[SHUTDOWN_POWER_OFF] = { IC_SHUTDOWN_POWER_OFF, { 1, 0 } },
	[SHUTDOWN_RESTART] = { IC_SHUTDOWN_RESTART, { 3, 1 } },
	[SHUTDOWN_HIBERNATE] = { IC_SHUTDOWN_HIBERNATE, { 3, 2 } },
};

static void end(struct shutdown *shutdown, enum shutdown_end how, uint32_t status)
{
	ic_timer_cancel(&shutdown->ic, &shutdown->deadline);
	shutdown->state.phase = SHUTDOWN_IDLE;
	shutdown->events->ended(shutdown->context, how, status);
}

static void deadline_expired(void *context)
{
	end(context, SHUTDOWN_TIMED_OUT, 0);
}

static void deadline_arm(struct shutdown *shutdown)
{
	ic_timer_arm(&shutdown->ic, &shutdown->deadline, shutdown->state.timeout_seconds * IC_SECOND_NS);
}

static void answered(struct ic *ic, const struct ic_answer *answer)
{
	struct shutdown *shutdown = (struct shutdown *)ic;

	if (shutdown->state.phase != SHUTDOWN_ASKED)
		return;				/* our own deadline came first */
	if (answer->error) {
		end(shutdown, SHUTDOWN_TIMED_OUT, 0);
	} else if (answer->status != IC_STATUS_OK) {
		end(shutdown, SHUTDOWN_REFUSED, answer->status);
	} else {
		shutdown->state.phase = SHUTDOWN_ACCEPTED;
		shutdown->events->accepted(shutdown->context);
	}
}

static void closed(struct ic *ic)
{
	struct shutdown *shutdown = (struct shutdown *)ic;

	if (shutdown->state.phase != SHUTDOWN_IDLE)
		end(shutdown, SHUTDOWN_LEFT, 0);
}

static void paused(struct ic *ic)
{
	ic_timer_cancel(ic, &((struct shutdown *)ic)->deadline);
}

static void resumed(struct ic *ic)
{
	struct shutdown *shutdown = (struct shutdown *)ic;

	if (shutdown->state.phase != SHUTDOWN_IDLE)
		deadline_arm(shutdown);
}

static const struct ic_kind kind = {
	.interface = { 0x0e0b6031, 0x5213, 0x4934, { 0x81, 0x8b, 0x38, 0xd9, 0x0c, 0xed, 0x39, 0xdb } },
	.instance = { 0xb6650ff7, 0x33bc, 0x4840, { 0x80, 0x48, 0xe0, 0x67, 0x67, 0x86, 0xf3, 0x93 } },
	.message_type = IC_MESSAGE_SHUTDOWN,
	.packet_bytes_max = 4096,
	.frameworks = frameworks,
	.messages = messages,
	.framework_count = sizeof frameworks / sizeof frameworks[0],
	.message_count = sizeof messages / sizeof messages[0],
	.answered = answered,
	.closed = closed,
	.paused = paused,
	.resumed = resumed,
};

void shutdown_init(struct shutdown *shutdown, const struct shutdown_events *events, void *context)
{
	memset(shutdown, 0, sizeof *shutdown);
	ic_init(&shutdown->ic, &kind);
	shutdown->deadline = (struct vsp_timer){ .expired = deadline_expired, .context = shutdown };
	shutdown->events = events;
	shutdown->context = context;
}

int shutdown_start(struct shutdown *shutdown, const struct shutdown_request *request)
{
	struct ic_shutdown body = { .reason = IC_SHUTDOWN_REASON_PLANNED, .timeout_seconds = request->timeout_seconds };
	size_t text_bytes = request->text ? strlen(request->text) : 0;
	int r;

	if ((unsigned)request->action >= sizeof actions / sizeof actions[0] || text_bytes >= sizeof body.text ||
	    request->timeout_seconds == 0)
		return -EINVAL;
	if (!ic_is_ready(&shutdown->ic))
		return -ENOTCONN;
	if (shutdown->state.phase != SHUTDOWN_IDLE)
		return -EBUSY;
	if (!ic_speaks(&shutdown->ic, actions[request->action].since.major, actions[request->action].since.minor))
		return -EOPNOTSUPP;
	body.flags = actions[request->action].flags | (request->force ? IC_SHUTDOWN_FORCE : 0);
	if (request->text)
		memcpy(body.text, request->text, text_bytes);
	/* The whole body even when the text is short: guests drop anything less without an answer. */
	r = ic_request(&shutdown->ic, &body, sizeof body, request->timeout_seconds * IC_SECOND_NS);
	if (r)
		return r;
	shutdown->state.phase = SHUTDOWN_ASKED;
	shutdown->state.timeout_seconds = request->timeout_seconds;
	deadline_arm(shutdown);
	return 0;
}

void shutdown_get_state(const struct shutdown *shutdown, struct shutdown_state *out)
{
	*out = shutdown->state;
	out->ic = shutdown->ic.state;
}

int shutdown_set_state(struct shutdown *shutdown, const struct shutdown_state *state)
{
	int r;

	if (state->phase >= SHUTDOWN_PHASE_COUNT || (state->phase != SHUTDOWN_IDLE && state->timeout_seconds == 0))
		return -EINVAL;
	r = ic_set_state(&shutdown->ic, &state->ic);
	if (r == 0)
		shutdown->state = *state;
	return r;
}
