/* SPDX-License-Identifier: Apache-2.0 */
#include "memory.h"

#include "x86.h"

#define WINDOW_BASE   0x100000000ull		/* entry 4 of the PDPT, boot.S */
#define LARGE_PAGE    0x200000ull
#define PAGE_BITS     0x87ull			/* large, user, writable, present */

extern uint64_t boot_pml4[], window_directory[];

void *memcpy(void *to, const void *from, size_t bytes)
{
	void *at = to;

	__asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(bytes) : : "memory");
	return to;
}

void *memset(void *to, int value, size_t bytes)
{
	void *at = to;

	__asm__ volatile("rep stosb" : "+D"(at), "+c"(bytes) : "a"(value) : "memory");
	return to;
}

int memcmp(const void *a, const void *b, size_t bytes)
{
	const uint8_t *x = a, *y = b;

	for (size_t i = 0; i < bytes; i++) {
		if (x[i] != y[i])
			return x[i] - y[i];
	}
	return 0;
}

size_t strlen(const char *text)
{
	const volatile char *at = text;

	while (*at)
		at++;
	return (size_t)(at - text);
}

uint32_t load32(const void *from)
{
	uint32_t value;

	memcpy(&value, from, sizeof value);
	return value;
}

uint64_t load64(const void *from)
{
	uint64_t value;

	memcpy(&value, from, sizeof value);
	return value;
}

void *memory_window(uint64_t gpa)
{
	window_directory[0] = (gpa & ~(LARGE_PAGE - 1)) | PAGE_BITS;
	write_cr3((uint64_t)boot_pml4);
	return (void *)(WINDOW_BASE + (gpa & (LARGE_PAGE - 1)));
}
