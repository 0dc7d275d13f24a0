// SPDX-License-Identifier: Apache-2.0
/* The processor's own instruction where it has one, which is every x86-64 of the last fifteen years; bits otherwise. */
#include "block/crc32c.h"

#include <string.h>

#ifdef __x86_64__
#include <nmmintrin.h>

__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t crc, const uint8_t *data, size_t bytes)
{
	uint64_t wide = crc, word;

	for (; bytes >= sizeof word; data += sizeof word, bytes -= sizeof word) {
		memcpy(&word, data, sizeof word);
		wide = _mm_crc32_u64(wide, word);
	}
	crc = (uint32_t)wide;
	while (bytes--)
		crc = _mm_crc32_u8(crc, *data++);
	return crc;
}
#endif

#define POLYNOMIAL 0x82f63b78u		/* 0x1edc6f41 with its bits reversed */

static uint32_t by_bits(uint32_t crc, const uint8_t *data, size_t bytes)
{
	while (bytes--) {
		crc ^= *data++;
		for (unsigned bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ (crc & 1u ? POLYNOMIAL : 0u);
	}
	return crc;
}

uint32_t crc32c(uint32_t crc, const void *data, size_t bytes)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("sse4.2"))
		return ~by_instruction(~crc, data, bytes);
#endif
	return ~by_bits(~crc, data, bytes);
}
