/* SPDX-License-Identifier: Apache-2.0 */
/* The last WORKER_CONSOLE_BACKLOG bytes of a console. Memory comes with the first byte. */
#ifndef VMMS_CONSOLE_LOG_H
#define VMMS_CONSOLE_LOG_H

#include <stddef.h>

struct console_log {
	char *bytes;
	size_t start, size;
};

void console_log_append(struct console_log *log, const char *bytes, size_t size);
/* Copies all of it, oldest first; `out` has WORKER_CONSOLE_BACKLOG bytes. The number copied. */
size_t console_log_read(const struct console_log *log, char *out);
void console_log_clear(struct console_log *log);

#endif
