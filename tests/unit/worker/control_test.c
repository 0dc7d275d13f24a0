// SPDX-License-Identifier: Apache-2.0
/* The control protocol and the console over real sockets. */
#include "cmocka_all.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench_machine.h"
#include "worker/worker_msg.h"

static struct bench_machine bench;
static int client;

static int setup(void **state)
{
	if (bench_machine_init(&bench, 2))
		return -1;
	client = connect_unix(bench.control_listener, SOCK_SEQPACKET);
	bench_machine_settle(&bench);
	return 0;
}

static int teardown(void **state)
{
	(void)close(client);
	bench_machine_fini(&bench);
	return 0;
}

/* Next packet of the worker, or "" when there is none, or "closed". */
static const char *receive(int fd)
{
	static char packet[WORKER_MSG_MAX + 1];
	ssize_t got;

	bench_machine_settle(&bench);
	got = recv(fd, packet, WORKER_MSG_MAX, MSG_DONTWAIT);
	if (got == 0 || (got < 0 && errno == ECONNRESET))
		return "closed";
	packet[got < 0 ? 0 : got] = 0;
	return packet;
}

static void expect(int fd, const char *packet)
{
	assert_string_equal(receive(fd), packet);
}

static void request(const char *text)
{
	assert_int_equal(send(client, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void the_state_is_told_on_connection(void **state)
{
	expect(client, "{\"event\":\"state\",\"state\":\"created\",\"reason\":null}");
	expect(client, "");
}

static void a_life_by_requests(void **state)
{
	(void)receive(client);
	request("{\"id\": 1, \"method\": \"start\"}");
	expect(client, "{\"event\":\"state\",\"state\":\"running\",\"reason\":\"started\"}");
	expect(client, "{\"id\":1,\"result\":{}}");
	request("{\"id\": 2, \"method\": \"pause\", \"params\": {}}");
	expect(client, "{\"event\":\"state\",\"state\":\"paused\",\"reason\":\"paused\"}");
	expect(client, "{\"id\":2,\"result\":{}}");
	request("{\"id\": 3, \"method\": \"resume\"}");
	expect(client, "{\"event\":\"state\",\"state\":\"running\",\"reason\":\"resumed\"}");
	expect(client, "{\"id\":3,\"result\":{}}");
	request("{\"id\": 4, \"method\": \"reset\"}");
	expect(client, "{\"event\":\"state\",\"state\":\"running\",\"reason\":\"started\"}");
	expect(client, "{\"id\":4,\"result\":{}}");
	request("{\"id\": 5, \"method\": \"stop\", \"params\": {\"how\": \"turn_off\"}}");
	expect(client, "{\"event\":\"state\",\"state\":\"stopped\",\"reason\":\"turned_off\"}");
	expect(client, "{\"id\":5,\"result\":{}}");
	assert_true(bench.loop.stopping);
	assert_int_equal(bench.worker.exit_status, WORKER_EXIT_OK);
}

static const struct {
	const char *request, *code, *message;
} refusals[] = {
	{ "{\"id\": 1, \"method\": \"pause\"}", "invalid_state", "not possible in state \"created\"" },
	{ "{\"id\": 1, \"method\": \"resume\"}", "invalid_state", "not possible" },
	{ "{\"id\": 1, \"method\": \"reset\"}", "invalid_state", "not possible" },
	{ "{\"id\": 1, \"method\": \"fly\"}", "unknown_method", "method: \"fly\" is unknown" },
	{ "{\"id\": 1, \"method\": 7}", "invalid_request", "method: missing, or no text" },
	{ "{\"id\": 1}", "invalid_request", "method: missing, or no text" },
	{ "{\"id\": 1, \"method\": \"start\", \"params\": []}", "invalid_request", "params: must be an object" },
	{ "{\"id\": 1, \"method\": \"stop\"}", "invalid_params", "params.how" },
	{ "{\"id\": 1, \"method\": \"stop\", \"params\": {\"how\": \"save\"}}", "invalid_params", "params.how" },
	{ "{\"id\": 1, \"method\": \"stop\", \"params\": {\"how\": 1}}", "invalid_params", "params.how" },
};

static void refusals_have_a_code_and_a_message(void **state)
{
	(void)receive(client);
	for (unsigned i = 0; i < COUNT(refusals); i++) {
		struct json_object *response, *error, *value;

		request(refusals[i].request);
		response = json_tokener_parse(receive(client));
		assert_non_null(response);
		assert_true(json_object_object_get_ex(response, "id", &value));
		assert_int_equal(json_object_get_int(value), 1);
		if (!json_object_object_get_ex(response, "error", &error))
			fail_msg("%s was taken", refusals[i].request);
		assert_true(json_object_object_get_ex(error, "code", &value));
		assert_string_equal(json_object_get_string(value), refusals[i].code);
		assert_true(json_object_object_get_ex(error, "message", &value));
		assert_non_null(strstr(json_object_get_string(value), refusals[i].message));
		json_object_put(response);
		expect(client, "");
	}
	assert_int_equal(bench.worker.state, WORKER_CREATED);
}

static void a_failed_start_is_answered_before_the_end(void **state)
{
	(void)receive(client);
	bench.backend.fail_call = "map";
	bench.backend.fail_error = -ENOMEM;
	request("{\"id\": 9, \"method\": \"start\"}");
	expect(client, "{\"event\":\"state\",\"state\":\"stopped\",\"reason\":\"internal_error\"}");
	expect(client, "{\"id\":9,\"error\":{\"code\":\"start_failed\",\"message\":\"fake: map fails\"}}");
	assert_int_equal(bench.worker.exit_status, WORKER_EXIT_START_FAILED);
}

static void status_has_every_member(void **state)
{
	static const struct { const char *name; enum json_type type; } members[] = {
		{ "state", json_type_string }, { "pid", json_type_int }, { "uptime_ms", json_type_int },
		{ "cpu_time_100ns", json_type_int }, { "memory_mib", json_type_int }, { "reason", json_type_string },
	};
	struct json_object *response, *result, *value;

	(void)receive(client);
	request("{\"id\": \"a\", \"method\": \"start\"}");
	(void)receive(client);
	expect(client, "{\"id\":\"a\",\"result\":{}}");
	request("{\"id\": 2, \"method\": \"status\"}");
	response = json_tokener_parse(receive(client));
	assert_true(json_object_object_get_ex(response, "result", &result));
	assert_int_equal(json_object_object_length(result), COUNT(members));
	for (unsigned i = 0; i < COUNT(members); i++) {
		assert_true(json_object_object_get_ex(result, members[i].name, &value));
		assert_int_equal(json_object_get_type(value), members[i].type);
	}
	assert_true(json_object_object_get_ex(result, "memory_mib", &value));
	assert_int_equal(json_object_get_int(value), 32);
	json_object_put(response);
}

static void stats_name_devices_and_vps(void **state)
{
	struct json_object *response, *result, *list, *value;

	(void)receive(client);
	request("{\"id\": 1, \"method\": \"stats\"}");
	expect(client, "{\"id\":1,\"result\":{\"devices\":[],\"vps\":[]}}");
	assert_int_equal(worker_apply(&bench.worker, WORKER_START, NULL), 0);
	(void)receive(client);
	request("{\"id\": 2, \"method\": \"stats\"}");
	response = json_tokener_parse(receive(client));
	assert_true(json_object_object_get_ex(response, "result", &result));
	assert_true(json_object_object_get_ex(result, "devices", &list));
	assert_int_equal(json_object_array_length(list), 4);
	for (unsigned i = 0; i < 4; i++) {
		static const char *const names[] = { "bus", "com1", "ioapic", "vmbus" };

		assert_true(json_object_object_get_ex(json_object_array_get_idx(list, i), "name", &value));
		assert_string_equal(json_object_get_string(value), names[i]);
		assert_true(json_object_object_get_ex(json_object_array_get_idx(list, i), "instance", &value));
		assert_null(value);
		assert_true(json_object_object_get_ex(json_object_array_get_idx(list, i), "unit", &value));
		assert_null(value);
	}
	assert_false(json_object_object_get_ex(result, "next", &value));
	assert_true(json_object_object_get_ex(result, "vps", &list));
	assert_int_equal(json_object_array_length(list), 2);
	json_object_put(response);
}

static void a_newer_client_replaces_the_older(void **state)
{
	int newer = connect_unix(bench.control_listener, SOCK_SEQPACKET);

	(void)receive(client);
	expect(client, "closed");
	expect(newer, "{\"event\":\"state\",\"state\":\"created\",\"reason\":null}");
	(void)close(client);
	client = newer;
	request("{\"id\": 1, \"method\": \"start\"}");
	expect(client, "{\"event\":\"state\",\"state\":\"running\",\"reason\":\"started\"}");
}

static void the_worker_outlives_its_client(void **state)
{
	(void)close(client);
	assert_int_equal(worker_apply(&bench.worker, WORKER_START, NULL), 0);
	bench_machine_settle(&bench);
	client = connect_unix(bench.control_listener, SOCK_SEQPACKET);
	expect(client, "{\"event\":\"state\",\"state\":\"running\",\"reason\":\"started\"}");
}

static void a_packet_that_is_no_object_closes_the_connection(void **state)
{
	static const char *const bad[] = { "hello", "[1]", "1", "{\"id\": 1", "{\"id\": 1} x", "{\"id\": \"\xff\"}", "null" };

	for (unsigned i = 0; i < COUNT(bad); i++) {
		(void)receive(client);
		request(bad[i]);
		expect(client, "closed");
		(void)close(client);
		client = connect_unix(bench.control_listener, SOCK_SEQPACKET);
		bench_machine_settle(&bench);
	}
}

static void a_packet_that_is_too_long_closes_the_connection(void **state)
{
	char *text = malloc(WORKER_MSG_MAX + 2);

	memset(text, ' ', WORKER_MSG_MAX + 1);
	memcpy(text, "{\"id\": 1}", 9);
	text[WORKER_MSG_MAX + 1] = 0;
	(void)receive(client);
	request(text);
	expect(client, "closed");
	free(text);
}

static void a_client_that_does_not_read_is_dropped_and_nobody_waits(void **state)
{
	assert_int_equal(worker_apply(&bench.worker, WORKER_START, NULL), 0);
	for (unsigned i = 0; i < 2000 && bench.control.client.fd >= 0; i++) {
		assert_int_equal(worker_apply(&bench.worker, WORKER_PAUSE, NULL), 0);
		assert_int_equal(worker_apply(&bench.worker, WORKER_RESUME, NULL), 0);
	}
	assert_int_equal(bench.control.client.fd, -1);
	assert_int_equal(bench.worker.state, WORKER_RUNNING);
}

/* ---- console ---- */

static void guest_types(const char *text)
{
	for (; *text; text++)
		devices_port_write(&bench.worker.machine.devices, 0x3f8, 1, (uint8_t)*text);
}

/* All that has come to a console client. */
static size_t drain(int fd, char *to, size_t max)
{
	size_t bytes = 0;
	ssize_t got;

	for (unsigned quiet = 0; quiet < 3;) {
		bench_machine_settle(&bench);
		got = recv(fd, to + bytes, max - bytes, MSG_DONTWAIT);
		quiet = got > 0 ? 0 : quiet + 1;
		if (got > 0)
			bytes += (size_t)got;
	}
	return bytes;
}

static void each_console_client_gets_the_backlog_and_all_output(void **state)
{
	int first, second;
	char text[64];

	assert_int_equal(worker_apply(&bench.worker, WORKER_START, NULL), 0);
	guest_types("before ");
	first = connect_unix(bench.console_listener, SOCK_STREAM);
	bench_machine_settle(&bench);
	guest_types("after");
	second = connect_unix(bench.console_listener, SOCK_STREAM);
	assert_int_equal(drain(first, text, sizeof text), 12);
	assert_memory_equal(text, "before after", 12);
	assert_int_equal(drain(second, text, sizeof text), 12);
	assert_memory_equal(text, "before after", 12);
	(void)close(first);
	guest_types("!");
	assert_int_equal(drain(second, text, sizeof text), 1);
	(void)close(second);
}

static void a_slow_client_loses_its_oldest_and_the_guest_never_waits(void **state)
{
	const size_t total = 1u << 20;
	char *text = malloc(total);
	int slow = connect_unix(bench.console_listener, SOCK_STREAM);
	size_t got;

	assert_int_equal(worker_apply(&bench.worker, WORKER_START, NULL), 0);
	bench_machine_settle(&bench);
	for (size_t i = 0; i < total; i++) {
		char byte[2] = { (char)('a' + i % 23), 0 };

		guest_types(byte);
		if (i % 10000 == 0)
			bench_machine_settle(&bench);
	}
	got = drain(slow, text, total);
	assert_true(got < total);
	assert_true(got >= WORKER_CONSOLE_BACKLOG);
	/* The newest are all there, in order. */
	for (size_t i = 0; i < WORKER_CONSOLE_BACKLOG; i++)
		assert_int_equal(text[got - 1 - i], 'a' + (total - 1 - i) % 23);
	assert_int_equal(bench.console.dropped, total - got);
	free(text);
	(void)close(slow);
}

static void input_of_all_clients_reaches_the_guest_without_loss(void **state)
{
	int first = connect_unix(bench.console_listener, SOCK_STREAM), second = connect_unix(bench.console_listener, SOCK_STREAM);
	struct devices *devices;
	unsigned received = 0, of_first = 0;

	assert_int_equal(worker_apply(&bench.worker, WORKER_START, NULL), 0);
	devices = &bench.worker.machine.devices;
	bench_machine_settle(&bench);
	for (unsigned i = 0; i < 100; i++) {
		char line[101];

		memset(line, i % 2 ? 'x' : 'y', 100);
		assert_int_equal(send(i % 2 ? first : second, line, 100, 0), 100);
	}
	for (unsigned tries = 0; tries < 30000 && received < 10000; tries++) {
		if (tries % 500 == 0)
			bench_machine_settle(&bench);
		if (!(devices_port_read(devices, 0x3fd, 1) & 1))
			continue;
		received++;
		of_first += devices_port_read(devices, 0x3f8, 1) == 'x';
	}
	assert_int_equal(received, 10000);
	assert_int_equal(of_first, 5000);
	(void)close(first);
	(void)close(second);
}

static void input_interrupts_the_guest(void **state)
{
	int fd = connect_unix(bench.console_listener, SOCK_STREAM);
	struct devices *devices;

	assert_int_equal(worker_apply(&bench.worker, WORKER_START, NULL), 0);
	devices = &bench.worker.machine.devices;
	devices_port_write(devices, 0x3fc, 1, 0x08);
	devices_port_write(devices, 0x3f9, 1, 0x01);
	assert_false(devices->com1.level);
	assert_int_equal(send(fd, "k", 1, 0), 1);
	bench_machine_settle(&bench);
	assert_true(devices->com1.level);
	assert_int_equal(devices_port_read(devices, 0x3f8, 1), 'k');
	(void)close(fd);
}

static void more_clients_than_places_are_turned_away(void **state)
{
	int fds[CONSOLE_CLIENTS_MAX + 1];
	char byte;

	for (unsigned i = 0; i <= CONSOLE_CLIENTS_MAX; i++) {
		fds[i] = connect_unix(bench.console_listener, SOCK_STREAM);
		bench_machine_settle(&bench);
	}
	assert_int_equal(recv(fds[CONSOLE_CLIENTS_MAX], &byte, 1, MSG_DONTWAIT), 0);
	assert_int_equal(recv(fds[0], &byte, 1, MSG_DONTWAIT), -1);
	(void)close(fds[0]);
	bench_machine_settle(&bench);
	fds[0] = connect_unix(bench.console_listener, SOCK_STREAM);
	bench_machine_settle(&bench);
	assert_int_equal(recv(fds[0], &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	for (unsigned i = 0; i <= CONSOLE_CLIENTS_MAX; i++)
		(void)close(fds[i]);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_state_is_told_on_connection),
		TEST(a_life_by_requests),
		TEST(refusals_have_a_code_and_a_message),
		TEST(a_failed_start_is_answered_before_the_end),
		TEST(status_has_every_member),
		TEST(stats_name_devices_and_vps),
		TEST(a_newer_client_replaces_the_older),
		TEST(the_worker_outlives_its_client),
		TEST(a_packet_that_is_no_object_closes_the_connection),
		TEST(a_packet_that_is_too_long_closes_the_connection),
		TEST(a_client_that_does_not_read_is_dropped_and_nobody_waits),
		TEST(each_console_client_gets_the_backlog_and_all_output),
		TEST(a_slow_client_loses_its_oldest_and_the_guest_never_waits),
		TEST(input_of_all_clients_reaches_the_guest_without_loss),
		TEST(input_interrupts_the_guest),
		TEST(more_clients_than_places_are_turned_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
