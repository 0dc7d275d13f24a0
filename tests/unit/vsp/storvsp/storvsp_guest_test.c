// SPDX-License-Identifier: Apache-2.0
/* The whole way of a disk request: model guest, rings of the VMBus server, storvsp, a raw disk on a real file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "block/raw.h"
#include "unit/vsp/guest.h"
#include "storvsp/storvsp.h"
#include "vmbus/storvsc.h"

#define DISK_BYTES   (16u << 20)
#define DEPTH        64u
#define IO_PAGES     9u		/* 8 pages that begin anywhere in the first */
#define RING_PAGES   16u

static const struct vmbus_guid scsi = STORVSC_SCSI_INTERFACE;

struct world {
	struct guest *guest;
	struct storvsp *storvsp;
	struct guest_channel *channels[3];
	int file;
	uint64_t memory[DEPTH];		/* pages for each request */
	bool destroyed;
};

static bool is_set(void *context)
{
	return *(bool *)context;
}

static void set_flag(void *context)
{
	*(bool *)context = true;
}

static bool anything_came(void *context)
{
	return guest_in_ring(context)->read_index != guest_in_ring(context)->write_index;
}

static void receive(struct world *w, struct guest_channel *channel, struct guest_packet *packet)
{
	assert_true(guest_wait(w->guest, anything_came, channel, 10000));
	assert_true(guest_receive(channel, packet));
}

static struct storvsc_packet ask(struct world *w, uint32_t operation, uint16_t value)
{
	struct storvsc_packet packet = { .operation = operation, .flags = 1, .version = { value, 0 } };
	static struct guest_packet got;

	assert_int_equal(guest_transact(w->channels[0], 77, &packet, sizeof packet, &got), 0);
	assert_int_equal(got.payload_bytes, sizeof packet);
	memcpy(&packet, guest_packet_payload(&got), sizeof packet);
	assert_int_equal(packet.operation, STORVSC_COMPLETE_IO);
	assert_int_equal(packet.status, 0);
	return packet;
}

static struct world *world_new(void)
{
	const struct storvsp_options options = { .instance = { 0x1234 }, .sub_channels_max = 2 };
	struct world *w = calloc(1, sizeof *w);
	struct block_disk *disk;

	assert_non_null(w);
	w->guest = guest_new(64 << 20, 3);
	w->file = memfd_create("disk", MFD_CLOEXEC);
	assert_int_equal(ftruncate(w->file, DISK_BYTES), 0);
	assert_int_equal(block_raw_create(guest_host(w->guest), dup(w->file), &(struct block_raw_options){ 0 }, &disk), 0);
	assert_int_equal(storvsp_create(guest_server(w->guest), guest_host(w->guest), &options, &w->storvsp), 0);
	assert_int_equal(storvsp_attach_disk(w->storvsp, 0, disk), 0);
	assert_int_equal(guest_connect(w->guest, VMBUS_VERSION_WIN10_V5_3), 0);
	w->channels[0] = guest_open(w->guest, guest_relid(w->guest, &scsi, 0), RING_PAGES);
	assert_non_null(w->channels[0]);
	(void)ask(w, STORVSC_BEGIN_INITIALIZATION, 0);
	(void)ask(w, STORVSC_QUERY_PROTOCOL_VERSION, STORVSC_VERSION_WIN10);
	(void)ask(w, STORVSC_QUERY_PROPERTIES, 0);
	(void)ask(w, STORVSC_END_INITIALIZATION, 0);
	(void)ask(w, STORVSC_CREATE_SUB_CHANNELS, 2);
	guest_run(w->guest);
	for (unsigned i = 1; i < 3; i++) {
		w->channels[i] = guest_open(w->guest, guest_relid(w->guest, &scsi, i), RING_PAGES);
		assert_non_null(w->channels[i]);
	}
	for (unsigned i = 0; i < DEPTH; i++)
		w->memory[i] = guest_pages(w->guest, IO_PAGES);
	return w;
}

static void world_free(struct world *w)
{
	storvsp_destroy(w->storvsp, set_flag, &w->destroyed);
	for (unsigned i = 0; !w->destroyed && i < 20; i++) {
		(void)guest_wait(w->guest, is_set, &w->destroyed, 50);
		guest_advance(w->guest, 1000000000);	/* the server waits some time before it takes an offer back */
	}
	assert_true(w->destroyed);
	guest_free(w->guest);
	(void)close(w->file);
	free(w);
}

struct io {
	bool busy, write;
	uint32_t lba, blocks, page_offset;
};

static uint8_t *io_memory(struct world *w, unsigned i, const struct io *io)
{
	return (uint8_t *)guest_ram(w->guest, w->memory[i]) + io->page_offset;
}

static int io_send(struct world *w, struct guest_channel *channel, unsigned i, const struct io *io)
{
	const struct guest_range range = { w->memory[i] + io->page_offset, io->blocks * 512 };
	struct storvsc_packet packet = { .operation = STORVSC_EXECUTE_SRB, .flags = 1 };
	const uint8_t cdb[10] = { io->write ? 0x2a : 0x28, 0, 0, (uint8_t)(io->lba >> 16), (uint8_t)(io->lba >> 8),
				  (uint8_t)io->lba, 0, 0, (uint8_t)io->blocks };

	packet.srb.length = sizeof packet.srb;
	packet.srb.cdb_length = sizeof cdb;
	packet.srb.sense_info_length = STORVSC_SENSE_BYTES;
	packet.srb.data_in = io->write ? SRB_DATA_OUT : SRB_DATA_IN;
	packet.srb.data_transfer_length = io->blocks * 512;
	memcpy(packet.srb.cdb_or_sense, cdb, sizeof cdb);
	return guest_send_gpa_direct(channel, 1, 1000 + i, &range, 1, &packet, sizeof packet);
}

static void power_on(struct world *w)
{
	struct storvsc_packet packet = { .operation = STORVSC_EXECUTE_SRB, .flags = 1 };
	static struct guest_packet got;

	packet.srb.cdb_length = 6;
	packet.srb.data_in = SRB_DATA_NONE;
	packet.srb.sense_info_length = STORVSC_SENSE_BYTES;
	assert_int_equal(guest_transact(w->channels[0], 5, &packet, sizeof packet, &got), 0);
	memcpy(&packet, guest_packet_payload(&got), sizeof packet);
	assert_int_equal(packet.srb.cdb_or_sense[12], 0x29);
}

/* Many requests under way on three channels, each slot with blocks of its own, against a model of the disk. */
static void random_io_on_three_channels_matches_a_model(void **state)
{
	static uint8_t model[DISK_BYTES], file[DISK_BYTES];
	static struct guest_packet got;
	static struct io ios[DEPTH];
	struct world *w = world_new();
	const uint32_t lane = DISK_BYTES / 512 / DEPTH;
	struct storvsp_lun_stats stats;
	unsigned total = 0;

	power_on(w);
	memset(ios, 0, sizeof ios);
	memset(model, 0, sizeof model);
	for (unsigned round = 0; round < 60; round++) {
		for (unsigned i = 0; i < DEPTH; i++) {
			struct io *io = &ios[i];
			uint8_t *memory;

			io->write = rand() & 1;
			io->blocks = 1 + (uint32_t)rand() % 64;
			io->lba = i * lane + (uint32_t)rand() % (lane - io->blocks);
			io->page_offset = (uint32_t)rand() % 8 * 512;
			memory = io_memory(w, i, io);
			for (uint32_t k = 0; io->write && k < io->blocks * 512; k++)
				memory[k] = model[io->lba * 512 + k] = (uint8_t)rand();
			assert_int_equal(io_send(w, w->channels[i % 3], i, io), 0);
			io->busy = true;
		}
		for (unsigned i = 0; i < DEPTH; i++) {
			struct storvsc_packet packet;
			struct io *io;

			receive(w, w->channels[i % 3], &got);
			assert_int_equal(got.type, VMBUS_PACKET_COMPLETION);
			assert_true(got.transaction >= 1000 && got.transaction < 1000 + DEPTH);
			io = &ios[got.transaction - 1000];
			assert_true(io->busy);
			io->busy = false;
			memcpy(&packet, guest_packet_payload(&got), sizeof packet);
			assert_int_equal(packet.operation, STORVSC_COMPLETE_IO);
			assert_int_equal(packet.srb.srb_status, SRB_STATUS_SUCCESS);
			assert_int_equal(packet.srb.data_transfer_length, io->blocks * 512);
			if (!io->write)
				assert_memory_equal(io_memory(w, (unsigned)(io - ios), io), model + io->lba * 512,
						    io->blocks * 512);
			total++;
		}
	}
	assert_int_equal(pread(w->file, file, DISK_BYTES, 0), DISK_BYTES);
	assert_memory_equal(file, model, DISK_BYTES);
	assert_int_equal(storvsp_lun_stats(w->storvsp, 0, &stats), 0);
	assert_int_equal(stats.reads + stats.writes, total);
	for (unsigned i = 0; i < STORVSP_LATENCY_BUCKETS; i++)
		total -= (unsigned)(stats.read_latency.commands[i] + stats.write_latency.commands[i]);
	assert_int_equal(total, 0);
	assert_int_equal(stats.errors, 0);
	world_free(w);
}

static void closing_with_requests_under_way(void **state)
{
	static const struct io io = { .blocks = 64 };
	struct world *w = world_new();

	power_on(w);
	for (unsigned i = 0; i < DEPTH; i++)
		assert_int_equal(io_send(w, w->channels[1], i, &io), 0);
	(void)guest_close(w->channels[2]);
	(void)guest_close(w->channels[1]);
	(void)guest_close(w->channels[0]);
	world_free(w);
}

static void the_guest_unloads_and_comes_back(void **state)
{
	struct world *w = world_new();
	bool done = false;

	vmbus_server_reset(guest_server(w->guest), set_flag, &done);
	assert_true(guest_wait(w->guest, is_set, &done, 5000));
	assert_int_equal(guest_connect(w->guest, VMBUS_VERSION_WIN10_V5_3), 0);
	w->channels[0] = guest_open(w->guest, guest_relid(w->guest, &scsi, 0), RING_PAGES);
	assert_non_null(w->channels[0]);
	(void)ask(w, STORVSC_BEGIN_INITIALIZATION, 0);
	(void)ask(w, STORVSC_QUERY_PROTOCOL_VERSION, STORVSC_VERSION_WIN10);
	(void)ask(w, STORVSC_END_INITIALIZATION, 0);
	power_on(w);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_io_on_three_channels_matches_a_model),
		cmocka_unit_test(closing_with_requests_under_way),
		cmocka_unit_test(the_guest_unloads_and_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
