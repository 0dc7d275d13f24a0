// SPDX-License-Identifier: Apache-2.0
/* The vmwp program itself: its command line, its exit status, its last words. The driver is a device that refuses everything. */
#include "cmocka_all.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench_machine.h"
#include "kernel_image.h"
#include "worker/worker_msg.h"

#define ID "01234567-89ab-cdef-0123-456789abcdef"
#define CONFIG \
	"{\"version\":1,\"id\":\"" ID "\",\"name\":\"n\",\"processors\":{\"count\":1},\"memory\":{\"startup_mib\":32}," \
	"\"boot\":{\"kind\":\"linux\",\"command_line\":\"\"},\"devices\":[{\"type\":\"com\",\"port\":1}]}"

static struct {
	pid_t pid;
	int output;				/* both streams of the process */
	char text[4096];
} process;

static void start(char *const argv[])
{
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	process.pid = fork();
	if (process.pid == 0) {
		(void)dup2(fds[1], STDOUT_FILENO);
		(void)dup2(fds[1], STDERR_FILENO);
		/* The leak checker stops all threads by means that the sandbox does not let it have. */
		(void)setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
		(void)execv(VMWP_PATH, argv);
		_exit(127);
	}
	assert_true(process.pid > 0);
	(void)close(fds[1]);
	process.output = fds[0];
}

/* Exit status; process.text is all that it said. */
static int finish(void)
{
	size_t bytes = 0;
	ssize_t got;
	int status = 0;

	while ((got = read(process.output, process.text + bytes, sizeof process.text - 1 - bytes)) > 0)
		bytes += (size_t)got;
	process.text[bytes] = 0;
	(void)close(process.output);
	assert_int_equal(waitpid(process.pid, &status, 0), process.pid);
	if (!WIFEXITED(status))
		fail_msg("wait status %#x after: %s", status, process.text);
	return WEXITSTATUS(status);
}

static unsigned lines(void)
{
	unsigned count = 0;

	for (const char *c = process.text; *c; c++)
		count += *c == '\n';
	return count;
}

static void it_tells_its_version(void **state)
{
	char *argv[] = { "vmwp", "--version", NULL };

	start(argv);
	assert_int_equal(finish(), 0);
	assert_int_equal(strncmp(process.text, "vmwp ", 5), 0);
}

static void a_wrong_command_line_is_one_line_and_status_2(void **state)
{
	static char *const rows[][5] = {
		{ "vmwp", NULL },
		{ "vmwp", "--frobnicate", NULL },
		{ "vmwp", "--id", NULL },
		{ "vmwp", "--id", "x", NULL },
		{ "vmwp", "extra", NULL },
		{ "vmwp", "--id", ID, NULL },
		{ "vmwp", "--id", ID, "--config-fd=zero", NULL },
		{ "vmwp", "--id", ID, "--config-fd=-1", NULL },
		{ "vmwp", "--id", ID, "--config-fd=999", NULL },
	};
	static const char *const texts[] = {
		"--id: a GUID", "--frobnicate", "--id", "--id: a GUID", "extra: unexpected", "--config-fd: missing",
		"--config-fd: \"zero\"", "--config-fd: \"-1\"", "--config-fd 999",
	};

	for (unsigned i = 0; i < COUNT(rows); i++) {
		start(rows[i]);
		assert_int_equal(finish(), WORKER_EXIT_START_FAILED);
		if (lines() != 1 || !strstr(process.text, texts[i]))
			fail_msg("row %u: %s", i, process.text);
	}
}

struct descriptors {
	int config, control, console, mshv, kernel;
};

static struct descriptors open_all(const char *config)
{
	static uint8_t image[KERNEL_IMAGE_BYTES];
	struct descriptors d;

	kernel_image_make(image);
	d.config = file_of(config, strlen(config));
	(void)lseek(d.config, 0, SEEK_SET);
	d.control = listen_unix(SOCK_SEQPACKET);
	d.console = listen_unix(SOCK_STREAM);
	d.mshv = open("/dev/null", O_RDWR | O_CLOEXEC);
	d.kernel = file_of(image, sizeof image);
	for (int *fd = &d.config; fd <= &d.kernel; fd++)
		(void)fcntl(*fd, F_SETFD, 0);
	return d;
}

static void close_all(struct descriptors *d)
{
	for (int *fd = &d->config; fd <= &d->kernel; fd++)
		(void)close(*fd);
}

static void start_with(const struct descriptors *d)
{
	static char text[5][32];
	char *argv[] = { "vmwp", "--id", ID, text[0], text[1], text[2], text[3], text[4], NULL };

	(void)snprintf(text[0], sizeof text[0], "--config-fd=%d", d->config);
	(void)snprintf(text[1], sizeof text[1], "--control-fd=%d", d->control);
	(void)snprintf(text[2], sizeof text[2], "--console-fd=%d", d->console);
	(void)snprintf(text[3], sizeof text[3], "--mshv-fd=%d", d->mshv);
	(void)snprintf(text[4], sizeof text[4], "--kernel-fd=%d", d->kernel);
	start(argv);
}

static void a_bad_configuration_is_named(void **state)
{
	struct descriptors d = open_all("{\"version\":1,\"speed\":9}");

	start_with(&d);
	assert_int_equal(finish(), WORKER_EXIT_START_FAILED);
	assert_string_equal(process.text, "vmwp: configuration: speed: unknown member\n");
	close_all(&d);
}

static void the_wrong_kind_of_descriptor_is_named(void **state)
{
	struct descriptors d = open_all(CONFIG);
	int kernel = d.kernel;

	d.kernel = d.mshv;
	start_with(&d);
	assert_int_equal(finish(), WORKER_EXIT_START_FAILED);
	assert_non_null(strstr(process.text, "--kernel-fd"));
	d.kernel = kernel;
	close_all(&d);
}

static void expect_packet(int fd, const char *text)
{
	char packet[1024];
	ssize_t got = recv(fd, packet, sizeof packet - 1, 0);

	assert_true(got > 0);
	packet[got] = 0;
	assert_string_equal(packet, text);
}

static void turned_off_before_its_start_it_exits_with_0(void **state)
{
	static const char stop[] = "{\"id\":1,\"method\":\"stop\",\"params\":{\"how\":\"turn_off\"}}";
	struct descriptors d = open_all(CONFIG);
	int fd = connect_unix(d.control, SOCK_SEQPACKET);

	start_with(&d);
	expect_packet(fd, "{\"event\":\"state\",\"state\":\"created\",\"reason\":null}");
	assert_true(send(fd, stop, strlen(stop), 0) > 0);
	expect_packet(fd, "{\"event\":\"state\",\"state\":\"stopped\",\"reason\":\"turned_off\"}");
	expect_packet(fd, "{\"id\":1,\"result\":{}}");
	assert_int_equal(finish(), WORKER_EXIT_OK);
	(void)close(fd);
	close_all(&d);
}

static void a_driver_that_refuses_is_the_last_line_and_status_2(void **state)
{
	static const char request[] = "{\"id\":1,\"method\":\"start\"}";
	struct descriptors d = open_all(CONFIG);
	int fd = connect_unix(d.control, SOCK_SEQPACKET);
	const char *last;

	start_with(&d);
	expect_packet(fd, "{\"event\":\"state\",\"state\":\"created\",\"reason\":null}");
	assert_true(send(fd, request, strlen(request), 0) > 0);
	expect_packet(fd, "{\"event\":\"state\",\"state\":\"stopped\",\"reason\":\"internal_error\"}");
	assert_int_equal(finish(), WORKER_EXIT_START_FAILED);
	last = strrchr(process.text, ':');
	assert_string_equal(last, ": Inappropriate ioctl for device\n");
	assert_non_null(strstr(process.text, ID ": partition: the driver creates none"));
	(void)close(fd);
	close_all(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_tells_its_version),
		cmocka_unit_test(a_wrong_command_line_is_one_line_and_status_2),
		cmocka_unit_test(a_bad_configuration_is_named),
		cmocka_unit_test(the_wrong_kind_of_descriptor_is_named),
		cmocka_unit_test(turned_off_before_its_start_it_exits_with_0),
		cmocka_unit_test(a_driver_that_refuses_is_the_last_line_and_status_2),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
