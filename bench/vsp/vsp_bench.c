// SPDX-License-Identifier: Apache-2.0
/*
 * Traces through the providers, for callgrind to count and for a clock to watch:
 *
 *	vsp_bench storage KIND IMAGE	4 KiB reads at random, 32 at a time; of an empty file a disk of this kind is made
 *	vsp_bench transmit | receive	frames of 1500 bytes, 64 at a time
 *	vsp_bench ring			64 KiB packets through a ring, beside the same bytes by memcpy
 *
 * Prints "BENCH NAME VALUE": how many units were counted, and what needs no callgrind. Traces are the same in each run.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench_disk.h"
#include "bench_host.h"
#include "net_client.h"
#include "netvsp/netvsp.h"
#include "scsi_client.h"
#include "storvsp/storvsp.h"
#include "vmbus/ring.h"

#define DEPTH         32u
#define READS         8000u
#define READ_BYTES    4096u
#define RING_PAGES    16u
#define FRAME_BYTES   1500u
#define TAP_HEADER    12u
#define BATCH         64u
#define FRAMES        6400u
#define BUFFER_BYTES  (1u << 20)

static uint32_t random_below(uint32_t below)
{
	static uint32_t state = 1;

	state = state * 1664525u + 1013904223u;
	return (uint32_t)((uint64_t)state * below >> 32);
}

static const struct vsc_offer *find(const struct vmbus_guid *interface)
{
	const struct vsc_offer *offer;
	int r = vsc_bus_connect(&bench_host.bus, VMBUS_VERSION_WIN10_V5_3, 0);

	offer = r ? NULL : vsc_bus_find(&bench_host.bus, interface, 0);
	if (!offer)
		bench_die("no offer", r);
	return offer;
}

/* ---- storage */

static struct vsc_scsi scsi;
static struct vsc_disk disk;

static void open_disk(const char *kind, const char *image)
{
	const struct storvsp_options options = { .instance = { 0x1234 } };
	struct storvsp *storvsp;
	struct block_disk *block;
	int r = bench_disk_open(kind, image, &block);

	if (r == 0)
		r = storvsp_create(bench_host.server, &bench_host.host, &options, &storvsp);
	if (r == 0)
		r = storvsp_attach_disk(storvsp, 0, block);
	if (r)
		bench_die("the disk", r);
	r = vsc_scsi_open(&scsi, &bench_host.bus, find(&vsc_scsi_interface), bench_pages(2 * RING_PAGES), RING_PAGES);
	if (r == VSC_OK)
		r = vsc_disk_open(&disk, &scsi, 0, bench_pages(1));
	if (r)
		bench_die("the client", r);
}

/* Every block is there afterwards, whatever the kind. */
static void fill_disk(uint8_t *memory)
{
	uint32_t count = DEPTH * READ_BYTES / disk.block_bytes;

	memset(memory, 0x5a, DEPTH * READ_BYTES);
	for (uint64_t block = 0; block + count <= disk.blocks; block += count)
		if (vsc_disk_write(&disk, block, count, memory))
			bench_die("a write failed", disk.last.scsi_status);
}

static void submit_read(uint8_t *memory, unsigned slot)
{
	uint32_t count = READ_BYTES / disk.block_bytes;
	struct vsc_scsi_command command;
	int r;

	vsc_disk_command(&disk, false, (uint64_t)random_below((uint32_t)(disk.blocks / count)) * count, count,
			 memory + slot * READ_BYTES, &command);
	command.transaction = slot;
	r = vsc_scsi_submit(&scsi, &command);
	if (r)
		bench_die("a read is not taken", r);
}

/* Each answer is followed by a new request, as a queue that is kept full. */
static void read_all(uint8_t *memory, unsigned reads)
{
	struct vsc_scsi_result result;
	unsigned started = 0, finished = 0;

	while (started < DEPTH)
		submit_read(memory, started++);
	while (finished < reads) {
		unsigned free[DEPTH], free_count = 0;

		bench_host_run(1000);
		while (vsc_scsi_reap(&scsi, &result) == 1) {
			if (result.scsi_status || result.moved != READ_BYTES)
				bench_die("a read failed", result.scsi_status);
			free[free_count++] = (unsigned)result.transaction;
			finished++;
		}
		while (free_count && started < reads) {
			submit_read(memory, free[--free_count]);
			started++;
		}
	}
}

static void storage(const char *kind, const char *image)
{
	uint8_t *memory = bench_pages(DEPTH * READ_BYTES / VSC_PAGE);
	uint64_t signals;

	open_disk(kind, image);
	fill_disk(memory);
	read_all(memory, 1000);		/* page cache and allocations are warm then */
	signals = bench_host.signals;
	bench_host.counting = true;
	read_all(memory, READS);
	bench_host.counting = false;
	bench_report("units", READS);
	bench_report("signals_per_1000", (double)(bench_host.signals - signals) * 1000 / READS);
}

/* ---- network */

static const uint8_t mac[6] = { 0x00, 0x15, 0x5d, 1, 2, 3 }, other[6] = { 2, 0, 0, 0, 0, 9 };
static struct vsc_nic nic;
static int tap;
static unsigned received;

static void receive(void *context, const uint8_t *frame, uint32_t bytes)
{
	received += bytes == FRAME_BYTES;
}

static void open_nic(void)
{
	struct netvsp_config config = { .host = &bench_host.host, .instance = { 9 }, .mtu = 1500, .queue_count = 1,
					.link_mbps = 10000, .link_up = true };
	const struct vsc_nic_memory memory = {
		.rings = bench_pages(2 * RING_PAGES), .ring_pages = RING_PAGES,
		.receive = bench_pages(BUFFER_BYTES / VSC_PAGE), .receive_bytes = BUFFER_BYTES,
		.send = bench_pages(BUFFER_BYTES / VSC_PAGE), .send_bytes = BUFFER_BYTES,
		.control = bench_pages(1), .packet = bench_pages(2), .packet_bytes = 2 * VSC_PAGE,
	};
	struct netvsp *netvsp;
	int pair[2], bytes = 4 << 20, r;

	memcpy(config.mac, mac, sizeof mac);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair))
		bench_die("the tap", errno);
	/* As much as may be had: the batches are sized for what is there without. */
	(void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
	(void)setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
	tap = pair[0];
	config.tap_fd[0] = pair[1];
	r = netvsp_create(bench_host.server, &config, &netvsp);
	if (r)
		bench_die("the adapter", r);
	r = vsc_nic_open(&nic, &bench_host.bus, find(&vsc_nic_interface), &memory, receive, NULL);
	if (r)
		bench_die("the client", r);
}

static void make_frame(uint8_t *frame, const uint8_t *to, const uint8_t *from)
{
	memcpy(frame, to, 6);
	memcpy(frame + 6, from, 6);
	frame[12] = 0x88;
	frame[13] = 0xb5;
	memset(frame + 14, 0x5a, FRAME_BYTES - 14);
}

static void transmit_batch(void)
{
	uint8_t frame[FRAME_BYTES], packet[TAP_HEADER + FRAME_BYTES + 1];
	unsigned arrived = 0;
	int r;

	make_frame(frame, other, mac);
	for (unsigned i = 0; i < BATCH; i++) {
		r = vsc_nic_send(&nic, frame, sizeof frame);
		if (r)
			bench_die("a frame is not taken", r);
	}
	while (arrived < BATCH) {
		bench_host_run(0);
		while (read(tap, packet, sizeof packet) == (ssize_t)(TAP_HEADER + FRAME_BYTES))
			arrived++;
		r = vsc_nic_poll(&nic);
		if (r)
			bench_die("the client", r);
	}
}

static void receive_batch(void)
{
	uint8_t packet[TAP_HEADER + FRAME_BYTES] = { 0 };

	make_frame(packet + TAP_HEADER, mac, other);
	received = 0;
	for (unsigned i = 0; i < BATCH; i++)
		if (write(tap, packet, sizeof packet) != (ssize_t)sizeof packet)
			bench_die("the tap takes no frame", errno);
	while (received < BATCH) {
		int r;

		bench_host_run(0);
		r = vsc_nic_poll(&nic);
		if (r)
			bench_die("the client", r);
	}
}

static void network(void (*batch)(void))
{
	uint64_t signals;

	open_nic();
	batch();
	signals = bench_host.signals;
	bench_host.counting = true;
	for (unsigned i = 0; i < FRAMES / BATCH; i++)
		batch();
	bench_host.counting = false;
	bench_report("units", FRAMES);
	bench_report("signals_per_1000", (double)(bench_host.signals - signals) * 1000 / FRAMES);
}

/* ---- ring */

#define PACKET_BYTES 65536u
#define AREA_PAGES   64u		/* 256 KiB: what storage drivers take for a ring */
#define COPIES       2000u
#define TURNS        9u

static double seconds(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static double time_ring(struct vmbus_ring_writer *writer, struct vmbus_ring_reader *reader, uint8_t *from, uint8_t *to)
{
	struct vmbus_packet_descriptor descriptor = { VMBUS_PACKET_IN_BAND, 2, (16 + PACKET_BYTES) / 8, 0, 0 }, got;
	const struct iovec head = { &descriptor, sizeof descriptor }, part = { from, PACKET_BYTES };
	double began = seconds();

	for (unsigned i = 0; i < COPIES; i++) {
		int r = vmbus_ring_write(writer, &head, 1, &part, 1, sizeof descriptor + PACKET_BYTES);

		if (r)
			bench_die("the ring takes no packet", r);
		(void)vmbus_ring_publish_write(writer);
		r = vmbus_ring_peek(reader, &got);
		if (r != 1)
			bench_die("the ring gives no packet", r);
		vmbus_ring_copy(reader, sizeof got, to, PACKET_BYTES);
		vmbus_ring_consume(reader, &got);
		(void)vmbus_ring_publish_read(reader);
	}
	return seconds() - began;
}

/* In and out of an area as large as the ring's, so that both meet the same caches. */
static double time_memcpy(uint8_t *area, uint8_t *from, uint8_t *to)
{
	void *(*volatile copy)(void *, const void *, size_t) = memcpy;
	double began = seconds();

	for (unsigned i = 0; i < COPIES; i++) {
		uint8_t *at = area + i % (AREA_PAGES * VSC_PAGE / PACKET_BYTES) * PACKET_BYTES;

		copy(at, from, PACKET_BYTES);
		copy(to, at, PACKET_BYTES);
	}
	return seconds() - began;
}

/* The best of several turns each, which take turns: whatever else the machine does disturbs both. */
static void ring(void)
{
	uint8_t *pages[1 + AREA_PAGES], *memory = bench_pages(1 + AREA_PAGES), *area = bench_pages(AREA_PAGES);
	uint8_t *from = bench_pages(PACKET_BYTES / VSC_PAGE), *to = bench_pages(PACKET_BYTES / VSC_PAGE);
	double best_ring = 1e9, best_memcpy = 1e9, now;
	struct vmbus_ring_writer writer;
	struct vmbus_ring_reader reader;

	memset(from, 0x5a, PACKET_BYTES);
	for (unsigned i = 0; i <= AREA_PAGES; i++)
		pages[i] = memory + i * VSC_PAGE;
	if (vmbus_ring_writer_init(&writer, pages, 1 + AREA_PAGES) || vmbus_ring_reader_init(&reader, pages, 1 + AREA_PAGES))
		bench_die("the ring", 0);
	for (unsigned i = 0; i < TURNS; i++) {
		now = time_ring(&writer, &reader, from, to);
		best_ring = now < best_ring ? now : best_ring;
		now = time_memcpy(area, from, to);
		best_memcpy = now < best_memcpy ? now : best_memcpy;
	}
	if (memcmp(from, to, PACKET_BYTES))
		bench_die("what came out is not what went in", 0);
	bench_report("units", (double)COPIES * TURNS);
	bench_report("bandwidth_ratio", best_memcpy / best_ring);
	bench_report("gib_per_second", 2.0 * COPIES * PACKET_BYTES / best_ring / (1u << 30));
}

int main(int argc, char *argv[])
{
	const char *what = argc > 1 ? argv[1] : "";

	bench_host_init();
	if (strcmp(what, "storage") == 0 && argc == 4)
		storage(argv[2], argv[3]);
	else if (strcmp(what, "transmit") == 0 && argc == 2)
		network(transmit_batch);
	else if (strcmp(what, "receive") == 0 && argc == 2)
		network(receive_batch);
	else if (strcmp(what, "ring") == 0 && argc == 2)
		ring();
	else
		bench_die("usage: vsp_bench storage KIND IMAGE | transmit | receive | ring", argc);
	return 0;
}
