// SPDX-License-Identifier: Apache-2.0
#include "ic/timesync.h"

#include <string.h>

/* Reading the two clocks has to be quicker than this, or it is tried again. */
#define READ_SPREAD_MAX_100NS 500
#define READ_TRIES_MAX        4

static const struct ic_version frameworks[] = { { 1, 0 }, { 3, 0 } };
static const struct ic_version messages[] = { { 1, 0 }, { 3, 0 }, { 4, 0 } };

/* Both clocks at one instant: the guest adds to the wall clock what its reference counter went on since then, so
 * any time between the two readings becomes an error of the guest's clock. */
static void clocks_read(const struct vsp_host *host, uint64_t *out_wall, uint64_t *out_reference)
{
	uint64_t best = UINT64_MAX;

	for (unsigned i = 0; i < READ_TRIES_MAX && best > READ_SPREAD_MAX_100NS; i++) {
		uint64_t before = host->ops->reference_time(host->context);
		uint64_t wall = host->ops->wall_time(host->context);
		uint64_t spread = host->ops->reference_time(host->context) - before;

		if (spread < best) {
			best = spread;
			*out_wall = wall;
			*out_reference = before + spread / 2;
		}
	}
}

static int send_time(struct timesync *timesync, uint8_t flags)
{
	uint64_t wall = 0, reference = 0;

	clocks_read(vmbus_channel_host(timesync->ic.channel), &wall, &reference);
	if (ic_speaks(&timesync->ic, 4, 0)) {
		const struct ic_timesync body = { .wall_time = wall, .reference_time = reference, .flags = flags };

		return ic_request(&timesync->ic, &body, sizeof body, TIMESYNC_PERIOD_NS);
	}
	const struct ic_timesync_v1 body = { .wall_time = wall, .flags = flags };

	return ic_request(&timesync->ic, &body, sizeof body, TIMESYNC_PERIOD_NS);
}

static void send_now(struct timesync *timesync)
{
	if (!ic_is_ready(&timesync->ic))
		return;
	/* What cannot be sent now is stale in a moment: the next period sends a fresh one. */
	if (send_time(timesync, timesync->state.sync ? IC_TIMESYNC_SYNC : IC_TIMESYNC_SAMPLE) == 0)
		timesync->state.sync = false;
	if (ic_is_ready(&timesync->ic))
		ic_timer_arm(&timesync->ic, &timesync->period, TIMESYNC_PERIOD_NS);
}

static void period_over(void *context)
{
	send_now(context);
}

static void answered(struct ic *ic, const struct ic_answer *answer)
{
	struct timesync *timesync = (struct timesync *)ic;

	/* One that was asked for while another message was out. */
	if (answer->error == 0 && timesync->state.sync)
		send_now(timesync);
}

void timesync_sync(struct timesync *timesync)
{
	timesync->state.sync = true;
	if (!timesync->ic.state.paused)
		send_now(timesync);
}

static void sync_now(struct ic *ic)
{
	timesync_sync((struct timesync *)ic);
}

static void stop(struct ic *ic)
{
	ic_timer_cancel(ic, &((struct timesync *)ic)->period);
}

static const struct ic_kind kind = {
	.interface = { 0x9527e630, 0xd0ae, 0x497b, { 0xad, 0xce, 0xe8, 0x0a, 0xb0, 0x17, 0x5c, 0xaf } },
	.instance = { 0x2dd1ce17, 0x079e, 0x403c, { 0xb3, 0x52, 0xa1, 0x92, 0x1e, 0xe2, 0x07, 0xee } },
	.message_type = IC_MESSAGE_TIMESYNC,
	.packet_bytes_max = 4096,
	.frameworks = frameworks,
	.messages = messages,
	.framework_count = sizeof frameworks / sizeof frameworks[0],
	.message_count = sizeof messages / sizeof messages[0],
	.negotiated = sync_now,
	.answered = answered,
	.closed = stop,
	.paused = stop,
	.resumed = sync_now,
};

void timesync_init(struct timesync *timesync)
{
	memset(timesync, 0, sizeof *timesync);
	ic_init(&timesync->ic, &kind);
	timesync->period = (struct vsp_timer){ .expired = period_over, .context = timesync };
}

void timesync_get_state(const struct timesync *timesync, struct timesync_state *out)
{
	*out = timesync->state;
	out->ic = timesync->ic.state;
}

int timesync_set_state(struct timesync *timesync, const struct timesync_state *state)
{
	int r = ic_set_state(&timesync->ic, &state->ic);

	if (r == 0)
		timesync->state = *state;
	return r;
}
