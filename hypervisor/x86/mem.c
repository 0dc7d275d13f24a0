/* SPDX-License-Identifier: Apache-2.0 */
/* The four memory functions that the compiler may call on its own. */
#include "core/mem.h"

void *memcpy(void *to, const void *from, size_t bytes)
{
	void *d = to;
	size_t words = bytes / 8, tail = bytes % 8;

	__asm__ volatile("rep movsq" : "+D"(d), "+S"(from), "+c"(words) : : "memory");
	__asm__ volatile("rep movsb" : "+D"(d), "+S"(from), "+c"(tail) : : "memory");
	return to;
}

void *memmove(void *to, const void *from, size_t bytes)
{
	uint8_t *d = to;
	const uint8_t *s = from;

	if (d <= s || d >= s + bytes)
		return memcpy(to, from, bytes);
	while (bytes--)
		d[bytes] = s[bytes];
	return to;
}

void *memset(void *to, int value, size_t bytes)
{
	void *d = to;
	size_t words = bytes / 8, tail = bytes % 8;

	__asm__ volatile("rep stosq" : "+D"(d), "+c"(words) : "a"((uint8_t)value * 0x0101010101010101ull) : "memory");
	__asm__ volatile("rep stosb" : "+D"(d), "+c"(tail) : "a"((uint8_t)value) : "memory");
	return to;
}

int memcmp(const void *a, const void *b, size_t bytes)
{
	const uint8_t *x = a, *y = b;

	for (size_t i = 0; i < bytes; i++)
		if (x[i] != y[i])
			return x[i] < y[i] ? -1 : 1;
	return 0;
}
