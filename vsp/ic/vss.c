// SPDX-License-Identifier: Apache-2.0
#include "ic/vss.h"

#include <errno.h>
#include <string.h>

static const struct ic_version frameworks[] = { { 3, 0 } };
static const struct ic_version messages[] = { { 5, 0 } };

static int ask(struct vss *vss, enum ic_vss_operation operation, uint64_t timeout_ns)
{
	const struct ic_vss body = { .operation = (uint8_t)operation };

	return ic_request(&vss->ic, &body, sizeof body, timeout_ns);
}

static void failed(struct vss *vss, enum vss_phase next, int error, uint32_t status)
{
	vss->state.phase = (uint8_t)next;
	vss->events->failed(vss->context, error, status);
}

static void thawed(struct vss *vss, enum vss_phase next, int error, uint32_t status)
{
	vss->state.phase = (uint8_t)next;
	vss->events->thawed(vss->context, error ? error : vss->state.expired ? -ETIME : 0, status);
}

static void repay(struct vss *vss)
{
	int r;

	if (vss->state.phase != VSS_OWED)
		return;
	r = ask(vss, IC_VSS_THAW, VSS_TIMEOUT_NS);
	/* `freed` or `resumed` comes when the way is free. */
	if (r != -EBUSY && r != -EHOSTDOWN)
		vss->state.phase = r ? VSS_IDLE : VSS_REPAYING;
}

static void limit_over(void *context)
{
	struct vss *vss = context;
	int r = ask(vss, IC_VSS_THAW, VSS_TIMEOUT_NS);

	if (vss->state.phase != VSS_FROZEN)
		return;				/* the ring broke, and that has been told */
	vss->state.expired = true;
	if (r == 0)
		vss->state.phase = VSS_THAWING;
	else
		thawed(vss, VSS_IDLE, r, 0);
}

/* What the answer's flags say is left alone: stock Linux returns the host's own, because its daemon's answer has the status
 * where the kernel looks for the operation. */
static void asked(struct vss *vss, const struct ic_answer *answer)
{
	int r;

	if (answer->error) {
		failed(vss, VSS_IDLE, answer->error, 0);
		return;
	}
	if (answer->status != IC_STATUS_OK) {
		failed(vss, VSS_IDLE, -EREMOTEIO, answer->status);
		return;
	}
	if (answer->body_bytes < sizeof(struct ic_vss)) {
		failed(vss, VSS_IDLE, -EPROTO, 0);
		return;
	}
	r = ask(vss, IC_VSS_FREEZE, vss->state.freeze_timeout_ns);
	if (r == 0)
		vss->state.phase = VSS_FREEZING;
	else if (vss->state.phase == VSS_ASKING)
		failed(vss, VSS_IDLE, r, 0);
}

static void frozen(struct vss *vss, const struct ic_answer *answer)
{
	if (answer->error) {
		failed(vss, VSS_OWED, answer->error, 0);
		repay(vss);
	} else if (answer->status != IC_STATUS_OK) {
		failed(vss, VSS_IDLE, -EREMOTEIO, answer->status);
	} else {
		vss->state.phase = VSS_FROZEN;
		vss->state.expired = false;
		ic_timer_arm(&vss->ic, &vss->limit, vss->state.frozen_max_ns);
		vss->events->frozen(vss->context);
	}
}

static void answered(struct ic *ic, const struct ic_answer *answer)
{
	struct vss *vss = (struct vss *)ic;

	switch ((enum vss_phase)vss->state.phase) {
	case VSS_ASKING:
		asked(vss, answer);
		break;
	case VSS_FREEZING:
		frozen(vss, answer);
		break;
	case VSS_THAWING:
		if (answer->error) {
			thawed(vss, VSS_OWED, answer->error, 0);
			repay(vss);
		} else {
			thawed(vss, VSS_IDLE, answer->status != IC_STATUS_OK ? -EREMOTEIO : 0, answer->status);
		}
		break;
	case VSS_REPAYING:
		/* Whatever the guest says to it, it has read it. */
		vss->state.phase = answer->error ? VSS_OWED : VSS_IDLE;
		repay(vss);
		break;
	case VSS_IDLE:
	case VSS_FROZEN:
	case VSS_OWED:
	case VSS_PHASE_COUNT:
		break;
	}
}

static void freed(struct ic *ic)
{
	repay((struct vss *)ic);
}

static void closed(struct ic *ic)
{
	struct vss *vss = (struct vss *)ic;

	ic_timer_cancel(ic, &vss->limit);
	switch ((enum vss_phase)vss->state.phase) {
	case VSS_ASKING:
	case VSS_FREEZING:
		failed(vss, VSS_IDLE, -ECONNRESET, 0);
		break;
	case VSS_FROZEN:
	case VSS_THAWING:
		thawed(vss, VSS_IDLE, -ECONNRESET, 0);
		break;
	case VSS_IDLE:
	case VSS_OWED:
	case VSS_REPAYING:
	case VSS_PHASE_COUNT:
		vss->state.phase = VSS_IDLE;
		break;
	}
}

static void paused(struct ic *ic)
{
	ic_timer_cancel(ic, &((struct vss *)ic)->limit);
}

static void resumed(struct ic *ic)
{
	struct vss *vss = (struct vss *)ic;

	if (vss->state.phase == VSS_FROZEN)
		ic_timer_arm(ic, &vss->limit, vss->state.frozen_max_ns);
	repay(vss);
}

static const struct ic_kind kind = {
	.interface = { 0x35fa2e29, 0xea23, 0x4236, { 0x96, 0xae, 0x3a, 0x6e, 0xba, 0xcb, 0xa4, 0x40 } },
	.instance = { 0x2450ee40, 0x33bf, 0x4fbd, { 0x89, 0x2e, 0x9f, 0xb0, 0x6e, 0x92, 0x14, 0xcf } },
	.message_type = IC_MESSAGE_VSS,
	.packet_bytes_max = 8192,
	.frameworks = frameworks,
	.messages = messages,
	.framework_count = sizeof frameworks / sizeof frameworks[0],
	.message_count = sizeof messages / sizeof messages[0],
	.answered = answered,
	.freed = freed,
	.closed = closed,
	.paused = paused,
	.resumed = resumed,
};

void vss_init(struct vss *vss, const struct vss_events *events, void *context)
{
	memset(vss, 0, sizeof *vss);
	ic_init(&vss->ic, &kind);
	vss->limit = (struct vsp_timer){ .expired = limit_over, .context = vss };
	vss->events = events;
	vss->context = context;
}

int vss_freeze(struct vss *vss, uint64_t freeze_timeout_ns, uint64_t frozen_max_ns)
{
	int r;

	if (freeze_timeout_ns == 0 || frozen_max_ns == 0)
		return -EINVAL;
	if (!ic_is_ready(&vss->ic))
		return -ENOTCONN;
	if (vss->state.phase != VSS_IDLE)
		return -EBUSY;
	r = ask(vss, IC_VSS_HOT_BACKUP, VSS_TIMEOUT_NS);
	if (r)
		return r;
	vss->state.phase = VSS_ASKING;
	vss->state.freeze_timeout_ns = freeze_timeout_ns;
	vss->state.frozen_max_ns = frozen_max_ns;
	return 0;
}

int vss_thaw(struct vss *vss)
{
	int r;

	if (vss->state.phase == VSS_THAWING && vss->state.expired)
		return -ETIME;
	if (vss->state.phase != VSS_FROZEN)
		return -EINVAL;
	r = ask(vss, IC_VSS_THAW, VSS_TIMEOUT_NS);
	if (r)
		return r;
	ic_timer_cancel(&vss->ic, &vss->limit);
	vss->state.phase = VSS_THAWING;
	return 0;
}

void vss_get_state(const struct vss *vss, struct vss_state *out)
{
	*out = vss->state;
	out->ic = vss->ic.state;
}

int vss_set_state(struct vss *vss, const struct vss_state *state)
{
	int r;

	if (state->phase >= VSS_PHASE_COUNT)
		return -EINVAL;
	r = ic_set_state(&vss->ic, &state->ic);
	if (r == 0)
		vss->state = *state;
	return r;
}
