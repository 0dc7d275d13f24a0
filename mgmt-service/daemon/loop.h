/* SPDX-License-Identifier: Apache-2.0 */
/* The event loop of the main thread. Callbacks run with the model locked, one at a time. */
#ifndef DAEMON_LOOP_H
#define DAEMON_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct loop_source {
	void (*ready)(void *context);
	void *context;
	int fd; /* -1: not in the loop */
};

int loop_init(void);
void loop_fini(void);
/* Watches for readability. -1 with errno. */
int loop_add(struct loop_source *source, int fd, void (*ready)(void *context), void *context);
/* Forgets the source and closes its descriptor; harmless when it has none. */
void loop_close(struct loop_source *source);
/* Waits at most timeout_ms and runs one callback between lock() and unlock(). */
void loop_once(int timeout_ms, void (*lock)(void), void (*unlock)(void));

#endif
