/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The child's COM1 on a socket (worker_msg.h, --console-fd). One ring holds the last WORKER_CONSOLE_BACKLOG bytes of output
 * and every client has its own place in it: a new client starts as far back as the ring goes, a slow one loses its oldest
 * bytes, and the guest never waits. Input of all clients is merged into one bounded queue; while that is full, their sockets
 * are not read.
 *
 * console_output and console_take_input: any thread. Everything else: the loop thread. Own lock, innermost.
 */
#ifndef WORKER_CONSOLE_H
#define WORKER_CONSOLE_H

#include <pthread.h>
#include <stddef.h>

#include "worker/loop.h"
#include "worker/worker_msg.h"

#define CONSOLE_CLIENTS_MAX 8
#define CONSOLE_INPUT_BYTES 4096

struct console;

struct console_client {
	struct console *console;
	struct loop_source source;		/* fd -1: free */
	uint64_t sent;				/* bytes of all output up to here are on the way */
	uint32_t events;			/* what the loop waits for */
};

struct console {
	struct loop *loop;
	struct loop_source listener;
	struct loop_source wake;		/* timer: output came, or room for input, a moment ago */
	struct console_client clients[CONSOLE_CLIENTS_MAX];
	void (*input_ready)(void *context);	/* input waits; loop thread, without the console's lock */
	void *context;

	pthread_mutex_t lock;			/* what follows */
	uint8_t ring[WORKER_CONSOLE_BACKLOG];
	uint64_t written;			/* bytes of output, all together */
	bool waking;
	uint8_t input[CONSOLE_INPUT_BYTES];
	size_t input_head, input_count;
	bool input_blocked;			/* the loop stopped reading for want of room */
	uint64_t dropped;			/* bytes that slow clients lost */
};

/* listen_fd stays the caller's. input_ready may be NULL. */
int console_init(struct console *c, struct loop *loop, int listen_fd, void (*input_ready)(void *context), void *context,
		 struct failure *why) MUST_CHECK;
/* Sends what the clients' sockets take without waiting, then closes them. */
void console_fini(struct console *c);

void console_output(struct console *c, uint8_t byte);
size_t console_take_input(struct console *c, uint8_t *to, size_t max);

#endif
