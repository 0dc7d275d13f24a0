// SPDX-License-Identifier: Apache-2.0
#include "bench_machine.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "kernel_image.h"

#define WAIT_MAX_S 5

int listen_unix(int type)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	/* Only the family: the kernel picks an abstract name. */
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address.sun_family) < 0 || listen(fd, 8) < 0)
		perror("listen_unix");
	return fd;
}

int connect_unix(int listener, int type)
{
	struct sockaddr_un address;
	socklen_t bytes = sizeof address;
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	if (fd < 0 || getsockname(listener, (struct sockaddr *)&address, &bytes) < 0 ||
	    connect(fd, (struct sockaddr *)&address, bytes) < 0)
		perror("connect_unix");
	return fd;
}

int bench_machine_init(struct bench_machine *b, unsigned vp_count)
{
	static uint8_t image[KERNEL_IMAGE_BYTES];
	struct machine_files files = { .initrd_fd = -1 };
	struct failure why = { "" };

	memset(b, 0, sizeof *b);
	vp_thread_install_signal();
	fake_backend_init(&b->backend);
	kernel_image_make(image);
	b->kernel_fd = file_of(image, sizeof image);
	files.kernel_fd = b->kernel_fd;
	b->config = (struct config){
		.vp_count = vp_count, .memory_mib = 32, .has_com1 = true, .command_line = strdup(""), .trace_fd = -1,
	};
	b->console_listener = listen_unix(SOCK_STREAM);
	b->control_listener = listen_unix(SOCK_SEQPACKET);
	if (loop_init(&b->loop, &why) ||
	    console_init(&b->console, &b->loop, b->console_listener, worker_console_input, &b->worker, &why) ||
	    worker_init(&b->worker, &b->config, &files, &b->backend.base, &b->console, &b->loop, &why) ||
	    control_listen(&b->control, &b->loop, b->control_listener, &b->worker, &why)) {
		(void)fprintf(stderr, "bench_machine: %s\n", why.text);
		return -1;
	}
	return 0;
}

void bench_machine_fini(struct bench_machine *b)
{
	control_end(&b->control);
	worker_fini(&b->worker);
	console_fini(&b->console);
	loop_fini(&b->loop);
	config_fini(&b->config);
	(void)close(b->kernel_fd);
	(void)close(b->console_listener);
	(void)close(b->control_listener);
	fake_backend_fini(&b->backend);
}

bool bench_machine_wait(struct bench_machine *b, bool (*done)(struct bench_machine *b, void *context), void *context)
{
	time_t end = time(NULL) + WAIT_MAX_S;

	while (!done(b, context)) {
		if (time(NULL) > end)
			return false;
		(void)loop_step(&b->loop, 10);
	}
	return true;
}

void bench_machine_settle(struct bench_machine *b)
{
	for (unsigned i = 0; i < 5; i++)
		(void)loop_step(&b->loop, 1);
}
