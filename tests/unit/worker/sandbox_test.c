// SPDX-License-Identifier: Apache-2.0
/* In the sandbox a whole worker lives; what a worker never does ends the process. Each case in a process of its own. */
#include "cmocka_all.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench_machine.h"
#include "worker/sandbox.h"

static void enter(void)
{
	struct failure why = { "" };

	if (sandbox_enter(&why)) {
		log_line("%s", why.text);
		_exit(99);
	}
}

/* Wait status of a child that runs `body`. */
static int in_child(void (*body)(void))
{
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		body();
		_exit(0);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static bool has_stopped(struct bench_machine *b, void *context)
{
	return b->worker.state == WORKER_STOPPED;
}

/* Start, console, pause, resume, reset and power off, by the control socket. */
static void live_whole_life(void)
{
	static const char *const requests[] = {
		"{\"id\":1,\"method\":\"start\"}", "{\"id\":2,\"method\":\"pause\"}", "{\"id\":3,\"method\":\"resume\"}",
		"{\"id\":4,\"method\":\"status\"}", "{\"id\":5,\"method\":\"stats\"}", "{\"id\":6,\"method\":\"reset\"}",
		"{\"id\":7,\"method\":\"stop\",\"params\":{\"how\":\"turn_off\"}}",
	};
	static struct bench_machine bench;
	int control, console;

	if (bench_machine_init(&bench, 4))
		_exit(98);
	control = connect_unix(bench.control_listener, SOCK_SEQPACKET);
	console = connect_unix(bench.console_listener, SOCK_STREAM);
	enter();
	for (unsigned i = 0; i < COUNT(requests); i++) {
		(void)send(control, requests[i], strlen(requests[i]), 0);
		(void)send(console, "input", 5, 0);
		bench_machine_settle(&bench);
		if (i == 0) {
			devices_port_write(&bench.worker.machine.devices, 0x3f8, 1, 'x');
			(void)devices_port_read(&bench.worker.machine.devices, 0x71, 1);
		}
	}
	if (!bench_machine_wait(&bench, has_stopped, NULL))
		_exit(97);
	bench_machine_fini(&bench);
}

static void a_worker_lives_its_life_inside(void **state)
{
	assert_int_equal(in_child(live_whole_life), 0);
}

static void make_a_socket(void)
{
	enter();
	(void)socket(AF_INET, SOCK_STREAM, 0);
}

static void make_a_process(void)
{
	enter();
	(void)fork();
}

static void run_a_program(void)
{
	char *argv[] = { NULL };

	enter();
	(void)execv("/bin/true", argv);
}

static void map_code(void)
{
	enter();
	(void)mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void look_at_others(void)
{
	enter();
	(void)kill(getppid(), 0);
}

static void what_a_worker_never_does_ends_it(void **state)
{
	static const struct { const char *what; void (*body)(void); } rows[] = {
		{ "socket", make_a_socket }, { "fork", make_a_process }, { "exec", run_a_program }, { "executable memory", map_code },
		{ "kill", look_at_others },
	};

	for (unsigned i = 0; i < COUNT(rows); i++) {
		int status = in_child(rows[i].body);

		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
			fail_msg("%s: wait status %#x", rows[i].what, status);
	}
}

static void has_no_capabilities(void)
{
	char text[4096];
	int fd = open("/proc/self/status", O_RDONLY);
	ssize_t bytes;

	enter();
	bytes = pread(fd, text, sizeof text - 1, 0);
	text[bytes > 0 ? bytes : 0] = 0;
	if (!strstr(text, "CapEff:\t0000000000000000") || !strstr(text, "CapPrm:\t0000000000000000"))
		_exit(1);
	if (!strstr(text, "NoNewPrivs:\t1") || !strstr(text, "Seccomp:\t2"))
		_exit(2);
}

static void no_capability_is_left(void **state)
{
	assert_int_equal(in_child(has_no_capabilities), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_worker_lives_its_life_inside),
		cmocka_unit_test(what_a_worker_never_does_ends_it),
		cmocka_unit_test(no_capability_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
