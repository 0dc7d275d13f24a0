// SPDX-License-Identifier: Apache-2.0
/*
 * The network provider with a guest that sends anything: first byte: how far the adapter is set up. Then steps of {kind,
 * how, length in two bytes, bytes}: control messages, data messages whole or in pieces, NVSP messages, completions, frames
 * from the network, less room, channels closed and opened. The bench ends the program when the adapter breaks its own
 * contract; afterwards a fresh guest must get a working adapter.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "unit/vsp/netvsp/netvsp_bench.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define QUEUES 3u

static struct bench bench;
static uint8_t scratch[4096];

static void post_rndis(uint32_t channel_type, unsigned channel, const uint8_t *bytes, size_t count, uint8_t how)
{
	const struct nvsp_rndis_packet m = { NVSP_RNDIS_PACKET, channel_type, how & 1 ? how >> 1 : NVSP_SECTION_NONE,
					     how & 1 ? (uint32_t)count : 0 };
	uint8_t padded[NVSP_MESSAGE_BYTES] = { 0 };
	size_t first = count * (how >> 1) / 128;
	const struct iovec iov[] = { { scratch, first }, { scratch + first, count - first } };

	memcpy(padded, &m, sizeof m);
	memcpy(scratch, bytes, count);
	if (how & 1 && m.section < 170)
		bench_memory_write(&bench.tx, (size_t)m.section * 6144, bytes, count);
	bench_post(&bench, channel, how & 1 ? VMBUS_PACKET_IN_BAND : VMBUS_PACKET_GPA_DIRECT, true, how, padded,
		   sizeof padded, iov, how & 1 ? 0 : 2);
}

static void complete_some(unsigned channel, uint8_t which)
{
	struct bench_packet *packet = bench_take(&bench, channel);

	if (!packet)
		return;
	if (packet->type == VMBUS_PACKET_TRANSFER_PAGES)
		bench_complete(&bench, channel, which & 0x80 ? packet->transaction : which);
	free(packet);
}

static void step(uint8_t kind, uint8_t how, const uint8_t *bytes, size_t count)
{
	unsigned channel = kind >> 4 & 3;

	if (channel >= QUEUES || !bench.channel[channel].open)
		channel = 0;
	if (!bench.channel[0].open)
		BENCH_CHECK(bench_open(&bench, 0) == 0);
	switch (kind & 7) {
	case 0:
		post_rndis(NVSP_CHANNEL_CONTROL, channel, bytes, count, how);
		break;
	case 1:
	case 2:
		post_rndis(NVSP_CHANNEL_DATA, channel, bytes, count, how);
		break;
	case 3:
		bench_post(&bench, channel, VMBUS_PACKET_IN_BAND, true, how, bytes, count, NULL, 0);
		break;
	case 4:
		complete_some(channel, how);
		break;
	case 5:
		if (how & 1 && count >= 12)
			bench_wire_send(&bench, kind >> 6 & 1, bytes, bytes + 12, count - 12);
		else
			bench_wire_send(&bench, kind >> 6 & 1, NULL, bytes, count);
		break;
	case 6:
		bench_room_set(&bench, channel, how % 4);
		bench_advance(&bench, (uint64_t)how << 20);
		break;
	default:
		if (kind & 8)
			bench_close(&bench, channel);
		else if (bench.offered && !bench.channel[1 + how % bench.offered].open)
			(void)bench_open(&bench, 1 + how % bench.offered);
		break;
	}
	bench_run(&bench);
}

static void set_up(uint8_t stage)
{
	BENCH_CHECK(bench_open(&bench, 0) == 0);
	if (stage & 1)
		BENCH_CHECK(bench_nvsp_init(&bench, stage & 8 ? NVSP_VERSION_4 : NVSP_VERSION_6_1, 1500) == 0);
	if ((stage & 3) == 3)
		BENCH_CHECK(bench_rndis_init(&bench) == 0 && bench_set_filter(&bench, stage & 16 ? 0x20 : 0xd) == 0);
	if ((stage & 7) == 7)
		bench_subchannels(&bench, QUEUES - 1);
	bench_drop_all(&bench);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct netvsp_config config = bench_config(QUEUES);

	if (size == 0)
		return 0;
	config.policy = (struct netvsp_policy){ data[0] & 32, data[0] & 64, data[0] & 128 };
	bench_start(&bench, &config);
	set_up(data[0]);
	for (size_t at = 1; size - at >= 4;) {
		uint8_t kind = data[at], how = data[at + 1];
		size_t count = (data[at + 2] | (size_t)data[at + 3] << 8) % (sizeof scratch + 1);

		at += 4;
		count = count < size - at ? count : size - at;
		step(kind, how, data + at, count);
		at += count;
	}
	for (unsigned i = NETVSP_QUEUES_MAX; i-- > 0;)
		if (bench.channel[i].open)
			bench_close(&bench, i);
	bench_connect(&bench);
	bench_stop(&bench);
	return 0;
}
