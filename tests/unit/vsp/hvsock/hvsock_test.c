// SPDX-License-Identifier: Apache-2.0
/* Hyper-V sockets between a guest and programs that keep to the rules: connecting, bytes, ends, back pressure. */
#include <sys/socket.h>
#include <unistd.h>

#include "hvsock_rig.h"

static uint8_t bytes[1u << 20], expected[1u << 20];

static bool guest_gets(struct guest_channel *channel, const char *text)
{
	bool ended = false;
	size_t n = rig_receive(channel, bytes, sizeof bytes, 1, &ended);

	return !ended && n == strlen(text) && memcmp(bytes, text, n) == 0;
}

static bool program_gets(int fd, const char *text)
{
	bool ended = false;
	size_t n = rig_read(fd, bytes, sizeof bytes, &ended);

	return !ended && n == strlen(text) && memcmp(bytes, text, n) == 0;
}

/* And then the end. */
static bool program_gets_last(int fd, const char *text)
{
	bool ended = false;
	size_t n = rig_read(fd, bytes, sizeof bytes, &ended);

	return ended && n == strlen(text) && memcmp(bytes, text, n) == 0;
}

static bool guest_at_end(struct guest_channel *channel)
{
	bool ended = false;

	return rig_receive(channel, bytes, sizeof bytes, 1, &ended) == 0 && ended;
}

static void say(int fd, const char *text)
{
	assert_int_equal(rig_write(fd, text, strlen(text)), strlen(text));
	guest_run(rig.guest);
}

static void guest_says(struct guest_channel *channel, const char *text)
{
	assert_true(rig_send(channel, text, strlen(text)));
	guest_run(rig.guest);
}

static void guest_ends(struct guest_channel *channel)
{
	assert_true(rig_send_end(channel));
	guest_run(rig.guest);
}

static void talks(struct guest_channel *channel, int program)
{
	say(program, "from the parent");
	assert_true(guest_gets(channel, "from the parent"));
	guest_says(channel, "from the guest");
	assert_true(program_gets(program, "from the guest"));
}

/* What a guest does about a rescind: close, release. Then nothing is left. */
static void let_go(struct guest_channel *channel)
{
	uint32_t relid = guest_channel_relid(channel);

	assert_true(guest_rescinded(rig.guest, relid));
	assert_int_equal(guest_close(channel), 0);
	guest_release(rig.guest, relid);
	guest_run(rig.guest);
}

/* ---- connecting */

static void the_guest_connects(void **state)
{
	const struct vmbus_guid endpoint = rig_endpoint(0x40000001), service = HVSOCK_SERVICE_OF_PORT(0x1234);
	uint32_t relid = rig_guest_connects(&endpoint, 0x1234);
	const struct vmbus_offer_message *offer = rig_offer(relid);
	struct guest_channel *channel;

	assert_int_equal(rig.connects, 1);
	assert_memory_equal(&rig.service, &service, sizeof service);
	assert_int_not_equal(relid, 0);
	assert_memory_equal(&offer->interface, &service, sizeof service);
	assert_memory_equal(&offer->instance, &endpoint, sizeof endpoint);
	assert_int_equal(offer->flags, 0x2011);
	assert_memory_equal(offer->user_defined, "\0\0\0\0\0\0\1\0\0\0", 10);
	channel = guest_open(rig.guest, relid, 7);
	assert_non_null(channel);
	talks(channel, rig.program);
	assert_int_equal(rig_counters().opened, 1);
	assert_int_equal(close(rig.program), 0);
}

static void the_parent_connects(void **state)
{
	const struct vmbus_guid service = HVSOCK_SERVICE_OF_PORT(22);
	uint32_t relid = rig_parent_connects(22);
	const struct vmbus_offer_message *offer = rig_offer(relid);
	struct guest_channel *channel;

	assert_memory_equal(&offer->interface, &service, sizeof service);
	assert_int_equal(offer->flags, 0x2011);
	assert_memory_equal(offer->user_defined, "\0\0\0\0\1\0\1\0\0\0", 10);
	assert_int_equal(rig.done_count, 0);
	say(rig.program, "early");
	channel = guest_open(rig.guest, relid, 7);
	assert_non_null(channel);
	assert_int_equal(rig.done_count, 1);
	assert_int_equal(rig.done_error, 0);
	assert_true(guest_gets(channel, "early"));
	talks(channel, rig.program);
	assert_int_equal(close(rig.program), 0);
}

static void instances_are_random(void **state)
{
	struct vmbus_guid first = rig_offer(rig_parent_connects(22))->instance;
	struct vmbus_guid second;

	(void)close(rig.program);
	assert_int_equal(first.c >> 12, 4);
	assert_int_equal(first.d[0] >> 6, 2);
	second = rig_offer(rig_parent_connects(22))->instance;
	(void)close(rig.program);
	assert_memory_not_equal(&first, &second, sizeof first);
	guest_advance(rig.guest, 6 * SECOND);
}

static void nobody_offers_the_service(void **state)
{
	const struct vmbus_guid endpoint = rig_endpoint(5);
	struct vmbus_tl_connect_result_message result;

	rig.connect_error = -ENOENT;
	assert_int_equal(rig_guest_connects(&endpoint, 9), 0);
	assert_int_equal(guest_message_count(rig.guest, VMBUS_TL_CONNECT_RESULT), 1);
	memcpy(&result, guest_last_message(rig.guest, VMBUS_TL_CONNECT_RESULT)->payload, sizeof result);
	assert_memory_equal(&result.endpoint, &endpoint, sizeof endpoint);
	assert_int_equal(result.service.a, 9);
	assert_int_equal(result.status, VMBUS_STATUS_CONNECTION_REFUSED);
	assert_int_equal(rig_counters().refused, 1);
	assert_int_equal(rig_counters().sockets, 0);
}

static void nobody_in_the_guest_listens(void **state)
{
	uint32_t relid = rig_parent_connects(22);

	guest_advance(rig.guest, 4 * SECOND);
	assert_int_equal(rig.done_count, 0);
	guest_advance(rig.guest, 2 * SECOND);
	assert_int_equal(rig.done_count, 1);
	assert_int_equal(rig.done_error, -ETIMEDOUT);
	assert_true(guest_rescinded(rig.guest, relid));
	guest_release(rig.guest, relid);
	assert_int_equal(rig_counters().sockets, 0);
	assert_int_equal(rig_counters().timeouts, 1);
	assert_int_equal(close(rig.provider_fd), 0);		/* still the caller's */
	assert_int_equal(close(rig.program), 0);
}

static void a_guest_that_changes_its_mind(void **state)
{
	const struct vmbus_guid endpoint = rig_endpoint(5);
	uint32_t relid = rig_guest_connects(&endpoint, 9);

	guest_advance(rig.guest, 6 * SECOND);
	assert_true(rig_at_end(rig.program));
	assert_true(guest_rescinded(rig.guest, relid));
	guest_release(rig.guest, relid);
	assert_int_equal(rig_counters().sockets, 0);
	assert_int_equal(close(rig.program), 0);
}

static void only_guests_that_know_sockets(void **state)
{
	const struct vmbus_guid endpoint = rig_endpoint(5);

	assert_int_equal(guest_connect(rig.guest, VMBUS_VERSION_WIN8_1), 0);
	assert_int_equal(rig_parent_connects(1), 0);
	assert_int_equal(rig.done_error, -ENOTCONN);
	(void)close(rig.program);
	(void)close(rig.provider_fd);
	assert_int_equal(rig_guest_connects(&endpoint, 9), 0);
	assert_int_equal(guest_message_count(rig.guest, VMBUS_TL_CONNECT_RESULT), 1);
	assert_int_equal(rig.connects, 0);
	/* Before REQUESTOFFERS there are no offers, and after unload nobody is there. */
	assert_int_equal(guest_contact(rig.guest, VMBUS_VERSION_WIN10, 0), 0);
	assert_int_equal(rig_parent_connects(1), 0);
	assert_int_equal(rig.done_error, -ENOTCONN);
	(void)close(rig.program);
	(void)close(rig.provider_fd);
	assert_int_equal(guest_connect(rig.guest, VMBUS_VERSION_WIN10), 0);
	assert_int_not_equal(rig_guest_connects(&endpoint, 9), 0);
	(void)close(rig.program);
	assert_int_equal(guest_unload(rig.guest), 0);
	assert_int_equal(rig_counters().sockets, 0);
	assert_int_equal(rig_parent_connects(1), 0);
	(void)close(rig.program);
	(void)close(rig.provider_fd);
}

static void cancelled(void **state)
{
	uint32_t relid = rig_parent_connects(22);

	hvsock_cancel(rig.hvsock, NULL);		/* somebody else's */
	guest_run(rig.guest);
	assert_false(guest_rescinded(rig.guest, relid));
	hvsock_cancel(rig.hvsock, &rig);
	guest_run(rig.guest);
	assert_true(guest_rescinded(rig.guest, relid));
	assert_null(guest_open(rig.guest, relid, 7));
	assert_int_equal(rig.done_count, 0);
	assert_int_equal(close(rig.provider_fd), 0);
	assert_int_equal(close(rig.program), 0);
}

/* The host has no memory for one more descriptor to look at. */
static void a_host_that_cannot_watch(void **state)
{
	struct guest_channel *channel;
	uint32_t relid = rig_parent_connects(22);
	const int program = rig.program;

	channel = rig_connection(7);
	guest_faults(rig.guest)->watch_error = -ENOMEM;
	assert_null(guest_open(rig.guest, relid, 7));
	assert_int_equal(rig.done_error, -ENOMEM);
	assert_true(guest_rescinded(rig.guest, relid));
	assert_int_equal(close(rig.provider_fd), 0);
	/* Watched already, so it goes on, until it would have to be watched anew. */
	talks(channel, rig.program);
	while (rig_write(rig.program, expected, 5000))
		guest_run(rig.guest);
	while (!rig_at_end(rig.program)) {
		bool ended = false;

		assert_true(rig_receive(channel, bytes, sizeof bytes, 9, &ended) > 0);
		guest_run(rig.guest);
	}
	let_go(channel);
	guest_faults(rig.guest)->watch_error = 0;
	guest_release(rig.guest, relid);
	assert_int_equal(rig_counters().sockets, 0);
	(void)close(program);
	(void)close(rig.program);
}

/* ---- ends */

static void the_guest_ends_first(void **state)
{
	struct guest_channel *channel = rig_connection(7);

	guest_says(channel, "last words");
	guest_ends(channel);
	assert_true(program_gets_last(rig.program, "last words"));
	assert_true(rig_at_end(rig.program));
	assert_false(guest_rescinded(rig.guest, guest_channel_relid(channel)));
	say(rig.program, "still here");
	assert_true(guest_gets(channel, "still here"));
	assert_int_equal(close(rig.program), 0);
	guest_run(rig.guest);
	assert_true(guest_at_end(channel));
	let_go(channel);
	assert_int_equal(rig_counters().sockets, 0);
}

static void the_parent_ends_first(void **state)
{
	struct guest_channel *channel = rig_connection(7);

	say(rig.program, "question");
	assert_int_equal(shutdown(rig.program, SHUT_WR), 0);
	guest_run(rig.guest);
	assert_true(guest_gets(channel, "question"));
	assert_true(guest_at_end(channel));
	guest_advance(rig.guest, 20 * SECOND);
	assert_false(guest_rescinded(rig.guest, guest_channel_relid(channel)));
	guest_says(channel, "answer");
	assert_true(program_gets(rig.program, "answer"));
	guest_ends(channel);
	assert_true(rig_at_end(rig.program));
	let_go(channel);
	assert_int_equal(rig_counters().sockets, 0);
	assert_int_equal(close(rig.program), 0);
}

static void the_parents_program_closes(void **state)
{
	struct guest_channel *channel = rig_connection(7);

	say(rig.program, "bye");
	assert_int_equal(close(rig.program), 0);
	guest_run(rig.guest);
	assert_true(guest_gets(channel, "bye"));
	assert_true(guest_at_end(channel));
	assert_false(guest_rescinded(rig.guest, guest_channel_relid(channel)));
	guest_says(channel, "to nobody");
	/* A guest that ends as well is done at once. */
	guest_ends(channel);
	let_go(channel);
	assert_int_equal(rig_counters().sockets, 0);
	assert_int_equal(rig_counters().broken, 0);
}

static void the_parents_program_closes_and_the_guest_does_not(void **state)
{
	struct guest_channel *channel = rig_connection(7);

	assert_int_equal(close(rig.program), 0);
	guest_advance(rig.guest, SECOND);
	assert_true(guest_at_end(channel));
	guest_says(channel, "to nobody");
	assert_false(guest_rescinded(rig.guest, guest_channel_relid(channel)));
	guest_advance(rig.guest, 2 * SECOND);
	let_go(channel);
	assert_int_equal(rig_counters().sockets, 0);
}

static void the_parent_ends_and_later_closes(void **state)
{
	struct guest_channel *channel = rig_connection(7);

	assert_int_equal(shutdown(rig.program, SHUT_WR), 0);
	guest_advance(rig.guest, 5 * SECOND);
	assert_true(guest_at_end(channel));
	assert_int_equal(close(rig.program), 0);
	guest_advance(rig.guest, SECOND);
	assert_false(guest_rescinded(rig.guest, guest_channel_relid(channel)));
	guest_advance(rig.guest, 2 * SECOND);
	let_go(channel);
	assert_int_equal(rig_counters().sockets, 0);
}

static void the_guest_closes(void **state)
{
	struct guest_channel *channel = rig_connection(7);
	uint32_t relid = guest_channel_relid(channel);

	guest_says(channel, "before");
	assert_int_equal(guest_close(channel), 0);
	assert_true(program_gets_last(rig.program, "before"));
	assert_true(rig_at_end(rig.program));
	assert_true(guest_rescinded(rig.guest, relid));
	guest_release(rig.guest, relid);
	assert_int_equal(rig_counters().sockets, 0);
	assert_int_equal(close(rig.program), 0);
}

/* Bytes that the program wrote before it closed reach a guest that is slow, even if what the guest wrote does not. */
static void closing_loses_nothing(void **state)
{
	struct guest_channel *channel = rig_connection(3);
	size_t written = 0, got = 0, n;
	uint32_t seed = 1;
	bool ended = false;

	for (size_t i = 0; i < sizeof expected; i++)
		expected[i] = (uint8_t)rig_random(&seed);
	while ((n = rig_write(rig.program, expected + written, 5000)))
		written += n;
	guest_says(channel, "and nobody reads this");
	assert_int_equal(close(rig.program), 0);
	guest_advance(rig.guest, 60 * SECOND);
	assert_true(written > 50000);
	for (unsigned i = 0; i < 1000 && !ended; i++) {
		got += rig_receive(channel, bytes + got, sizeof bytes - got, 1, &ended);
		guest_run(rig.guest);
	}
	assert_true(ended);
	assert_int_equal(got, written);
	assert_memory_equal(bytes, expected, got);
	guest_advance(rig.guest, 3 * SECOND);
	let_go(channel);
	assert_int_equal(rig_counters().sockets, 0);
}

static size_t fill(struct guest_channel *channel)
{
	size_t written = 0, n;

	guest_ends(channel);
	while ((n = rig_write(rig.program, expected + written, 5000))) {
		written += n;
		guest_run(rig.guest);
	}
	return written;
}

/* It does not say so: to the parent this is a guest that ended its direction and is slow. */
static void the_guest_closes_and_does_not_read(void **state)
{
	struct guest_channel *channel = rig_connection(7);
	uint32_t relid = guest_channel_relid(channel);

	(void)fill(channel);
	guest_advance(rig.guest, 60 * SECOND);
	assert_false(guest_rescinded(rig.guest, relid));
	(void)close(rig.program);
	guest_advance(rig.guest, 8 * SECOND);
	assert_false(guest_rescinded(rig.guest, relid));
	guest_advance(rig.guest, 3 * SECOND);
	let_go(channel);
	assert_int_equal(rig_counters().sockets, 0);
}

static void the_guest_ends_and_reads_slowly(void **state)
{
	struct guest_channel *channel = rig_connection(7);
	size_t written, got = 0;
	bool ended = false;

	written = fill(channel);
	(void)close(rig.program);
	while (!ended) {
		size_t before = got;

		for (unsigned i = 0; i < 12 && !ended; i++) {
			got += rig_receive(channel, bytes + got, sizeof bytes - got, 1, &ended);
			guest_run(rig.guest);
		}
		assert_true(got > before || ended);
		if (!ended)
			guest_advance(rig.guest, 9 * SECOND);
	}
	assert_int_equal(got, written);
	let_go(channel);
	assert_int_equal(rig_counters().sockets, 0);
}

/* ---- back pressure */

static void a_program_that_does_not_read(void **state)
{
	struct guest_channel *stalled = rig_connection(3), *other;
	const int program = rig.program;
	size_t sent = 0, got = 0;
	uint32_t seed = 7;
	bool ended = false;

	other = rig_connection(7);
	for (size_t i = 0; i < sizeof expected; i++)
		expected[i] = (uint8_t)rig_random(&seed);
	while (rig_send(stalled, expected + sent, 1000)) {
		sent += 1000;
		guest_run(rig.guest);
	}
	assert_true(sent > 8192 && sent < 900000);
	talks(other, rig.program);
	/* Its own other direction goes on as well. */
	say(program, "still writing");
	assert_true(guest_gets(stalled, "still writing"));
	while (got < sent) {
		size_t n = rig_read(program, bytes + got, 3000, &ended);

		guest_run(rig.guest);
		assert_true(n > 0 && !ended);
		got += n;
	}
	assert_int_equal(got, sent);
	assert_memory_equal(bytes, expected, sent);
	talks(stalled, program);
	(void)close(program);
	(void)close(rig.program);
}

static void a_guest_that_does_not_read(void **state)
{
	struct guest_channel *stalled = rig_connection(7), *other;
	const int program = rig.program;
	size_t sent = 0, got = 0, n;
	uint32_t seed = 9;
	bool ended = false;

	other = rig_connection(7);
	for (size_t i = 0; i < sizeof expected; i++)
		expected[i] = (uint8_t)rig_random(&seed);
	while ((n = rig_write(program, expected + sent, 9999))) {
		sent += n;
		guest_run(rig.guest);
	}
	assert_true(sent > 20000);
	talks(other, rig.program);
	guest_says(stalled, "still writing");
	assert_true(program_gets(program, "still writing"));
	assert_int_equal(shutdown(program, SHUT_WR), 0);
	while (!ended) {
		n = rig_receive(stalled, bytes + got, sizeof bytes - got, 1, &ended);
		guest_run(rig.guest);
		assert_true(n > 0 || ended);
		got += n;
	}
	assert_int_equal(got, sent);
	assert_memory_equal(bytes, expected, sent);
	(void)close(program);
	(void)close(rig.program);
}

/* Both directions at once, in pieces of any size, over rings of any size. */
static void any_sizes(void **state)
{
	static uint8_t piece[16384];
	uint32_t seed = 4711;

	for (unsigned round = 0; round < 60; round++) {
		struct guest_channel *channel = rig_connection(2 + rig_random(&seed) % 30);
		uint32_t up = seed ^ 1, up_check = up, down = seed ^ 2, down_check = down;
		size_t up_bytes = 0, down_bytes = 0, up_got = 0, down_got = 0, held = 0, held_at = 0;
		bool ended = false;

		for (unsigned step = 0; step < 400; step++) {
			uint32_t what = rig_random(&seed) % 5;
			size_t n = 1 + rig_random(&seed) % (rig_random(&seed) % 2 ? 64 : 4088);

			if (what == 0 && held == 0) {
				for (held = 0, held_at = 0; held < n; held++)
					piece[held] = (uint8_t)rig_random(&down);
			}
			if (what <= 1 && held_at < held) {
				n = rig_write(rig.program, piece + held_at, held - held_at);
				held_at += n;
				down_bytes += n;
				held = held_at == held ? 0 : held;
				held_at = held ? held_at : 0;
			} else if (what == 2) {
				uint32_t before = up;

				for (size_t i = 0; i < n; i++)
					bytes[i] = (uint8_t)rig_random(&up);
				if (rig_send(channel, bytes, n))
					up_bytes += n;
				else
					up = before;
			} else if (what == 3) {
				n = rig_receive(channel, bytes, sizeof bytes, 1 + step % 3, &ended);
				for (size_t i = 0; i < n; i++)
					assert_int_equal(bytes[i], (uint8_t)rig_random(&down_check));
				down_got += n;
			} else {
				n = rig_read(rig.program, bytes, n * 4, &ended);
				for (size_t i = 0; i < n; i++)
					assert_int_equal(bytes[i], (uint8_t)rig_random(&up_check));
				up_got += n;
			}
			if (rig_random(&seed) % 2)
				guest_run(rig.guest);
		}
		guest_run(rig.guest);
		while (down_got < down_bytes || up_got < up_bytes) {
			size_t n = rig_receive(channel, bytes, sizeof bytes, 9, &ended);

			for (size_t i = 0; i < n; i++)
				assert_int_equal(bytes[i], (uint8_t)rig_random(&down_check));
			down_got += n;
			n = rig_read(rig.program, bytes, sizeof bytes, &ended);
			for (size_t i = 0; i < n; i++)
				assert_int_equal(bytes[i], (uint8_t)rig_random(&up_check));
			up_got += n;
			assert_true(guest_run(rig.guest) > 0 || (down_got == down_bytes && up_got == up_bytes));
		}
		assert_false(ended);
		assert_int_equal(close(rig.program), 0);
		guest_run(rig.guest);
		assert_true(guest_at_end(channel));
		guest_ends(channel);
		let_go(channel);
		assert_int_equal(rig_counters().sockets, 0);
		guest_forget_messages(rig.guest);
	}
	assert_int_equal(rig_counters().broken, 0);
}

static void a_guest_that_writes_without_end_is_not_alone(void **state)
{
	struct guest_channel *channel = rig_connection(64);
	unsigned turns = 0;
	bool ended = false;
	size_t got = 0, n;

	/* One ring full is many turns' work; it all arrives without another signal. */
	for (size_t i = 0; i < 6000; i++)
		assert_true(rig_send(channel, "12345678", 8));
	do {
		turns += guest_run(rig.guest);
		n = rig_read(rig.program, bytes, sizeof bytes, &ended);
		got += n;
	} while (n);
	assert_int_equal(got, 48000);
	assert_true(turns > 6000 / 32);
	(void)close(rig.program);
}

/* ---- many, and the machine's own life */

static void many(void **state)
{
	static struct guest_channel *channels[HVSOCK_SOCKETS_MAX];
	static int programs[HVSOCK_SOCKETS_MAX];
	const struct vmbus_guid endpoint = rig_endpoint(77777);

	for (unsigned i = 0; i < COUNT(channels); i++) {
		channels[i] = rig_connection(4);
		programs[i] = rig.program;
	}
	rig.program = -1;
	assert_int_equal(rig_guest_connects(&endpoint, 1), 0);
	assert_int_equal(guest_message_count(rig.guest, VMBUS_TL_CONNECT_RESULT), 1);
	assert_int_equal(rig.connects, COUNT(channels));		/* not even asked */
	assert_int_equal(rig_parent_connects(1), 0);
	assert_int_equal(rig.done_error, -ENOSPC);
	(void)close(rig.program);
	(void)close(rig.provider_fd);
	for (unsigned i = 0; i < COUNT(channels); i++)
		talks(channels[i], programs[i]);
	for (unsigned i = 0; i < COUNT(channels); i++) {
		(void)close(programs[i]);
		guest_run(rig.guest);
		assert_true(guest_at_end(channels[i]));
		guest_ends(channels[i]);
		let_go(channels[i]);
	}
	assert_int_equal(rig_counters().sockets, 0);
	assert_int_not_equal(rig_guest_connects(&endpoint, 1), 0);
	(void)close(rig.program);
}

/* Another kernel takes over without a word: it knows nothing of the sockets, and is not told of them. */
static void a_guest_that_starts_anew(void **state)
{
	const struct vmbus_guid endpoint = rig_endpoint(5);
	struct guest_channel *channel = rig_connection(7);
	const int open_one = rig.program;
	int offered, waiting;

	assert_non_null(channel);
	assert_int_not_equal(rig_guest_connects(&endpoint, 9), 0);
	offered = rig.program;
	assert_int_not_equal(rig_parent_connects(22), 0);
	waiting = rig.program;
	assert_int_equal(rig_counters().sockets, 3);
	guest_forget_messages(rig.guest);
	assert_int_equal(guest_connect(rig.guest, VMBUS_VERSION_WIN10_V5_3), 0);
	assert_int_equal(guest_message_count(rig.guest, VMBUS_OFFER_CHANNEL), 0);
	assert_int_equal(rig_counters().sockets, 0);
	assert_true(rig_at_end(open_one));
	assert_true(rig_at_end(offered));
	assert_false(rig_at_end(waiting));
	assert_int_equal(rig.done_error, -ECONNRESET);
	(void)close(open_one);
	(void)close(offered);
	(void)close(waiting);
	(void)close(rig.provider_fd);
	channel = rig_connection(7);
	talks(channel, rig.program);
	(void)close(rig.program);
}

static void nothing_moves_in_a_pause(void **state)
{
	struct guest_channel *channel = rig_connection(7);
	const int program = rig.program;
	uint32_t relid = rig_parent_connects(22);

	(void)close(rig.program);
	hvsock_pause(rig.hvsock);
	vmbus_server_pause(guest_server(rig.guest));
	say(program, "wait for me");
	assert_true(rig_send(channel, "me too", 6));
	guest_advance(rig.guest, 60 * SECOND);
	assert_false(guest_gets(channel, "wait for me"));
	assert_false(program_gets(program, "me too"));
	assert_int_equal(rig.done_count, 0);
	vmbus_server_resume(guest_server(rig.guest));
	hvsock_resume(rig.hvsock);
	guest_run(rig.guest);
	assert_true(guest_gets(channel, "wait for me"));
	assert_true(program_gets(program, "me too"));
	guest_advance(rig.guest, 4 * SECOND);
	assert_int_equal(rig.done_count, 0);
	guest_advance(rig.guest, 2 * SECOND);
	assert_int_equal(rig.done_error, -ETIMEDOUT);
	assert_true(guest_rescinded(rig.guest, relid));
	(void)close(rig.provider_fd);
	(void)close(program);
}

static void sockets_do_not_survive_a_restore(void **state)
{
	struct guest_channel *channel = rig_connection(7);
	uint32_t relid = guest_channel_relid(channel);
	struct hvsock_config config = { .host = guest_host(rig.guest) };
	size_t size;
	void *saved;

	hvsock_pause(rig.hvsock);
	vmbus_server_pause(guest_server(rig.guest));
	assert_int_equal(vmbus_server_save(guest_server(rig.guest), &saved, &size), 0);
	vmbus_server_reset(guest_server(rig.guest), NULL, NULL);
	hvsock_destroy(rig.hvsock, NULL, NULL);
	assert_true(rig_at_end(rig.program));
	(void)close(rig.program);
	config.server = guest_replace_server(rig.guest);
	assert_int_equal(hvsock_create(&config, &rig.hvsock), 0);
	assert_int_equal(vmbus_server_restore(config.server, saved, size), 0);
	free(saved);
	vmbus_server_resume(config.server);
	guest_run(rig.guest);
	assert_true(guest_rescinded(rig.guest, relid));
	assert_int_equal(guest_close(channel), 0);
	guest_release(rig.guest, relid);
	/* And its place is free again. */
	assert_int_equal(rig_parent_connects(22), relid);
	(void)close(rig.program);
	guest_advance(rig.guest, 6 * SECOND);
	(void)close(rig.provider_fd);
}

static void destroyed_under_a_guest_that_goes_on(void **state)
{
	struct guest_channel *channel = rig_connection(7);
	const struct vmbus_guid endpoint = rig_endpoint(5);
	const int program = rig.program;
	uint32_t relid = rig_parent_connects(22);

	hvsock_destroy(rig.hvsock, NULL, NULL);
	rig.hvsock = NULL;
	assert_int_equal(rig.done_error, -ECANCELED);
	guest_run(rig.guest);
	assert_true(rig_at_end(program));
	assert_true(guest_rescinded(rig.guest, relid));
	guest_release(rig.guest, relid);
	let_go(channel);
	assert_int_equal(rig_guest_connects(&endpoint, 9), 0);
	assert_int_equal(guest_message_count(rig.guest, VMBUS_TL_CONNECT_RESULT), 1);
	(void)close(program);
	(void)close(rig.program);
	(void)close(rig.provider_fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_guest_connects),
		TEST(the_parent_connects),
		TEST(instances_are_random),
		TEST(nobody_offers_the_service),
		TEST(nobody_in_the_guest_listens),
		TEST(a_guest_that_changes_its_mind),
		TEST(only_guests_that_know_sockets),
		TEST(cancelled),
		TEST(a_host_that_cannot_watch),
		TEST(the_guest_ends_first),
		TEST(the_parent_ends_first),
		TEST(the_parents_program_closes),
		TEST(the_parents_program_closes_and_the_guest_does_not),
		TEST(the_parent_ends_and_later_closes),
		TEST(the_guest_closes),
		TEST(closing_loses_nothing),
		TEST(the_guest_closes_and_does_not_read),
		TEST(the_guest_ends_and_reads_slowly),
		TEST(a_program_that_does_not_read),
		TEST(a_guest_that_does_not_read),
		TEST(any_sizes),
		TEST(a_guest_that_writes_without_end_is_not_alone),
		TEST(many),
		TEST(a_guest_that_starts_anew),
		TEST(nothing_moves_in_a_pause),
		TEST(sockets_do_not_survive_a_restore),
		TEST(destroyed_under_a_guest_that_goes_on),
	};

	return cmocka_run_group_tests_name("hvsock", tests, NULL, NULL);
}
