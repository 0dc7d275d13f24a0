// SPDX-License-Identifier: Apache-2.0
/*
 * The storage provider under a guest that sends what it likes. Input is a list of records: a byte that says what
 * happens, and what that takes. However it ends, each request that asked for it has had one answer at most, all of
 * them one when the channel stayed open, and nothing outside the memory that a request named has changed.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "unit/vsp/block/block_host.h"
#include "unit/vsp/block/block_memory.h"
#include "storvsp/storvsp.h"
#include "unit/vsp/storvsp/storvsp_channel.h"
#include "vmbus/storvsc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition) do { if (!(condition)) abort(); } while (0)

#define MEMORY_BYTES 65536u
#define REQUESTS_MAX 512u
#define GUARD        0xc7

struct world {
	struct block_host host;
	struct vmbus_server *bus;
	struct storvsp *storvsp;
	struct block_memory *disk;
	uint8_t *memory;
	unsigned sent, answered;
	uint8_t answers[REQUESTS_MAX];
	const uint8_t *data;
	size_t left;
};

static uint8_t take(struct world *w)
{
	if (w->left == 0)
		return 0;
	w->left--;
	return *w->data++;
}

static void take_bytes(struct world *w, void *to, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		((uint8_t *)to)[i] = take(w);
}

static void settle(struct world *w)
{
	while (block_host_turn(&w->host, 0))
		;
}

static void drain(struct world *w, struct vmbus_channel *channel)
{
	const struct fake_packet *packet;

	while ((packet = fake_receive(channel))) {
		CHECK(packet->bytes == sizeof(struct storvsc_packet));
		if (packet->type == VMBUS_PACKET_COMPLETION) {
			CHECK(packet->transaction < w->sent && w->answers[packet->transaction]++ == 0);
			w->answered++;
		}
		settle(w);
	}
}

static void send_packet(struct world *w, struct vmbus_channel *channel, const struct storvsc_packet *packet, size_t bytes,
			unsigned pieces, uint32_t piece_bytes)
{
	static struct iovec iov[256];

	if (w->sent == REQUESTS_MAX || !channel->open)
		return;
	for (unsigned i = 0; i < pieces; i++)
		iov[i] = (struct iovec){ w->memory, piece_bytes };
	fake_send(channel, pieces ? VMBUS_PACKET_GPA_DIRECT : VMBUS_PACKET_IN_BAND, true, w->sent++, packet, bytes, iov, pieces);
	fake_ring(channel);
}

static void send_anything(struct world *w, struct vmbus_channel *channel)
{
	struct storvsc_packet packet;
	const unsigned pieces = take(w);
	const uint32_t piece_bytes = (uint32_t)take(w) << 8 | take(w);
	size_t bytes = take(w);

	take_bytes(w, &packet, sizeof packet);
	take_bytes(w, w->memory, take(w) % 128);
	send_packet(w, channel, &packet, bytes > sizeof packet ? sizeof packet : bytes, pieces, piece_bytes);
}

/* An SRB whose frame is in order: the CDB is the fuzzer's. */
static void send_srb(struct world *w, struct vmbus_channel *channel)
{
	struct storvsc_packet packet = { .operation = STORVSC_EXECUTE_SRB, .flags = 1 };
	const uint32_t bytes = (uint32_t)(take(w) % 64 + 1) * 512;

	packet.srb.lun = take(w) % 3;
	packet.srb.data_in = take(w) % 3;
	packet.srb.sense_info_length = STORVSC_SENSE_BYTES;
	packet.srb.cdb_length = 16;
	packet.srb.data_transfer_length = bytes;
	take_bytes(w, packet.srb.cdb_or_sense, 16);
	take_bytes(w, w->memory, 32);
	send_packet(w, channel, &packet, sizeof packet, 1, bytes);
}

static void send_control(struct world *w, uint32_t operation, uint16_t value)
{
	const struct storvsc_packet packet = { .operation = operation, .flags = 1, .version = { value, 0 } };

	send_packet(w, &w->bus->channels[0], &packet, sizeof packet, 0, 0);
}

static void negotiate(struct world *w)
{
	send_control(w, STORVSC_BEGIN_INITIALIZATION, 0);
	send_control(w, STORVSC_QUERY_PROTOCOL_VERSION, STORVSC_VERSION_WIN10);
	send_control(w, STORVSC_END_INITIALIZATION, 0);
	send_control(w, STORVSC_CREATE_SUB_CHANNELS, 1);
}

static void change_disk(struct world *w)
{
	const uint8_t how = take(w);

	w->disk->fail_error = how & 1 ? -5 : 0;
	w->disk->fail_op = (enum block_op)((how >> 1) % 5);
	w->disk->fail_offset = (uint64_t)take(w) * 512;
	w->disk->hold = how & 0x40;
	if (!w->disk->hold)
		block_memory_run(w->disk);
}

static void step(struct world *w)
{
	struct vmbus_channel *primary = &w->bus->channels[0], *sub = &w->bus->channels[1];

	const uint8_t what = take(w);

	switch (what % 10) {
	case 0:
		send_anything(w, what & 0x80 ? sub : primary);
		break;
	case 1:
	case 2:
	case 3:
		send_srb(w, primary);
		break;
	case 4:
		send_srb(w, sub);
		break;
	case 5:
		if (primary->open && w->bus->sub_channels && !sub->open)
			CHECK(fake_open(w->bus, 1) == 0);
		break;
	case 6:
		change_disk(w);
		break;
	case 7:
		send_control(w, STORVSC_RESET_LUN + take(w) % 3u, 0);
		break;
	case 8:
		settle(w);
		drain(w, primary);
		break;
	default:
		primary->room_bytes = (size_t)take(w) * 88;
		if (storvsp_detach(w->storvsp, 1, NULL, NULL))
			(void)storvsp_attach_dvd(w->storvsp, 1, (const uint8_t *)"0123456789abcdef",
						 &block_memory_new(&w->host.host, 40960, 512)->disk);
		settle(w);
	}
}

static void set_flag(void *context)
{
	*(bool *)context = true;
}

/* All that was sent on channels that are open has its answer when the disk does not hold it back. */
static void all_is_answered(struct world *w)
{
	w->disk->hold = false;
	block_memory_run(w->disk);
	for (unsigned i = 0; i < 2; i++)
		w->bus->channels[i].room_bytes = 128 << 10;
	settle(w);
	for (unsigned i = 0; i < 2; i++) {
		struct vmbus_channel *channel = &w->bus->channels[i];

		if (channel->open && !channel->closing)
			channel->bus->device->ops->ready(channel->bus->device->context, channel);
	}
	settle(w);
	drain(w, &w->bus->channels[0]);
	drain(w, &w->bus->channels[1]);
	CHECK(w->answered == w->sent);
}

static struct world *world_new(const uint8_t *data, size_t size)
{
	const struct storvsp_options options = { .sub_channels_max = 1 };
	struct world *w = calloc(1, sizeof *w);

	CHECK(w);
	w->data = data;
	w->left = size;
	w->memory = malloc(MEMORY_BYTES + 64);
	CHECK(w->memory);
	memset(w->memory + MEMORY_BYTES, GUARD, 64);
	block_host_init(&w->host);
	w->bus = fake_bus_new(&w->host.host);
	w->disk = block_memory_new(&w->host.host, 256 * 512, 512);
	CHECK(storvsp_create(w->bus, &w->host.host, &options, &w->storvsp) == 0);
	CHECK(storvsp_attach_disk(w->storvsp, 0, &w->disk->disk) == 0);
	CHECK(fake_open(w->bus, 0) == 0);
	negotiate(w);
	return w;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world *w = world_new(data, size);
	bool destroyed = false;

	while (w->left)
		step(w);
	all_is_answered(w);
	for (unsigned i = 0; i < 64; i++)
		CHECK(w->memory[MEMORY_BYTES + i] == GUARD);
	storvsp_destroy(w->storvsp, set_flag, &destroyed);
	block_host_run_until(&w->host, &destroyed);
	CHECK(block_host_idle(&w->host));
	fake_bus_free(w->bus);
	free(w->memory);
	free(w);
	return 0;
}
