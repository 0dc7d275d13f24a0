// SPDX-License-Identifier: Apache-2.0
/* vmwp: one process per child partition. Command line, exit status and protocols: worker_msg.h. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "worker/backend_vid.h"
#include "worker/config.h"
#include "worker/console.h"
#include "worker/control.h"
#include "worker/sandbox.h"
#include "worker/worker.h"
#include "worker/worker_msg.h"

#ifndef VMWP_VERSION
#define VMWP_VERSION "0.1"
#endif

enum descriptor { FD_CONFIG, FD_CONTROL, FD_CONSOLE, FD_MSHV, FD_KERNEL, FD_INITRD, FD_TRACE, FD_COUNT };

static const struct {
	const char *option;
	mode_t type;				/* S_IF*, 0: any */
	bool optional;
} descriptors[FD_COUNT] = {
	[FD_CONFIG] = { "config-fd", 0, false },
	[FD_CONTROL] = { "control-fd", S_IFSOCK, false },
	[FD_CONSOLE] = { "console-fd", S_IFSOCK, false },
	[FD_MSHV] = { "mshv-fd", S_IFCHR, false },
	[FD_KERNEL] = { "kernel-fd", S_IFREG, false },
	[FD_INITRD] = { "initrd-fd", S_IFREG, true },
	[FD_TRACE] = { "trace-fd", S_IFREG, true },
};

struct arguments {
	const char *id;
	int fd[FD_COUNT];
};

static int parse_descriptor(const char *option, const char *text, int *out, struct failure *why)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (errno || end == text || *end || value < 0 || value > INT_MAX)
		return failure_set(why, -EINVAL, "--%s: \"%.40s\" is no descriptor number", option, text);
	*out = (int)value;
	return 0;
}

static int check_descriptor(enum descriptor which, int fd, struct failure *why)
{
	struct stat st;

	if (fd < 0)
		return descriptors[which].optional ? 0
						   : failure_set(why, -EINVAL, "--%s: missing", descriptors[which].option);
	if (fstat(fd, &st) < 0)
		return failure_set(why, -errno, "--%s %d: %s", descriptors[which].option, fd, strerror(errno));
	if (descriptors[which].type && (st.st_mode & S_IFMT) != descriptors[which].type)
		return failure_set(why, -EINVAL, "--%s %d: wrong kind of file", descriptors[which].option, fd);
	return 0;
}

/* 1: --version was asked for. */
static int parse_arguments(int argc, char **argv, struct arguments *out, struct failure *why)
{
	struct option options[FD_COUNT + 3] = {
		[FD_COUNT] = { "id", required_argument, NULL, FD_COUNT },
		[FD_COUNT + 1] = { "version", no_argument, NULL, FD_COUNT + 1 },
	};
	int chosen, r = 0;

	for (int i = 0; i < FD_COUNT; i++) {
		options[i] = (struct option){ descriptors[i].option, required_argument, NULL, i };
		out->fd[i] = -1;
	}
	opterr = 0;
	while (r == 0 && (chosen = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (chosen == '?')
			return failure_set(why, -EINVAL, "%.80s: unknown option, or its value is missing", argv[optind - 1]);
		if (chosen == FD_COUNT + 1)
			return 1;
		if (chosen == FD_COUNT)
			out->id = optarg;
		else
			r = parse_descriptor(descriptors[chosen].option, optarg, &out->fd[chosen], why);
	}
	if (r == 0 && optind < argc)
		return failure_set(why, -EINVAL, "%.80s: unexpected argument", argv[optind]);
	if (r == 0 && (!out->id || !json_is_guid(out->id)))
		return failure_set(why, -EINVAL, "--id: a GUID is needed");
	for (enum descriptor i = 0; r == 0 && i < FD_COUNT; i++)
		r = check_descriptor(i, out->fd[i], why);
	return r;
}

static int read_config(const struct arguments *arguments, struct config *config, struct failure *why)
{
	struct failure what = { "" };
	int r = config_read(arguments->fd[FD_CONFIG], config, &what);

	if (r)
		return failure_set(why, r, "configuration: %.220s", what.text);
	if (strcasecmp(config->id, arguments->id)) {
		config_fini(config);
		return failure_set(why, -EINVAL, "configuration: id: not the one of --id");
	}
	config->trace_fd = arguments->fd[FD_TRACE];
	return 0;
}

/* The parts are large and live as long as the process. */
static struct {
	struct loop loop;
	struct console console;
	struct backend_vid backend;
	struct worker worker;
	struct control control;
} process;

/* Serves until the child is stopped. Returns the exit status, or a negative errno with `why`. */
static int serve(const struct arguments *arguments, struct config *config, struct failure *why)
{
	struct machine_files files = { arguments->fd[FD_KERNEL], arguments->fd[FD_INITRD] };
	int r = loop_init(&process.loop, why);

	if (r == 0)
		r = console_init(&process.console, &process.loop, arguments->fd[FD_CONSOLE], worker_console_input, &process.worker,
				 why);
	if (r)
		return r;
	backend_vid_init(&process.backend, arguments->fd[FD_MSHV]);
	r = worker_init(&process.worker, config, &files, &process.backend.base, &process.console, &process.loop, why);
	if (r == 0)
		r = control_listen(&process.control, &process.loop, arguments->fd[FD_CONTROL], &process.worker, why);
	if (r)
		return r;
	loop_run(&process.loop);
	control_end(&process.control);
	worker_fini(&process.worker);
	console_fini(&process.console);
	loop_fini(&process.loop);
	return process.worker.exit_status;
}

static int start(int argc, char **argv, struct failure *why)
{
	struct arguments arguments = { .id = NULL };
	struct config config = { .vp_count = 0 };
	int r = parse_arguments(argc, argv, &arguments, why);

	if (r == 1) {
		(void)printf("vmwp %s\n", VMWP_VERSION);
		return WORKER_EXIT_OK;
	}
	if (r == 0)
		r = read_config(&arguments, &config, why);
	if (r)
		return r;
	log_set_name(config.id);
	(void)signal(SIGPIPE, SIG_IGN);
	vp_thread_install_signal();
	r = sandbox_enter(why);
	if (r == 0)
		r = serve(&arguments, &config, why);
	config_fini(&config);
	return r;
}

int main(int argc, char **argv)
{
	struct failure why = { "" };
	int r = start(argc, argv, &why);

	if (r >= 0)
		return r;
	log_line("%s", why.text);
	return WORKER_EXIT_START_FAILED;
}
