// SPDX-License-Identifier: Apache-2.0
/*
 * All integration components and the keyboard against a guest that sends what it likes, when it likes. The input is a
 * script: a byte says what happens (open, close, packet, answer with a changed byte, read, time, an operation of the
 * host), more bytes say how. Whatever comes: no crash, no endless loop, every operation that was begun ends at the
 * latest with the channel.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ic/fcopy.h"
#include "ic/heartbeat.h"
#include "ic/kvp.h"
#include "ic/shutdown.h"
#include "ic/timesync.h"
#include "ic/vss.h"
#include "keyboard/keyboard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition) do { if (!(condition)) abort(); } while (0)
#define RING_BYTES  12288
#define TIMERS_MAX  8
#define PACKET_MAX  8192

/* One guest, one channel: the last packet of the host, and one of the guest. */
struct vmbus_channel {
	struct vsp_host host;
	bool open, broken, closed, has_packet;
	size_t used;
	uint8_t sent[PACKET_MAX], packet[PACKET_MAX];
	size_t sent_bytes, packet_bytes;
	uint16_t packet_type;
	uint64_t now;
	struct vsp_timer *timers[TIMERS_MAX];
	uint64_t due[TIMERS_MAX];
};

struct input {
	const uint8_t *at, *end;
};

static struct vmbus_channel channel;
static unsigned begun, ended;

static uint8_t next(struct input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

static size_t next16(struct input *in)
{
	size_t low = next(in);

	return low | (size_t)next(in) << 8;
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
		.type = c->packet_type & 0xff,
		.wants_completion = c->packet_type >> 8,
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
	CHECK(bytes <= PACKET_MAX);
	if (bytes + 32 > RING_BYTES - c->used)
		return -EAGAIN;
	c->sent_bytes = 0;
	for (unsigned i = 0; i < part_count; i++) {
		memcpy(c->sent + c->sent_bytes, parts[i].iov_base, parts[i].iov_len);
		c->sent_bytes += parts[i].iov_len;
	}
	c->used += bytes + 32;
	return 0;
}

int vmbus_channel_complete(struct vmbus_channel *c, uint64_t transaction, const void *payload, size_t bytes)
{
	return vmbus_channel_send(c, VMBUS_PACKET_COMPLETION, 0, transaction, NULL, 0);
}

void vmbus_channel_flush(struct vmbus_channel *c)
{
	CHECK(c->open);
}

size_t vmbus_channel_room(const struct vmbus_channel *c)
{
	CHECK(c->open);
	return c->broken ? 0 : RING_BYTES - c->used;
}

const struct vsp_host *vmbus_channel_host(const struct vmbus_channel *c)
{
	CHECK(c->open);
	return &c->host;
}

void vmbus_channel_closed(struct vmbus_channel *c)
{
	c->closed = true;
}

/* ---- host.h */

static void timer_cancel(void *host, struct vsp_timer *timer)
{
	for (unsigned i = 0; i < TIMERS_MAX; i++) {
		if (channel.timers[i] == timer)
			channel.timers[i] = NULL;
	}
}

static void timer_arm(void *host, struct vsp_timer *timer, uint64_t after_ns)
{
	unsigned i = 0;

	timer_cancel(host, timer);
	while (channel.timers[i])
		CHECK(++i < TIMERS_MAX);
	channel.timers[i] = timer;
	channel.due[i] = channel.now + after_ns;
}

static uint64_t clock_100ns(void *host)
{
	return channel.now / 100;
}

static uint64_t clock_ns(void *host)
{
	return 1 + channel.now;
}

static const struct vsp_host_ops host_ops = {
	.timer_arm = timer_arm,
	.timer_cancel = timer_cancel,
	.reference_time = clock_100ns,
	.wall_time = clock_100ns,
	.monotonic_ns = clock_ns,
};

static void advance(uint64_t ns)
{
	uint64_t end = channel.now + ns;

	for (unsigned fired = 0; fired < 10000; fired++) {
		unsigned first = TIMERS_MAX;
		struct vsp_timer *timer;

		for (unsigned i = 0; i < TIMERS_MAX; i++) {
			if (channel.timers[i] && (first == TIMERS_MAX || channel.due[i] < channel.due[first]))
				first = i;
		}
		if (first == TIMERS_MAX || channel.due[first] > end) {
			channel.now = end;
			return;
		}
		timer = channel.timers[first];
		if (channel.due[first] > channel.now)
			channel.now = channel.due[first];
		channel.timers[first] = NULL;
		timer->expired(timer->context);
	}
	abort();
}

/* ---- what the components tell */

static void ended_one(void)
{
	ended++;
	CHECK(ended <= begun);
}

static void on_changed(void *context, enum heartbeat_status status, enum ic_application_state application)
{
	CHECK(application <= IC_APPLICATION_STOPPED);
}

static void on_accepted(void *context)
{
	CHECK(ended < begun);
}

static void on_shutdown_ended(void *context, enum shutdown_end end, uint32_t status)
{
	ended_one();
}

static void on_item(void *context, enum ic_kvp_pool pool, const struct kvp_item *item)
{
	CHECK(item->key[0] && strlen(item->key) < sizeof item->key && strlen(item->value) < sizeof item->value);
}

static void on_ip_info(void *context, const struct kvp_ip_info *info)
{
	CHECK(strlen(info->addresses) < sizeof info->addresses && strlen(info->gateways) < sizeof info->gateways);
}

static void on_kvp_done(void *context, const struct kvp_result *result)
{
	ended_one();
}

static void on_frozen(void *context)
{
	CHECK(ended < begun);
}

static void on_told(void *context, int error, uint32_t status)
{
	ended_one();
}

static int on_read(void *context, uint64_t offset, void *buffer, size_t bytes)
{
	CHECK(offset + bytes <= 30000 && bytes <= IC_FCOPY_DATA_BYTES);
	memset(buffer, 0x5a, bytes);
	return 0;
}

static void on_leds(void *context, uint8_t leds)
{
	CHECK(leds <= KEYBOARD_LED_MASK);
}

static const struct heartbeat_events heartbeat_events = { on_changed };
static const struct shutdown_events shutdown_events = { on_accepted, on_shutdown_ended };
static const struct kvp_events kvp_events = { .item = on_item, .ip_info = on_ip_info, .done = on_kvp_done };
static const struct vss_events vss_events = { on_frozen, on_told, on_told };
static const struct fcopy_events fcopy_events = { on_read, on_told };
static const struct keyboard_events keyboard_events = { on_leds };

static union {
	struct ic ic;
	struct heartbeat heartbeat;
	struct shutdown shutdown;
	struct timesync timesync;
	struct kvp kvp;
	struct vss vss;
	struct fcopy fcopy;
	struct keyboard keyboard;
} u;

enum component { HEARTBEAT, SHUTDOWN, TIMESYNC, KVP, VSS, FCOPY, KEYBOARD, COMPONENT_COUNT };

static struct vmbus_device *init(enum component component)
{
	switch (component) {
	case HEARTBEAT:
		heartbeat_init(&u.heartbeat, &heartbeat_events, NULL);
		break;
	case SHUTDOWN:
		shutdown_init(&u.shutdown, &shutdown_events, NULL);
		break;
	case TIMESYNC:
		timesync_init(&u.timesync);
		break;
	case KVP:
		kvp_init(&u.kvp, &kvp_events, NULL);
		break;
	case VSS:
		vss_init(&u.vss, &vss_events, NULL);
		break;
	case FCOPY:
		fcopy_init(&u.fcopy, &fcopy_events, NULL);
		break;
	default:
		keyboard_init(&u.keyboard, &keyboard_events, NULL);
		return &u.keyboard.device;
	}
	return &u.ic.device;
}

static int operate_kvp(uint8_t how)
{
	static struct kvp_ip_info info = { .adapter_id = "id", .addresses = "10.0.0.2", .subnets = "255.0.0.0" };

	switch (how % 6) {
	case 0:
		return kvp_enumerate(&u.kvp, IC_KVP_POOL_AUTO);
	case 1:
		return kvp_get(&u.kvp, IC_KVP_POOL_GUEST, "key");
	case 2:
		return kvp_get_ip_info(&u.kvp, "id", how);
	case 3:
		return kvp_set(&u.kvp, IC_KVP_POOL_EXTERNAL, "key", "value");
	case 4:
		return kvp_delete(&u.kvp, IC_KVP_POOL_EXTERNAL, "key");
	default:
		info.family = how & 1 ? IC_KVP_FAMILY_IPV4 : IC_KVP_FAMILY_IPV6;
		info.dhcp = how & 2;
		return kvp_set_ip_info(&u.kvp, &info);
	}
}

/* An operation of the host; true when one was begun that ends later. */
static bool operate(enum component component, uint8_t how)
{
	const struct shutdown_request request = { (enum shutdown_action)(how % 3), how & 4, 1 + how, "text" };
	const struct fcopy_job job = { "/tmp", "file", how & 3, 117u * how };

	switch (component) {
	case SHUTDOWN:
		return shutdown_start(&u.shutdown, &request) == 0;
	case TIMESYNC:
		timesync_sync(&u.timesync);
		return false;
	case KVP:
		return operate_kvp(how) == 0;
	case VSS:
		return how & 1 ? (vss_thaw(&u.vss), false) : vss_freeze(&u.vss, IC_SECOND_NS, how * IC_SECOND_NS) == 0;
	case FCOPY:
		if (how & 0x80) {
			(void)fcopy_cancel(&u.fcopy);
			return false;
		}
		return fcopy_start(&u.fcopy, &job) == 0;
	case KEYBOARD:
		(void)keyboard_type(&u.keyboard, &how, 1);
		return false;
	default:
		return false;
	}
}

static void write_packet(struct vmbus_device *device, struct input *in, bool in_place)
{
	const uint8_t how = next(in);

	channel.packet_type = (uint16_t)(VMBUS_PACKET_IN_BAND | (how & 1) << 8);
	if (in_place) {
		/* As a guest answers, but for some bytes. */
		channel.packet_bytes = channel.sent_bytes;
		memcpy(channel.packet, channel.sent, channel.sent_bytes);
		if (channel.packet_bytes > 25)
			channel.packet[25] = IC_FLAG_RESPONSE;
		for (uint8_t changes = next(in) % 8; changes && channel.packet_bytes; changes--) {
			size_t at = (size_t)next(in) * (next(in) & 1 ? 29 : 1);

			channel.packet[at % channel.packet_bytes] = next(in);
		}
	} else {
		/* Two lengths: zeroes at the end need not be written. Answers may have the number of what was asked last. */
		size_t given;

		channel.packet_bytes = next16(in) % (PACKET_MAX + 1);
		given = next16(in);
		memset(channel.packet, 0, channel.packet_bytes);
		for (size_t i = 0; i < given && i < channel.packet_bytes; i++)
			channel.packet[i] = next(in);
		if (how & 2 && channel.packet_bytes > 24)
			channel.packet[24] = channel.sent[24];
	}
	channel.has_packet = true;
	device->ops->ready(device->context, &channel);
}

static void negotiate(struct vmbus_device *device)
{
	const struct ic_negotiate counts = { 1, 1, 0 };
	const struct ic_version framework = { 3, 0 }, message = u.ic.kind->messages[u.ic.kind->message_count - 1];

	channel.packet_bytes = channel.sent_bytes;
	memcpy(channel.packet, channel.sent, channel.sent_bytes);
	channel.packet[25] = IC_FLAG_RESPONSE;
	memcpy(channel.packet + 28, &counts, 8);
	memcpy(channel.packet + 36, &framework, 4);
	memcpy(channel.packet + 40, &message, 4);
	channel.packet_type = VMBUS_PACKET_IN_BAND;
	channel.has_packet = true;
	device->ops->ready(device->context, &channel);
}

static void open_channel(struct vmbus_device *device, bool agree)
{
	channel.open = true;
	channel.broken = channel.closed = channel.has_packet = false;
	channel.sent_bytes = channel.used = 0;
	CHECK(device->ops->opened(device->context, &channel) == 0);
	if (agree && channel.sent_bytes >= 44) {
		channel.used = 0;
		negotiate(device);
	}
}

static void close_channel(struct vmbus_device *device)
{
	device->ops->closing(device->context, &channel);
	CHECK(channel.closed);
	channel.open = false;
	for (unsigned i = 0; i < TIMERS_MAX; i++)
		CHECK(!channel.timers[i]);
	CHECK(begun == ended);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, data + size };
	enum component component = (enum component)(next(&in) % COMPONENT_COUNT);
	struct vmbus_device *device = init(component);

	memset(&channel, 0, sizeof channel);
	channel.host = (struct vsp_host){ .ops = &host_ops };
	begun = ended = 0;
	while (in.at < in.end) {
		uint8_t what = next(&in);

		if (!channel.open) {
			open_channel(device, component != KEYBOARD && (what & 0xf0));
			continue;
		}
		switch (what % 10) {
		case 0:
			close_channel(device);
			break;
		case 1:
			write_packet(device, &in, false);
			break;
		case 2:
		case 3:
		case 4:
			write_packet(device, &in, true);
			break;
		case 5:
			channel.used = 0;
			device->ops->ready(device->context, &channel);
			break;
		case 6:
			advance((uint64_t)next(&in) * IC_SECOND_NS / 4);
			break;
		case 7:
			/* What begins may end within the call, when the ring breaks. */
			begun++;
			if (!operate(component, next(&in)))
				begun--;
			CHECK(ended <= begun);
			break;
		case 8:
			if (component != KEYBOARD)
				what & 0x10 ? ic_pause(&u.ic) : ic_resume(&u.ic);
			break;
		default:
			channel.broken = what > 250;
			break;
		}
	}
	if (channel.open)
		close_channel(device);
	return 0;
}
