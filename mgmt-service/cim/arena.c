/* SPDX-License-Identifier: Apache-2.0 */
#include "cim/arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_CHUNK_BYTES 16384
#define ARENA_ALIGN       _Alignof(max_align_t)

struct arena_chunk {
	struct arena_chunk *next;
	size_t used, room;
	max_align_t bytes[];
};

void arena_init(struct arena *arena)
{
	arena->chunks = NULL;
}

void arena_fini(struct arena *arena)
{
	while (arena->chunks) {
		struct arena_chunk *next = arena->chunks->next;

		free(arena->chunks);
		arena->chunks = next;
	}
}

void *arena_alloc(struct arena *arena, size_t bytes)
{
	struct arena_chunk *chunk = arena->chunks;
	size_t size = (bytes + ARENA_ALIGN - 1) & ~(ARENA_ALIGN - 1);
	void *memory;

	if (size < bytes)
		abort();
	if (!chunk || chunk->room - chunk->used < size) {
		size_t room = size > ARENA_CHUNK_BYTES ? size : ARENA_CHUNK_BYTES;

		chunk = calloc(1, sizeof(*chunk) + room);
		if (!chunk)
			abort();
		chunk->room = room;
		chunk->next = arena->chunks;
		arena->chunks = chunk;
	}
	memory = (char *)chunk->bytes + chunk->used;
	chunk->used += size;
	return memory;
}

char *arena_strndup(struct arena *arena, const char *text, size_t size)
{
	char *copy = arena_alloc(arena, size + 1);

	memcpy(copy, text, size);
	return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
	return arena_strndup(arena, text, strlen(text));
}

char *arena_vprintf(struct arena *arena, const char *format, va_list arguments)
{
	va_list again;
	char *text;
	int size;

	va_copy(again, arguments);
	size = vsnprintf(NULL, 0, format, again);
	va_end(again);
	if (size < 0)
		abort();
	text = arena_alloc(arena, (size_t)size + 1);
	vsnprintf(text, (size_t)size + 1, format, arguments);
	return text;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
	va_list arguments;
	char *text;

	va_start(arguments, format);
	text = arena_vprintf(arena, format, arguments);
	va_end(arguments);
	return text;
}
