/* SPDX-License-Identifier: Apache-2.0 */
/* Worker packets, console log, files a client may name, configuration. */
#include "case.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/config.h"
#include "vmms/console_log.h"
#include "vmms/disk_set.h"
#include "vmms/host_file.h"
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
		{"{\"event\":\"device\",\"instance\":\"G\",\"type\":\"kvp\",\"what\":\"ready\"}", 0,
		 WORKER_PACKET_DEVICE},
		{"{\"event\":\"device\",\"instance\":\"G\",\"type\":\"kvp\"}", -1, 0},
		{"{\"event\":\"device\",\"instance\":1,\"type\":\"kvp\",\"what\":\"ready\"}", -1, 0},
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
		worker_wire_release(&packet);
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
	worker_wire_release(&packet);
}

static void requests_have_the_contract_s_form(void **state)
{
	struct store_vm vm = {.id = "I", .processor_count = 2, .startup_mib = 512};
	static const struct store_storage nothing;
	static const struct disk_set none;
	char *text = worker_wire_request(3, WORKER_REQUEST_STOP);

	assert_string_equal(text, "{\"id\":3,\"method\":\"stop\",\"params\":{\"how\":\"turn_off\"}}");
	free(text);
	strcpy(vm.element_name, "n\"");
	strcpy(vm.command_line, "a=\"b\"");
	text = worker_wire_config(&vm, &nothing, &none, 9, NULL, NULL);
	assert_string_equal(
		text, "{\"version\":1,\"id\":\"I\",\"name\":\"n\\\"\",\"processors\":{\"count\":2},"
		      "\"memory\":{\"startup_mib\":512},\"boot\":{\"kind\":\"linux\",\"command_line\":"
		      "\"a=\\\"b\\\"\"},\"devices\":[{\"type\":\"com\",\"port\":1},{\"type\":\"keyboard\","
		      "\"instance\":\"D34B2567-B9B6-42B9-8778-0A4EC0B955BF\"}]}");
	free(text);
}

static void adapters_have_the_contract_s_form(void **state)
{
	static struct store_network network = {
		.nic_count = 2,
		.nics = {{.id = "N0", .element_name = "front", .mac = {0, 0x15, 0x5d, 0xa, 0xb, 0xc},
			  .features = {[STORE_FEATURE_SECURITY] = true}, .mac_spoofing = true, .router_guard = true},
			 {.id = "N1", .element_name = "b\"", .dhcp_guard = true}}};
	static const struct network_devices adapters = {
		.network = &network, .numbers = {2, 2, {{7, 8}, {9, 10}}}, .connected = {true, false}};
	static const struct store_storage nothing;
	static const struct disk_set none;
	struct store_vm vm = {.id = "I"};
	char *text = worker_wire_config(&vm, &nothing, &none, 9, NULL, &adapters);

	assert_non_null(strstr(
		text, "{\"type\":\"nic\",\"instance\":\"N0\",\"name\":\"front\",\"mac\":\"00-15-5D-0A-0B-0C\","
		      "\"mtu\":1500,\"taps\":[7,8],\"link\":\"up\",\"mac_spoofing\":true,\"guard_dhcp\":false,"
		      "\"guard_router\":true},"
		      "{\"type\":\"nic\",\"instance\":\"N1\",\"name\":\"b\\\"\",\"mac\":\"00-00-00-00-00-00\","
		      "\"mtu\":1500,\"taps\":[9,10],\"link\":\"down\",\"mac_spoofing\":false,\"guard_dhcp\":false,"
		      "\"guard_router\":false}"));
	free(text);
}

static void devices_have_the_contract_s_form(void **state)
{
	static struct store_storage storage = {
		.controller_count = 2,
		.controllers = {"C0", "C1"},
		.drive_count = 4,
		.drives = {{.controller = 0, .lun = 1, .disk_id = "D0", .path = (char *)"/a", .direct = true},
			   {.controller = 0, .lun = 2, .disk_id = "D1"},
			   {.controller = 1, .lun = 0, .kind = STORE_DVD_DRIVE, .disk_id = "D2"},
			   {.controller = 1,
			    .lun = 63,
			    .disk_id = "D3",
			    .path = (char *)"/b",
			    .read_only = true}}};
	/* The descriptors of the worker are counted, whatever they are here. */
	static struct image_chain chains[4] = {
		{.count = 1, .layers = {{.fd = 50}}},
		[3] = {.count = 3, .layers = {{.format = IMAGE_VHDX}, {.format = IMAGE_VHDX}, {.format = IMAGE_VHD}}}};
	const struct disk_set disks = {4, chains};
	struct store_vm vm = {.id = "I", .components = {[STORE_KVP] = true}};
	char *text = worker_wire_config(&vm, &storage, &disks, 9, NULL, NULL);
	const char *devices = strstr(text, "\"devices\":");

	assert_non_null(devices);
	assert_string_equal(
		devices,
		"\"devices\":[{\"type\":\"com\",\"port\":1},"
		"{\"type\":\"scsi\",\"instance\":\"C0\",\"luns\":[{\"lun\":1,\"kind\":\"disk\",\"fd\":9,"
		"\"format\":\"raw\",\"id\":\"D0\",\"read_only\":false,\"direct\":true}]},"
		"{\"type\":\"scsi\",\"instance\":\"C1\",\"luns\":[{\"lun\":0,\"kind\":\"dvd\",\"fd\":-1,"
		"\"format\":\"raw\",\"id\":\"D2\",\"read_only\":true,\"direct\":false},"
		"{\"lun\":63,\"kind\":\"disk\",\"fd\":10,\"format\":\"vhdx\",\"parents\":[{\"fd\":11,\"format\":\"vhdx\"},"
		"{\"fd\":12,\"format\":\"vhd\"}],\"id\":\"D3\",\"read_only\":true,"
		"\"direct\":false}]},"
		"{\"type\":\"keyboard\",\"instance\":\"D34B2567-B9B6-42B9-8778-0A4EC0B955BF\"},"
		"{\"type\":\"kvp\",\"instance\":\"242FF919-07DB-4180-9C2E-B86CB68C8C55\"}]}");
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
	struct config_directories *allowed = calloc(1, sizeof(*allowed));
	int fd;

	assert_non_null(mkdtemp(directory));
	snprintf(allowed->paths[0], PATH_MAX, "%s/k", directory);
	allowed->count = 1;
	assert_int_equal(mkdir(allowed->paths[0], 0700), 0);
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

	assert_true(host_file_allowed(allowed, inside));
	assert_false(host_file_allowed(allowed, outside));
	assert_false(host_file_allowed(allowed, "image"));
	assert_false(host_file_allowed(allowed, allowed->paths[0]));
	snprintf(reason, sizeof(reason), "%s/k/../secret", directory);
	assert_false(host_file_allowed(allowed, reason));
	snprintf(reason, sizeof(reason), "%s/kk/image", directory);
	assert_false(host_file_allowed(allowed, reason));

	fd = host_file_open_kernel(allowed, inside, reason, sizeof(reason));
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(host_file_open_kernel(allowed, link, reason, sizeof(reason)), -1);
	assert_non_null(strstr(reason, "symbolic link"));
	assert_int_equal(host_file_open_kernel(allowed, fifo, reason, sizeof(reason)), -1);
	assert_int_equal(host_file_open_kernel(allowed, outside, reason, sizeof(reason)), -1);
	unlink(inside);
	unlink(link);
	unlink(fifo);
	unlink(outside);
	rmdir(allowed->paths[0]);
	rmdir(directory);
	free(allowed);
}

/* The descriptor, or -1; `in_use` NULL: without a lock. */
static int open_disk(const struct config_directories *allowed, const char *path, bool is_dvd, bool read_only,
		     bool *in_use, char *reason, unsigned reason_size)
{
	struct host_disk disk = {path, is_dvd, read_only};

	return host_file_open_disk(allowed, &disk, in_use, reason, reason_size);
}

static void a_disk_has_one_writer_or_many_readers(void **state)
{
	static struct config_directories allowed = {.count = 1};
	char directory[] = "/tmp/uc-disk-XXXXXX", path[64], reason[PATH_MAX + 128];
	bool in_use = false;
	int fd, copy, second;

	assert_non_null(mkdtemp(directory));
	strcpy(allowed.paths[0], directory);
	snprintf(path, sizeof(path), "%s/disk.img", directory);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_int_equal(ftruncate(fd, 4096), 0);
	close(fd);

#define OPEN(dvd, read_only, lock) open_disk(&allowed, path, dvd, read_only, lock, reason, sizeof(reason))
	fd = OPEN(false, false, &in_use);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDWR);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(OPEN(false, false, &in_use), -1);
	assert_true(in_use);
	assert_int_equal(OPEN(true, false, &in_use), -1);
	/* Looking is not using. */
	second = OPEN(false, false, NULL);
	assert_true(second >= 0);
	close(second);
	assert_int_equal(OPEN(false, true, &in_use), -1);
	/* A copy keeps it, wherever it is. */
	copy = dup(fd);
	close(fd);
	assert_int_equal(OPEN(false, true, &in_use), -1);
	close(copy);
	fd = OPEN(false, true, &in_use);
	second = OPEN(true, false, &in_use);
	assert_true(fd >= 0 && second >= 0);
	assert_int_equal(fcntl(second, F_GETFL) & O_ACCMODE, O_RDONLY);
	assert_int_equal(OPEN(false, false, &in_use), -1);
	close(fd);
	close(second);

	in_use = false;
	assert_int_equal(truncate(path, 1024), 0);
	assert_int_equal(OPEN(true, true, &in_use), -1);
	assert_non_null(strstr(reason, "no multiple of 2048"));
	assert_false(in_use);
#undef OPEN
	unlink(path);
	rmdir(directory);
}

static void a_configuration_error_names_its_line(void **state)
{
	static const struct {
		const char *text, *error;
	} rows[] = {
		{"# comment\n\nlisten-port = 9000\n", NULL},
		{"listen-port = 9000\nlisten-address=::1\nkernel-directories = /a:/b\n", NULL},
		{"disk-directories = /a:/b\n", NULL},
		{"disk-directories = /a:b\n", ":1: an absolute path"},
		{"\nlisten-port = x\n", ":2: \"x\" is no port"},
		{"listen-port = 65536\n", ":1: "},
		{"listen-address = localhost\n", ":1: \"localhost\" is no IPv4 or IPv6 address"},
		{"rundir = relative\n", ":1: an absolute path"},
		{"nonsense = 1\n", ":1: unknown key \"nonsense\""},
		{"nonsense\n", ":1: \"key = value\""},
		{"log-level = loud\n", ":1: \"loud\""},
		{"shutdown-timeout = 3600\nmemory-reserve = 0\nguest-file-directories = /f\n", NULL},
		{"shutdown-timeout = 0\n", ":1: a number from 1 to 3600"},
		{"shutdown-timeout = 5s\n", ":1: a number from 1 to 3600"},
		{"memory-reserve = -1\n", ":1: a number from 0"},
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
		cmocka_unit_test(devices_have_the_contract_s_form),
		cmocka_unit_test(adapters_have_the_contract_s_form),
		cmocka_unit_test(the_console_log_keeps_the_end),
		cmocka_unit_test(only_files_below_allowed_directories),
		cmocka_unit_test(a_disk_has_one_writer_or_many_readers),
		cmocka_unit_test(a_configuration_error_names_its_line),
		cmocka_unit_test(flags_win_over_the_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
