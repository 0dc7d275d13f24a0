/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole worker on the fake backend: loop, console and control sockets, configuration, a small kernel file. VP threads are
 * real ones.
 */
#ifndef TESTS_UNIT_WORKER_BENCH_MACHINE_H
#define TESTS_UNIT_WORKER_BENCH_MACHINE_H

#include "fake_backend.h"
#include "worker/control.h"
#include "worker/worker.h"

struct bench_machine {
	struct fake_backend backend;
	struct config config;
	struct loop loop;
	struct console console;
	struct worker worker;
	struct control control;
	int kernel_fd;
	int console_listener, control_listener;
};

/* 0, or -1 with a line on standard error. */
int bench_machine_init(struct bench_machine *b, unsigned vp_count);
void bench_machine_fini(struct bench_machine *b);

/* A listening Unix socket without a name in the file system, and a connection to it. */
int listen_unix(int type);
int connect_unix(int listener, int type);

/* Runs the loop until `done` says so, at most some seconds. */
bool bench_machine_wait(struct bench_machine *b, bool (*done)(struct bench_machine *b, void *context), void *context);
/* Runs the loop while there is something to do at once. */
void bench_machine_settle(struct bench_machine *b);

#endif
