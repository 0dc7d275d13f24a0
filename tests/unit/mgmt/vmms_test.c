/* SPDX-License-Identifier: Apache-2.0 */
/* Worker packets, console log, files a client may name, configuration. */
#include "case.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/config.h"
#include "vmms/console_log.h"
#include "vmms/kernel_file.h"
#include "vmms/worker_wire.h"
#include "worker/worker_msg.h"

static void packets_are_read_or_refused(void **state)
{
	static const struct {
		const char *text;
		int result;
		enum worker_packet_kind kind;
	} rows[] = {
		{"{\"event\":\"state\",\"state\":\"running\",\"reason\":\"started\"}", 0,
		 WORKER_PACKET_STATE},
		{"{\"event\":\"state\",\"state\":\"created\",\"reason\":null}", 0, WORKER_PACKET_STATE},
		{"{\"event\":\"new thing\",\"x\":1}", 0, WORKER_PACKET_OTHER},
		{"{\"id\":1,\"result\":{}}", 0, WORKER_PACKET_RESULT},
		{"{\"id\":1,\"result\":null}", 0, WORKER_PACKET_RESULT},
		{"{\"id\":1,\"error\":{\"code\":\"invalid_state\",\"message\":\"m\"}}", 0,
		 WORKER_PACKET_ERROR},
		{"{\"event\":\"state\",\"state\":\"dancing\"}", -1, 0},
		{"{\"event\":\"state\"}", -1, 0},
		{"{\"event\":1}", -1, 0},
		{"{\"id\":\"1\",\"result\":{}}", -1, 0},
		{"{\"id\":1}", -1, 0},
		{"{\"id\":1,\"error\":\"x\"}", -1, 0},
		{"{}", -1, 0},
		{"[]", -1, 0},
		{"{\"event\":\"state\",\"state\":\"running\"}trailing", -1, 0},
		{"{\"event\":", -1, 0},
		{"", -1, 0},
		{"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", -1, 0},
	};
	struct worker_packet packet;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		/* Exactly the bytes, without a terminator: a reader that looks past them is found by the
		 * sanitizer. */
		size_t size = strlen(rows[i].text);
		char *exact = malloc(size ? size : 1);
		int result;

		memcpy(exact, rows[i].text, size);
		result = worker_wire_read(exact, size, &packet);
		free(exact);
		if (result != rows[i].result || (!result && packet.kind != rows[i].kind))
			fail_msg("%s: %d", rows[i].text, result);
	}
}

static void a_status_is_taken_with_care(void **state)
{
	static const char text[] =
		"{\"id\":7,\"result\":{\"state\":\"paused\",\"pid\":42,\"uptime_ms\":-5,"
		"\"cpu_time_100ns\":9007199254740993,\"memory_mib\":\"x\",\"reason\":\"a\\nb\"}}";
	struct worker_packet packet;

	assert_int_equal(worker_wire_read(text, sizeof(text) - 1, &packet), 0);
	assert_true(packet.has_status);
	assert_int_equal(packet.id, 7);
	assert_int_equal(packet.state, WORKER_STATE_PAUSED);
	assert_int_equal(packet.pid, 42);
	assert_int_equal(packet.uptime_ms, 0);
	assert_true(packet.cpu_time_100ns == UINT64_C(9007199254740993));
	assert_int_equal(packet.memory_mib, 0);
	assert_string_equal(packet.reason, "a b");
}

static void requests_have_the_contract_s_form(void **state)
{
	struct store_vm vm = {.id = "I", .processor_count = 2, .startup_mib = 512};
	char *text = worker_wire_request(3, WORKER_REQUEST_STOP);

	assert_string_equal(text, "{\"id\":3,\"method\":\"stop\",\"params\":{\"how\":\"turn_off\"}}");
	free(text);
	strcpy(vm.element_name, "n\"");
	strcpy(vm.command_line, "a=\"b\"");
	text = worker_wire_config(&vm);
	assert_string_equal(text,
			    "{\"version\":1,\"id\":\"I\",\"name\":\"n\\\"\",\"processors\":{\"count\":2},"
			    "\"memory\":{\"startup_mib\":512},\"boot\":{\"kind\":\"linux\",\"command_line\":"
			    "\"a=\\\"b\\\"\"},\"devices\":[{\"type\":\"com\",\"port\":1}]}");
	free(text);
}

static void the_console_log_keeps_the_end(void **state)
{
	static char model[5 * WORKER_CONSOLE_BACKLOG], out[WORKER_CONSOLE_BACKLOG];
	struct console_log log = {0};
	size_t total = 0;

	assert_int_equal(console_log_read(&log, out), 0);
	srand(1);
	while (total < sizeof(model) - 70000) {
		size_t size = (size_t)rand() % (total % 3 ? 70000 : 700), expected;

		for (size_t i = 0; i < size; i++)
			model[total + i] = (char)rand();
		console_log_append(&log, model + total, size);
		total += size;
		expected = total < WORKER_CONSOLE_BACKLOG ? total : WORKER_CONSOLE_BACKLOG;
		assert_int_equal(console_log_read(&log, out), expected);
		assert_memory_equal(out, model + total - expected, expected);
	}
	console_log_clear(&log);
	assert_int_equal(console_log_read(&log, out), 0);
}

static void only_files_below_allowed_directories(void **state)
{
	char directory[] = "/tmp/uc-kernel-XXXXXX", inside[64], link[64], outside[64], fifo[64],
	     reason[PATH_MAX + 128];
	struct config *config = calloc(1, sizeof(*config));
	int fd;

	assert_non_null(mkdtemp(directory));
	snprintf(config->kernel_directories[0], PATH_MAX, "%s/k", directory);
	config->kernel_directory_count = 1;
	assert_int_equal(mkdir(config->kernel_directories[0], 0700), 0);
	snprintf(inside, sizeof(inside), "%s/k/image", directory);
	snprintf(link, sizeof(link), "%s/k/link", directory);
	snprintf(fifo, sizeof(fifo), "%s/k/fifo", directory);
	snprintf(outside, sizeof(outside), "%s/secret", directory);
	fd = open(inside, O_CREAT | O_WRONLY, 0600);
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
	fd = open(outside, O_CREAT | O_WRONLY, 0600);
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
	assert_int_equal(symlink("../secret", link), 0);
	assert_int_equal(mkfifo(fifo, 0600), 0);

	assert_true(kernel_file_allowed(config, inside));
	assert_false(kernel_file_allowed(config, outside));
	assert_false(kernel_file_allowed(config, "image"));
	assert_false(kernel_file_allowed(config, config->kernel_directories[0]));
	snprintf(reason, sizeof(reason), "%s/k/../secret", directory);
	assert_false(kernel_file_allowed(config, reason));
	snprintf(reason, sizeof(reason), "%s/kk/image", directory);
	assert_false(kernel_file_allowed(config, reason));

	fd = kernel_file_open(config, inside, reason, sizeof(reason));
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(kernel_file_open(config, link, reason, sizeof(reason)), -1);
	assert_non_null(strstr(reason, "symbolic link"));
	assert_int_equal(kernel_file_open(config, fifo, reason, sizeof(reason)), -1);
	assert_int_equal(kernel_file_open(config, outside, reason, sizeof(reason)), -1);
	unlink(inside);
	unlink(link);
	unlink(fifo);
	unlink(outside);
	rmdir(config->kernel_directories[0]);
	rmdir(directory);
	free(config);
}

static void a_configuration_error_names_its_line(void **state)
{
	static const struct {
		const char *text, *error;
	} rows[] = {
		{"# comment\n\nlisten-port = 9000\n", NULL},
		{"listen-port = 9000\nlisten-address=::1\nkernel-directories = /a:/b\n", NULL},
		{"\nlisten-port = x\n", ":2: \"x\" is no port"},
		{"listen-port = 65536\n", ":1: "},
		{"listen-address = localhost\n", ":1: \"localhost\" is no IPv4 or IPv6 address"},
		{"rundir = relative\n", ":1: an absolute path"},
		{"nonsense = 1\n", ":1: unknown key \"nonsense\""},
		{"nonsense\n", ":1: \"key = value\""},
		{"log-level = loud\n", ":1: \"loud\""},
	};
	char path[] = "/tmp/uc-config-XXXXXX", reason[512];
	struct config *config = calloc(1, sizeof(*config));
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int result;

		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(pwrite(fd, rows[i].text, strlen(rows[i].text), 0),
				 (ssize_t)strlen(rows[i].text));
		result = config_read_file(config, path, reason, sizeof(reason));
		if ((result == 0) != !rows[i].error)
			fail_msg("%s: %d", rows[i].text, result);
		if (result && !strstr(reason, rows[i].error))
			fail_msg("%s: %s", rows[i].text, reason);
	}
	close(fd);
	unlink(path);
	free(config);
}

static void flags_win_over_the_file(void **state)
{
	char *argv[] = {(char *)"vmms",     (char *)"--listen-port=7", (char *)"--statedir",    (char *)"/s",
			(char *)"--config", (char *)"/dev/null",       (char *)"--check-config"};
	char *missing[] = {(char *)"vmms", (char *)"--listen-port"};
	struct config *config = calloc(1, sizeof(*config));
	char reason[512];

	assert_int_equal(config_load(config, 7, argv, reason, sizeof(reason)), 0);
	assert_int_equal(config->port, 7);
	assert_string_equal(config->token_file, "/s/token");
	assert_string_equal(config->address, "127.0.0.1");
	assert_true(config->check_only);
	assert_int_equal(config_load(config, 2, missing, reason, sizeof(reason)), -1);
	assert_non_null(strstr(reason, "--listen-port: a value is missing"));
	free(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_are_read_or_refused),
		cmocka_unit_test(a_status_is_taken_with_care),
		cmocka_unit_test(requests_have_the_contract_s_form),
		cmocka_unit_test(the_console_log_keeps_the_end),
		cmocka_unit_test(only_files_below_allowed_directories),
		cmocka_unit_test(a_configuration_error_names_its_line),
		cmocka_unit_test(flags_win_over_the_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
