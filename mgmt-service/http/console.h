/* SPDX-License-Identifier: Apache-2.0 */
/* Raw bytes between an upgraded connection and a worker's console socket, a thread each. */
#ifndef HTTP_CONSOLE_H
#define HTTP_CONSOLE_H

#include <stddef.h>

struct console_set;

struct console_set *console_set_create(void);
/* Ends all of them, waits, and refuses any that come later. */
void console_set_close(struct console_set *set);
/* When nobody can call console_bridge() any more. */
void console_set_destroy(struct console_set *set);

/*
 * Takes over both descriptors; `early` bytes of the client go first. done() is called once, from the thread,
 * when both sides have ended, and has to close `client`; `worker` is closed here. -1: too many, or closed;
 * nothing was taken.
 */
int console_bridge(struct console_set *set, int client, int worker, const char *early, size_t early_size,
		   void (*done)(void *context), void *context);

#endif
