/* SPDX-License-Identifier: Apache-2.0 */
/* Little-endian numbers at any alignment in byte buffers: files and tables that a guest reads. */
#ifndef WORKER_LE_BYTES_H
#define WORKER_LE_BYTES_H

#include <stdint.h>

static inline uint64_t le_get(const uint8_t *from, unsigned bytes)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < bytes; i++)
		value |= (uint64_t)from[i] << (8 * i);
	return value;
}

static inline void le_put(uint8_t *to, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		to[i] = (uint8_t)(value >> (8 * i));
}

static inline uint16_t le16_get(const uint8_t *from) { return (uint16_t)le_get(from, 2); }
static inline uint32_t le32_get(const uint8_t *from) { return (uint32_t)le_get(from, 4); }
static inline uint64_t le64_get(const uint8_t *from) { return le_get(from, 8); }
static inline void le16_put(uint8_t *to, uint16_t value) { le_put(to, value, 2); }
static inline void le32_put(uint8_t *to, uint32_t value) { le_put(to, value, 4); }
static inline void le64_put(uint8_t *to, uint64_t value) { le_put(to, value, 8); }

#endif
