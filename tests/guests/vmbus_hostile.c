/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that breaks every rule of the bus that it can reach. After each outrage the host has to answer a new contact, offer
 * the same as before, and talk over a new channel. What the host owes to others is for others to see: a guest beside this one.
 * Options: `rounds=NUMBER` does all of it so many times, with other random numbers each.
 */
#include "channel.h"
#include "ic_client.h"
#include "lib/bootinfo.h"
#include "lib/clock.h"
#include "lib/print.h"
#include "lib/verdict.h"
#include "lib/vmbus.h"
#include "net_client.h"
#include "scsi_client.h"

#define COUNT(array)  (sizeof(array) / sizeof((array)[0]))
#define OFFERS_MAX    64u
#define RING_PAGES    2u
#define RING_BYTES    ((RING_PAGES - 1) * VSC_PAGE)
#define BRIEFLY       (30 * CLOCK_MS)
#define NO_RELID      1999u
#define STORM         300u
#define FLOOD         3000u
#define RANDOM_COUNT  1500u

static struct vsc_bus bus;
static struct vsc_offer offers[OFFERS_MAX];
static struct vsc_channel channel;
static struct vsc_ic heartbeat;
static uint8_t *rings, *ic_rings, *ic_packet, *data;
static unsigned offer_count;			/* at first: no outrage may change it */
static bool repeating;				/* what is missing was told the first time */
static uint32_t random_state;

static uint32_t random_below(uint32_t below)
{
	random_state = random_state * 1664525u + 1013904223u;
	return (uint32_t)((uint64_t)random_state * below >> 32);
}

/* ---- the host is as it was */

static unsigned count_offers(void)
{
	unsigned count = 0;

	for (unsigned i = 0; i < OFFERS_MAX; i++)
		count += offers[i].relid != 0;
	return count;
}

/* Answers to what was asked before are not to be taken for those to come. */
static void settle(void)
{
	for (unsigned quiet = 0; quiet < 3; quiet++) {
		unsigned before = bus.unexpected;

		vmbus_pass_time(BRIEFLY);
		vsc_bus_poll(&bus);
		if (bus.unexpected != before)
			quiet = 0;
	}
}

/* From a new contact to a message over a channel. */
static void still_answers(void)
{
	const struct vsc_offer *offer;

	settle();
	vmbus_set_patience(0);
	EXPECT(vsc_bus_connect(&bus, VMBUS_VERSION_WIN10_V5_3, 0) == VSC_OK, "the host does not answer a contact any more");
	EXPECT_EQ(count_offers(), offer_count, "the number of offers");
	offer = vsc_bus_find(&bus, &vsc_heartbeat_interface, 0);
	EXPECT(offer && vsc_ic_open(&heartbeat, &bus, offer, ic_rings, RING_PAGES, ic_packet) == VSC_OK,
	       "the heartbeat's channel does not open any more");
	for (unsigned round = 0; heartbeat.message.major == 0; round++) {
		EXPECT(vmbus_platform()->wait(vmbus_platform()->context, round), "the host says nothing over a new channel");
		EXPECT(vsc_ic_poll(&heartbeat) == VSC_OK, "the host broke the heartbeat's channel");
	}
	EXPECT(vsc_ic_close(&heartbeat) == VSC_OK, "the heartbeat's channel does not close any more");
}

/* Whether a channel of this kind is there to be abused; it is open then. */
static bool open_victim(const struct vmbus_guid *interface)
{
	const struct vsc_offer *offer;

	vmbus_set_patience(0);
	if (vsc_bus_connect(&bus, VMBUS_VERSION_WIN10_V5_3, 0) != VSC_OK)
		return false;
	offer = vsc_bus_find(&bus, interface, 0);
	return offer && vsc_channel_open(&channel, &bus, offer, rings, RING_PAGES, 0) == VSC_OK;
}

/* The host had time to choke on it; whatever it did, the channel can be closed. */
static void close_victim(const char *what)
{
	vmbus_pass_time(BRIEFLY);
	EXPECT(vsc_channel_close(&channel) == VSC_OK, "no answer to a close after %s", what);
}

static void set_up(void)
{
	if (!vmbus_platform())
		SKIP("no SynIC, or no messages");
	random_state = (uint32_t)bootinfo_number("seed", 1);
	vsc_bus_init(&bus, vmbus_platform(), vmbus_pages(sizeof(struct vsc_bus_pages) / VSC_PAGE), offers, OFFERS_MAX);
	rings = vmbus_pages(2 * RING_PAGES);
	ic_rings = vmbus_pages(2 * RING_PAGES);
	ic_packet = vmbus_pages(1);
	data = vmbus_pages(16);
	EXPECT(vsc_bus_connect(&bus, VMBUS_VERSION_WIN10_V5_3, 0) == VSC_OK, "no connection");
	offer_count = count_offers();
	still_answers();
}

static bool has_device(const struct vmbus_guid *interface)
{
	if (bus.platform && vsc_bus_find(&bus, interface, 0))
		return true;
	if (!repeating)
		verdict_skip("this child has no such device");
	return false;
}

/* ---- rings */

static void absurd_indices(void)
{
	static const uint32_t indices[] = {
		RING_BYTES, RING_BYTES + 8, RING_BYTES - 8, 4, 1, 0x80000000u, 0xffffffffu, 0xfffffff8u, 16,
	};

	if (!bus.platform)
		SKIP("no bus");
	for (unsigned i = 0; i < COUNT(indices); i++) {
		EXPECT(open_victim(&vsc_heartbeat_interface), "there is no channel to abuse");
		channel.out.control->write_index = indices[i];
		vsc_channel_signal(&channel);
		close_victim("an absurd write index");
		EXPECT_ALL();
		EXPECT(open_victim(&vsc_heartbeat_interface), "there is no channel to abuse");
		channel.in.control->read_index = indices[i];
		channel.in.control->pending_send_bytes = indices[i];
		vsc_channel_signal(&channel);
		close_victim("an absurd read index");
		EXPECT_ALL();
	}
	/* Absurd from the start: the open is refused, or the channel is dead. */
	EXPECT(open_victim(&vsc_heartbeat_interface), "there is no channel to abuse");
	close_victim("nothing");
	EXPECT_ALL();
	still_answers();
}

/* Indices that go on changing while the host works. */
static void restless_indices(void)
{
	if (!bus.platform)
		SKIP("no bus");
	EXPECT(open_victim(&vsc_heartbeat_interface), "there is no channel to abuse");
	for (unsigned i = 0; i < 500; i++) {
		channel.out.control->write_index = random_below(RING_BYTES / 8) * 8;
		channel.out.control->read_index = random_below(RING_BYTES);
		channel.in.control->read_index = random_below(RING_BYTES / 8) * 8;
		channel.in.control->write_index = random_below(2 * RING_BYTES);
		channel.in.control->interrupt_mask = random_below(2);
		channel.in.data[random_below(RING_BYTES)] = (uint8_t)random_below(256);
		vsc_channel_signal(&channel);
	}
	close_victim("restless indices");
	EXPECT_ALL();
	still_answers();
}

/* Writes a descriptor as it is, with so much behind it, and shows it. */
static void put_lie(const struct vmbus_packet_descriptor *descriptor, uint32_t shown_bytes)
{
	vsc_ring_put(&channel.out, descriptor, sizeof *descriptor);
	for (uint32_t i = sizeof *descriptor; i < shown_bytes; i += 8) {
		const uint32_t noise[2] = { random_below(64), random_below(0xffffffffu) };

		vsc_ring_put(&channel.out, noise, sizeof noise);
	}
	(void)vsc_ring_publish_write(&channel.out);
	vsc_channel_signal(&channel);
}

static void lying_lengths(const struct vmbus_guid *interface)
{
	static const struct {
		struct vmbus_packet_descriptor descriptor;
		uint32_t shown_bytes;
	} lies[] = {
		{ { VMBUS_PACKET_IN_BAND, 2, 0, 1, 1 }, 64 },		/* shorter than itself */
		{ { VMBUS_PACKET_IN_BAND, 2, 1, 1, 1 }, 64 },
		{ { VMBUS_PACKET_IN_BAND, 0, 4, 1, 1 }, 64 },		/* payload inside the descriptor */
		{ { VMBUS_PACKET_IN_BAND, 5, 4, 1, 1 }, 64 },		/* payload behind the packet */
		{ { VMBUS_PACKET_IN_BAND, 0xffff, 0xffff, 1, 1 }, 64 },
		{ { VMBUS_PACKET_IN_BAND, 2, 0xffff, 1, 1 }, 64 },	/* longer than the ring */
		{ { VMBUS_PACKET_IN_BAND, 2, 64, 1, 1 }, 64 },		/* longer than what is there */
		{ { VMBUS_PACKET_IN_BAND, 2, 2, 1, 1 }, 16 },		/* no trailer */
		{ { VMBUS_PACKET_IN_BAND, 2, 2, 1, 1 }, 24 },		/* no payload */
		{ { VMBUS_PACKET_GPA_DIRECT, 2, 8, 1, 1 }, 72 },	/* no ranges */
		{ { VMBUS_PACKET_GPA_DIRECT, 3, 8, 1, 1 }, 72 },	/* noise for ranges */
		{ { VMBUS_PACKET_GPA_DIRECT, 8, 8, 1, 1 }, 72 },
		{ { VMBUS_PACKET_TRANSFER_PAGES, 3, 8, 1, 1 }, 72 },
		{ { 0, 2, 8, 1, 1 }, 72 },
		{ { 0xffff, 2, 8, 0xffff, ~0ull }, 72 },
		{ { VMBUS_PACKET_COMPLETION, 2, 2, 0, 0x123456 }, 24 },	/* of nothing */
	};

	for (unsigned i = 0; i < COUNT(lies); i++) {
		EXPECT(open_victim(interface), "there is no channel to abuse");
		put_lie(&lies[i].descriptor, lies[i].shown_bytes);
		close_victim("a packet whose length lies");
		EXPECT_ALL();
	}
	still_answers();
}

static void lying_lengths_heartbeat(void)
{
	if (!bus.platform)
		SKIP("no bus");
	lying_lengths(&vsc_heartbeat_interface);
}

static void lying_lengths_scsi(void)
{
	if (!has_device(&vsc_scsi_interface))
		return;
	lying_lengths(&vsc_scsi_interface);
}

static void lying_lengths_nic(void)
{
	if (!has_device(&vsc_nic_interface))
		return;
	lying_lengths(&vsc_nic_interface);
}

static void random_packets(const struct vmbus_guid *interface)
{
	for (unsigned i = 0; i < 30; i++) {
		EXPECT(open_victim(interface), "there is no channel to abuse");
		for (unsigned j = 0; j < 20; j++) {
			uint8_t payload[128];
			const struct vsc_part part = { payload, random_below(sizeof payload) };
			static const uint16_t types[] = { VMBUS_PACKET_IN_BAND, VMBUS_PACKET_COMPLETION, VMBUS_PACKET_IN_BAND };

			for (unsigned k = 0; k < sizeof payload; k++)
				payload[k] = (uint8_t)random_below(k % 4 ? 2 : k ? 8 : 140);
			(void)vsc_channel_send(&channel, types[j % 3], 1, j, &part, 1);
		}
		close_victim("random packets");
		EXPECT_ALL();
	}
	still_answers();
}

static void random_packets_heartbeat(void)
{
	if (!bus.platform)
		SKIP("no bus");
	random_packets(&vsc_heartbeat_interface);
}

static void random_packets_scsi(void)
{
	if (!has_device(&vsc_scsi_interface))
		return;
	random_packets(&vsc_scsi_interface);
}

static void random_packets_nic(void)
{
	if (!has_device(&vsc_nic_interface))
		return;
	random_packets(&vsc_nic_interface);
}

/* ---- storage */

/* An SRB about the memory `pages` names, whatever that is. */
static void send_srb(struct vsc_channel *to, uint32_t range_count, const struct vmbus_gpa_range_header *range,
		     const uint64_t *pages, unsigned count, const struct storvsc_packet *packet)
{
	const uint32_t head = 24 + 8 + count * 8;
	const struct vmbus_gpa_direct_header header = {
		.descriptor = { VMBUS_PACKET_GPA_DIRECT, (uint16_t)(head / 8), (uint16_t)((head + sizeof *packet) / 8), 1, 7 },
		.range_count = range_count,
	};

	vsc_ring_put(&to->out, &header, sizeof header);
	vsc_ring_put(&to->out, range, sizeof *range);
	vsc_ring_put(&to->out, pages, count * (uint32_t)sizeof *pages);
	vsc_ring_put(&to->out, packet, sizeof *packet);
	vsc_ring_end(&to->out);
	(void)vsc_ring_publish_write(&to->out);
	vsc_channel_signal(to);
}

static void lying_requests(void)
{
	const uint64_t own = bus.platform ? bus.platform->gpa(bus.platform->context, data) / VSC_PAGE : 0;
	const uint64_t behind = vmbus_ram_end() / VSC_PAGE;
	const struct {
		uint32_t range_count;
		struct vmbus_gpa_range_header range;
		uint64_t pages[2];
		uint32_t transfer_bytes;
		uint8_t cdb_bytes, direction, sense_bytes, lun;
	} lies[] = {
		{ 1, { 4096, 0 }, { own, own }, 4096, 16, 1, 20, 0 },		/* none: the rest differs from it */
		{ 1, { 512, 0 }, { own, own }, 0xffffffff, 16, 1, 20, 0 },	/* moves more than it names */
		{ 1, { 4096, 0 }, { own, own }, 4096, 255, 1, 20, 0 },
		{ 1, { 4096, 0 }, { own, own }, 4096, 0, 1, 255, 0 },
		{ 1, { 4096, 0 }, { own, own }, 4096, 16, 77, 20, 0 },
		{ 1, { 4096, 0 }, { own, own }, 4096, 16, 1, 20, 255 },
		{ 1, { 8192, 0 }, { own, behind }, 8192, 16, 1, 20, 0 },	/* memory that is none */
		{ 1, { 8192, 0 }, { own, ~0ull }, 8192, 16, 0, 20, 0 },
		{ 1, { 8192, 0 }, { 1ull << 52, own }, 8192, 16, 0, 20, 0 },
		{ 1, { 0xffffffff, 0 }, { own, own }, 4096, 16, 1, 20, 0 },	/* more than its pages */
		{ 1, { 4096, 0xffffffff }, { own, own }, 4096, 16, 1, 20, 0 },
		{ 0, { 4096, 0 }, { own, own }, 4096, 16, 1, 20, 0 },
		{ 0xffffffff, { 4096, 0 }, { own, own }, 4096, 16, 1, 20, 0 },
	};

	if (!has_device(&vsc_scsi_interface))
		return;
	for (unsigned i = 0; i < COUNT(lies); i++) {
		struct storvsc_packet packet = { .operation = STORVSC_EXECUTE_SRB, .flags = 1 };
		static struct vsc_scsi scsi;

		EXPECT(vsc_bus_connect(&bus, VMBUS_VERSION_WIN10_V5_3, 0) == VSC_OK &&
		       vsc_scsi_open(&scsi, &bus, vsc_bus_find(&bus, &vsc_scsi_interface, 0), rings, RING_PAGES) == VSC_OK,
		       "the controller does not open after lie %u", i);
		packet.srb = (struct storvsc_srb){
			.length = sizeof packet.srb, .lun = lies[i].lun, .cdb_length = lies[i].cdb_bytes,
			.sense_info_length = lies[i].sense_bytes, .data_in = lies[i].direction,
			.data_transfer_length = lies[i].transfer_bytes, .cdb_or_sense = { 0x88, [13] = 8 },
		};
		send_srb(&scsi.channel, lies[i].range_count, &lies[i].range, lies[i].pages, 2, &packet);
		vmbus_pass_time(BRIEFLY);
		EXPECT(vsc_scsi_close(&scsi) == VSC_OK, "no answer to a close after lie %u", i);
	}
	still_answers();
}

/* ---- lists of memory */

struct gpadl_message {
	struct vmbus_gpadl_header_message header;
	uint8_t ranges[VMBUS_MESSAGE_BYTES_MAX - sizeof(struct vmbus_gpadl_header_message)];
};

/* Posts a header with one range; returns the host's answer: VSC_OK, VSC_REFUSED, VSC_TIMEOUT none. */
static int gpadl(uint32_t relid, uint32_t id, uint16_t range_bytes, uint16_t range_count, uint32_t bytes, uint32_t offset,
		 const uint64_t *pages, unsigned count)
{
	const struct vmbus_gpa_range_header range = { bytes, offset };
	struct vmbus_gpadl_created_message created;
	struct gpadl_message message = { .header = { .header.type = VMBUS_GPADL_HEADER, .relid = relid, .gpadl = id,
						     .range_bytes = range_bytes, .range_count = range_count } };
	int r;

	memcpy(message.ranges, &range, sizeof range);
	memcpy(message.ranges + sizeof range, pages, count * sizeof *pages);
	vsc_bus_expect(&bus, VMBUS_GPADL_CREATED, offsetof(struct vmbus_gpadl_created_message, gpadl), id, 0);
	r = vsc_bus_post(&bus, &message, (uint32_t)(sizeof message.header + sizeof range + count * sizeof *pages));
	if (r == VSC_OK)
		r = vsc_bus_await(&bus, &created, sizeof created);
	if (r == VSC_OK && created.status != VMBUS_STATUS_SUCCESS)
		r = VSC_REFUSED;
	return r;
}

#define EXPECT_REFUSED(call, what) EXPECT_EQ((unsigned)(call), (unsigned)VSC_REFUSED, what)

static void absurd_lists(void)
{
	uint64_t pages[4];
	uint32_t relid;

	if (!bus.platform)
		SKIP("no bus");
	EXPECT(open_victim(&vsc_heartbeat_interface), "there is no channel to abuse");
	relid = channel.relid;
	for (unsigned i = 0; i < COUNT(pages); i++)
		pages[i] = bus.platform->gpa(bus.platform->context, data) / VSC_PAGE + i;
	EXPECT_REFUSED(gpadl(NO_RELID, 50, 16, 1, 4096, 0, pages, 1), "a list of nobody's");
	EXPECT_REFUSED(gpadl(relid, 0, 16, 1, 4096, 0, pages, 1), "a list without a name");
	EXPECT_REFUSED(gpadl(relid, 51, 0, 1, 4096, 0, pages, 1), "a list of no bytes");
	EXPECT_REFUSED(gpadl(relid, 52, 16, 0, 4096, 0, pages, 1), "a list of no ranges");
	EXPECT_REFUSED(gpadl(relid, 53, 16, 0xffff, 4096, 0, pages, 1), "a list of many ranges that are not there");
	EXPECT_REFUSED(gpadl(relid, 54, 16, 1, 0, 0, pages, 1), "a range of nothing");
	EXPECT_REFUSED(gpadl(relid, 55, 16, 1, 0xffffffff, 0, pages, 1), "a range larger than its pages");
	EXPECT_REFUSED(gpadl(relid, 56, 16, 1, 4096, 0xffffffff, pages, 1), "a range that begins beyond its page");
	EXPECT_REFUSED(gpadl(relid, 57, 16, 1, 4096, 4095, pages, 1), "a range that ends beyond its pages");
	pages[0] = vmbus_ram_end() / VSC_PAGE;
	EXPECT_REFUSED(gpadl(relid, 58, 16, 1, 4096, 0, pages, 1), "a page behind the RAM");
	pages[0] = ~0ull;
	EXPECT_REFUSED(gpadl(relid, 59, 16, 1, 4096, 0, pages, 1), "the last page of all");
	pages[0] = 1ull << 52;
	EXPECT_REFUSED(gpadl(relid, 60, 16, 1, 4096, 0, pages, 1), "a page beyond all addresses");
	pages[0] = pages[1];
	EXPECT(gpadl(relid, 61, 16, 1, 4096, 0, pages, 1) == VSC_OK, "a list in order is refused");
	EXPECT_REFUSED(gpadl(relid, 61, 16, 1, 4096, 0, pages, 1), "a second list of the same name");
	/* One that never becomes complete; its bodies are of another list, or of none. */
	vmbus_set_patience(BRIEFLY);
	EXPECT_EQ((unsigned)gpadl(relid, 62, 0xffff, 1, 0xffff000, 0, pages, 2), (unsigned)VSC_TIMEOUT, "an unfinished list");
	vmbus_set_patience(0);
	for (unsigned i = 0; i < 40; i++) {
		const struct vmbus_gpadl_body_message body = { .header.type = VMBUS_GPADL_BODY, .message_number = ~0u,
							       .gpadl = 61 + random_below(4) };

		EXPECT(vsc_bus_post(&bus, &body, sizeof body) == VSC_OK, "a body is not taken");
	}
	close_victim("absurd lists");
	EXPECT_ALL();
	still_answers();
}

/* The whole address space, page after page, and as many lists as the host takes. */
static void lists_without_end(void)
{
	uint64_t pages[27];
	unsigned refused = 0;

	if (!bus.platform)
		SKIP("no bus");
	EXPECT(open_victim(&vsc_heartbeat_interface), "there is no channel to abuse");
	for (unsigned i = 0; i < 64; i++) {
		for (unsigned j = 0; j < 26; j++)
			pages[j] = (uint64_t)(i * 26 + j) << (i % 40);
		(void)gpadl(channel.relid, 1000 + i, 8 + 26 * 8, 1, 26 * VSC_PAGE, 0, pages, 26);
	}
	for (unsigned i = 0; i < 26; i++)
		pages[i] = bus.platform->gpa(bus.platform->context, data) / VSC_PAGE;
	for (unsigned i = 0; i < 4000 && refused < 3; i++) {
		int r = gpadl(channel.relid, 2000 + i, 8 + 26 * 8, 1, 26 * VSC_PAGE, 0, pages, 26);

		EXPECT(r == VSC_OK || r == VSC_REFUSED, "no answer to list %u", i);
		refused += r == VSC_REFUSED;
	}
	EXPECT_EQ(refused, 3, "refusals after very many lists");
	close_victim("lists without end");
	EXPECT_ALL();
	still_answers();
}

/* Taken away while in use, twice, and never made. */
static void torn_lists(void)
{
	struct vmbus_gpadl_teardown_message message = { .header.type = VMBUS_GPADL_TEARDOWN };
	struct vmbus_gpadl_torndown_message torndown;

	if (!bus.platform)
		SKIP("no bus");
	EXPECT(open_victim(&vsc_heartbeat_interface), "there is no channel to abuse");
	message.relid = channel.relid;
	message.gpadl = channel.ring_gpadl;
	vsc_bus_expect(&bus, VMBUS_GPADL_TORNDOWN, 8, channel.ring_gpadl, 0);
	EXPECT(vsc_bus_post(&bus, &message, sizeof message) == VSC_OK, "a teardown is not taken");
	EXPECT(vsc_bus_post(&bus, &message, sizeof message) == VSC_OK, "a second teardown is not taken");
	vmbus_set_patience(BRIEFLY);
	EXPECT_EQ((unsigned)vsc_bus_await(&bus, &torndown, sizeof torndown), (unsigned)VSC_TIMEOUT,
		  "the answer to the teardown of a ring in use");
	vmbus_set_patience(0);
	vsc_bus_expect(&bus, VMBUS_GPADL_TORNDOWN, 8, channel.ring_gpadl, 0);
	{
		const struct vmbus_relid_message closing = { .header.type = VMBUS_CLOSE_CHANNEL, .relid = channel.relid };

		EXPECT(vsc_bus_post(&bus, &closing, sizeof closing) == VSC_OK, "a close is not taken");
	}
	EXPECT(vsc_bus_await(&bus, &torndown, sizeof torndown) == VSC_OK, "the ring is not let go with the close");
	EXPECT(vsc_gpadl_teardown(&bus, channel.relid, 0x7777) == VSC_OK, "no answer to the teardown of nothing");
	EXPECT(vsc_gpadl_teardown(&bus, NO_RELID, 0) == VSC_OK, "no answer to a teardown of nobody's");
	still_answers();
}

/* ---- channels */

/* The host's answer to an OPEN as it is. */
static int open_raw(uint32_t relid, uint32_t ring_gpadl, uint32_t downstream_page, uint32_t vp)
{
	const struct vmbus_open_message message = {
		.header.type = VMBUS_OPEN_CHANNEL, .relid = relid, .open_id = 4711, .ring_gpadl = ring_gpadl, .target_vp = vp,
		.downstream_page = downstream_page,
	};
	struct vmbus_open_result_message result;
	int r;

	vsc_bus_expect(&bus, VMBUS_OPEN_CHANNEL_RESULT, offsetof(struct vmbus_open_result_message, relid), relid, 0);
	r = vsc_bus_post(&bus, &message, sizeof message);
	if (r == VSC_OK)
		r = vsc_bus_await(&bus, &result, sizeof result);
	return r == VSC_OK && result.status != VMBUS_STATUS_SUCCESS ? VSC_REFUSED : r;
}

static void double_opens(void)
{
	const struct vsc_offer *other;
	uint32_t relid, list;

	if (!bus.platform)
		SKIP("no bus");
	EXPECT(open_victim(&vsc_heartbeat_interface), "there is no channel to abuse");
	other = vsc_bus_find(&bus, &vsc_timesync_interface, 0);
	EXPECT(other != NULL, "there is no second channel");
	relid = other->relid;
	EXPECT_REFUSED(open_raw(channel.relid, channel.ring_gpadl, RING_PAGES, 0), "a second open");
	EXPECT_REFUSED(open_raw(relid, channel.ring_gpadl, RING_PAGES, 0), "an open over another channel's ring");
	EXPECT_REFUSED(open_raw(NO_RELID, channel.ring_gpadl, RING_PAGES, 0), "an open of nothing");
	EXPECT_REFUSED(open_raw(0xffffffff, channel.ring_gpadl, RING_PAGES, 0), "an open of the last of all");
	EXPECT_REFUSED(open_raw(relid, 0x7777, RING_PAGES, 0), "an open without a ring");
	EXPECT(vsc_gpadl_create(&bus, relid, ic_rings, 2 * RING_PAGES * VSC_PAGE, &list) == VSC_OK, "a list is refused");
	EXPECT_REFUSED(open_raw(relid, list, 0, 0), "no outgoing ring");
	EXPECT_REFUSED(open_raw(relid, list, 1, 0), "an outgoing ring without data");
	EXPECT_REFUSED(open_raw(relid, list, 2 * RING_PAGES - 1, 0), "an incoming ring without data");
	EXPECT_REFUSED(open_raw(relid, list, 2 * RING_PAGES, 0), "no incoming ring");
	EXPECT_REFUSED(open_raw(relid, list, 0xffffffff, 0), "rings beyond the list");
	EXPECT_REFUSED(open_raw(relid, list, RING_PAGES, 12345), "a processor that is none");
	close_victim("double opens");
	EXPECT_ALL();
	still_answers();
}

/* Rings that are one page again and again, and that lie over the bus's own. */
static void rings_over_each_other(void)
{
	const uint64_t page = bus.platform ? bus.platform->gpa(bus.platform->context, rings) / VSC_PAGE : 0;
	const uint64_t pages[4] = { page, page, page, page };
	const struct vsc_offer *offer;

	if (!bus.platform)
		SKIP("no bus");
	EXPECT(vsc_bus_connect(&bus, VMBUS_VERSION_WIN10_V5_3, 0) == VSC_OK, "no connection");
	offer = vsc_bus_find(&bus, &vsc_heartbeat_interface, 0);
	memset(rings, 0, VSC_PAGE);
	EXPECT(gpadl(offer->relid, 70, 8 + 4 * 8, 1, 4 * VSC_PAGE, 0, pages, 4) == VSC_OK, "a list is refused");
	EXPECT(open_raw(offer->relid, 70, 2, 0) == VSC_OK, "an open over one page is refused");
	for (unsigned i = 0; i < 50; i++) {
		bus.platform->signal_event(bus.platform->context, offer->connection);
		vmbus_pass_time(CLOCK_MS);
	}
	still_answers();
}

/* ---- messages */

static void out_of_order(void)
{
	static const uint32_t orders[] = {
		VMBUS_REQUEST_OFFERS, VMBUS_OPEN_CHANNEL, VMBUS_CLOSE_CHANNEL, VMBUS_GPADL_HEADER, VMBUS_GPADL_BODY,
		VMBUS_GPADL_TEARDOWN, VMBUS_RELID_RELEASED, VMBUS_MODIFY_CHANNEL, VMBUS_TL_CONNECT_REQUEST, VMBUS_OFFER_CHANNEL,
		VMBUS_UNLOAD_RESPONSE, 0, 25, 0xffffffff,
	};
	uint32_t message[VMBUS_MESSAGE_BYTES_MAX / 4] = { 0 };

	if (!bus.platform)
		SKIP("no bus");
	for (unsigned connected = 0; connected < 2; connected++) {
		EXPECT(connected ? open_victim(&vsc_heartbeat_interface) : vsc_bus_unload(&bus) == VSC_OK,
		       "the host does not follow");
		for (unsigned i = 0; i < COUNT(orders); i++) {
			message[0] = orders[i];
			message[2] = connected ? channel.relid : 1;
			/* Twice, whole and cut short at each word. */
			for (uint32_t bytes = 0; bytes <= 48; bytes += 4)
				EXPECT(vsc_bus_post(&bus, message, bytes) == VSC_OK, "message %u of %u bytes is not taken",
				       orders[i], bytes);
			EXPECT(vsc_bus_post(&bus, message, sizeof message) == VSC_OK, "a long message %u is not taken", orders[i]);
			vsc_bus_poll(&bus);
		}
	}
	still_answers();
}

static void random_messages(void)
{
	uint32_t message[VMBUS_MESSAGE_BYTES_MAX / 4];

	if (!bus.platform)
		SKIP("no bus");
	EXPECT(open_victim(&vsc_heartbeat_interface), "there is no channel to abuse");
	for (unsigned i = 0; i < RANDOM_COUNT; i++) {
		for (unsigned j = 0; j < COUNT(message); j++)
			message[j] = random_below(4) ? random_below(8) : random_below(0xffffffffu);
		message[0] = random_below(26);
		(void)vsc_bus_post(&bus, message, random_below(VMBUS_MESSAGE_BYTES_MAX / 4) * 4);
		vsc_bus_poll(&bus);
	}
	still_answers();
}

static void storm_of_contacts(void)
{
	static const uint32_t versions[] = { VMBUS_VERSION_WIN10_V5_3, VMBUS_VERSION_WIN8, 0, VMBUS_VERSION_WIN10, 0xffffffff };

	if (!bus.platform)
		SKIP("no bus");
	for (unsigned i = 0; i < STORM; i++) {
		const struct vmbus_contact_message contact = {
			.header.type = VMBUS_INITIATE_CONTACT, .version = versions[i % COUNT(versions)],
			.target_vp = i % 7 ? 0 : random_below(0xffffffffu),
			.sint = (uint8_t)(i % 11 ? VMBUS_SINT : random_below(256)),
			.vtl = i % 13 == 12, .feature_flags = random_below(0xffffffffu),
		};
		const struct vmbus_message_header unload = { .type = VMBUS_UNLOAD };

		if (i % 20 == 10)
			(void)open_victim(&vsc_heartbeat_interface);
		bus.message_connection = i % 2 ? VMBUS_CONNECTION_MESSAGE : VMBUS_CONNECTION_MESSAGE4;
		EXPECT(vsc_bus_post(&bus, &contact, sizeof contact) == VSC_OK, "contact %u is not taken", i);
		EXPECT(i % 5 || vsc_bus_post(&bus, &unload, sizeof unload) == VSC_OK, "unload %u is not taken", i);
	}
	vmbus_pass_time(BRIEFLY);
	vsc_bus_poll(&bus);
	still_answers();
}

/* Questions without looking at the answers, until the host takes no more; and signals. */
static void floods(void)
{
	const struct vmbus_tl_connect_message question = { .header.type = VMBUS_TL_CONNECT_REQUEST };
	unsigned taken = 0;

	if (!bus.platform)
		SKIP("no bus");
	EXPECT(open_victim(&vsc_heartbeat_interface), "there is no channel to abuse");
	for (unsigned i = 0; i < FLOOD; i++) {
		int r = bus.platform->post_message(bus.platform->context, bus.message_connection, &question, sizeof question);

		EXPECT(r == VSC_OK || r == VSC_FULL, "question %u is refused", i);
		taken += r == VSC_OK;
		vsc_channel_signal(&channel);
		bus.platform->signal_event(bus.platform->context, VMBUS_CONNECTION_CHANNELS + NO_RELID);
	}
	print("  %u questions of %u were taken\n", taken, FLOOD);
	close_victim("a flood");
	EXPECT_ALL();
	still_answers();
}

/* A channel's ring full of requests whose answers nobody reads. */
static void unread_answers(void)
{
	const struct vmbus_guid *interface;
	const struct storvsc_packet packet = { .operation = STORVSC_QUERY_PROPERTIES, .flags = 1 };
	const struct vsc_part part = { &packet, sizeof packet };

	if (!bus.platform)
		SKIP("no bus");
	interface = vsc_bus_find(&bus, &vsc_scsi_interface, 0) ? &vsc_scsi_interface : &vsc_heartbeat_interface;
	EXPECT(open_victim(interface), "there is no channel to abuse");
	for (unsigned i = 0; i < FLOOD; i++) {
		(void)vsc_channel_send(&channel, VMBUS_PACKET_IN_BAND, 1, i, &part, 1);
		vsc_channel_signal(&channel);
		if (i % 500 == 0)
			vmbus_pass_time(CLOCK_MS);
	}
	close_victim("unread answers");
	EXPECT_ALL();
	still_answers();
}

static void again(void)
{
	if (!bus.platform)
		SKIP("no bus");
	repeating = true;
	for (uint64_t rounds = bootinfo_number("rounds", 1); rounds > 1; rounds--)
		for (const struct guest_test *test = guest_tests + 1; test->run != again; test++) {
			test->run();
			EXPECT_ALL();
		}
}

const struct guest_test guest_tests[] = {
	{ "the host answers at first", set_up },
	{ "absurd ring indices cost a channel", absurd_indices },
	{ "restless ring indices cost a channel", restless_indices },
	{ "lengths that lie cost a channel", lying_lengths_heartbeat },
	{ "lengths that lie cost a controller's channel", lying_lengths_scsi },
	{ "lengths that lie cost an adapter's channel", lying_lengths_nic },
	{ "random packets are survived", random_packets_heartbeat },
	{ "random packets to a controller are survived", random_packets_scsi },
	{ "random packets to an adapter are survived", random_packets_nic },
	{ "requests that lie are refused, or cost a channel", lying_requests },
	{ "absurd lists are refused", absurd_lists },
	{ "lists without end are refused at some point", lists_without_end },
	{ "lists are torn down once", torn_lists },
	{ "a channel opens once", double_opens },
	{ "rings may lie over each other", rings_over_each_other },
	{ "messages out of order are survived", out_of_order },
	{ "random messages are survived", random_messages },
	{ "a storm of contacts is survived", storm_of_contacts },
	{ "floods are survived", floods },
	{ "answers that nobody reads are survived", unread_answers },
	{ "all of it again", again },
	{ 0 },
};
