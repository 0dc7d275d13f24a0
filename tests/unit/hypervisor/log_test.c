/* SPDX-License-Identifier: Apache-2.0 */
/* The formatter against the host's own, and the ring that the parent reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/platform.h"

void platform_debug_write(const char *text, size_t bytes)
{
	(void)text;
	(void)bytes;
}

static void check(const char *format, ...)
{
	char ours[300], theirs[300];
	va_list a, b;
	size_t n;

	va_start(a, format);
	va_copy(b, a);
	n = log_format(ours, sizeof ours, format, a);
	vsnprintf(theirs, sizeof theirs, format, b);
	va_end(a);
	va_end(b);
	assert_string_equal(ours, theirs);
	assert_int_equal(n, strlen(theirs));
}

static void conversions_agree_with_the_host(void **state)
{
	(void)state;
	check("plain 100%%");
	check("%s|%c|%d|%u|%x", "text", 'c', -42, 42u, 0xbeefu);
	check("%ld %lu %lx", -5000000000l, 5000000000ul, 0xdeadbeef01ul);
	check("%lld %llu %llx", INT64_MIN, UINT64_MAX, UINT64_MAX);
	check("%08x %4u %#llx", 0x12u, 7u, 0x1234ull);
	check("%zu", (size_t)1 << 40);
}

static size_t format_into(char *buf, size_t bytes, const char *format, ...)
{
	va_list args;
	size_t n;

	va_start(args, format);
	n = log_format(buf, bytes, format, args);
	va_end(args);
	return n;
}

static void a_small_buffer_is_never_exceeded(void **state)
{
	(void)state;
	for (size_t bytes = 1; bytes < 14; bytes++) {
		char *buf = malloc(bytes);	/* a sanitizer sees one byte too many */
		size_t want = bytes - 1 < 10 ? bytes - 1 : 10;

		assert_int_equal(format_into(buf, bytes, "%s%u", "01234", 56789u), want);
		assert_memory_equal(buf, "0123456789", want);
		assert_int_equal(buf[want], '\0');
		free(buf);
	}
}

static void the_ring_keeps_the_newest_text(void **state)
{
	const size_t bytes = sizeof(struct log_ring) + 64;
	struct log_ring *ring = calloc(1, bytes);
	char tail[13];

	(void)state;
	log_set_ring(ring, bytes);
	assert_int_equal(ring->size_bytes, 64);
	for (unsigned i = 0; i < 50; i++)
		log_line("line number %u", i);
	assert_int_equal(ring->magic, LOG_RING_MAGIC);
	for (unsigned i = 0; i < 12; i++)
		tail[i] = ring->text[(ring->head - 12 + i) % ring->size_bytes];
	tail[12] = '\0';
	assert_string_equal(tail, "e number 49\n");
	free(ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(conversions_agree_with_the_host),
		cmocka_unit_test(a_small_buffer_is_never_exceeded),
		cmocka_unit_test(the_ring_keeps_the_newest_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
