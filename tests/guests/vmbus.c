/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The synthetic bus as a well-behaved guest uses it: connection, a disk and an adapter (where the child has
 * them), integration components.
 * Options: `disk`, `nic` there has to be one; `marker=BLOCK` writes a line of text there; `seconds=NUMBER` works on the disk
 * for so long, `serve` until the host asks for a shutdown.
 */
#include "bus.h"
#include "ic_client.h"
#include "lib/bootinfo.h"
#include "lib/clock.h"
#include "lib/print.h"
#include "lib/verdict.h"
#include "lib/vmbus.h"
#include "net_client.h"
#include "scsi_client.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define OFFERS_MAX   32u
#define RING_PAGES   4u
#define LUNS         64u
#define CHUNK        65536u
#define MARKER       "undercroft: a guest wrote this\n"
#define PATIENCE     (60 * CLOCK_SECOND)

static struct vsc_bus bus;
static struct vsc_offer offers[OFFERS_MAX];
static struct vsc_scsi scsi;
static struct vsc_disk disk;
static bool has_disk;
static uint8_t *scsi_rings, *data, *expected;
static struct vsc_ic components[3];
static uint8_t *ic_rings[3], *ic_packets[3];
static const struct vmbus_guid *const interfaces[3] = {
	&vsc_heartbeat_interface, &vsc_shutdown_interface, &vsc_timesync_interface,
};

static void connection(void)
{
	static const uint32_t versions[] = {
		VMBUS_VERSION_WIN8, VMBUS_VERSION_WIN8_1, VMBUS_VERSION_WIN10, VMBUS_VERSION_WIN10_V4_1,
		VMBUS_VERSION_WIN10_V5, VMBUS_VERSION_WIN10_V5_1, VMBUS_VERSION_WIN10_V5_2, VMBUS_VERSION_WIN10_V5_3,
	};

	if (!vmbus_platform())
		SKIP("no SynIC, or no messages");
	vsc_bus_init(&bus, vmbus_platform(), vmbus_pages(sizeof(struct vsc_bus_pages) / VSC_PAGE), offers, OFFERS_MAX);
	scsi_rings = vmbus_pages(2 * RING_PAGES);
	data = vmbus_pages(CHUNK / VSC_PAGE);
	expected = vmbus_pages(CHUNK / VSC_PAGE);
	for (unsigned i = 0; i < COUNT(components); i++) {
		ic_rings[i] = vmbus_pages(2 * RING_PAGES);
		ic_packets[i] = vmbus_pages(1);
	}
	EXPECT_EQ((unsigned)vsc_bus_contact(&bus, 0x00070000, 0), (unsigned)VSC_REFUSED, "contact with a version of the future");
	for (unsigned i = 0; i < COUNT(versions); i++) {
		EXPECT(vsc_bus_connect(&bus, versions[i], 0) == VSC_OK && bus.version == versions[i],
		       "no connection with version %x", versions[i]);
		EXPECT(vsc_bus_find(&bus, &vsc_heartbeat_interface, 0) != NULL, "no heartbeat with version %x", versions[i]);
		EXPECT(vsc_bus_unload(&bus) == VSC_OK, "no answer to an unload with version %x", versions[i]);
	}
	EXPECT(vsc_bus_connect(&bus, VMBUS_VERSION_WIN10_V5_3, 0) == VSC_OK, "no connection after all of them");
	EXPECT_EQ(bus.unexpected, 0, "messages that nobody asked for");
	EXPECT(vmbus_interrupts() > 0, "messages came, but no interrupt");
}

/* ---- the disk */

static void open_disk(void)
{
	const struct vsc_offer *offer;
	uint8_t inquiry[VSC_INQUIRY_BYTES];
	int r = VSC_REFUSED;

	offer = bus.version ? vsc_bus_find(&bus, &vsc_scsi_interface, 0) : NULL;
	EXPECT(offer || !bootinfo_option("disk"), "there is no SCSI controller");
	if (!offer)
		SKIP("no SCSI controller");
	r = vsc_scsi_open(&scsi, &bus, offer, scsi_rings, RING_PAGES);
	EXPECT(r == VSC_OK, "the controller does not open: %u", (unsigned)-r);
	r = VSC_REFUSED;
	for (uint8_t lun = 0; lun < LUNS && r == VSC_REFUSED; lun++)
		r = vsc_disk_open(&disk, &scsi, lun, vmbus_pages(1));
	EXPECT(r == VSC_OK, "no unit is a disk: %u", (unsigned)-r);
	EXPECT(vsc_disk_inquiry(&disk, inquiry) == VSC_OK && inquiry[0] == 0, "LUN %u is not a disk: %x", disk.lun, inquiry[0]);
	EXPECT(disk.blocks >= CHUNK / disk.block_bytes && CHUNK % disk.block_bytes == 0, "a disk of %llu blocks of %u bytes",
	       (unsigned long long)disk.blocks, disk.block_bytes);
	has_disk = true;
}

static void fill(uint8_t *memory, uint32_t bytes, uint32_t seed)
{
	for (uint32_t i = 0; i < bytes; i++) {
		seed = seed * 1664525u + 1013904223u;
		memory[i] = (uint8_t)(seed >> 24);
	}
}

/* Writes, reads back into memory that holds something else, at an offset in the page that is not round. */
static void write_and_read(uint64_t block, uint32_t blocks, uint32_t shift, uint32_t seed)
{
	uint32_t bytes = blocks * disk.block_bytes;

	fill(expected, bytes, seed);
	memcpy(data + shift, expected, bytes);
	EXPECT(vsc_disk_write(&disk, block, blocks, data + shift) == VSC_OK, "writing %u blocks at %llu: sense %x", blocks,
	       (unsigned long long)block, disk.last.sense[2]);
	memset(data, 0x5a, CHUNK);
	EXPECT(vsc_disk_read(&disk, block, blocks, data + shift) == VSC_OK, "reading %u blocks at %llu: sense %x", blocks,
	       (unsigned long long)block, disk.last.sense[2]);
	EXPECT(memcmp(data + shift, expected, bytes) == 0, "%u blocks at %llu are not what was written", blocks,
	       (unsigned long long)block);
}

static void sectors(void)
{
	uint32_t chunk;

	if (!has_disk)
		SKIP("no disk");
	chunk = CHUNK / 2 / disk.block_bytes;
	write_and_read(0, 1, 0, 1);
	write_and_read(disk.blocks - 1, 1, 512, 2);
	for (uint32_t i = 0; i < 32 && !verdict_failed(); i++)
		write_and_read(i * (disk.blocks - chunk) / 32, 1 + i * (chunk - 1) / 31, i * 516, 3 + i);
	EXPECT_ALL();
	EXPECT(vsc_disk_flush(&disk) == VSC_OK, "a flush fails: sense %x", disk.last.sense[2]);
	EXPECT_EQ((unsigned)vsc_disk_read(&disk, disk.blocks, 1, data), (unsigned)VSC_REFUSED, "reading behind the end");
	EXPECT_EQ(disk.last.sense[12], 0x21, "its additional sense code");
}

static void marker(void)
{
	uint64_t block = bootinfo_number("marker", ~0ull);

	if (!has_disk || block == ~0ull)
		SKIP("no disk, or no marker asked for");
	memset(data, 0, disk.block_bytes);
	memcpy(data, MARKER, sizeof MARKER - 1);
	EXPECT(vsc_disk_write(&disk, block, 1, data) == VSC_OK && vsc_disk_flush(&disk) == VSC_OK, "writing the marker");
}

/* ---- the network */

#define NIC_BUFFER_PAGES 32u

static unsigned frames_seen;

static void on_frame(void *context, const uint8_t *frame, uint32_t bytes)
{
	frames_seen++;
}

static void network(void)
{
	static struct vsc_nic nic;
	static uint8_t frame[64] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, [12] = 0x88, 0xb5 };	/* broadcast, experimental */
	const struct vsc_offer *offer = bus.version ? vsc_bus_find(&bus, &vsc_nic_interface, 0) : NULL;
	struct vsc_nic_memory memory;
	int r;

	EXPECT(offer || !bootinfo_option("nic"), "there is no network adapter");
	if (!offer)
		SKIP("no network adapter");
	memory = (struct vsc_nic_memory){
		.rings = vmbus_pages(2 * RING_PAGES), .ring_pages = RING_PAGES,
		.receive = vmbus_pages(NIC_BUFFER_PAGES), .receive_bytes = NIC_BUFFER_PAGES * VSC_PAGE,
		.send = vmbus_pages(NIC_BUFFER_PAGES), .send_bytes = NIC_BUFFER_PAGES * VSC_PAGE,
		.control = vmbus_pages(1), .packet = vmbus_pages(2), .packet_bytes = 2 * VSC_PAGE,
	};
	r = vsc_nic_open(&nic, &bus, offer, &memory, on_frame, NULL);
	EXPECT(r == VSC_OK, "the adapter does not open: %u", (unsigned)-r);
	memcpy(frame + 6, nic.mac, sizeof nic.mac);
	for (unsigned i = 0; i < 16; i++)
		EXPECT(vsc_nic_send(&nic, frame, sizeof frame) == VSC_OK, "frame %u is not taken", i);
	for (uint64_t began = clock_100ns(); nic.sections_in_flight;) {
		EXPECT(clock_100ns() - began < PATIENCE, "%u frames are not completed", nic.sections_in_flight);
		vmbus_pass_time(CLOCK_MS);
		EXPECT(vsc_nic_poll(&nic) == VSC_OK, "the host broke the adapter's channel");
	}
	EXPECT_EQ(nic.failures, 0, "messages of the adapter that make no sense");
	EXPECT(vsc_nic_close(&nic) == VSC_OK, "the adapter does not close");
	print("  version %x, link %s, %u frames seen\n", nic.version, nic.link_up ? "up" : "down", frames_seen);
}

/* ---- components */

static void poll_components(void)
{
	vsc_bus_poll(&bus);
	for (unsigned i = 0; i < COUNT(components); i++)
		EXPECT(vsc_ic_poll(&components[i]) == VSC_OK, "component %u broke its channel", i);
}

static void open_components(void)
{
	uint64_t began = clock_100ns();

	if (!bus.version)
		SKIP("no bus");
	for (unsigned i = 0; i < COUNT(components); i++) {
		const struct vsc_offer *offer = vsc_bus_find(&bus, interfaces[i], 0);

		EXPECT(offer != NULL, "component %u is not offered", i);
		EXPECT(vsc_ic_open(&components[i], &bus, offer, ic_rings[i], RING_PAGES, ic_packets[i]) == VSC_OK,
		       "component %u does not open", i);
	}
	while (components[0].heartbeats < 2 || !components[1].message.major || !components[2].wall_time) {
		EXPECT(clock_100ns() - began < PATIENCE, "%u heartbeats, shutdown version %u, time %llu",
		       (unsigned)components[0].heartbeats, components[1].message.major,
		       (unsigned long long)components[2].wall_time);
		vmbus_pass_time(10 * CLOCK_MS);
		poll_components();
		EXPECT_ALL();
	}
	for (unsigned i = 0; i < COUNT(components); i++)
		EXPECT_EQ(components[i].refused, 0, "requests of a component that were refused");
}

/* An ordinary guest at work, for others to be tested beside. */
static void work(void)
{
	uint64_t began = clock_100ns(), duration = bootinfo_number("seconds", 0) * CLOCK_SECOND;
	bool serve = bootinfo_option("serve");
	uint32_t turn = 0;

	if (!bus.version || (!duration && !serve))
		SKIP("neither seconds= nor serve");
	print("AT WORK\n");
	while (serve ? !components[1].shutdown_asked : clock_100ns() - began < duration) {
		turn++;
		if (has_disk)
			write_and_read(turn * 37 % (disk.blocks - 64), 1 + turn % 64, turn % 8 * 512, turn);
		poll_components();
		EXPECT_ALL();
		vmbus_pass_time(5 * CLOCK_MS);
	}
	print("WORKED %u turns, %u heartbeats\n", turn, (unsigned)components[0].heartbeats);
	EXPECT(components[0].heartbeats >= (clock_100ns() - began) / (10 * CLOCK_SECOND), "heartbeats were missed");
}

static void closing(void)
{
	if (!bus.version)
		SKIP("no bus");
	for (unsigned i = 0; i < COUNT(components); i++)
		EXPECT(vsc_ic_close(&components[i]) == VSC_OK, "component %u does not close", i);
	EXPECT(!has_disk || vsc_scsi_close(&scsi) == VSC_OK, "the controller does not close");
	EXPECT(vsc_bus_unload(&bus) == VSC_OK, "no answer to the last unload");
}

const struct guest_test guest_tests[] = {
	{ "each version connects, offers and unloads", connection },
	{ "a controller and a disk open", open_disk },
	{ "what is written to the disk is read", sectors },
	{ "the marker is on the disk", marker },
	{ "an adapter opens and sends", network },
	{ "heartbeat, shutdown and time are answered", open_components },
	{ "the guest works", work },
	{ "all closes", closing },
	{ 0 },
};
