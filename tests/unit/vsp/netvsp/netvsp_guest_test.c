// SPDX-License-Identifier: Apache-2.0
/*
 * The adapter under the real server and the model guest: real rings, GPADLs made of messages, GPA-direct page numbers,
 * sub-channels by offers. Frames go both ways, also with rings that are far too small, and everything comes down again.
 */
#include "unit/vsp/cmocka_all.h"

#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netvsp/netvsp.h"
#include "unit/vsp/guest.h"
#include "vmbus/netvsc.h"

#define QUEUES     3u
#define RX_PAGES   64u
#define TX_PAGES   30u
#define RX_ID      0xcafeu
#define RING_PAGES 4u

static const struct vmbus_guid interface = {
	0xf8615163, 0xdf3e, 0x46c5, { 0x91, 0x3f, 0xf2, 0xd2, 0xf9, 0x65, 0xed, 0x0e }
};
static const uint8_t mac[6] = { 0x00, 0x15, 0x5d, 0x0a, 0x0b, 0x0c }, other[6] = { 2, 0, 0, 0, 0, 1 };

static struct {
	struct guest *guest;
	struct netvsp *nic;
	int tap[QUEUES];
	uint32_t relid[QUEUES];
	struct guest_channel *channel[QUEUES];
	uint64_t rx, tx, control;	/* GPAs */
	uint32_t rx_gpadl, tx_gpadl;
	uint32_t section_bytes;
	bool destroyed;
} w;
static struct guest_packet packet;

static int setup(void **state)
{
	struct netvsp_config config = { .instance = { 9, 9, 9, { 9 } }, .mtu = 1500, .queue_count = QUEUES,
					.link_mbps = 1000, .link_up = true };

	(void)signal(SIGPIPE, SIG_IGN);
	memset(&w, 0, sizeof w);
	w.guest = guest_new(16 << 20, 4);
	config.host = guest_host(w.guest);
	memcpy(config.mac, mac, sizeof mac);
	for (unsigned i = 0; i < QUEUES; i++) {
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair))
			return -1;
		w.tap[i] = pair[0];
		config.tap_fd[i] = pair[1];
	}
	return netvsp_create(guest_server(w.guest), &config, &w.nic);
}

static void destroyed(void *context)
{
	w.destroyed = true;
}

static int teardown(void **state)
{
	netvsp_destroy(w.nic, destroyed, NULL);
	guest_advance(w.guest, 30000000000ull);
	guest_free(w.guest);
	for (unsigned i = 0; i < QUEUES; i++)
		(void)close(w.tap[i]);
	return w.destroyed ? 0 : -1;
}

static void transact(const void *message, size_t bytes, void *out, size_t out_bytes)
{
	static uint64_t transaction = 1000;
	uint8_t padded[NVSP_MESSAGE_BYTES] = { 0 };

	memcpy(padded, message, bytes);
	assert_int_equal(guest_transact(w.channel[0], ++transaction, padded, sizeof padded, &packet), 0);
	assert_int_equal(packet.payload_bytes, NVSP_MESSAGE_BYTES);
	memcpy(out, guest_packet_payload(&packet), out_bytes);
}

/* Sends a control message by its own page; the reply into out. */
static void control(const void *message, uint32_t bytes, void *out, size_t out_bytes)
{
	const struct nvsp_rndis_packet head = { NVSP_RNDIS_PACKET, NVSP_CHANNEL_CONTROL, NVSP_SECTION_NONE, 0 };
	const struct guest_range range = { w.control + 100, bytes };
	uint8_t padded[NVSP_MESSAGE_BYTES] = { 0 };
	struct vmbus_transfer_range at;

	memcpy(guest_ram(w.guest, range.gpa), message, bytes);
	memcpy(padded, &head, sizeof head);
	assert_int_equal(guest_send_gpa_direct(w.channel[0], 1, 5, &range, 1, padded, sizeof padded), 0);
	guest_run(w.guest);
	assert_true(guest_receive(w.channel[0], &packet));
	assert_int_equal(packet.type, VMBUS_PACKET_COMPLETION);
	assert_int_equal(packet.transaction, 5);
	assert_true(guest_receive(w.channel[0], &packet));
	assert_int_equal(packet.type, VMBUS_PACKET_TRANSFER_PAGES);
	assert_int_equal(packet.flags, 1);
	assert_int_equal(packet.data[16] | packet.data[17] << 8, RX_ID);
	memcpy(&at, packet.data + 24, sizeof at);
	assert_int_equal(at.bytes, out_bytes);
	memcpy(out, guest_ram(w.guest, w.rx + at.offset), at.bytes);
	assert_int_equal(guest_send_completion(w.channel[0], packet.transaction, (uint32_t[]){ 108, 1 }, 8), 0);
	guest_run(w.guest);
}

static void set_filter(uint32_t filter)
{
	const uint32_t set[] = { RNDIS_SET, 32, 77, OID_GEN_CURRENT_PACKET_FILTER, 4, 20, 0, filter };
	struct rndis_status_complete done;

	control(set, sizeof set, &done, sizeof done);
	assert_int_equal(done.request_id, 77);
	assert_int_equal(done.status, 0);
}

/* Contact, open, NVSP, RNDIS, sub-channels, filter. */
static void come_up(void)
{
	const struct nvsp_init init = { NVSP_INIT, NVSP_VERSION_6_1, NVSP_VERSION_6_1 };
	const uint32_t initialize[] = { RNDIS_INITIALIZE, 24, 1, 1, 0, 0x4000 };
	const struct nvsp_subchannel subchannels = { NVSP_SUBCHANNEL, NVSP_SUBCHANNEL_ALLOCATE, 7 };
	struct nvsp_receive_buffer_complete rx;
	struct nvsp_send_buffer_complete tx;
	struct rndis_initialize_complete initialized;
	struct nvsp_subchannel granted;
	struct nvsp_init_complete done;

	w.relid[0] = guest_relid(w.guest, &interface, 0);
	assert_int_not_equal(w.relid[0], 0);
	w.channel[0] = guest_open(w.guest, w.relid[0], RING_PAGES);
	assert_non_null(w.channel[0]);
	transact(&init, sizeof init, &done, sizeof done);
	assert_int_equal(done.status, NVSP_STATUS_SUCCESS);
	w.rx = guest_pages(w.guest, RX_PAGES);
	w.tx = guest_pages(w.guest, TX_PAGES);
	w.control = guest_pages(w.guest, 4);
	w.rx_gpadl = guest_make_gpadl(w.guest, w.relid[0], w.rx, RX_PAGES * GUEST_PAGE);
	w.tx_gpadl = guest_make_gpadl(w.guest, w.relid[0], w.tx, TX_PAGES * GUEST_PAGE);
	transact(&(struct nvsp_buffer){ NVSP_RECEIVE_BUFFER, w.rx_gpadl, RX_ID, 0 }, 12, &rx, sizeof rx);
	assert_int_equal(rx.status, NVSP_STATUS_SUCCESS);
	w.section_bytes = rx.suballoc_bytes;
	transact(&(struct nvsp_buffer){ NVSP_SEND_BUFFER, w.tx_gpadl, 0, 0 }, 12, &tx, sizeof tx);
	assert_int_equal(tx.status, NVSP_STATUS_SUCCESS);
	control(initialize, sizeof initialize, &initialized, sizeof initialized);
	assert_int_equal(initialized.status, 0);
	transact(&subchannels, sizeof subchannels, &granted, sizeof granted);
	assert_int_equal(granted.operation, NVSP_STATUS_SUCCESS);
	assert_int_equal(granted.count, QUEUES - 1);
	for (unsigned i = 1; i < QUEUES; i++) {
		w.relid[i] = guest_relid(w.guest, &interface, i);
		assert_int_not_equal(w.relid[i], 0);
		w.channel[i] = guest_open(w.guest, w.relid[i], RING_PAGES);
		assert_non_null(w.channel[i]);
	}
	guest_run(w.guest);
	assert_true(guest_receive(w.channel[0], &packet));
	assert_int_equal(packet.type, VMBUS_PACKET_IN_BAND);
	assert_int_equal(guest_packet_payload(&packet)[0], NVSP_INDIRECTION_TABLE);
	set_filter(0xd);
}

static void go_down(void)
{
	for (unsigned i = QUEUES; i-- > 0;)
		assert_int_equal(guest_close(w.channel[i]), 0);
	assert_int_equal(guest_teardown_gpadl(w.guest, w.relid[0], w.rx_gpadl), 0);
	assert_int_equal(guest_teardown_gpadl(w.guest, w.relid[0], w.tx_gpadl), 0);
}

static void fill(uint8_t *frame, size_t bytes, const uint8_t *to, const uint8_t *from, unsigned seed)
{
	for (size_t i = 0; i < bytes; i++)
		frame[i] = (uint8_t)(i * 13 + i / 256 + seed);
	memcpy(frame, to, 6);
	memcpy(frame + 6, from, 6);
	memcpy(frame + 12, "\x88\xb5", 2);
}

static int send_frame(unsigned queue, uint64_t gpa, const uint8_t *frame, uint32_t bytes, uint64_t transaction)
{
	const struct rndis_packet m = { .header = { RNDIS_PACKET, (uint32_t)sizeof m + bytes }, .data_offset = 36,
					.data_bytes = bytes };
	const struct nvsp_rndis_packet head = { NVSP_RNDIS_PACKET, NVSP_CHANNEL_DATA, NVSP_SECTION_NONE, 0 };
	/* The header at the end of one page, the frame over the end of the next. */
	const struct guest_range ranges[] = { { gpa + GUEST_PAGE - sizeof m, sizeof m }, { gpa + GUEST_PAGE + 4000, bytes } };
	uint8_t padded[NVSP_MESSAGE_BYTES] = { 0 };

	memcpy(guest_ram(w.guest, ranges[0].gpa), &m, sizeof m);
	memcpy(guest_ram(w.guest, ranges[1].gpa), frame, bytes);
	memcpy(padded, &head, sizeof head);
	return guest_send_gpa_direct(w.channel[queue], 1, transaction, ranges, 2, padded, sizeof padded);
}

/* Takes what is on a channel; frames are compared with those of the seeds from *seed on. Completions of sent frames. */
static unsigned take(unsigned queue, unsigned *seed)
{
	unsigned completions = 0;
	uint8_t frame[1514];

	while (guest_receive(w.channel[queue], &packet)) {
		uint32_t count;

		if (packet.type == VMBUS_PACKET_COMPLETION) {
			completions++;
			continue;
		}
		assert_int_equal(packet.type, VMBUS_PACKET_TRANSFER_PAGES);
		memcpy(&count, packet.data + 20, 4);
		for (uint32_t i = 0; i < count; i++, ++*seed) {
			struct vmbus_transfer_range at;
			struct rndis_packet m;
			size_t bytes = 14 + *seed * 97 % 1501;

			memcpy(&at, packet.data + 24 + (size_t)8 * i, sizeof at);
			memcpy(&m, guest_ram(w.guest, w.rx + at.offset), sizeof m);
			assert_int_equal(at.offset % w.section_bytes, 0);
			assert_int_equal(m.data_bytes, bytes);
			fill(frame, bytes, mac, other, *seed);
			assert_memory_equal(guest_ram(w.guest, w.rx + at.offset + 8 + m.data_offset), frame, bytes);
		}
		while (guest_send_completion(w.channel[queue], packet.transaction, (uint32_t[]){ 108, 1 }, 8))
			guest_run(w.guest);
	}
	return completions;
}

static void frames_go_both_ways(void **state)
{
	unsigned in_seed[QUEUES] = { 0 }, in_sent[QUEUES] = { 0 };
	uint8_t frame[1514], got[1600];

	assert_int_equal(guest_connect(w.guest, VMBUS_VERSION_WIN10_V5_3), 0);
	come_up();
	for (unsigned round = 0; round < 500; round++)
		for (unsigned q = 0; q < QUEUES; q++) {
			size_t bytes = 14 + (round * 31 + q) % 1501;

			fill(frame, bytes, other, mac, round);
			assert_int_equal(send_frame(q, w.control, frame, (uint32_t)bytes, 100 + round), 0);
			memset(got, 0, sizeof got);
			for (unsigned i = 0; i < 3; i++, in_sent[q]++) {
				uint8_t in[12 + 1514] = { 0 };
				size_t n = 14 + in_sent[q] * 97 % 1501;

				fill(in + 12, n, mac, other, in_sent[q]);
				assert_int_equal(write(w.tap[q], in, 12 + n), (ssize_t)(12 + n));
			}
			guest_run(w.guest);
			assert_int_equal(recv(w.tap[q], got, sizeof got, 0), (ssize_t)(12 + bytes));
			assert_memory_equal(got + 12, frame, bytes);
			assert_int_equal(take(q, &in_seed[q]), 1);
			guest_run(w.guest);
		}
	for (unsigned q = 0; q < QUEUES; q++)
		assert_int_equal(in_seed[q], in_sent[q]);
	set_filter(0);
	go_down();
}

/* The guest does not read: rings, sections and in the end the tap fill up. Then it does, and nothing is lost. */
static void a_guest_that_does_not_look_loses_nothing(void **state)
{
	unsigned seed = 0, sent = 0, posted = 0, completed = 0;
	uint8_t in[12 + 1514], frame[64], got[1600];

	assert_int_equal(guest_connect(w.guest, VMBUS_VERSION_WIN10_V5_3), 0);
	come_up();
	fill(frame, sizeof frame, other, mac, 1);
	for (bool more = true; more;) {
		size_t n = 14 + sent * 97 % 1501;

		memset(in, 0, 12);
		fill(in + 12, n, mac, other, sent);
		more = write(w.tap[1], in, 12 + n) > 0;
		sent += more;
		guest_run(w.guest);
	}
	assert_true(sent > 100);
	while (send_frame(1, w.control, frame, sizeof frame, 9) == 0) {
		posted++;
		guest_run(w.guest);
		(void)recv(w.tap[1], got, sizeof got, MSG_DONTWAIT);
	}
	assert_true(posted > 20);
	for (unsigned round = 0; round < 1000 && (seed < sent || completed < posted); round++) {
		completed += take(1, &seed);
		guest_run(w.guest);
		while (recv(w.tap[1], got, sizeof got, MSG_DONTWAIT) > 0)
			;
		guest_advance(w.guest, 1000000);
	}
	assert_int_equal(seed, sent);
	assert_int_equal(completed, posted);
	go_down();
}

static void it_comes_up_again_and_again(void **state)
{
	uint8_t in[12 + 100] = { 0 };

	assert_int_equal(guest_connect(w.guest, VMBUS_VERSION_WIN10_V5_3), 0);
	for (unsigned round = 0; round < 5; round++) {
		come_up();
		/* packets in flight, and packets not yet sent */
		fill(in + 12, 100, mac, other, round);
		for (unsigned i = 0; i < 60; i++)
			(void)!write(w.tap[i % QUEUES], in, sizeof in);
		if (round % 2)
			guest_run(w.guest);
		go_down();
	}
	/* the same by a reset in the middle */
	come_up();
	(void)!write(w.tap[0], in, sizeof in);
	guest_run(w.guest);
	vmbus_server_reset(guest_server(w.guest), NULL, NULL);
	guest_run(w.guest);
}

static void a_link_change_reaches_a_waiting_guest(void **state)
{
	struct vmbus_transfer_range at;
	uint32_t words[3];

	assert_int_equal(guest_connect(w.guest, VMBUS_VERSION_WIN10_V5_3), 0);
	come_up();
	(void)guest_interrupts(w.channel[0]);
	netvsp_link_set(w.nic, NETVSP_LINK_DOWN);
	/* Called from outside: the signal goes out at once. */
	assert_int_equal(guest_interrupts(w.channel[0]), 1);
	assert_true(guest_receive(w.channel[0], &packet));
	memcpy(&at, packet.data + 24, sizeof at);
	memcpy(words, guest_ram(w.guest, w.rx + at.offset), sizeof words);
	assert_int_equal(words[0], RNDIS_INDICATE);
	assert_int_equal(words[2], NDIS_STATUS_MEDIA_DISCONNECT);
	go_down();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(frames_go_both_ways),
		TEST(a_guest_that_does_not_look_loses_nothing),
		TEST(it_comes_up_again_and_again),
		TEST(a_link_change_reaches_a_waiting_guest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
