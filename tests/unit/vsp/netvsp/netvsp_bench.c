// SPDX-License-Identifier: Apache-2.0
#include "netvsp_bench.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct bench_message {
	struct bench_message *next;
	struct vmbus_packet packet;
	uint8_t *payload;
};

static struct bench *the_bench;		/* what vmbus_device_add belongs to */

_Noreturn void bench_fail(const char *file, int line, const char *what)
{
	(void)fprintf(stderr, "%s:%d: %s\n", file, line, what);
	abort();
}

/* ---- memory */

static struct bench_memory memory_make(size_t bytes)
{
	struct bench_memory m = { .bytes = bytes, .count = (unsigned)((bytes + BENCH_PAGE - 1) / BENCH_PAGE) };

	m.base = malloc((size_t)m.count * BENCH_PAGE);
	m.iov = calloc(m.count, sizeof *m.iov);
	BENCH_CHECK(m.base && m.iov);
	memset(m.base, 0x5a, (size_t)m.count * BENCH_PAGE);
	for (unsigned i = 0; i < m.count; i++) {
		size_t left = bytes - (size_t)i * BENCH_PAGE;

		/* Backwards: no page goes on where the one before it ends. */
		m.iov[i] = (struct iovec){ m.base + (size_t)(m.count - 1 - i) * BENCH_PAGE,
					   left < BENCH_PAGE ? left : BENCH_PAGE };
	}
	return m;
}

/* Made once: benches come and go by the thousand in a fuzz target. */
static struct bench_memory rx_memory, tx_memory, scratch_memory;

static void memories_get(struct bench *b)
{
	if (!rx_memory.base) {
		rx_memory = memory_make(BENCH_RX_BYTES);
		tx_memory = memory_make(BENCH_TX_BYTES);
		scratch_memory = memory_make(256 << 10);
	}
	b->rx = rx_memory;
	b->tx = tx_memory;
	b->scratch = scratch_memory;
}

static uint8_t *memory_at(const struct bench_memory *m, size_t offset, size_t *out_left)
{
	BENCH_CHECK(offset < m->bytes);
	*out_left = m->iov[offset / BENCH_PAGE].iov_len - offset % BENCH_PAGE;
	return (uint8_t *)m->iov[offset / BENCH_PAGE].iov_base + offset % BENCH_PAGE;
}

void bench_memory_write(struct bench_memory *memory, size_t offset, const void *from, size_t bytes)
{
	for (const uint8_t *at = from; bytes;) {
		size_t left;
		uint8_t *to = memory_at(memory, offset, &left);

		left = left < bytes ? left : bytes;
		memcpy(to, at, left);
		at += left;
		offset += left;
		bytes -= left;
	}
}

void bench_memory_read(const struct bench_memory *memory, size_t offset, void *to, size_t bytes)
{
	for (uint8_t *at = to; bytes;) {
		size_t left;
		const uint8_t *from = memory_at(memory, offset, &left);

		left = left < bytes ? left : bytes;
		memcpy(at, from, left);
		at += left;
		offset += left;
		bytes -= left;
	}
}

/* ---- the host */

static void timer_cancel(void *host, struct vsp_timer *timer)
{
	struct bench *b = host;

	for (struct vsp_timer **at = &b->timers; *at; at = &(*at)->host_next)
		if (*at == timer) {
			*at = timer->host_next;
			break;
		}
	timer->host_data = NULL;
}

static void timer_arm(void *host, struct vsp_timer *timer, uint64_t after_ns)
{
	struct bench *b = host;

	timer_cancel(host, timer);
	timer->host_data = b;
	timer->host_deadline_ns = b->now_ns + after_ns;
	timer->host_next = b->timers;
	b->timers = timer;
}

static int watch_add(void *host, struct vsp_watch *watch)
{
	struct bench *b = host;

	for (unsigned i = 0; i < NETVSP_QUEUES_MAX; i++) {
		BENCH_CHECK(b->watch[i] != watch);
		if (!b->watch[i]) {
			b->watch[i] = watch;
			return 0;
		}
	}
	return -ENOSPC;
}

static void watch_remove(void *host, struct vsp_watch *watch)
{
	struct bench *b = host;

	for (unsigned i = 0; i < NETVSP_QUEUES_MAX; i++)
		if (b->watch[i] == watch) {
			b->watch[i] = NULL;
			return;
		}
	BENCH_CHECK(!"removed a watch that was not there");
}

static uint64_t host_monotonic_ns(void *host)
{
	return 1;
}

static void host_log(void *host, const char *text)
{
	struct bench *b = host;

	(void)snprintf(b->log, sizeof b->log, "%s", text);
}

static const struct vsp_host_ops host_ops = {
	.timer_arm = timer_arm,
	.timer_cancel = timer_cancel,
	.watch_add = watch_add,
	.watch_remove = watch_remove,
	.monotonic_ns = host_monotonic_ns,
	.log = host_log,
};

/* ---- what the adapter sees of VMBus */

int vmbus_device_add(struct vmbus_server *server, struct vmbus_device *device)
{
	the_bench->device = device;
	return 0;
}

static void remove_now(struct bench *bench)
{
	vsp_callback removed = bench->removed;

	bench->removed = NULL;
	for (unsigned i = NETVSP_QUEUES_MAX; i-- > 0;)
		if (bench->channel[i].open && !bench->channel[i].closing)
			bench_close(bench, i);
	bench->device = NULL;
	removed(bench->removed_context);
}

void vmbus_device_remove(struct vmbus_server *server, struct vmbus_device *device, vsp_callback done, void *context)
{
	the_bench->removed = done;
	the_bench->removed_context = context;
	if (!the_bench->defer_removal)
		remove_now(the_bench);
}

bool vmbus_channel_is_traced(const struct vmbus_channel *channel)
{
	return false;
}

void vmbus_channel_trace(const struct vmbus_channel *channel, const struct iovec *pieces, unsigned count)
{
	BENCH_CHECK(channel->open);
}

int vmbus_device_offer_subchannels(struct vmbus_device *device, unsigned count)
{
	BENCH_CHECK(the_bench->channel[0].open && the_bench->offered == 0 && count > 0);
	if (the_bench->offer_error)
		return the_bench->offer_error;
	the_bench->offered = count;
	return 0;
}

unsigned vmbus_channel_index(const struct vmbus_channel *channel)
{
	return channel->index;
}

void *vmbus_channel_context(const struct vmbus_channel *channel)
{
	return channel->context;
}

void vmbus_channel_set_context(struct vmbus_channel *channel, void *context)
{
	channel->context = context;
}

static void message_free(struct bench_message *message)
{
	if (!message)
		return;
	free(message->payload);
	free(message->packet.range.iov);
	free(message);
}

int vmbus_channel_read(struct vmbus_channel *channel, struct vmbus_packet *out)
{
	BENCH_CHECK(channel->open && !channel->closed);
	if (channel->broken || channel->closing)
		return -EPROTO;
	/* What was read before is gone: a sanitizer sees who still looks at it. */
	message_free(channel->current);
	channel->current = channel->in;
	if (!channel->current)
		return 0;
	channel->in = channel->current->next;
	if (!channel->in)
		channel->in_tail = &channel->in;
	*out = channel->current->packet;
	return 1;
}

static int packet_send(struct vmbus_channel *channel, uint16_t type, uint16_t flags, uint16_t set_id, uint64_t transaction,
		const struct vmbus_transfer_range *ranges, unsigned range_count, const struct iovec *parts,
		unsigned part_count)
{
	struct bench_packet *packet;

	BENCH_CHECK(channel->open && !channel->closed);
	if (channel->broken || channel->closing)
		return -EPROTO;
	if (channel->room == 0) {
		channel->starved = true;
		return -EAGAIN;
	}
	BENCH_CHECK(range_count <= BENCH_RANGES_MAX);
	packet = malloc(sizeof *packet);
	BENCH_CHECK(packet);
	packet->next = NULL;
	packet->type = type;
	packet->flags = flags;
	packet->set_id = set_id;
	packet->transaction = transaction;
	packet->range_count = range_count;
	packet->bytes = 0;
	if (range_count)
		memcpy(packet->range, ranges, range_count * sizeof *ranges);
	for (unsigned i = 0; i < part_count; i++) {
		if (parts[i].iov_len == 0)
			continue;
		BENCH_CHECK(packet->bytes + parts[i].iov_len <= sizeof packet->payload);
		memcpy(packet->payload + packet->bytes, parts[i].iov_base, parts[i].iov_len);
		packet->bytes += parts[i].iov_len;
	}
	BENCH_CHECK(24 + 8 * range_count + packet->bytes <= the_bench->device->offer.packet_bytes_max);
	channel->room--;
	*channel->out_tail = packet;
	channel->out_tail = &packet->next;
	channel->out_count++;
	return 0;
}

int vmbus_channel_send(struct vmbus_channel *channel, uint16_t type, uint16_t flags, uint64_t transaction,
		       const struct iovec *parts, unsigned part_count)
{
	return packet_send(channel, type, flags, 0, transaction, NULL, 0, parts, part_count);
}

int vmbus_channel_complete(struct vmbus_channel *channel, uint64_t transaction, const void *payload, size_t bytes)
{
	const struct iovec part = { (void *)(uintptr_t)payload, bytes };

	return packet_send(channel, VMBUS_PACKET_COMPLETION, 0, 0, transaction, NULL, 0, &part, 1);
}

int vmbus_channel_send_transfer(struct vmbus_channel *channel, uint16_t set_id, uint64_t transaction,
				const struct vmbus_transfer_range *ranges, unsigned range_count, const struct iovec *parts,
				unsigned part_count)
{
	return packet_send(channel, VMBUS_PACKET_TRANSFER_PAGES, VMBUS_PACKET_FLAG_COMPLETION_REQUESTED, set_id, transaction,
		    ranges, range_count, parts, part_count);
}

void vmbus_channel_flush(struct vmbus_channel *channel)
{
	BENCH_CHECK(channel->open && !channel->closed);
}

static struct bench_memory *gpadl_find(struct bench *b, uint32_t gpadl, unsigned **out_uses)
{
	static unsigned other;

	*out_uses = gpadl == BENCH_RX_GPADL ? &b->rx_uses : gpadl == BENCH_TX_GPADL ? &b->tx_uses : &other;
	return gpadl == BENCH_RX_GPADL ? &b->rx : gpadl == BENCH_TX_GPADL ? &b->tx :
	       gpadl == BENCH_SCRATCH_GPADL ? &b->scratch : NULL;
}

int vmbus_channel_gpadl_get(struct vmbus_channel *channel, uint32_t gpadl, struct vmbus_gpa_range *out)
{
	unsigned *uses;
	struct bench_memory *m = gpadl_find(channel->bench, gpadl, &uses);

	BENCH_CHECK(channel->open && !channel->closed);
	if (!m || channel->index)
		return -ENOENT;
	(*uses)++;
	*out = (struct vmbus_gpa_range){ m->iov, m->count, m->bytes };
	return 0;
}

void vmbus_channel_gpadl_put(struct vmbus_channel *channel, uint32_t gpadl)
{
	unsigned *uses;

	(void)gpadl_find(channel->bench, gpadl, &uses);
	BENCH_CHECK(*uses > 0 && !channel->closed);
	(*uses)--;
	if (channel->bench->defer_removal && channel->bench->removed)
		remove_now(channel->bench);
}

void vmbus_channel_closed(struct vmbus_channel *channel)
{
	BENCH_CHECK(channel->closing && !channel->closed);
	channel->closed = true;
}

/* ---- life */

struct netvsp_config bench_config(unsigned queues)
{
	return (struct netvsp_config){
		.instance = { 1, 2, 3, { 4 } },
		.name = "net \xc3\xa9\xf0\x9f\x90\xa7",		/* two and four bytes of UTF-8 */
		.mac = { 0x00, 0x15, 0x5d, 0x01, 0x02, 0x03 },
		.mtu = 1500,
		.queue_count = queues,
		.link_mbps = 10000,
		.link_up = true,
	};
}

void bench_start(struct bench *bench, const struct netvsp_config *config)
{
	struct netvsp_config c = *config;

	memset(bench, 0, sizeof *bench);
	the_bench = bench;
	(void)signal(SIGPIPE, SIG_IGN);	/* a tap raises none */
	bench->host = (struct vsp_host){ .ops = &host_ops, .context = bench };
	c.host = &bench->host;
	for (unsigned i = 0; i < NETVSP_QUEUES_MAX; i++) {
		struct vmbus_channel *channel = &bench->channel[i];

		bench->tap[i] = -1;
		channel->bench = bench;
		channel->index = i;
		channel->in_tail = &channel->in;
		channel->out_tail = &channel->out;
	}
	for (unsigned i = 0; i < c.queue_count; i++) {
		int pair[2], bytes = 1 << 20;

		BENCH_CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
		(void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
		(void)setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
		bench->tap[i] = pair[0];
		c.tap_fd[i] = pair[1];
	}
	memories_get(bench);
	BENCH_CHECK(netvsp_create(NULL, &c, &bench->nic) == 0 && bench->device);
}

static void destroyed(void *context)
{
	((struct bench *)context)->destroyed = true;
}

void bench_destroy(struct bench *bench)
{
	netvsp_destroy(bench->nic, destroyed, bench);
	bench->nic = NULL;
}

void bench_stop(struct bench *bench)
{
	if (bench->nic)
		bench_destroy(bench);
	BENCH_CHECK(bench->destroyed && !bench->timers && bench->rx_uses == 0 && bench->tx_uses == 0);
	for (unsigned i = 0; i < NETVSP_QUEUES_MAX; i++) {
		BENCH_CHECK(!bench->watch[i]);
		if (bench->tap[i] >= 0)
			(void)close(bench->tap[i]);
	}
}

static bool run_channels(struct bench *bench)
{
	bool did = false;

	for (unsigned i = 0; i < NETVSP_QUEUES_MAX; i++) {
		struct vmbus_channel *channel = &bench->channel[i];

		if (!channel->open || !channel->rung)
			continue;
		channel->rung = false;
		bench->device->ops->ready(bench->device->context, channel);
		did = true;
	}
	return did;
}

static bool run_timers(struct bench *bench)
{
	for (struct vsp_timer *timer = bench->timers; timer; timer = timer->host_next)
		if (timer->host_deadline_ns <= bench->now_ns) {
			timer_cancel(bench, timer);
			timer->expired(timer->context);
			return true;
		}
	return false;
}

static bool run_watches(struct bench *bench)
{
	bool did = false;

	for (unsigned i = 0; i < NETVSP_QUEUES_MAX; i++) {
		struct pollfd p = { .fd = bench->watch[i] ? bench->watch[i]->fd : -1, .events = POLLIN };

		if (bench->watch[i] && poll(&p, 1, 0) == 1) {
			bench->watch[i]->ready(bench->watch[i]->context);
			did = true;
		}
	}
	return did;
}

unsigned bench_run(struct bench *bench)
{
	unsigned count = 0;

	while (bench->device && (run_channels(bench) || run_timers(bench) || run_watches(bench))) {
		count++;
		BENCH_CHECK(count < 1000000);
	}
	return count;
}

void bench_advance(struct bench *bench, uint64_t ns)
{
	uint64_t until = bench->now_ns + ns;

	for (;;) {
		uint64_t next = until;

		bench_run(bench);
		for (struct vsp_timer *timer = bench->timers; timer; timer = timer->host_next)
			next = timer->host_deadline_ns < next ? timer->host_deadline_ns : next;
		if (next >= until)
			break;
		bench->now_ns = next;
	}
	bench->now_ns = until;
	bench_run(bench);
}

/* ---- channels */

int bench_open(struct bench *bench, unsigned index)
{
	struct vmbus_channel *channel = &bench->channel[index];
	int r;

	channel->open = true;
	channel->closing = channel->closed = channel->broken = channel->starved = channel->rung = false;
	channel->room = 1000000;
	r = bench->device->ops->opened(bench->device->context, channel);
	channel->open = r == 0;
	return r;
}

void bench_close(struct bench *bench, unsigned index)
{
	struct vmbus_channel *channel = &bench->channel[index];
	struct bench_packet *packet;

	channel->closing = true;
	bench->device->ops->closing(bench->device->context, channel);
	BENCH_CHECK(channel->closed);	/* it has nothing that takes longer */
	channel->open = false;
	if (index == 0)
		bench->offered = 0;
	message_free(channel->current);
	channel->current = NULL;
	while (channel->in) {
		struct bench_message *message = channel->in;

		channel->in = message->next;
		message_free(message);
	}
	channel->in_tail = &channel->in;
	while ((packet = bench_take(bench, index)))
		free(packet);
}

void bench_post(struct bench *bench, unsigned index, uint16_t type, bool wants_completion, uint64_t transaction,
		const void *payload, size_t bytes, const struct iovec *iov, unsigned iov_count)
{
	struct vmbus_channel *channel = &bench->channel[index];
	struct bench_message *message = calloc(1, sizeof *message);

	BENCH_CHECK(message && channel->open);
	message->payload = malloc(bytes ? bytes : 1);
	BENCH_CHECK(message->payload);
	if (bytes)
		memcpy(message->payload, payload, bytes);
	message->packet = (struct vmbus_packet){ .type = type, .wants_completion = wants_completion,
		.transaction = transaction, .payload = message->payload, .payload_bytes = bytes };
	if (iov_count) {
		message->packet.range.iov = calloc(iov_count, sizeof *iov);
		BENCH_CHECK(message->packet.range.iov);
		memcpy(message->packet.range.iov, iov, iov_count * sizeof *iov);
		message->packet.range.iov_count = iov_count;
		for (unsigned i = 0; i < iov_count; i++)
			message->packet.range.bytes += iov[i].iov_len;
	}
	*channel->in_tail = message;
	channel->in_tail = &message->next;
	channel->rung = true;
}

struct bench_packet *bench_take(struct bench *bench, unsigned index)
{
	struct vmbus_channel *channel = &bench->channel[index];
	struct bench_packet *packet = channel->out;

	if (!packet)
		return NULL;
	channel->out = packet->next;
	if (!channel->out)
		channel->out_tail = &channel->out;
	channel->out_count--;
	return packet;
}

void bench_drop_all(struct bench *bench)
{
	for (unsigned i = 0; i < NETVSP_QUEUES_MAX; i++)
		for (struct bench_packet *packet; (packet = bench_take(bench, i));)
			free(packet);
}

void bench_room_set(struct bench *bench, unsigned index, unsigned packets)
{
	struct vmbus_channel *channel = &bench->channel[index];

	channel->room = packets;
	if (packets && channel->starved) {
		channel->starved = false;
		channel->rung = true;
	}
}

int bench_transact(struct bench *bench, unsigned index, const void *message, size_t bytes, uint8_t out[NVSP_MESSAGE_BYTES])
{
	uint8_t padded[NVSP_MESSAGE_BYTES] = { 0 };
	uint64_t transaction = ++bench->transaction << 8;
	struct bench_packet *packet;
	int length;

	memcpy(padded, message, bytes);
	bench_post(bench, index, VMBUS_PACKET_IN_BAND, true, transaction, padded, sizeof padded, NULL, 0);
	bench_run(bench);
	packet = bench_take(bench, index);
	if (!packet || packet->type != VMBUS_PACKET_COMPLETION || packet->transaction != transaction ||
	    packet->bytes > NVSP_MESSAGE_BYTES) {
		free(packet);
		return -1;
	}
	length = (int)packet->bytes;
	memset(out, 0, NVSP_MESSAGE_BYTES);
	memcpy(out, packet->payload, packet->bytes);
	free(packet);
	return length;
}

void bench_complete(struct bench *bench, unsigned index, uint64_t transaction)
{
	const struct nvsp_status_message message = { NVSP_RNDIS_PACKET_COMPLETE, NVSP_STATUS_SUCCESS };

	bench_post(bench, index, VMBUS_PACKET_COMPLETION, false, transaction, &message, sizeof message, NULL, 0);
}
