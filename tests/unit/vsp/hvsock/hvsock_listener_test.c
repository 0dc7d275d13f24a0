// SPDX-License-Identifier: Apache-2.0
/* The door for programs of the parent: lines that are right, wrong, slow or missing, and what comes of them. */
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "hvsock/hvsock_listener.h"
#include "hvsock_rig.h"

#define SERVICE "00000016-facb-11e6-bd58-64006a7986d3"
#define LINE    "CONNECT " SERVICE "\n"

static struct hvsock_listener *listener;
static struct sockaddr_un address;
static socklen_t address_bytes;
static int door;

static int setup(void **state)
{
	rig_setup(state);
	memset(&address, 0, sizeof address);
	address.sun_family = AF_UNIX;
	address_bytes = sizeof address;
	door = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_true(door >= 0);
	/* Without a name the kernel finds one. */
	assert_int_equal(bind(door, (struct sockaddr *)&address, sizeof(sa_family_t)), 0);
	assert_int_equal(getsockname(door, (struct sockaddr *)&address, &address_bytes), 0);
	assert_int_equal(listen(door, 128), 0);
	assert_int_equal(hvsock_listener_create(guest_host(rig.guest), rig.hvsock, door, &listener), 0);
	return 0;
}

static int teardown(void **state)
{
	if (listener)
		hvsock_listener_destroy(listener);
	(void)close(door);
	return rig_teardown(state);
}

static int client(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&address, address_bytes), 0);
	guest_run(rig.guest);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(rig_write(fd, text, strlen(text)), strlen(text));
	guest_run(rig.guest);
}

/* Everything there is begins like that; with an error the end follows, without there is more to come. */
static bool hears(int fd, const char *text, bool last)
{
	char answer[256];
	bool ended = false;
	size_t n = rig_read(fd, answer, sizeof answer, &ended);

	return n >= strlen(text) && memcmp(answer, text, strlen(text)) == 0 && ended == last &&
	       (!last || (n > 6 && answer[n - 1] == '\n'));
}

static uint32_t offered(void)
{
	const struct vmbus_guid service = HVSOCK_SERVICE_OF_PORT(0x16);

	return guest_relid(rig.guest, &service, 0);
}

static struct guest_channel *guest_opens(void)
{
	struct guest_channel *channel = guest_open(rig.guest, offered(), 7);

	assert_non_null(channel);
	return channel;
}

static void connects(void **state)
{
	int fd = client();
	struct guest_channel *channel;
	uint8_t bytes[64];
	bool ended = false;

	say(fd, "CONNECT 0000");
	assert_int_equal(offered(), 0);
	say(fd, "0016-FACB-11e6-bd58-64006a7986d3\nGET / HTTP\n");
	assert_false(hears(fd, "OK", false));
	channel = guest_opens();
	assert_true(hears(fd, "OK\n", false));
	assert_int_equal(rig_receive(channel, bytes, sizeof bytes, 9, &ended), 11);
	assert_memory_equal(bytes, "GET / HTTP\n", 11);
	assert_true(rig_send(channel, "404\n", 4));
	guest_run(rig.guest);
	assert_true(hears(fd, "404\n", false));
	/* The connection is no longer the door's. */
	hvsock_listener_destroy(listener);
	listener = NULL;
	say(fd, "again");
	assert_int_equal(rig_receive(channel, bytes, sizeof bytes, 9, &ended), 5);
	assert_int_equal(close(fd), 0);
}

static void wrong_lines(void **state)
{
	static const char *const lines[] = {
		"\n", "CONNECT\n", "CONNECT \n", "connect " SERVICE "\n", " " LINE, "CONNECT  " SERVICE "\n",
		"CONNECT " SERVICE " \n", "CONNECT " SERVICE "\r\n", "CONNECT {" SERVICE "}\n", "CONNECT 22\n",
		"CONNECT 00000016-facb-11e6-bd58-64006a7986d\n", "CONNECT 00000016-facb-11e6-bd58-64006a7986g3\n",
		"CONNECT 00000016-facb-11e6-bd58064006a7986d3\n", "CONNECT 00000016-facb-11e6-bd5-864006a7986d3\n",
		"CONNECT 000000160facb-11e6-bd58-64006a7986d3\n", "CONNECT +0000016-facb-11e6-bd58-64006a7986d3\n",
		"CONNECT " SERVICE "?", "CONNECT " SERVICE SERVICE, "\1\2\3\4\5\6\7\n",
		"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
	};

	for (unsigned i = 0; i < COUNT(lines); i++) {
		int fd = client();

		say(fd, lines[i]);
		assert_true(hears(fd, "ERROR expected CONNECT", true));
		assert_int_equal(close(fd), 0);
	}
	assert_int_equal(rig_counters().sockets, 0);
}

static void no_line(void **state)
{
	int gone = client(), half = client(), silent = client(), slow = client();

	(void)close(gone);
	say(half, "CONN");
	assert_int_equal(shutdown(half, SHUT_WR), 0);
	guest_run(rig.guest);
	assert_true(hears(half, "ERROR the line has no end", true));
	(void)close(half);
	for (unsigned i = 0; i < 4; i++) {
		guest_advance(rig.guest, SECOND);
		say(slow, "C");
	}
	assert_false(rig_at_end(silent));
	assert_false(rig_at_end(slow));
	guest_advance(rig.guest, 2 * SECOND);
	assert_true(hears(silent, "ERROR the line did not come in time", true));
	assert_true(hears(slow, "ERROR the line did not come in time", true));
	(void)close(silent);
	(void)close(slow);
}

static void nobody_listens(void **state)
{
	int fd = client();
	uint32_t relid;

	say(fd, LINE);
	relid = offered();
	assert_int_not_equal(relid, 0);
	guest_advance(rig.guest, 4 * SECOND);
	assert_false(hears(fd, "", true));
	guest_advance(rig.guest, 2 * SECOND);
	assert_true(hears(fd, "ERROR nobody in the guest listens", true));
	assert_true(guest_rescinded(rig.guest, relid));
	(void)close(fd);
}

static void no_guest(void **state)
{
	int fd = client(), early;

	say(fd, LINE);
	assert_int_equal(guest_unload(rig.guest), 0);
	assert_true(hears(fd, "ERROR the guest went away", true));
	(void)close(fd);
	early = client();
	say(early, LINE);
	assert_true(hears(early, "ERROR the guest does not run", true));
	(void)close(early);
}

static void a_client_that_does_not_wait(void **state)
{
	struct guest_channel *channel;
	uint8_t bytes[64];
	bool ended = false;
	int fd = client();

	say(fd, LINE "fire and forget");
	(void)close(fd);
	channel = guest_opens();
	assert_int_equal(rig_receive(channel, bytes, sizeof bytes, 1, &ended), 15);
	assert_int_equal(rig_receive(channel, bytes, sizeof bytes, 1, &ended), 0);
	assert_true(ended);
	guest_advance(rig.guest, 3 * SECOND);
	assert_true(guest_rescinded(rig.guest, guest_channel_relid(channel)));
}

static void a_crowd(void **state)
{
	static int idle[HVSOCK_CLIENTS_MAX];
	int late;

	for (unsigned i = 0; i < COUNT(idle); i++)
		idle[i] = client();
	late = client();
	say(late, LINE);
	assert_int_equal(offered(), 0);
	/* As soon as there is a place. */
	(void)close(idle[0]);
	guest_run(rig.guest);
	(void)guest_opens();
	assert_true(hears(late, "OK\n", false));
	guest_advance(rig.guest, 6 * SECOND);
	for (unsigned i = 1; i < COUNT(idle); i++) {
		assert_true(hears(idle[i], "ERROR", true));
		(void)close(idle[i]);
	}
	(void)close(late);
}

/* No descriptor left: the door is closed for a while, then it is tried again; nothing spins. */
static void no_descriptor(void **state)
{
	struct rlimit before, tight;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	tight = before;
	tight.rlim_cur = (rlim_t)fd + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, address_bytes), 0);
	assert_true(guest_run(rig.guest) < 10);
	guest_advance(rig.guest, 2 * SECOND);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	say(fd, LINE);
	assert_int_equal(offered(), 0);
	guest_advance(rig.guest, 2 * SECOND);
	(void)guest_opens();
	assert_true(hears(fd, "OK\n", false));
	(void)close(fd);
}

static void a_host_that_cannot_watch(void **state)
{
	int fd;

	guest_faults(rig.guest)->watch_error = -ENOMEM;
	fd = client();
	assert_true(rig_at_end(fd));
	(void)close(fd);
	fd = client();
	guest_advance(rig.guest, 5 * SECOND);
	say(fd, LINE);
	guest_faults(rig.guest)->watch_error = 0;
	assert_int_equal(offered(), 0);
	guest_advance(rig.guest, SECOND);
	(void)guest_opens();
	assert_true(hears(fd, "OK\n", false));
	(void)close(fd);
}

static void a_pause(void **state)
{
	int at_the_door = client(), outside;

	hvsock_listener_pause(listener);
	hvsock_pause(rig.hvsock);
	vmbus_server_pause(guest_server(rig.guest));
	outside = client();
	say(at_the_door, LINE);
	say(outside, LINE);
	guest_advance(rig.guest, 60 * SECOND);
	assert_int_equal(offered(), 0);
	vmbus_server_resume(guest_server(rig.guest));
	hvsock_resume(rig.hvsock);
	hvsock_listener_resume(listener);
	guest_run(rig.guest);
	assert_int_equal(rig_counters().sockets, 2);
	(void)guest_opens();
	assert_true(hears(at_the_door, "OK\n", false) != hears(outside, "OK\n", false));
	(void)close(at_the_door);
	(void)close(outside);
}

static void destroyed_with_clients(void **state)
{
	int idle = client(), asking = client();

	say(asking, LINE);
	hvsock_listener_destroy(listener);
	listener = NULL;
	guest_run(rig.guest);
	assert_true(hears(idle, "ERROR", true));
	assert_true(hears(asking, "ERROR", true));
	assert_int_equal(offered(), 0);
	(void)close(idle);
	(void)close(asking);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(connects),
		TEST(wrong_lines),
		TEST(no_line),
		TEST(nobody_listens),
		TEST(no_guest),
		TEST(a_client_that_does_not_wait),
		TEST(a_crowd),
		TEST(no_descriptor),
		TEST(a_host_that_cannot_watch),
		TEST(a_pause),
		TEST(destroyed_with_clients),
	};

	return cmocka_run_group_tests_name("hvsock_listener", tests, NULL, NULL);
}
