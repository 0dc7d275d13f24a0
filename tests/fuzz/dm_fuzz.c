// SPDX-License-Identifier: Apache-2.0
/*
 * Dynamic memory against a guest that sends what it likes, when it likes. The input is a script: a byte says what
 * happens (open, close, message, time, target, refusals of the owner, save and restore), more bytes say how. Whatever
 * comes: no page is taken twice, none is given twice, all are there when the channel is gone, and no loop has no end.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dm/dm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition) do { if (!(condition)) abort(); } while (0)
#define RAM        4096u
#define HOT        8192u
#define FRAMES     16384u
#define RING_BYTES 12288u
#define TIMERS_MAX 4
#define PACKET_MAX 256

struct vmbus_channel {
	struct vsp_host host;
	bool open, broken, full, closed;
	uint8_t packet[PACKET_MAX];
	size_t packet_bytes;
	bool has_packet;
	uint64_t now;
	struct vsp_timer *timers[TIMERS_MAX];
	uint64_t due[TIMERS_MAX];
};

struct input {
	const uint8_t *at, *end;
};

static struct vmbus_channel channel;
static struct dm dm;
static bool present[FRAMES], refuse;
static uint64_t present_count;

static uint8_t next(struct input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

/* ---- vmbus/channel.h */

int vmbus_channel_read(struct vmbus_channel *c, struct vmbus_packet *out)
{
	CHECK(c->open);
	if (c->broken)
		return -EPROTO;
	if (!c->has_packet)
		return 0;
	c->has_packet = false;
	*out = (struct vmbus_packet){
		.type = VMBUS_PACKET_IN_BAND,
		.payload = c->packet,
		.payload_bytes = c->packet_bytes & ~(size_t)7,
	};
	return 1;
}

int vmbus_channel_send(struct vmbus_channel *c, uint16_t type, uint16_t flags, uint64_t transaction,
		       const struct iovec *parts, unsigned part_count)
{
	size_t bytes = 0;

	CHECK(c->open);
	if (c->broken)
		return -EPROTO;
	for (unsigned i = 0; i < part_count; i++)
		bytes += parts[i].iov_len;
	CHECK(bytes + 16 <= 4096);
	return c->full ? -EAGAIN : 0;
}

int vmbus_channel_complete(struct vmbus_channel *c, uint64_t transaction, const void *payload, size_t bytes)
{
	const struct iovec part = { (void *)(uintptr_t)payload, bytes };

	return vmbus_channel_send(c, VMBUS_PACKET_COMPLETION, 0, transaction, &part, 1);
}

void vmbus_channel_flush(struct vmbus_channel *c)
{
	CHECK(c->open);
}

const struct vsp_host *vmbus_channel_host(const struct vmbus_channel *c)
{
	CHECK(c && c->open);
	return &c->host;
}

void vmbus_channel_closed(struct vmbus_channel *c)
{
	c->closed = true;
}

/* ---- host.h */

static void timer_cancel(void *host, struct vsp_timer *timer)
{
	struct vmbus_channel *c = host;

	for (unsigned i = 0; i < TIMERS_MAX; i++) {
		if (c->timers[i] == timer)
			c->timers[i] = NULL;
	}
}

static void timer_arm(void *host, struct vsp_timer *timer, uint64_t after_ns)
{
	struct vmbus_channel *c = host;
	unsigned i = 0;

	timer_cancel(host, timer);
	while (c->timers[i])
		CHECK(++i < TIMERS_MAX);
	c->timers[i] = timer;
	c->due[i] = c->now + after_ns;
}

static uint64_t reference_time(void *host)
{
	const struct vmbus_channel *c = host;

	return c->now / 100;
}

static void advance(uint64_t ns)
{
	channel.now += ns;
	for (unsigned fired = 0; fired < 1000; fired++) {
		unsigned i = 0;
		struct vsp_timer *timer;

		while (i < TIMERS_MAX && (!channel.timers[i] || channel.due[i] > channel.now))
			i++;
		if (i == TIMERS_MAX)
			return;
		timer = channel.timers[i];
		channel.timers[i] = NULL;
		timer->expired(timer->context);
	}
	abort();
}

static uint64_t monotonic_ns(void *host)
{
	return 1 + channel.now;
}

static const struct vsp_host_ops host_ops = {
	.timer_arm = timer_arm, .timer_cancel = timer_cancel, .reference_time = reference_time,
	.monotonic_ns = monotonic_ns,
};

/* ---- the owner */

static void mark(uint64_t first, uint64_t count, bool now)
{
	CHECK(first < FRAMES && count > 0 && count <= FRAMES - first);
	for (uint64_t i = first; i < first + count; i++) {
		CHECK(present[i] != now);
		present[i] = now;
	}
	present_count = now ? present_count + count : present_count - count;
}

static void give_back(void *context, uint64_t first, uint64_t count)
{
	mark(first, count, false);
}

static int take(void *context, uint64_t first, uint64_t count)
{
	if (refuse)
		return -ENOMEM;
	mark(first, count, true);
	return 0;
}

static void all_back(void *context)
{
	memset(present, 1, RAM);
	for (unsigned i = 0; i < dm.state.added_count; i++)
		memset(present + dm.state.added[i].first, 1, dm.state.added[i].count);
	present_count = 0;
	for (unsigned i = 0; i < FRAMES; i++)
		present_count += present[i];
}

static void check_count(void *context)
{
	struct dm_status status;

	dm_get_status(&dm, &status);
	CHECK(status.assigned == present_count);
}

static const struct dm_events events = { give_back, take, take, all_back, check_count };

static void close_channel(void)
{
	if (!channel.open)
		return;
	channel.closed = false;
	dm.device.ops->closing(&dm, &channel);
	CHECK(channel.closed);
	for (unsigned i = 0; i < TIMERS_MAX; i++)
		CHECK(!channel.timers[i]);
	check_count(NULL);
	channel.open = false;
}

static void deliver(const void *bytes, size_t count)
{
	memcpy(channel.packet, bytes, count);
	channel.packet_bytes = count;
	channel.has_packet = true;
	dm.device.ops->ready(&dm, &channel);
}

/* A message whose type, ranges and numbers the script gives; small numbers, so that they often fit. */
static void message(struct input *in)
{
	uint64_t words[PACKET_MAX / 8] = { 0 };
	unsigned count = 1 + next(in) % 8;
	uint8_t type = next(in);

	for (unsigned i = 1; i < count; i++) {
		uint8_t kind = next(in);
		uint64_t first = (uint64_t)next(in) << 6 | (kind & 0x3f);

		words[i] = kind & 0x80 ? DM_RANGE(first, (uint64_t)next(in) << 1) : kind & 0x40 ? first << 32 : first;
	}
	words[0] = type % 13 | (uint64_t)(type & 0x80 ? next(in) : count * 8) << 16;
	deliver(words, count * 8);
}

/* As it came from a real guest: a length, the bytes. */
static void whole_message(struct input *in)
{
	uint8_t bytes[PACKET_MAX];
	size_t count = next(in);

	for (size_t i = 0; i < count; i++)
		bytes[i] = next(in);
	deliver(bytes, count);
}

/* The way to where it becomes interesting. */
static void negotiate(void)
{
	const struct dm_version_request version = {
		.header = { DM_VERSION_REQUEST, sizeof version, 1 }, .version = DM_VERSION_WIN10,
	};
	const struct dm_capabilities capabilities = {
		.header = { DM_CAPABILITIES_REPORT, sizeof capabilities, 2 },
		.capabilities = DM_CAN_BALLOON | DM_CAN_HOT_ADD | 1 << 2,
	};

	deliver(&version, sizeof version);
	deliver(&capabilities, sizeof capabilities);
	CHECK(dm.state.phase == DM_READY);
}

/* Saved with or without a changed byte; what is not taken leaves a device that never opened. */
static void move(struct input *in)
{
	static uint8_t saved[65536];
	size_t bytes = dm_state_bytes(&dm), spoil = (size_t)next(in) << 8 | next(in);
	const struct dm_config config = dm.config;
	bool was_open = channel.open;

	CHECK(bytes < sizeof saved);
	dm_pause(&dm);
	dm_get_state(&dm, saved);
	if (spoil)
		saved[spoil % bytes] ^= next(in);
	dm_fini(&dm);
	channel.open = false;
	CHECK(dm_init(&dm, &config, &events, NULL) == 0);
	dm_pause(&dm);
	memset(present, 0, sizeof present);
	if (dm_set_state(&dm, saved, bytes) == 0) {
		struct dm_range run = { 0, 0 };

		all_back(NULL);
		while (dm_ballooned_next(&dm, run.first + run.count, &run))
			mark(run.first, run.count, false);
		channel.open = was_open && dm.device.ops->restored(&dm, &channel) == 0;
	} else {
		all_back(NULL);
	}
	dm_resume(&dm);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct dm_config config = {
		.ram = { { 0, RAM } }, .ram_count = 1, .hot = { HOT, FRAMES - HOT }, .max_pages = FRAMES,
		.settle_ns = 1000,
	};
	struct input in = { data, data + size };

	memset(&channel, 0, sizeof channel);
	memset(present, 0, sizeof present);
	channel.host = (struct vsp_host){ .ops = &host_ops, .context = &channel };
	refuse = false;
	CHECK(dm_init(&dm, &config, &events, NULL) == 0);
	all_back(NULL);
	while (in.at < in.end) {
		uint8_t what = next(&in);

		switch (what % 10) {
		case 0:
			close_channel();
			if (what & 0x40)
				break;
			channel.open = true;
			channel.broken = channel.has_packet = false;
			CHECK(dm.device.ops->opened(&dm, &channel) == 0);
			if (what & 0x80 && !channel.full)
				negotiate();
			break;
		case 1:
			advance(1ull << (next(&in) & 0x3f) % 40);
			break;
		case 2:
			refuse = what & 0x10;
			channel.full = what & 0x20;
			break;
		case 3:
			(void)dm_set_target(&dm, (uint64_t)next(&in) << 8 | next(&in));
			break;
		case 4:
			move(&in);
			break;
		case 5:
			channel.broken = what == 255;
			if (channel.open)
				dm.device.ops->ready(&dm, &channel);
			break;
		case 9:
			if (channel.open && !channel.has_packet)
				whole_message(&in);
			break;
		default:
			if (channel.open && !channel.has_packet)
				message(&in);
			break;
		}
		if (dm.state.phase == DM_READY)
			check_count(NULL);
	}
	close_channel();
	dm_fini(&dm);
	return 0;
}
