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

/* ---- the guest's driver */

int bench_nvsp_init(struct bench *bench, uint32_t version, uint32_t mtu)
{
	const struct nvsp_init init = { NVSP_INIT, version, version };
	const struct nvsp_ndis_config config = { .type = NVSP_NDIS_CONFIG, .mtu = mtu + 14, .capabilities =
		NVSP_CAPABILITY_IEEE8021Q | NVSP_CAPABILITY_SRIOV | NVSP_CAPABILITY_TEAMING | NVSP_CAPABILITY_RSC };
	const struct nvsp_ndis_version ndis = { NVSP_NDIS_VERSION, 6, version >= NVSP_VERSION_5 ? 0x1e : 1 };
	const struct nvsp_buffer rx = { NVSP_RECEIVE_BUFFER, BENCH_RX_GPADL, BENCH_RX_ID, 0 };
	const struct nvsp_buffer tx = { NVSP_SEND_BUFFER, BENCH_TX_GPADL, 0, 0 };
	struct nvsp_receive_buffer_complete rx_done;
	struct nvsp_init_complete init_done;
	struct nvsp_send_buffer_complete tx_done;
	uint8_t out[NVSP_MESSAGE_BYTES], padded[NVSP_MESSAGE_BYTES] = { 0 };

	if (bench_transact(bench, 0, &init, sizeof init, out) != NVSP_MESSAGE_BYTES)
		return -1;
	memcpy(&init_done, out, sizeof init_done);
	if (init_done.type != NVSP_INIT_COMPLETE || init_done.status != NVSP_STATUS_SUCCESS || init_done.version != version)
		return -2;
	memcpy(padded, &config, sizeof config);
	bench_post(bench, 0, VMBUS_PACKET_IN_BAND, false, 1, padded, sizeof padded, NULL, 0);
	memset(padded, 0, sizeof padded);
	memcpy(padded, &ndis, sizeof ndis);
	bench_post(bench, 0, VMBUS_PACKET_IN_BAND, false, 2, padded, sizeof padded, NULL, 0);
	if (bench_transact(bench, 0, &rx, sizeof rx, out) != NVSP_MESSAGE_BYTES)
		return -3;
	memcpy(&rx_done, out, sizeof rx_done);
	if (rx_done.type != NVSP_RECEIVE_BUFFER_COMPLETE || rx_done.status != NVSP_STATUS_SUCCESS ||
	    rx_done.section_count != 1 || rx_done.offset != 0 ||
	    (uint64_t)rx_done.suballoc_bytes * rx_done.suballoc_count > BENCH_RX_BYTES)
		return -4;
	bench->section_bytes = rx_done.suballoc_bytes;
	bench->section_count = rx_done.suballoc_count;
	if (bench_transact(bench, 0, &tx, sizeof tx, out) != NVSP_MESSAGE_BYTES)
		return -5;
	memcpy(&tx_done, out, sizeof tx_done);
	return tx_done.type == NVSP_SEND_BUFFER_COMPLETE && tx_done.status == NVSP_STATUS_SUCCESS &&
	       tx_done.section_bytes == 6144 ? 0 : -6;
}

int bench_control(struct bench *bench, const void *message, size_t bytes, uint8_t *reply, size_t reply_max)
{
	const struct nvsp_rndis_packet head = { NVSP_RNDIS_PACKET, NVSP_CHANNEL_CONTROL, NVSP_SECTION_NONE, 0 };
	uint8_t padded[NVSP_MESSAGE_BYTES] = { 0 };
	uint8_t *copy = malloc(bytes ? bytes : 1);
	/* Two pieces, so that no header lies in one */
	const struct iovec iov[] = { { copy, bytes / 3 }, { copy + bytes / 3, bytes - bytes / 3 } };
	uint64_t transaction = ++bench->transaction << 8;
	struct nvsp_status_message done;
	struct bench_packet *packet;
	int length = 0;

	BENCH_CHECK(copy);
	memcpy(copy, message, bytes);
	memcpy(padded, &head, sizeof head);
	bench_post(bench, 0, VMBUS_PACKET_GPA_DIRECT, true, transaction, padded, sizeof padded, iov, 2);
	bench_run(bench);
	packet = bench_take(bench, 0);
	free(copy);
	if (!packet || packet->type != VMBUS_PACKET_COMPLETION || packet->transaction != transaction ||
	    packet->bytes != NVSP_MESSAGE_BYTES) {
		free(packet);
		return -1;
	}
	memcpy(&done, packet->payload, sizeof done);
	free(packet);
	if (done.type != NVSP_RNDIS_PACKET_COMPLETE || done.status != NVSP_STATUS_SUCCESS)
		return -1;
	packet = bench_take(bench, 0);
	if (packet) {
		BENCH_CHECK(packet->type == VMBUS_PACKET_TRANSFER_PAGES && packet->set_id == BENCH_RX_ID &&
			    packet->range_count == 1 && packet->range[0].bytes <= bench->section_bytes &&
			    packet->range[0].offset % bench->section_bytes == 0 && packet->range[0].bytes <= reply_max &&
			    packet->bytes == NVSP_MESSAGE_BYTES && packet->flags == 1 && packet->transaction);
		length = (int)packet->range[0].bytes;
		bench_memory_read(&bench->rx, packet->range[0].offset, reply, packet->range[0].bytes);
		if (!bench->hold_completions)
			bench_complete(bench, 0, packet->transaction);
		free(packet);
		bench_run(bench);
	}
	return length;
}

int bench_rndis_init(struct bench *bench)
{
	const struct rndis_initialize init = { { RNDIS_INITIALIZE, sizeof init }, ++bench->request_id, 1, 0, 0x4000 };
	struct rndis_initialize_complete done;

	if (bench_control(bench, &init, sizeof init, (uint8_t *)&done, sizeof done) != (int)sizeof done)
		return -1;
	return done.header.type == (RNDIS_INITIALIZE | RNDIS_COMPLETE) && done.request_id == bench->request_id &&
	       done.status == 0 ? 0 : -2;
}

static size_t request_make(struct bench *bench, uint8_t *to, uint32_t type, uint32_t oid, const void *in, size_t in_bytes)
{
	const struct rndis_request request = { { type, (uint32_t)(sizeof request + in_bytes) }, ++bench->request_id, oid,
					       (uint32_t)in_bytes, sizeof request - RNDIS_OFFSET_BASE, 0 };

	memcpy(to, &request, sizeof request);
	if (in_bytes)
		memcpy(to + sizeof request, in, in_bytes);
	return request.header.bytes;
}

uint32_t bench_query(struct bench *bench, uint32_t oid, const void *in, size_t in_bytes, void *out, size_t *out_bytes)
{
	uint8_t request[4096], reply[2048];
	struct rndis_query_complete done;
	int length = bench_control(bench, request, request_make(bench, request, RNDIS_QUERY, oid, in, in_bytes), reply,
				   sizeof reply);

	BENCH_CHECK(length >= (int)sizeof done);
	memcpy(&done, reply, sizeof done);
	BENCH_CHECK(done.header.type == (RNDIS_QUERY | RNDIS_COMPLETE) && done.header.bytes == (uint32_t)length &&
		    done.request_id == bench->request_id);
	if (done.status) {
		BENCH_CHECK(done.info_bytes == 0 && done.info_offset == 0);
		*out_bytes = 0;
		return done.status;
	}
	BENCH_CHECK(done.info_offset == 16 && done.info_bytes == (uint32_t)length - sizeof done);
	memcpy(out, reply + sizeof done, done.info_bytes);
	*out_bytes = done.info_bytes;
	return 0;
}

uint32_t bench_set(struct bench *bench, uint32_t oid, const void *in, size_t in_bytes)
{
	uint8_t request[4096];
	struct rndis_status_complete done;
	int length = bench_control(bench, request, request_make(bench, request, RNDIS_SET, oid, in, in_bytes),
				   (uint8_t *)&done, sizeof done);

	BENCH_CHECK(length == (int)sizeof done && done.header.type == (RNDIS_SET | RNDIS_COMPLETE) &&
		    done.header.bytes == sizeof done && done.request_id == bench->request_id);
	return done.status;
}

uint32_t bench_set_filter(struct bench *bench, uint32_t filter)
{
	return bench_set(bench, OID_GEN_CURRENT_PACKET_FILTER, &filter, sizeof filter);
}

void bench_connect(struct bench *bench)
{
	BENCH_CHECK(bench_open(bench, 0) == 0);
	BENCH_CHECK(bench_nvsp_init(bench, NVSP_VERSION_6_1, 1500) == 0);
	BENCH_CHECK(bench_rndis_init(bench) == 0);
	BENCH_CHECK(bench_set_filter(bench, 0xd) == 0);
}

void bench_subchannels(struct bench *bench, unsigned count)
{
	const struct nvsp_subchannel request = { NVSP_SUBCHANNEL, NVSP_SUBCHANNEL_ALLOCATE, count };
	uint8_t out[NVSP_MESSAGE_BYTES];

	BENCH_CHECK(bench_transact(bench, 0, &request, sizeof request, out) == NVSP_MESSAGE_BYTES);
	for (unsigned i = 1; i <= bench->offered; i++)
		BENCH_CHECK(bench_open(bench, i) == 0);
	bench_run(bench);
}

static void frame_decode(struct bench *bench, const struct vmbus_transfer_range *range, struct bench_frame *out)
{
	uint8_t message[9500];
	struct rndis_packet m;
	size_t at;

	BENCH_CHECK(range->offset % bench->section_bytes == 0 &&
		    range->offset / bench->section_bytes < bench->section_count && range->bytes <= bench->section_bytes);
	bench_memory_read(&bench->rx, range->offset, message, range->bytes);
	memcpy(&m, message, sizeof m);
	BENCH_CHECK(m.header.type == RNDIS_PACKET && m.header.bytes == range->bytes && m.data_bytes <= range->bytes &&
		    m.data_offset + 8u + m.data_bytes <= range->bytes && m.data_offset >= 36 && m.oob_bytes == 0 &&
		    m.rsvd == 0 && m.vc == 0);
	out->bytes = m.data_bytes;
	memcpy(out->data, message + m.data_offset + 8, m.data_bytes);
	BENCH_CHECK(m.ppi_bytes ? m.ppi_offset == 36 && m.data_offset == 36 + m.ppi_bytes : m.ppi_offset == 0);
	for (at = 44; at < 44 + m.ppi_bytes;) {
		struct rndis_ppi ppi;
		uint32_t word;

		memcpy(&ppi, message + at, sizeof ppi);
		BENCH_CHECK(ppi.bytes == 16 && ppi.offset == 12);
		memcpy(&word, message + at + 12, sizeof word);
		if (ppi.type == RNDIS_PPI_CHECKSUM) {
			out->has_checksum = true;
			out->checksum = word;
		} else if (ppi.type == RNDIS_PPI_VLAN) {
			out->has_tag = true;
			out->tag = word;
		} else if (ppi.type == RNDIS_PPI_HASH) {
			out->has_hash = true;
			out->hash = word;
		}
		at += ppi.bytes;
	}
	BENCH_CHECK(at == 44 + m.ppi_bytes);
}

unsigned bench_receive(struct bench *bench, unsigned index, struct bench_frame *out, unsigned max)
{
	struct bench_packet *packet = bench_take(bench, index);
	struct nvsp_rndis_packet m;
	unsigned count;

	if (!packet)
		return 0;
	BENCH_CHECK(packet->type == VMBUS_PACKET_TRANSFER_PAGES && packet->set_id == BENCH_RX_ID && packet->flags == 1 &&
		    packet->transaction && packet->range_count && packet->range_count <= max &&
		    packet->bytes == NVSP_MESSAGE_BYTES);
	memcpy(&m, packet->payload, sizeof m);
	BENCH_CHECK(m.type == NVSP_RNDIS_PACKET && m.section == NVSP_SECTION_NONE && m.section_bytes == 0);
	count = packet->range_count;
	for (unsigned i = 0; i < count; i++) {
		memset(&out[i], 0, sizeof out[i]);
		out[i].channel = m.channel;
		if (m.channel == NVSP_CHANNEL_DATA) {
			frame_decode(bench, &packet->range[i], &out[i]);
		} else {
			out[i].bytes = packet->range[i].bytes;
			bench_memory_read(&bench->rx, packet->range[i].offset, out[i].data, out[i].bytes);
		}
	}
	if (!bench->hold_completions)
		bench_complete(bench, index, packet->transaction);
	free(packet);
	return count;
}

size_t bench_message(uint8_t *to, const void *frame, size_t bytes, const void *ppi, size_t ppi_bytes)
{
	size_t all = (sizeof(struct rndis_packet) + ppi_bytes + bytes + 7) / 8 * 8;
	const struct rndis_packet m = {
		.header = { RNDIS_PACKET, (uint32_t)all },
		.data_offset = (uint32_t)(sizeof m + ppi_bytes - RNDIS_OFFSET_BASE),
		.data_bytes = (uint32_t)bytes,
		.ppi_offset = ppi_bytes ? sizeof m - RNDIS_OFFSET_BASE : 0,
		.ppi_bytes = (uint32_t)ppi_bytes,
	};

	memset(to, 0, all);
	memcpy(to, &m, sizeof m);
	if (ppi_bytes)
		memcpy(to + sizeof m, ppi, ppi_bytes);
	memcpy(to + sizeof m + ppi_bytes, frame, bytes);
	return all;
}

void bench_send(struct bench *bench, unsigned index, uint32_t section, const void *message, size_t bytes)
{
	const struct nvsp_rndis_packet m = { NVSP_RNDIS_PACKET, NVSP_CHANNEL_DATA, section,
					     section == NVSP_SECTION_NONE ? 0 : (uint32_t)bytes };
	uint8_t padded[NVSP_MESSAGE_BYTES] = { 0 };
	struct iovec iov[64];
	unsigned count = 0;

	memcpy(padded, &m, sizeof m);
	if (section != NVSP_SECTION_NONE) {
		bench_memory_write(&bench->tx, (size_t)section * 6144, message, bytes);
	} else {
		bench_memory_write(&bench->scratch, 0, message, bytes);
		for (size_t at = 0; at < bytes; at += iov[count++].iov_len) {
			size_t left = bytes - at;

			BENCH_CHECK(count < 64);
			iov[count].iov_base = bench->scratch.iov[at / BENCH_PAGE].iov_base;
			iov[count].iov_len = left < BENCH_PAGE ? left : BENCH_PAGE;
		}
	}
	bench_post(bench, index, section == NVSP_SECTION_NONE ? VMBUS_PACKET_GPA_DIRECT : VMBUS_PACKET_IN_BAND, true,
		   ++bench->transaction << 8, padded, sizeof padded, iov, count);
}

unsigned bench_completions(struct bench *bench, unsigned index, uint32_t status)
{
	struct bench_packet *packet;
	unsigned count = 0;

	while ((packet = bench_take(bench, index))) {
		struct nvsp_status_message m;

		memcpy(&m, packet->payload, sizeof m);
		BENCH_CHECK(packet->type == VMBUS_PACKET_COMPLETION && packet->bytes == NVSP_MESSAGE_BYTES &&
			    m.type == NVSP_RNDIS_PACKET_COMPLETE && m.status == status);
		free(packet);
		count++;
	}
	return count;
}

/* ---- frames */

void bench_fill(uint8_t *frame, size_t bytes, const uint8_t to[6], const uint8_t from[6], unsigned seed)
{
	for (size_t i = 0; i < bytes; i++)
		frame[i] = (uint8_t)(i * 13 + i / 256 + seed);
	memcpy(frame, to, 6);
	memcpy(frame + 6, from, 6);
	frame[12] = 0x88;		/* an ethertype of experiments */
	frame[13] = 0xb5;
}

size_t bench_fill_tcp(uint8_t *frame, size_t payload, const uint8_t to[6], const uint8_t from[6])
{
	static const uint8_t head[] = { 0x08, 0x00, 0x45, 0, 0, 0, 0, 7, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
					0x12, 0x34, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x10, 0x10, 0, 0, 0, 0, 0 };

	for (size_t i = 0; i < payload; i++)
		frame[54 + i] = (uint8_t)(i * 3);
	memcpy(frame, to, 6);
	memcpy(frame + 6, from, 6);
	memcpy(frame + 12, head, sizeof head);
	return 54 + payload;
}

/* ---- the network */

int bench_wire_take(struct bench *bench, unsigned tap, struct bench_wire *out)
{
	ssize_t got = recv(bench->tap[tap], out, sizeof *out, MSG_DONTWAIT);

	return got < (ssize_t)sizeof out->header ? -1 : (int)(got - (ssize_t)sizeof out->header);
}

void bench_wire_send(struct bench *bench, unsigned tap, const void *header, const void *frame, size_t bytes)
{
	static const uint8_t none[12];
	struct iovec iov[] = {
		{ (void *)(uintptr_t)(header ? header : none), sizeof none },
		{ (void *)(uintptr_t)frame, bytes },
	};
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2 };

	BENCH_CHECK(sendmsg(bench->tap[tap], &m, MSG_DONTWAIT) == (ssize_t)(sizeof none + bytes));
}
