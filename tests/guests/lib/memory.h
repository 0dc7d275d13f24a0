/* SPDX-License-Identifier: Apache-2.0 */
/* What a compiler expects of a C library even when there is none, and words by address. */
#ifndef GUEST_MEMORY_H
#define GUEST_MEMORY_H

#include <stddef.h>
#include <stdint.h>

void *memcpy(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);
size_t strlen(const char *text);

/* Little-endian numbers at any address. */
uint32_t load32(const void *from);
uint64_t load64(const void *from);

/*
 * Two MiB of guest physical memory above the identity-mapped 4 GiB, seen through a window that the next call moves.
 * Returns the address of gpa itself.
 */
void *memory_window(uint64_t gpa);

#endif
