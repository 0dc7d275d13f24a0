// SPDX-License-Identifier: Apache-2.0
/* The storvsc protocol as a guest sees it: negotiation, SRBs, resets, units that come and go, channels that close, and
 * guests that lie. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "unit/vsp/block/block_host.h"
#include "unit/vsp/block/block_memory.h"
#include "storvsp/storvsp.h"
#include "unit/vsp/storvsp/storvsp_channel.h"
#include "vmbus/storvsc.h"

#define DISK_BYTES (1u << 20)
#define COMPLETION_BYTES FAKE_PACKET_RING_BYTES(64)

struct world {
	struct block_host host;
	struct vmbus_server *bus;
	struct storvsp *storvsp;
	struct block_memory *disk;	/* LUN 0 */
	uint8_t buffer[256 << 10];
};

static struct world world;

static struct vmbus_channel *primary(void)
{
	return &world.bus->channels[0];
}

static int setup(void **state)
{
	const struct storvsp_options options = { .instance = { 1, 2, 3, { 4 } }, .sub_channels_max = 4 };

	memset(&world, 0, sizeof world);
	block_host_init(&world.host);
	world.bus = fake_bus_new(&world.host.host);
	assert_int_equal(storvsp_create(world.bus, &world.host.host, &options, &world.storvsp), 0);
	world.disk = block_memory_new(&world.host.host, DISK_BYTES, 512);
	assert_int_equal(storvsp_attach_disk(world.storvsp, 0, &world.disk->disk), 0);
	assert_int_equal(fake_open(world.bus, 0), 0);
	return 0;
}

static void set_flag(void *context)
{
	*(bool *)context = true;
}

static int teardown(void **state)
{
	bool done = false;

	storvsp_destroy(world.storvsp, set_flag, &done);
	assert_false(done);
	block_host_run_until(&world.host, &done);
	assert_true(block_host_idle(&world.host));
	fake_bus_free(world.bus);
	return 0;
}

/* ---- a guest's driver */

static void settle(void)
{
	while (block_host_turn(&world.host, 0))
		;
}

static struct storvsc_packet packet_of(const struct fake_packet *from)
{
	struct storvsc_packet packet;

	assert_int_equal(from->bytes, sizeof packet);
	memcpy(&packet, from->payload, sizeof packet);
	return packet;
}

static void send(struct vmbus_channel *channel, uint64_t transaction, const struct storvsc_packet *packet)
{
	fake_send(channel, VMBUS_PACKET_IN_BAND, true, transaction, packet, sizeof *packet, NULL, 0);
	fake_ring(channel);
}

static struct storvsc_packet receive(struct vmbus_channel *channel, uint64_t transaction)
{
	const struct fake_packet *got;
	struct storvsc_packet packet;

	settle();
	got = fake_receive(channel);
	assert_non_null(got);
	assert_int_equal(got->type, VMBUS_PACKET_COMPLETION);
	assert_int_equal(got->transaction, transaction);
	packet = packet_of(got);
	assert_int_equal(packet.operation, STORVSC_COMPLETE_IO);
	return packet;
}

static void assert_news(uint32_t operation)
{
	const struct fake_packet *got;

	settle();
	got = fake_receive(primary());
	assert_non_null(got);
	assert_int_equal(got->type, VMBUS_PACKET_IN_BAND);
	assert_int_equal(got->transaction, 0);
	assert_false(got->wants_completion);
	assert_int_equal(packet_of(got).operation, operation);
}

static struct storvsc_packet ask(const struct storvsc_packet *packet)
{
	send(primary(), 0xfffffffffffffffdull, packet);
	return receive(primary(), 0xfffffffffffffffdull);
}

static uint32_t control(uint32_t operation, uint16_t value)
{
	const struct storvsc_packet packet = { .operation = operation, .flags = 1, .version = { value, 0 } };

	return ask(&packet).status;
}

static void negotiate(void)
{
	assert_int_equal(control(STORVSC_BEGIN_INITIALIZATION, 0), 0);
	assert_int_equal(control(STORVSC_QUERY_PROTOCOL_VERSION, STORVSC_VERSION_WIN10), 0);
	assert_int_equal(control(STORVSC_QUERY_PROPERTIES, 0), 0);
	assert_int_equal(control(STORVSC_END_INITIALIZATION, 0), 0);
}

static struct storvsc_packet srb(uint8_t lun, uint8_t data_in, uint32_t bytes, const uint8_t *cdb, uint8_t cdb_length)
{
	struct storvsc_packet packet = { .operation = STORVSC_EXECUTE_SRB, .flags = 1 };

	packet.srb.length = sizeof packet.srb;
	packet.srb.lun = lun;
	packet.srb.cdb_length = cdb_length;
	packet.srb.sense_info_length = STORVSC_SENSE_BYTES;
	packet.srb.data_in = data_in;
	packet.srb.data_transfer_length = bytes;
	memcpy(packet.srb.cdb_or_sense, cdb, cdb_length < 16 ? cdb_length : 16);
	return packet;
}

#define CDB(...) ((const uint8_t[16]){ __VA_ARGS__ })

static void send_srb(struct vmbus_channel *channel, uint64_t transaction, const struct storvsc_packet *packet, void *data,
		     size_t bytes)
{
	const struct iovec iov[] = { { data, bytes / 2 }, { (uint8_t *)data + bytes / 2, bytes - bytes / 2 } };

	if (bytes == 0) {
		send(channel, transaction, packet);
		return;
	}
	fake_send(channel, VMBUS_PACKET_GPA_DIRECT, true, transaction, packet, sizeof *packet, iov, 2);
	fake_ring(channel);
}

static struct storvsc_srb run(const struct storvsc_packet *packet, size_t bytes)
{
	struct storvsc_packet answer;

	send_srb(primary(), 42, packet, world.buffer, bytes);
	answer = receive(primary(), 42);
	assert_int_equal(answer.status, 0);
	return answer.srb;
}

static struct storvsc_srb run_in(uint8_t lun, const uint8_t *cdb, uint8_t cdb_length, uint32_t bytes)
{
	const struct storvsc_packet packet = srb(lun, SRB_DATA_IN, bytes, cdb, cdb_length);

	return run(&packet, bytes);
}

static struct storvsc_srb test_unit_ready(uint8_t lun)
{
	const struct storvsc_packet packet = srb(lun, SRB_DATA_NONE, 0, CDB(0), 6);

	return run(&packet, 0);
}

static void assert_srb_good(const struct storvsc_srb *s, uint32_t moved)
{
	assert_int_equal(s->srb_status, SRB_STATUS_SUCCESS);
	assert_int_equal(s->scsi_status, 0);
	assert_int_equal(s->data_transfer_length, moved);
}

static void assert_srb_sense(const struct storvsc_srb *s, uint8_t srb_status, unsigned sense)
{
	assert_int_equal(s->srb_status, srb_status | SRB_STATUS_AUTOSENSE_VALID);
	assert_int_equal(s->scsi_status, 2);
	assert_int_equal(s->data_transfer_length, 0);
	assert_int_equal(s->sense_info_length, 18);
	assert_int_equal(s->cdb_or_sense[2] << 16 | s->cdb_or_sense[12] << 8 | s->cdb_or_sense[13], sense);
}

static void connect_guest(void)
{
	struct storvsc_srb s;

	negotiate();
	s = test_unit_ready(0);
	assert_srb_sense(&s, SRB_STATUS_ERROR, 0x062900);	/* power on, once */
	s = test_unit_ready(0);
	assert_srb_good(&s, 0);
}

static struct storvsc_packet read_packet(uint32_t lba, uint16_t blocks)
{
	const uint8_t cdb[16] = { 0x28, 0, (uint8_t)(lba >> 24), (uint8_t)(lba >> 16), (uint8_t)(lba >> 8), (uint8_t)lba,
				  0, (uint8_t)(blocks >> 8), (uint8_t)blocks };

	return srb(0, SRB_DATA_IN, blocks * 512u, cdb, 10);
}

/* ---- negotiation */

static void the_offer_is_a_scsi_controller(void **state)
{
	const struct vmbus_guid scsi = { 0xba6163d9, 0x04a1, 0x4d29, { 0xb6, 5, 0x72, 0xe2, 0xff, 0xb1, 0xdc, 0x7f } };

	assert_memory_equal(&world.bus->device->offer.interface, &scsi, sizeof scsi);
	assert_int_equal(world.bus->device->offer.instance.a, 1);
}

static void negotiation_as_linux_does_it(void **state)
{
	struct storvsc_packet packet = { .operation = STORVSC_QUERY_PROPERTIES };

	assert_int_equal(control(STORVSC_BEGIN_INITIALIZATION, 0), 0);
	assert_int_equal(control(STORVSC_QUERY_PROTOCOL_VERSION, 0x0703), STORVSC_STATUS_REVISION_MISMATCH);
	assert_int_equal(control(STORVSC_QUERY_PROTOCOL_VERSION, 0x0402), STORVSC_STATUS_REVISION_MISMATCH);
	assert_int_equal(control(STORVSC_QUERY_PROTOCOL_VERSION, STORVSC_VERSION_WIN8_1), 0);
	packet = ask(&packet);
	assert_int_equal(packet.status, 0);
	assert_int_equal(packet.properties.max_channel_count, 4);
	assert_int_equal(packet.properties.flags, STORVSC_PROPERTY_MULTI_CHANNEL);
	assert_int_equal(packet.properties.max_transfer_bytes % 4096, 0);
	assert_true(packet.properties.max_transfer_bytes >= 4096);
	assert_int_equal(control(STORVSC_END_INITIALIZATION, 0), 0);
	assert_int_equal(control(STORVSC_CREATE_SUB_CHANNELS, 0), STORVSC_STATUS_INVALID_PARAMETER);
	assert_int_equal(control(STORVSC_CREATE_SUB_CHANNELS, 5), STORVSC_STATUS_INVALID_PARAMETER);
	assert_int_equal(control(STORVSC_CREATE_SUB_CHANNELS, 3), 0);
	assert_int_equal(world.bus->sub_channels, 3);
	assert_int_equal(control(STORVSC_CREATE_SUB_CHANNELS, 3), STORVSC_STATUS_INVALID_DEVICE_STATE);
	assert_int_equal(control(STORVSC_FCHBA_DATA, 0), STORVSC_STATUS_NOT_SUPPORTED);
	assert_int_equal(control(99, 0), STORVSC_STATUS_NOT_SUPPORTED);
}

static void steps_out_of_order_are_refused(void **state)
{
	const uint32_t refused = STORVSC_STATUS_INVALID_DEVICE_STATE;

	assert_int_equal(control(STORVSC_QUERY_PROTOCOL_VERSION, STORVSC_VERSION_WIN10), refused);
	assert_int_equal(control(STORVSC_QUERY_PROPERTIES, 0), refused);
	assert_int_equal(control(STORVSC_END_INITIALIZATION, 0), refused);
	assert_int_equal(control(STORVSC_CREATE_SUB_CHANNELS, 1), refused);
	assert_int_equal(control(STORVSC_EXECUTE_SRB, 0), refused);
	assert_int_equal(control(STORVSC_BEGIN_INITIALIZATION, 0), 0);
	assert_int_equal(control(STORVSC_END_INITIALIZATION, 0), refused);
	assert_int_equal(control(STORVSC_QUERY_PROTOCOL_VERSION, STORVSC_VERSION_WIN8), 0);
	assert_int_equal(control(STORVSC_EXECUTE_SRB, 0), refused);
	assert_int_equal(control(STORVSC_CREATE_SUB_CHANNELS, 1), refused);
	assert_int_equal(control(STORVSC_END_INITIALIZATION, 0), 0);
	fake_close(world.bus, 0);
	assert_int_equal(fake_open(world.bus, 0), 0);
	assert_int_equal(control(STORVSC_EXECUTE_SRB, 0), refused);	/* from the start again */
}

/* ---- SRBs */

static void reading_and_writing(void **state)
{
	struct storvsp_lun_stats stats;
	struct storvsc_packet packet;
	struct storvsc_srb s;

	connect_guest();
	for (unsigned i = 0; i < 4096; i++)
		world.buffer[i] = (uint8_t)rand();
	packet = srb(0, SRB_DATA_OUT, 4096, CDB(0x2a, 0, 0, 0, 0, 9, 0, 0, 8), 10);
	s = run(&packet, 4096);
	assert_srb_good(&s, 4096);
	assert_memory_equal(world.disk->data + 9 * 512, world.buffer, 4096);
	memset(world.buffer, 0, 8192);
	packet = read_packet(9, 8);
	s = run(&packet, 8192);		/* more memory than the SRB says: not touched */
	assert_srb_good(&s, 4096);
	assert_memory_equal(world.buffer, world.disk->data + 9 * 512, 4096);
	for (unsigned i = 4096; i < 8192; i++)
		assert_int_equal(world.buffer[i], 0);
	world.disk->fail_op = BLOCK_READ;
	world.disk->fail_error = -EIO;
	world.disk->fail_offset = 10 * 512;
	s = run(&packet, 4096);
	assert_srb_sense(&s, SRB_STATUS_ERROR, 0x031100);
	world.disk->fail_error = -ENOMEM;
	s = run(&packet, 4096);
	assert_int_equal(s.srb_status, SRB_STATUS_SUCCESS);	/* with BUSY: the guest tries again */
	assert_int_equal(s.scsi_status, 8);
	assert_int_equal(s.data_transfer_length, 0);
	assert_int_equal(storvsp_lun_stats(world.storvsp, 0, &stats), 0);
	assert_int_equal(stats.reads, 1);
	assert_int_equal(stats.read_bytes, 4096);
	assert_int_equal(stats.writes, 1);
	assert_int_equal(stats.errors, 2);
	assert_int_equal(storvsp_lun_stats(world.storvsp, 1, &stats), -ENOENT);
}

/* Held from the ring on, for so long. */
static void run_slowly(const struct storvsc_packet *packet, uint64_t us)
{
	world.disk->hold = true;
	send_srb(primary(), 7, packet, world.buffer, 512);
	settle();
	world.host.clock_ns += us * 1000;
	world.disk->hold = false;
	block_memory_run(world.disk);
	(void)receive(primary(), 7);
}

static void how_long_commands_take_is_counted(void **state)
{
	static const struct { uint64_t us; unsigned bucket; } rows[] = {
		{ 0, 0 }, { 1, 0 }, { 2, 1 }, { 3, 1 }, { 4, 2 }, { 1023, 9 }, { 1024, 10 }, { 8388607, 22 }, { 8388608, 23 },
		{ 1ull << 40, 23 },
	};
	const struct storvsc_packet read = read_packet(0, 1);
	const struct storvsc_packet write = srb(0, SRB_DATA_OUT, 512, CDB(0x2a, [8] = 1), 10);
	struct storvsp_latency reads = { { 0 } }, writes = { { 0 } };
	struct storvsp_lun_stats stats;

	world.host.clock_ns = 5000;
	connect_guest();
	for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		run_slowly(&read, rows[i].us);
		reads.commands[rows[i].bucket]++;
		assert_int_equal(storvsp_lun_stats(world.storvsp, 0, &stats), 0);
		assert_memory_equal(&stats.read_latency, &reads, sizeof reads);
	}
	run_slowly(&write, 100);
	writes.commands[6] = 1;
	world.disk->fail_op = BLOCK_READ;
	world.disk->fail_error = -EIO;
	run_slowly(&read, 100);			/* only what succeeds */
	assert_int_equal(storvsp_lun_stats(world.storvsp, 0, &stats), 0);
	assert_memory_equal(&stats.read_latency, &reads, sizeof reads);
	assert_memory_equal(&stats.write_latency, &writes, sizeof writes);
	world.host.clock_ns = 0;
}

static void less_room_for_sense(void **state)
{
	struct storvsc_packet packet = srb(0, SRB_DATA_NONE, 0, CDB(0xff), 16);
	struct storvsc_srb s;

	connect_guest();
	packet.srb.sense_info_length = 7;
	s = run(&packet, 0);
	assert_int_equal(s.sense_info_length, 7);
	packet.srb.sense_info_length = 255;
	s = run(&packet, 0);
	assert_int_equal(s.sense_info_length, 18);
}

static void absent_units(void **state)
{
	struct storvsc_packet packet;
	struct storvsc_srb s;

	connect_guest();
	for (unsigned i = 0; i < 4; i++) {
		packet = srb(i == 0 ? 5 : i == 1 ? 200 : 0, SRB_DATA_IN, 36, CDB(0x12, 0, 0, 0, 36), 6);
		packet.srb.target_id = i == 2;
		packet.srb.path_id = i == 3 ? 3 : 0;
		world.buffer[0] = 0;
		s = run(&packet, 36);
		assert_srb_good(&s, 36);
		assert_int_equal(world.buffer[0], 0x7f);
		packet = srb(packet.srb.lun, SRB_DATA_NONE, 0, CDB(0), 6);
		packet.srb.target_id = i == 2;
		packet.srb.path_id = i == 3 ? 3 : 0;
		s = run(&packet, 0);
		if (i == 3)	/* else Linux removes the unit with this number on path 0 */
			assert_srb_sense(&s, SRB_STATUS_ERROR, 0x052500);
		else
			assert_int_equal(s.srb_status, SRB_STATUS_INVALID_LUN);
	}
}

static void report_luns_lists_what_is_there(void **state)
{
	struct storvsc_packet packet = srb(0, SRB_DATA_IN, 4096, CDB(0xa0, [8] = 0x10), 12);
	struct storvsc_srb s;

	assert_int_equal(storvsp_attach_disk(world.storvsp, 7, &block_memory_new(&world.host.host, 4096, 512)->disk), 0);
	assert_int_equal(storvsp_attach_disk(world.storvsp, 63, &block_memory_new(&world.host.host, 4096, 512)->disk), 0);
	negotiate();
	s = run(&packet, 4096);
	assert_srb_good(&s, 32);
	assert_memory_equal(world.buffer, "\0\0\0\x18\0\0\0\0" "\0\0\0\0\0\0\0\0" "\0\x07\0\0\0\0\0\0" "\0\x3f\0\0\0\0\0\0", 32);
	packet.srb.lun = 33;		/* any of the target's */
	s = run(&packet, 4096);
	assert_srb_good(&s, 32);
	packet.srb.target_id = 1;
	s = run(&packet, 4096);
	assert_srb_good(&s, 8);
	assert_memory_equal(world.buffer, "\0\0\0\0\0\0\0\0", 8);
	packet.srb.cdb_length = 10;
	s = run(&packet, 4096);
	assert_srb_sense(&s, SRB_STATUS_ERROR, 0x052400);
}

static void srbs_that_lie(void **state)
{
	const struct storvsc_packet good = read_packet(0, 8);
	struct storvsc_packet packet;
	struct storvsc_srb s;
	static struct iovec pieces[2000];

	connect_guest();
	packet = good;
	packet.srb.cdb_length = 0;
	s = run(&packet, 4096);
	assert_srb_sense(&s, SRB_STATUS_INVALID_REQUEST, 0x052400);
	packet.srb.cdb_length = 17;
	s = run(&packet, 4096);
	assert_srb_sense(&s, SRB_STATUS_INVALID_REQUEST, 0x052400);
	packet.srb.cdb_length = 255;
	s = run(&packet, 4096);
	assert_srb_sense(&s, SRB_STATUS_INVALID_REQUEST, 0x052400);
	packet = good;
	packet.srb.data_in = 3;
	s = run(&packet, 4096);
	assert_srb_sense(&s, SRB_STATUS_INVALID_REQUEST, 0x052400);
	packet = good;
	s = run(&packet, 4095);		/* less memory than it says */
	assert_srb_sense(&s, SRB_STATUS_INVALID_REQUEST, 0x052400);
	s = run(&packet, 0);
	assert_srb_sense(&s, SRB_STATUS_INVALID_REQUEST, 0x052400);
	packet.srb.data_transfer_length = UINT32_MAX;
	s = run(&packet, 4096);
	assert_srb_sense(&s, SRB_STATUS_INVALID_REQUEST, 0x052400);
	packet = good;
	packet.srb.data_transfer_length = 4095;		/* less than the CDB needs */
	s = run(&packet, 4096);
	assert_srb_sense(&s, SRB_STATUS_ERROR, 0x052400);
	packet.srb.data_transfer_length = 0;
	s = run(&packet, 4096);
	assert_srb_sense(&s, SRB_STATUS_ERROR, 0x052400);
	packet = good;
	packet.srb.data_in = SRB_DATA_OUT;		/* a read that sends */
	s = run(&packet, 4096);
	assert_srb_sense(&s, SRB_STATUS_ERROR, 0x052400);
	packet.srb.data_in = SRB_DATA_NONE;
	s = run(&packet, 4096);
	assert_srb_sense(&s, SRB_STATUS_ERROR, 0x052400);
	for (unsigned i = 0; i < 2000; i++)
		pieces[i] = (struct iovec){ world.buffer, 512 };
	fake_send(primary(), VMBUS_PACKET_GPA_DIRECT, true, 7, &good, sizeof good, pieces, 2000);
	fake_ring(primary());
	s = receive(primary(), 7).srb;
	assert_srb_sense(&s, SRB_STATUS_INVALID_REQUEST, 0x052400);
	/* None of it reached the disk. */
	assert_int_equal(world.disk->requests[BLOCK_READ], 0);
	s = run(&good, 4096);
	assert_srb_good(&s, 4096);
}

static void packets_that_are_none(void **state)
{
	const struct storvsc_packet good = read_packet(0, 8);

	connect_guest();
	fake_send(primary(), VMBUS_PACKET_IN_BAND, true, 5, &good, 56, NULL, 0);
	fake_ring(primary());
	assert_int_equal(receive(primary(), 5).status, STORVSC_STATUS_INVALID_PARAMETER);
	fake_send(primary(), VMBUS_PACKET_IN_BAND, true, 6, &good, 0, NULL, 0);
	fake_ring(primary());
	assert_int_equal(receive(primary(), 6).status, STORVSC_STATUS_INVALID_PARAMETER);
	fake_send(primary(), VMBUS_PACKET_COMPLETION, true, 7, &good, sizeof good, NULL, 0);
	fake_send(primary(), VMBUS_PACKET_IN_BAND, false, 8, &good, sizeof good, NULL, 0);
	fake_ring(primary());
	settle();
	assert_null(fake_receive(primary()));
	primary()->dead = true;
	fake_send(primary(), VMBUS_PACKET_IN_BAND, true, 9, &good, sizeof good, NULL, 0);
	fake_ring(primary());
	settle();
	assert_true(block_host_idle(&world.host));	/* nobody polls a dead channel */
}

/* ---- many at once */

static void send_reads(struct vmbus_channel *channel, unsigned count, uint64_t first)
{
	for (unsigned i = 0; i < count; i++) {
		const struct storvsc_packet packet = read_packet(i % 1024, 1);
		const struct iovec iov = { world.buffer + (size_t)(i % 400) * 512, 512 };

		fake_send(channel, VMBUS_PACKET_GPA_DIRECT, true, first + i, &packet, sizeof packet, &iov, 1);
	}
	fake_ring(channel);
}

static unsigned drain(struct vmbus_channel *channel, bool *seen, unsigned count, uint64_t first)
{
	const struct fake_packet *packet;
	unsigned got = 0;

	while ((packet = fake_receive(channel))) {
		assert_true(packet->transaction >= first && packet->transaction < first + count);
		assert_false(seen[packet->transaction - first]);
		seen[packet->transaction - first] = true;
		assert_int_equal(packet_of(packet).srb.srb_status, SRB_STATUS_SUCCESS);
		got++;
		settle();
	}
	return got;
}

static void the_queue_is_as_deep_as_it_says(void **state)
{
	static bool seen[1000];

	memset(seen, 0, sizeof seen);
	connect_guest();
	world.disk->hold = true;
	send_reads(primary(), 1000, 100);
	settle();
	assert_int_equal(world.disk->queued, STORVSP_QUEUE_DEPTH);
	assert_int_equal(primary()->in_last - primary()->in_first, 1000 - STORVSP_QUEUE_DEPTH);	/* left in the ring */
	world.disk->hold = false;
	block_memory_run(world.disk);
	settle();
	assert_int_equal(drain(primary(), seen, 1000, 100), 1000);
	assert_int_equal(world.disk->requests[BLOCK_READ], 1000);
	assert_false(primary()->unflushed);
}

static void room_for_completions_is_reserved(void **state)
{
	static bool seen[100];

	memset(seen, 0, sizeof seen);
	connect_guest();
	primary()->room_bytes = 10 * COMPLETION_BYTES + 17;
	world.disk->hold = true;
	send_reads(primary(), 100, 100);
	settle();
	assert_int_equal(world.disk->queued, 10);
	world.disk->hold = false;
	block_memory_run(world.disk);
	settle();
	/* The ring is full, and one more request was tried to learn when it is not. */
	assert_int_equal(primary()->out_last - primary()->out_first, 10);
	assert_int_equal(drain(primary(), seen, 100, 100), 100);
}

static void a_guest_that_takes_the_room_back(void **state)
{
	static bool seen[50];

	memset(seen, 0, sizeof seen);
	connect_guest();
	primary()->room_bytes = 3 * COMPLETION_BYTES;
	primary()->lie_bytes = 1 << 20;
	send_reads(primary(), 50, 100);
	settle();
	assert_int_equal(primary()->out_last - primary()->out_first, 3);
	assert_int_equal(drain(primary(), seen, 50, 100), 50);
}

static void quick_commands_do_not_starve_the_others(void **state)
{
	const struct storvsc_packet packet = srb(0, SRB_DATA_NONE, 0, CDB(0), 6);

	connect_guest();
	for (unsigned i = 0; i < 600; i++)
		fake_send(primary(), VMBUS_PACKET_IN_BAND, true, i + 1, &packet, sizeof packet, NULL, 0);
	fake_ring(primary());
	assert_int_equal(primary()->out_last - primary()->out_first, 256);
	settle();
	assert_int_equal(primary()->out_last - primary()->out_first, 600);
	assert_false(primary()->unflushed);
}

/* ---- resets */

static void a_reset_waits_for_what_was_before_it(void **state)
{
	const struct storvsc_packet reset = { .operation = STORVSC_RESET_BUS };
	static bool seen[10];

	memset(seen, 0, sizeof seen);
	connect_guest();
	send(primary(), 1, &reset);	/* nothing to wait for */
	assert_int_equal(receive(primary(), 1).status, 0);
	world.disk->hold = true;
	send_reads(primary(), 10, 100);
	fake_send(primary(), VMBUS_PACKET_IN_BAND, true, 2, &reset, sizeof reset, NULL, 0);
	fake_ring(primary());
	settle();
	assert_null(fake_receive(primary()));
	send_reads(primary(), 1, 500);
	settle();
	assert_int_equal(world.disk->queued, 11);
	world.disk->hold = false;
	block_memory_run(world.disk);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(receive(primary(), 100 + i).srb.srb_status, SRB_STATUS_SUCCESS);
	assert_int_equal(receive(primary(), 2).status, 0);
	assert_int_equal(receive(primary(), 500).srb.srb_status, SRB_STATUS_SUCCESS);
	assert_int_equal(control(STORVSC_RESET_LUN, 0), 0);
	assert_int_equal(control(STORVSC_RESET_ADAPTER, 0), 0);
}

/* ---- sub-channels */

static void sub_channels_answer_where_they_were_asked(void **state)
{
	const struct storvsc_packet reset = { .operation = STORVSC_RESET_BUS };
	const struct storvsc_packet begin = { .operation = STORVSC_BEGIN_INITIALIZATION };
	struct vmbus_channel *sub = &world.bus->channels[1];
	static bool seen[20];

	memset(seen, 0, sizeof seen);
	connect_guest();
	assert_int_equal(control(STORVSC_CREATE_SUB_CHANNELS, 2), 0);
	assert_int_equal(fake_open(world.bus, 1), 0);
	assert_int_equal(fake_open(world.bus, 2), 0);
	send(sub, 3, &begin);
	assert_int_equal(receive(sub, 3).status, STORVSC_STATUS_INVALID_DEVICE_STATE);
	world.disk->hold = true;
	send_reads(sub, 20, 100);
	send_reads(&world.bus->channels[2], 5, 100);
	send(primary(), 9, &reset);
	settle();
	assert_null(fake_receive(primary()));	/* it waits for the other channels */
	fake_close(world.bus, 2);
	assert_true(world.bus->channels[2].open);
	world.disk->hold = false;
	block_memory_run(world.disk);
	assert_int_equal(receive(primary(), 9).status, 0);
	assert_int_equal(drain(sub, seen, 20, 100), 20);
	assert_false(world.bus->channels[2].open);	/* closed, nothing sent */
	assert_null(fake_receive(&world.bus->channels[2]));
	assert_false(sub->unflushed);
}

/* ---- closing and destroying */

static void closing_with_requests_and_resets_under_way(void **state)
{
	const struct storvsc_packet reset = { .operation = STORVSC_RESET_BUS };

	connect_guest();
	world.disk->hold = true;
	send_reads(primary(), 300, 100);	/* more than the queue takes */
	settle();
	fake_close(world.bus, 0);
	assert_true(primary()->open);
	world.disk->hold = false;
	block_memory_run(world.disk);
	assert_false(primary()->open);
	assert_int_equal(world.disk->requests[BLOCK_READ], STORVSP_QUEUE_DEPTH);

	assert_int_equal(fake_open(world.bus, 0), 0);
	negotiate();
	world.disk->hold = true;
	send_reads(primary(), 3, 100);
	send(primary(), 7, &reset);
	fake_close(world.bus, 0);
	assert_true(primary()->open);
	world.disk->hold = false;
	block_memory_run(world.disk);
	assert_false(primary()->open);

	assert_int_equal(fake_open(world.bus, 0), 0);
	negotiate();
	primary()->room_bytes = COMPLETION_BYTES;
	send_reads(primary(), 3, 100);		/* one sent, one unsent, one in the ring */
	settle();
	fake_close(world.bus, 0);
	assert_false(primary()->open);
}

static void destroying_answers_before_it_rescinds(void **state)
{
	const struct storvsp_options options = { .instance = { 9 } };
	bool done = false, gone = false;

	connect_guest();
	world.disk->gone = &gone;
	world.disk->hold = true;
	send_reads(primary(), 5, 100);
	storvsp_destroy(world.storvsp, set_flag, &done);
	assert_int_equal(storvsp_attach_disk(world.storvsp, 1, &world.disk->disk), -ENODEV);
	settle();
	assert_false(done);
	assert_true(primary()->open);
	assert_false(primary()->closing);
	world.disk->hold = false;
	block_memory_run(world.disk);
	assert_int_equal(primary()->out_last - primary()->out_first, 6);	/* news that a unit has gone, and five answers */
	block_host_run_until(&world.host, &done);
	assert_true(gone);
	assert_false(primary()->open);
	assert_null(world.bus->device);
	world.bus->removed = NULL;
	assert_int_equal(storvsp_create(world.bus, &world.host.host, &options, &world.storvsp), 0);	/* for the teardown */
}

/* ---- units that come and go */

static void attaching_and_detaching_is_told(void **state)
{
	struct block_memory *second = block_memory_new(&world.host.host, 4096, 512);
	bool done = false, gone = false;
	struct storvsc_srb s;

	second->gone = &gone;
	connect_guest();
	assert_int_equal(storvsp_attach_disk(world.storvsp, 0, &second->disk), -EEXIST);
	assert_int_equal(storvsp_attach_disk(world.storvsp, STORVSP_LUN_COUNT, &second->disk), -EINVAL);
	assert_int_equal(storvsp_attach_disk(world.storvsp, 3, &second->disk), 0);
	assert_news(STORVSC_ENUMERATE_BUS);
	s = test_unit_ready(3);
	assert_srb_sense(&s, SRB_STATUS_ERROR, 0x062900);
	s = test_unit_ready(3);
	assert_srb_good(&s, 0);
	assert_int_equal(storvsp_detach(world.storvsp, 3, set_flag, &done), 0);
	assert_false(done);
	assert_news(STORVSC_REMOVE_DEVICE);
	s = test_unit_ready(3);
	assert_int_equal(s.srb_status, SRB_STATUS_INVALID_LUN);
	assert_true(done);
	assert_true(gone);
	assert_int_equal(storvsp_detach(world.storvsp, 3, NULL, NULL), -ENOENT);
	assert_int_equal(storvsp_detach(world.storvsp, 64, NULL, NULL), -ENOENT);
}

static void detaching_waits_for_requests(void **state)
{
	bool done = false;

	connect_guest();
	world.disk->hold = true;
	send_reads(primary(), 4, 100);
	assert_int_equal(storvsp_detach(world.storvsp, 0, set_flag, &done), 0);
	assert_news(STORVSC_REMOVE_DEVICE);
	settle();
	assert_false(done);
	world.disk->hold = false;
	block_memory_run(world.disk);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(receive(primary(), 100 + i).srb.srb_status, SRB_STATUS_SUCCESS);
	assert_true(done);
}

static void a_resize_reaches_the_guest(void **state)
{
	struct storvsc_packet packet = read_packet(0, 1);
	struct storvsc_srb s;

	connect_guest();
	world.disk->bytes = DISK_BYTES / 2;
	assert_int_equal(block_refresh(&world.disk->disk), 0);
	assert_news(STORVSC_ENUMERATE_BUS);
	s = run(&packet, 512);
	assert_srb_sense(&s, SRB_STATUS_ERROR, 0x062a09);
	s = run(&packet, 512);
	assert_srb_good(&s, 512);
	s = run_in(0, CDB(0x25), 10, 8);
	assert_srb_good(&s, 8);
	assert_memory_equal(world.buffer, "\0\0\x03\xff\0\0\x02\0", 8);
}

static void news_wait_until_the_guest_is_ready(void **state)
{
	bool done = false;

	assert_int_equal(storvsp_attach_dvd(world.storvsp, 5, (const uint8_t *)"0123456789abcdef", NULL), 0);
	negotiate();
	settle();
	assert_null(fake_receive(primary()));	/* it looks by itself now */
	primary()->room_bytes = 0;
	assert_int_equal(storvsp_detach(world.storvsp, 5, set_flag, &done), 0);
	assert_int_equal(storvsp_attach_disk(world.storvsp, 6, &block_memory_new(&world.host.host, 4096, 512)->disk), 0);
	block_host_run_until(&world.host, &done);
	assert_null(fake_receive(primary()));
	primary()->room_bytes = 4096;
	primary()->bus->device->ops->ready(primary()->bus->device->context, primary());
	assert_news(STORVSC_REMOVE_DEVICE);
	assert_news(STORVSC_ENUMERATE_BUS);
	assert_null(fake_receive(primary()));
}

static void news_wait_behind_reserved_room(void **state)
{
	static bool seen[3];

	memset(seen, 0, sizeof seen);
	connect_guest();
	primary()->room_bytes = 3 * COMPLETION_BYTES;
	world.disk->hold = true;
	send_reads(primary(), 3, 100);
	assert_int_equal(storvsp_attach_dvd(world.storvsp, 5, (const uint8_t *)"0123456789abcdef", NULL), 0);
	settle();
	assert_null(fake_receive(primary()));
	world.disk->hold = false;
	block_memory_run(world.disk);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(receive(primary(), 100 + i).srb.srb_status, SRB_STATUS_SUCCESS);
	assert_news(STORVSC_ENUMERATE_BUS);
}

static void media_of_a_drive(void **state)
{
	struct block_memory *medium = block_memory_new(&world.host.host, 20480, 512);
	struct block_memory *wrong = block_memory_new(&world.host.host, 20480, 4096);
	bool closed = false;
	struct storvsc_srb s;

	connect_guest();
	assert_int_equal(storvsp_attach_dvd(world.storvsp, 1, (const uint8_t *)"0123456789abcdef", &wrong->disk), -EINVAL);
	assert_int_equal(storvsp_attach_dvd(world.storvsp, 1, (const uint8_t *)"0123456789abcdef", NULL), 0);
	assert_news(STORVSC_ENUMERATE_BUS);
	s = test_unit_ready(1);
	assert_srb_sense(&s, SRB_STATUS_ERROR, 0x062900);
	s = test_unit_ready(1);
	assert_srb_sense(&s, SRB_STATUS_ERROR, 0x023a01);
	assert_int_equal(storvsp_dvd_insert(world.storvsp, 0, &medium->disk), -ENOENT);
	assert_int_equal(storvsp_dvd_insert(world.storvsp, 1, &wrong->disk), -EINVAL);
	assert_int_equal(storvsp_dvd_insert(world.storvsp, 1, &medium->disk), 0);
	assert_int_equal(storvsp_dvd_insert(world.storvsp, 1, &medium->disk), -EBUSY);
	assert_true(storvsp_dvd_loaded(world.storvsp, 1));
	assert_news(STORVSC_ENUMERATE_BUS);
	s = test_unit_ready(1);
	assert_srb_sense(&s, SRB_STATUS_ERROR, 0x062800);
	s = run_in(1, CDB(0x28, [8] = 1), 10, 2048);
	assert_srb_good(&s, 2048);
	assert_int_equal(storvsp_dvd_eject(world.storvsp, 1), 0);
	assert_int_equal(storvsp_dvd_eject(world.storvsp, 0), -ENOENT);
	assert_false(storvsp_dvd_loaded(world.storvsp, 1));
	assert_news(STORVSC_ENUMERATE_BUS);
	s = test_unit_ready(1);
	assert_srb_sense(&s, SRB_STATUS_ERROR, 0x023a02);
	block_close(&wrong->disk, set_flag, &closed);
	block_host_run_until(&world.host, &closed);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_offer_is_a_scsi_controller),
		TEST(negotiation_as_linux_does_it),
		TEST(steps_out_of_order_are_refused),
		TEST(reading_and_writing),
		TEST(how_long_commands_take_is_counted),
		TEST(less_room_for_sense),
		TEST(absent_units),
		TEST(report_luns_lists_what_is_there),
		TEST(srbs_that_lie),
		TEST(packets_that_are_none),
		TEST(the_queue_is_as_deep_as_it_says),
		TEST(room_for_completions_is_reserved),
		TEST(a_guest_that_takes_the_room_back),
		TEST(quick_commands_do_not_starve_the_others),
		TEST(a_reset_waits_for_what_was_before_it),
		TEST(sub_channels_answer_where_they_were_asked),
		TEST(closing_with_requests_and_resets_under_way),
		TEST(destroying_answers_before_it_rescinds),
		TEST(attaching_and_detaching_is_told),
		TEST(detaching_waits_for_requests),
		TEST(a_resize_reaches_the_guest),
		TEST(news_wait_until_the_guest_is_ready),
		TEST(news_wait_behind_reserved_room),
		TEST(media_of_a_drive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
