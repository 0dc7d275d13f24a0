/* SPDX-License-Identifier: Apache-2.0 */
#include "core/log.h"
#include "core/mem.h"
#include "core/spinlock.h"

#define LINE_BYTES 256

static struct log_ring *ring;
static struct spinlock log_lock;

spa_t log_ring_spa;
uint32_t log_ring_pages;

struct sink {
	char *at, *end;
};

static void put(struct sink *s, char c)
{
	if (s->at < s->end)
		*s->at++ = c;
}

struct number_form {
	unsigned base, width;
	bool zero_fill, negative;
};

static void put_number(struct sink *s, uint64_t v, struct number_form f)
{
	char digits[20];
	unsigned n = 0;

	do {
		digits[n++] = "0123456789abcdef"[v % f.base];
		v /= f.base;
	} while (v);
	if (f.negative)
		put(s, '-');
	for (unsigned i = n + f.negative; i < f.width; i++)
		put(s, f.zero_fill ? '0' : ' ');
	while (n)
		put(s, digits[--n]);
}

static void put_text(struct sink *s, const char *text)
{
	for (text = text ? text : "(null)"; *text; text++)
		put(s, *text);
}

/* One conversion behind '%'; returns the character behind it. */
static const char *put_conversion(struct sink *s, const char *f, __builtin_va_list *args)
{
	struct number_form form = { .base = 10 };
	unsigned longs = 0;

	if (*f == '#') {	/* as in %#llx: always with 0x */
		put_text(s, "0x");
		f++;
	}
	if (*f == '0')
		form.zero_fill = true;
	while (*f >= '0' && *f <= '9')
		form.width = form.width * 10 + (unsigned)(*f++ - '0');
	while (*f == 'l' || *f == 'z')
		longs += *f++ == 'l' ? 1 : 2;

	switch (*f) {
	case 's':
		put_text(s, __builtin_va_arg(*args, const char *));
		break;
	case 'c':
		put(s, (char)__builtin_va_arg(*args, int));
		break;
	case 'p':
		longs = 2;
		form.base = 16;
		put_number(s, (uint64_t)(uintptr_t)__builtin_va_arg(*args, void *), form);
		break;
	case 'd': {
		int64_t v = longs >= 2	 ? __builtin_va_arg(*args, long long)
			    : longs == 1 ? __builtin_va_arg(*args, long)
					 : __builtin_va_arg(*args, int);
		form.negative = v < 0;
		put_number(s, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, form);
		break;
	}
	case 'x':
	case 'u': {
		uint64_t v = longs >= 2	  ? __builtin_va_arg(*args, unsigned long long)
			     : longs == 1 ? __builtin_va_arg(*args, unsigned long)
					  : __builtin_va_arg(*args, unsigned);
		form.base = *f == 'x' ? 16 : 10;
		put_number(s, v, form);
		break;
	}
	case '\0':
		return f;
	default:
		put(s, *f);
	}
	return f + 1;
}

size_t log_format(char *buf, size_t bytes, const char *format, __builtin_va_list args)
{
	struct sink s = { buf, buf + bytes - 1 };
	__builtin_va_list copy;

	__builtin_va_copy(copy, args);
	while (*format) {
		if (*format == '%')
			format = put_conversion(&s, format + 1, &copy);
		else
			put(&s, *format++);
	}
	__builtin_va_end(copy);
	*s.at = '\0';
	return (size_t)(s.at - buf);
}

void log_set_ring(void *memory, size_t bytes)
{
	ring = memory;
	ring->size_bytes = bytes - sizeof(struct log_ring);
	ring->head = 0;
	ring->magic = LOG_RING_MAGIC;
}

static void ring_write(const char *text, size_t bytes)
{
	uint64_t head = ring->head;

	for (size_t i = 0; i < bytes; i++)
		ring->text[(head + i) % ring->size_bytes] = text[i];
	__atomic_store_n(&ring->head, head + bytes, __ATOMIC_RELEASE);
}

void log_line(const char *format, ...)
{
	char line[LINE_BYTES];
	__builtin_va_list args;
	size_t n;

	__builtin_va_start(args, format);
	n = log_format(line, sizeof line - 1, format, args);
	__builtin_va_end(args);
	line[n++] = '\n';

	spin_lock(&log_lock);
	if (ring)
		ring_write(line, n);
	platform_debug_write(line, n);
	spin_unlock(&log_lock);
}
