/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of one request: everything is freed together. Allocation never returns NULL; a process that runs out
 * of memory for a few kilobytes ends, and the workers go on without it. Not thread-safe: one arena, one
 * thread.
 */
#ifndef CIM_ARENA_H
#define CIM_ARENA_H

#include <stdarg.h>
#include <stddef.h>

struct arena_chunk;

struct arena {
	struct arena_chunk *chunks;
};

void arena_init(struct arena *arena);
void arena_fini(struct arena *arena);
/* Zeroed, aligned for any type. */
void *arena_alloc(struct arena *arena, size_t bytes);
char *arena_strdup(struct arena *arena, const char *text);
char *arena_strndup(struct arena *arena, const char *text, size_t size);
char *arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(struct arena *arena, const char *format, va_list arguments);

#endif
