// SPDX-License-Identifier: Apache-2.0
#include "dm/dm.h"

#include <errno.h>
#include <string.h>

#include "dm/ram.h"

#define DRAIN_MAX       32	/* packets at a time: a guest that writes on and on gets no more */
#define MESSAGE_BYTES   4096u	/* guests' drivers read into one page, with the packet's descriptor before it */
#define RANGES_MAX      ((MESSAGE_BYTES - 16 - sizeof(struct dm_unballoon_request)) / sizeof(uint64_t))

static void step(struct dm *dm);

static uint64_t now_ns(const struct dm *dm)
{
	const struct vsp_host *host = vmbus_channel_host(dm->channel);

	return host->ops->reference_time(host->context) * 100;
}

static void timer_arm(struct dm *dm, struct vsp_timer *timer, uint64_t after_ns)
{
	const struct vsp_host *host = vmbus_channel_host(dm->channel);

	host->ops->timer_arm(host->context, timer, after_ns);
}

static void timers_cancel(struct dm *dm)
{
	const struct vsp_host *host = vmbus_channel_host(dm->channel);

	host->ops->timer_cancel(host->context, &dm->deadline);
	host->ops->timer_cancel(host->context, &dm->retry);
	host->ops->timer_cancel(host->context, &dm->again);
	host->ops->timer_cancel(host->context, &dm->notify);
	dm->notify_waits = dm->notify_armed = false;
}

static bool may_talk(const struct dm *dm)
{
	return dm->channel && dm->state.phase != DM_BROKEN && !dm->paused;
}

/* ---- telling the owner */

static void notify_expired(void *context)
{
	struct dm *dm = context;

	dm->notify_armed = dm->notify_waits;
	if (!dm->notify_waits)
		return;
	dm->notify_waits = false;
	timer_arm(dm, &dm->notify, DM_NOTIFY_NS);
	dm->events->status(dm->context);
}

static void notify(struct dm *dm)
{
	dm->notify_waits = true;
	if (dm->notify_armed || !may_talk(dm))
		return;
	dm->notify_armed = true;
	timer_arm(dm, &dm->notify, 0);
}

/* ---- sending */

static void broken(struct dm *dm)
{
	timers_cancel(dm);
	dm->state.phase = DM_BROKEN;
	dm->events->status(dm->context);
}

static int send_parts(struct dm *dm, const struct iovec *parts, unsigned count)
{
	int r = vmbus_channel_send(dm->channel, VMBUS_PACKET_IN_BAND, 0, 0, parts, count);

	/* A ring that holds not even one message is as bad as one that is broken. */
	if (r == -EPROTO || r == -EMSGSIZE)
		broken(dm);
	else if (r == 0)
		vmbus_channel_flush(dm->channel);
	return r;
}

static int send_message(struct dm *dm, const void *message, size_t bytes)
{
	const struct iovec part = { (void *)(uintptr_t)message, bytes };

	return send_parts(dm, &part, 1);
}

static struct dm_header request_header(struct dm *dm, uint16_t type, size_t bytes)
{
	return (struct dm_header){ type, (uint16_t)bytes, ++dm->state.transaction };
}

static int send_verdict(struct dm *dm, uint16_t type, bool accepted)
{
	const struct dm_verdict verdict = {
		.header = { type, sizeof verdict, dm->state.owed_transaction },
		.flags = accepted ? DM_ACCEPTED : 0,
	};

	return send_message(dm, &verdict, sizeof verdict);
}

static int send_info(struct dm *dm)
{
	const struct dm_info info = {
		.header = request_header(dm, DM_INFO, sizeof info),
		.info_bytes = 16,
		.info_type = DM_INFO_MAX_PAGE_COUNT,
		.data_bytes = sizeof info.max_page_count,
		.max_page_count = dm->config.max_pages,
	};

	return send_message(dm, &info, sizeof info);
}

static int send_one_owed(struct dm *dm, unsigned what)
{
	struct dm_state *state = &dm->state;
	int r;

	switch (what) {
	case DM_OWES_COMPLETION:
		r = vmbus_channel_complete(dm->channel, state->owed_completion, "", 0);
		if (r == -EPROTO || r == -EMSGSIZE)
			broken(dm);
		return r;
	case DM_OWES_VERSION:
		r = send_verdict(dm, DM_VERSION_RESPONSE, state->accepted);
		if (r == 0 && state->accepted)
			state->phase = DM_NEGOTIATED;
		return r;
	case DM_OWES_CAPABILITIES:
		r = send_verdict(dm, DM_CAPABILITIES_RESPONSE, true);
		if (r == 0) {
			state->phase = DM_READY;
			dm->hold_until[DM_HOT_ADD] = now_ns(dm) + dm->config.settle_ns;
			notify(dm);
		}
		return r;
	default:
		return send_info(dm);
	}
}

/* What the guest waits for. False: not all was sent, so that nothing more is to be read now. */
static bool send_owed(struct dm *dm)
{
	for (unsigned what = DM_OWES_COMPLETION; what & DM_OWES_MASK; what <<= 1) {
		if (!(dm->state.owes & what))
			continue;
		if (send_one_owed(dm, what))
			return false;
		dm->state.owes &= (uint8_t)~what;
	}
	return true;
}

/* ---- operations */

static void operation_begun(struct dm *dm, enum dm_operation operation)
{
	dm->state.operation = (uint8_t)operation;
	dm->state.late = false;
	timer_arm(dm, &dm->deadline, DM_ANSWER_NS);
}

static void operation_ended(struct dm *dm)
{
	const struct vsp_host *host = vmbus_channel_host(dm->channel);

	dm->state.operation = DM_IDLE;
	dm->state.late = false;
	host->ops->timer_cancel(host->context, &dm->deadline);
	notify(dm);
}

static void hold(struct dm *dm, enum dm_operation operation)
{
	dm->counters.refusals++;
	dm->hold_until[operation] = now_ns(dm) + DM_HOLD_NS;
}

static int begin_balloon(struct dm *dm)
{
	uint64_t excess = dm_ram_assigned(dm) - dm->state.target;
	uint64_t count = excess < DM_OPERATION_PAGES ? excess / DM_BALLOON_UNIT * DM_BALLOON_UNIT : DM_OPERATION_PAGES;
	const struct dm_balloon_request request = {
		.header = request_header(dm, DM_BALLOON_REQUEST, sizeof request),
		.page_count = (uint32_t)count,
	};
	int r = send_message(dm, &request, sizeof request);

	if (r)
		return r;
	dm->state.asked = count;
	dm->state.got = 0;
	operation_begun(dm, DM_BALLOON);
	return 0;
}

static void give_back_ranges(struct dm *dm, const uint64_t *ranges, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		page_set_add(&dm->ballooned, DM_RANGE_FIRST(ranges[i]), DM_RANGE_COUNT(ranges[i]));
		dm->events->give_back(dm->context, DM_RANGE_FIRST(ranges[i]), DM_RANGE_COUNT(ranges[i]));
	}
}

/* Ballooned pages, lowest first, that the owner made RAM again, as ranges; no longer in the set. */
static unsigned take_ranges(struct dm *dm, uint64_t left, uint64_t *ranges, uint64_t *out_pages)
{
	uint64_t from = 0, pages = 0, first, count;
	unsigned n = 0;

	while (n < RANGES_MAX && left) {
		count = page_set_next(&dm->ballooned, from, left < DM_TAKE_PAGES ? left : DM_TAKE_PAGES, &first);
		if (count == 0 || dm->events->take(dm->context, first, count))
			break;
		page_set_remove(&dm->ballooned, first, count);
		ranges[n++] = DM_RANGE(first, count);
		from = first + count;
		pages += count;
		left -= count;
	}
	*out_pages = pages;
	return n;
}

static int begin_unballoon(struct dm *dm)
{
	uint64_t missing = dm->state.target - dm_ram_assigned(dm), pages;
	uint64_t ranges[RANGES_MAX];
	unsigned count = take_ranges(dm, missing < DM_OPERATION_PAGES ? missing : DM_OPERATION_PAGES, ranges, &pages);
	size_t bytes = count * sizeof ranges[0];
	const struct dm_unballoon_request request = {
		.header = request_header(dm, DM_UNBALLOON_REQUEST, sizeof request + bytes),
		.range_count = count,
	};
	const struct iovec parts[] = { { (void *)(uintptr_t)&request, sizeof request }, { ranges, bytes } };
	int r;

	if (count == 0)
		return -ENOMEM;
	r = send_parts(dm, parts, 2);
	if (r) {
		give_back_ranges(dm, ranges, count);
		return r;
	}
	dm->counters.unballooned += pages;
	operation_begun(dm, DM_UNBALLOON);
	return 0;
}

/* What hot add can give of what is missing, in whole units. */
static struct dm_range hot_add_wanted(const struct dm *dm)
{
	uint64_t unit = dm_ram_unit(dm), missing = dm->state.target - dm_ram_assigned(dm), first;
	uint64_t most = unit < DM_OPERATION_PAGES ? DM_OPERATION_PAGES / unit * unit : unit;
	uint64_t count = dm_ram_room(dm, &first);
	/* The guest's RAM counts here, ballooned or not. */
	uint64_t grown = dm_ram_assigned(dm) + dm->ballooned.count;
	uint64_t left = dm->config.max_pages > grown ? dm->config.max_pages - grown : 0;

	if (missing > left)
		missing = left;
	if (count > missing)
		count = missing / unit * unit;
	return (struct dm_range){ first, count < most ? count : most };
}

static int begin_hot_add(struct dm *dm)
{
	struct dm_range range = hot_add_wanted(dm);
	const struct dm_hot_add_request request = {
		.header = request_header(dm, DM_HOT_ADD_REQUEST, sizeof request),
		.range = DM_RANGE(range.first, range.count),
		.region = DM_RANGE(range.first, range.count),
	};
	int r = dm->events->hot_add(dm->context, range.first, range.count);

	if (r)
		return -ENOMEM;
	r = send_message(dm, &request, sizeof request);
	if (r) {
		dm->events->give_back(dm->context, range.first, range.count);
		return r;
	}
	dm_ram_grow(dm, range.first, range.count);
	dm->state.adding = range;
	operation_begun(dm, DM_HOT_ADD);
	return 0;
}

static enum dm_operation wanted(const struct dm *dm)
{
	const struct dm_state *state = &dm->state;
	uint64_t has = dm_ram_assigned(dm);

	if (has > state->target)
		return state->capabilities & DM_CAN_BALLOON && has - state->target >= DM_BALLOON_UNIT ? DM_BALLOON
												       : DM_IDLE;
	if (has == state->target)
		return DM_IDLE;
	if (dm->ballooned.count)
		return DM_UNBALLOON;
	if (!(state->capabilities & DM_CAN_HOT_ADD) || state->hot_add_refused || hot_add_wanted(dm).count == 0)
		return DM_IDLE;
	return DM_HOT_ADD;
}

/* The next step to the target, if there is one and nothing is under way. */
static void step(struct dm *dm)
{
	static int (*const begin[DM_OPERATION_COUNT])(struct dm *dm) = {
		[DM_BALLOON] = begin_balloon, [DM_UNBALLOON] = begin_unballoon, [DM_HOT_ADD] = begin_hot_add,
	};
	enum dm_operation operation;
	uint64_t now;

	if (!may_talk(dm) || dm->state.phase != DM_READY || dm->state.owes || dm->state.operation != DM_IDLE)
		return;
	operation = wanted(dm);
	if (operation == DM_IDLE)
		return;
	now = now_ns(dm);
	if (now >= dm->hold_until[operation] && begin[operation](dm) == -ENOMEM)
		hold(dm, operation);
	if (may_talk(dm) && dm->state.operation == DM_IDLE && now < dm->hold_until[operation])
		timer_arm(dm, &dm->retry, dm->hold_until[operation] - now);
}

static void retry_expired(void *context)
{
	step(context);
}

static void deadline_expired(void *context)
{
	struct dm *dm = context;

	dm->state.late = true;
	dm->counters.timeouts++;
	notify(dm);
}

/* ---- messages of the guest */

static void version_requested(struct dm *dm, const uint8_t *payload)
{
	struct dm_version_request request;
	struct dm_state *state = &dm->state;

	memcpy(&request, payload, sizeof request);
	/* Once it is agreed, only a new channel begins anew. */
	state->accepted = state->phase == DM_OPEN && dm_speaks(request.version);
	if (state->accepted)
		state->version = request.version;
	state->owed_transaction = request.header.transaction;
	state->owes |= DM_OWES_VERSION;
}

static void capabilities_reported(struct dm *dm, const uint8_t *payload)
{
	struct dm_capabilities report;
	struct dm_state *state = &dm->state;

	if (state->phase != DM_NEGOTIATED) {
		dm->counters.dropped++;
		return;
	}
	memcpy(&report, payload, sizeof report);
	state->capabilities = report.capabilities;
	state->owed_transaction = report.header.transaction;
	state->owes |= DM_OWES_CAPABILITIES;
	if (state->version >= DM_VERSION_WIN8)
		state->owes |= DM_OWES_INFO;
}

static uint64_t sane(uint64_t pages)
{
	return pages < DM_RANGE_FIRST_MAX ? pages : DM_RANGE_FIRST_MAX;
}

static void status_reported(struct dm *dm, const uint8_t *payload)
{
	struct dm_status_report report;

	if (dm->state.phase != DM_READY) {
		dm->counters.dropped++;
		return;
	}
	memcpy(&report, payload, sizeof report);
	dm->state.available = sane(report.available);
	dm->state.committed = sane(report.committed);
	dm->state.reported = true;
	dm->counters.reports++;
	notify(dm);
}

/* One range of a balloon response. */
static void range_given(struct dm *dm, uint64_t range)
{
	uint64_t first = DM_RANGE_FIRST(range), count = DM_RANGE_COUNT(range), left = dm->state.asked - dm->state.got;

	if (count > left) {
		dm->counters.lies++;
		count = left;
	}
	if (count == 0)
		return;
	if (!dm_ram_has(dm, first, count) || page_set_overlaps(&dm->ballooned, first, count)) {
		dm->counters.lies++;
		return;
	}
	page_set_add(&dm->ballooned, first, count);
	dm->state.got += count;
	dm->counters.ballooned += count;
	dm->events->give_back(dm->context, first, count);
}

/* Neighbours come as one: guests give in units of what they can allocate. */
static void balloon_answered(struct dm *dm, const uint8_t *payload, size_t bytes)
{
	struct dm_balloon_response response;
	uint64_t got = dm->state.got, merged = 0, range;
	uint32_t count;

	memcpy(&response, payload, sizeof response);
	count = response.more_and_range_count >> 1;
	if (dm->state.operation != DM_BALLOON || count > (bytes - sizeof response) / sizeof range) {
		dm->counters.dropped++;
		return;
	}
	for (uint32_t i = 0; i < count; i++) {
		memcpy(&range, payload + sizeof response + i * sizeof range, sizeof range);
		if (DM_RANGE_COUNT(merged) && DM_RANGE_FIRST(range) == DM_RANGE_FIRST(merged) + DM_RANGE_COUNT(merged) &&
		    DM_RANGE_COUNT(range) + DM_RANGE_COUNT(merged) <= dm->state.asked - dm->state.got) {
			merged += DM_RANGE(0, DM_RANGE_COUNT(range));
			continue;
		}
		range_given(dm, merged);
		merged = range;
	}
	range_given(dm, merged);
	if (response.more_and_range_count & DM_MORE_PAGES) {
		if (dm->state.got > got)
			timer_arm(dm, &dm->deadline, DM_ANSWER_NS);
		return;
	}
	if (dm->state.got < dm->state.asked)
		hold(dm, DM_BALLOON);
	operation_ended(dm);
}

static void unballoon_answered(struct dm *dm)
{
	if (dm->state.operation != DM_UNBALLOON) {
		dm->counters.dropped++;
		return;
	}
	operation_ended(dm);
}

static void hot_add_answered(struct dm *dm, const uint8_t *payload)
{
	struct dm_hot_add_response response;
	const struct dm_range adding = dm->state.adding;
	uint64_t kept;

	if (dm->state.operation != DM_HOT_ADD) {
		dm->counters.dropped++;
		return;
	}
	memcpy(&response, payload, sizeof response);
	if (response.page_count > adding.count)
		dm->counters.lies++;
	/* A unit of which the guest has a part stays whole. */
	kept = dm_round_up(response.page_count, dm_ram_unit(dm));
	if (kept < adding.count) {
		dm_ram_shrink(dm, adding.count - kept);
		dm->events->give_back(dm->context, adding.first + kept, adding.count - kept);
		hold(dm, DM_HOT_ADD);
	}
	dm->counters.added += kept < adding.count ? kept : adding.count;
	if (response.page_count == 0 && response.result)
		dm->state.hot_add_refused = true;
	operation_ended(dm);
}

static void packet_read(struct dm *dm, const struct vmbus_packet *packet)
{
	static const size_t bytes_min[] = {
		[DM_VERSION_REQUEST] = sizeof(struct dm_version_request),
		[DM_CAPABILITIES_REPORT] = sizeof(struct dm_capabilities),
		[DM_STATUS_REPORT] = sizeof(struct dm_status_report),
		[DM_BALLOON_RESPONSE] = sizeof(struct dm_balloon_response),
		[DM_UNBALLOON_RESPONSE] = sizeof(struct dm_header),
		[DM_HOT_ADD_RESPONSE] = sizeof(struct dm_hot_add_response),
	};
	struct dm_header header = { .type = DM_ERROR };

	if (packet->wants_completion) {
		dm->state.owes |= DM_OWES_COMPLETION;
		dm->state.owed_completion = packet->transaction;
	}
	if (packet->type == VMBUS_PACKET_IN_BAND && packet->payload_bytes >= sizeof header)
		memcpy(&header, packet->payload, sizeof header);
	/* 0 bytes: no message of the guest. */
	if (header.type >= sizeof bytes_min / sizeof bytes_min[0] || bytes_min[header.type] == 0 ||
	    header.bytes < bytes_min[header.type] || header.bytes > packet->payload_bytes) {
		dm->counters.dropped++;
		return;
	}
	switch (header.type) {
	case DM_VERSION_REQUEST:
		version_requested(dm, packet->payload);
		break;
	case DM_CAPABILITIES_REPORT:
		capabilities_reported(dm, packet->payload);
		break;
	case DM_STATUS_REPORT:
		status_reported(dm, packet->payload);
		break;
	case DM_BALLOON_RESPONSE:
		balloon_answered(dm, packet->payload, header.bytes);
		break;
	case DM_UNBALLOON_RESPONSE:
		unballoon_answered(dm);
		break;
	case DM_HOT_ADD_RESPONSE:
		hot_add_answered(dm, packet->payload);
		break;
	}
}

static void drain(void *context)
{
	struct dm *dm = context;
	struct vmbus_packet packet;

	for (unsigned n = 0; may_talk(dm) && send_owed(dm); n++) {
		int r;

		if (n == DRAIN_MAX) {
			timer_arm(dm, &dm->again, 0);
			break;
		}
		r = vmbus_channel_read(dm->channel, &packet);
		if (r < 0)
			broken(dm);
		if (r <= 0)
			break;
		packet_read(dm, &packet);
	}
	step(dm);
}

/* ---- the device */

static int opened(void *device, struct vmbus_channel *channel)
{
	struct dm *dm = device;
	const struct dm_state old = dm->state;

	dm->channel = channel;
	dm->state = (struct dm_state){ .phase = DM_OPEN, .target = old.target, .added_count = old.added_count };
	memcpy(dm->state.added, old.added, sizeof old.added);
	memset(dm->hold_until, 0, sizeof dm->hold_until);
	return 0;
}

static int restored(void *device, struct vmbus_channel *channel)
{
	struct dm *dm = device;

	if (dm->state.phase == DM_CLOSED)
		return -EINVAL;
	dm->channel = channel;
	return 0;
}

static void closing(void *device, struct vmbus_channel *channel)
{
	struct dm *dm = device;

	timers_cancel(dm);
	dm->channel = NULL;
	dm->state.phase = DM_CLOSED;
	dm->state.operation = DM_IDLE;
	dm->state.owes = 0;
	dm->state.reported = false;
	dm->state.late = false;
	dm->events->reset(dm->context);
	page_set_clear(&dm->ballooned);
	dm->events->status(dm->context);
	vmbus_channel_closed(channel);
}

static void ready(void *device, struct vmbus_channel *channel)
{
	(void)channel;
	drain(device);
}

static const struct vmbus_device_ops dm_ops = {
	.opened = opened,
	.closing = closing,
	.ready = ready,
	.restored = restored,
};

int dm_init(struct dm *dm, const struct dm_config *config, const struct dm_events *events, void *context)
{
	uint64_t ram_end, ram;

	memset(dm, 0, sizeof *dm);
	if (config->ram_count == 0 || config->ram_count > DM_RAM_MAX ||
	    !dm_ranges_are_valid(config->ram, config->ram_count, 0, DM_RANGE_FIRST_MAX))
		return -EINVAL;
	ram_end = dm_range_end(&config->ram[config->ram_count - 1]);
	ram = dm_ranges_pages(config->ram, config->ram_count);
	if (ram > config->max_pages ||
	    (config->hot.count && !dm_ranges_are_valid(&config->hot, 1, ram_end, DM_RANGE_FIRST_MAX)))
		return -EINVAL;
	if (page_set_init(&dm->ballooned, config->hot.count ? dm_range_end(&config->hot) : ram_end))
		return -ENOMEM;
	dm->device.offer = (struct vmbus_offer){
		.interface = { 0x525074dc, 0x8985, 0x46e2, { 0x80, 0x57, 0xa3, 0x07, 0xdc, 0x18, 0xa5, 0x02 } },
		.instance = config->instance,
		.flags = VMBUS_OFFER_ENUMERATE_DEVICE_INTERFACE,
		.packet_bytes_max = MESSAGE_BYTES,
	};
	dm->device.ops = &dm_ops;
	dm->device.context = dm;
	dm->config = *config;
	dm->state.target = ram;
	dm->deadline = (struct vsp_timer){ .expired = deadline_expired, .context = dm };
	dm->retry = (struct vsp_timer){ .expired = retry_expired, .context = dm };
	dm->again = (struct vsp_timer){ .expired = drain, .context = dm };
	dm->notify = (struct vsp_timer){ .expired = notify_expired, .context = dm };
	dm->events = events;
	dm->context = context;
	return 0;
}

void dm_fini(struct dm *dm)
{
	page_set_fini(&dm->ballooned);
}

int dm_set_target(struct dm *dm, uint64_t pages)
{
	if (pages == 0 || pages > dm->config.max_pages)
		return -EINVAL;
	dm->state.target = pages;
	step(dm);
	return 0;
}

void dm_get_status(const struct dm *dm, struct dm_status *out)
{
	const struct dm_state *state = &dm->state;
	bool is_ready = state->phase == DM_READY;

	*out = (struct dm_status){
		.phase = state->phase,
		.version = state->version,
		.can_balloon = is_ready && state->capabilities & DM_CAN_BALLOON,
		.can_hot_add = is_ready && state->capabilities & DM_CAN_HOT_ADD && !state->hot_add_refused,
		.stalled = state->late,
		.reported = state->reported,
		.assigned = dm_ram_assigned(dm),
		.target = state->target,
		.ballooned = dm->ballooned.count,
		.added = dm_ranges_pages(state->added, state->added_count),
		.demand = state->committed > dm->ballooned.count ? state->committed - dm->ballooned.count : 0,
		.available = state->available,
	};
}

void dm_pause(struct dm *dm)
{
	if (dm->channel)
		timers_cancel(dm);
	dm->paused = true;
}

void dm_resume(struct dm *dm)
{
	if (!dm->paused)
		return;
	dm->paused = false;
	if (!may_talk(dm))
		return;
	if (dm->state.operation != DM_IDLE && !dm->state.late)
		timer_arm(dm, &dm->deadline, DM_ANSWER_NS);
	notify(dm);
	drain(dm);
}

int dm_reset(struct dm *dm)
{
	if (dm->channel)
		return -EBUSY;
	dm->state.added_count = 0;
	return 0;
}
