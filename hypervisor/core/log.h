/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines for an operator: whole, searchable, rare. They go to the debug port and to a ring that the parent can read.
 * Formats: %s %c %u %d %x %lu %ld %lx %llu %lld %llx %p %%, widths with zero fill. No floating point.
 * A guest's behaviour is a counter, not a log line, except for its life cycle.
 */
#ifndef CORE_LOG_H
#define CORE_LOG_H

#include "core/types.h"

/* Head of the ring, as the parent sees it; text follows. `head` counts all bytes ever written. */
#define LOG_RING_MAGIC 0x474f4c5643444e55ull	/* "UNDCVLOG" */
struct log_ring {
	uint64_t magic;
	uint64_t size_bytes;		/* of text[] */
	uint64_t head;
	uint64_t rsvd[5];
	char text[];
};
WIRE_OFFSET(struct log_ring, text, 64);

/* Ring memory: whole pages. Without a ring, lines go to the debug port only. */
void log_set_ring(void *ring, size_t bytes);

void log_line(const char *format, ...) __attribute__((format(gnu_printf, 1, 2)));

/* Where the ring is, for the private CPUID leaf; 0 pages: none. */
extern spa_t log_ring_spa;
extern uint32_t log_ring_pages;

/* The same formatter into a buffer; returns the length that fits, always terminated. */
size_t log_format(char *buf, size_t bytes, const char *format, __builtin_va_list args);

#endif
