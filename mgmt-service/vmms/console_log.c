/* SPDX-License-Identifier: Apache-2.0 */
#include "vmms/console_log.h"

#include <stdlib.h>
#include <string.h>

#include "worker/worker_msg.h"

#define ROOM ((size_t)WORKER_CONSOLE_BACKLOG)

void console_log_append(struct console_log *log, const char *bytes, size_t size)
{
	if (!log->bytes)
		log->bytes = malloc(ROOM);
	if (!log->bytes)
		return;
	if (size > ROOM) {
		bytes += size - ROOM;
		size = ROOM;
	}
	while (size) {
		size_t end = (log->start + log->size) % ROOM, part = ROOM - end;

		if (part > size)
			part = size;
		memcpy(log->bytes + end, bytes, part);
		log->size += part;
		if (log->size > ROOM) {
			log->start = (log->start + log->size - ROOM) % ROOM;
			log->size = ROOM;
		}
		bytes += part;
		size -= part;
	}
}

size_t console_log_read(const struct console_log *log, char *out)
{
	size_t first = ROOM - log->start;

	if (!log->size)
		return 0;
	if (first > log->size)
		first = log->size;
	memcpy(out, log->bytes + log->start, first);
	memcpy(out + first, log->bytes, log->size - first);
	return log->size;
}

void console_log_clear(struct console_log *log)
{
	free(log->bytes);
	*log = (struct console_log){0};
}
