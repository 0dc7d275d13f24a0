/* SPDX-License-Identifier: Apache-2.0 */
/* vmms: the management service. The main thread runs the workers' side; HTTP threads come and go beside it.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "daemon/config.h"
#include "daemon/log.h"
#include "daemon/loop.h"
#include "http/auth.h"
#include "http/server.h"
#include "vmms/model.h"

#ifndef UC_VERSION
#define UC_VERSION "0.1"
#endif

static struct model model;
static struct loop_source wake_source, signal_source, timer_source;
static bool stop;

static void lock(void)
{
	model_lock(&model);
}

static void unlock(void)
{
	model_unlock(&model);
}

static void woken(void *context)
{
	uint64_t count;

	if (read(wake_source.fd, &count, sizeof(count)) > 0)
		model_run_queue(&model);
}

static void signaled(void *context)
{
	struct signalfd_siginfo info;

	if (read(signal_source.fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	log_notice("vmms.signal", "signal=%u", info.ssi_signo);
	stop = true;
}

static void ticked(void *context)
{
	uint64_t count;

	if (read(timer_source.fd, &count, sizeof(count)) > 0)
		model_tick(&model);
}

static int watch_signals(void)
{
	sigset_t signals;
	int fd;

	/* Before any thread: all of them inherit the mask. */
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	if (pthread_sigmask(SIG_BLOCK, &signals, NULL))
		return -1;
	fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -1 : loop_add(&signal_source, fd, signaled, NULL);
}

static int watch_timer(void)
{
	const struct itimerspec second = {.it_interval = {.tv_sec = 1}, .it_value = {.tv_sec = 1}};
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	if (fd < 0 || timerfd_settime(fd, 0, &second, NULL))
		return -1;
	return loop_add(&timer_source, fd, ticked, NULL);
}

static int serve(const struct config *config)
{
	struct auth auth = {0};
	struct server *server;
	char reason[1024];
	unsigned port;

	if (model_open(&model, config, reason, sizeof(reason))) {
		log_error("vmms.open", "text=\"%s\"", reason);
		return 1;
	}
	if (auth_load(&auth, config->token_file, reason, sizeof(reason))) {
		log_error("vmms.token", "text=\"%s\"", reason);
		return 1;
	}
	if (watch_signals() || watch_timer() || loop_add(&wake_source, dup(model.wake_fd), woken, NULL)) {
		log_error("vmms.loop", "text=\"%s\"", strerror(errno));
		return 1;
	}
	server = server_start(&model, &auth, &port, reason, sizeof(reason));
	if (!server) {
		log_error("vmms.listen", "text=\"%s\"", reason);
		return 1;
	}
	log_notice("vmms.ready", "address=%s port=%u token_file=%s", config->address, port,
		   config->token_file);
	while (!stop)
		loop_once(-1, lock, unlock);
	server_stop(server);
	loop_close(&timer_source);
	loop_close(&signal_source);
	loop_close(&wake_source);
	/* The workers run on: the next vmms finds them. */
	model_close(&model);
	log_notice("vmms.end", "text=\"workers keep running\"");
	return 0;
}

int main(int argc, char **argv)
{
	static struct config config;
	char reason[1024];

	if (config_load(&config, argc, argv, reason, sizeof(reason))) {
		fprintf(stderr, "vmms: %s\n", reason);
		return 2;
	}
	if (config.print_version) {
		puts("vmms (Undercroft) " UC_VERSION);
		return 0;
	}
	if (config.check_only)
		return config_check(&config) ? 1 : 0;
	log_set_level(strcmp(config.log_level, "error") == 0     ? LOG_LEVEL_ERROR
		      : strcmp(config.log_level, "warning") == 0 ? LOG_LEVEL_WARNING
		      : strcmp(config.log_level, "debug") == 0   ? LOG_LEVEL_DEBUG
								 : LOG_LEVEL_NOTICE);
	return serve(&config);
}
