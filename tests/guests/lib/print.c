/* SPDX-License-Identifier: Apache-2.0 */
#include "print.h"

#include "x86.h"

#define COM1              0x3f8u
#define LINE_STATUS       (COM1 + 5)
#define TRANSMIT_EMPTY    0x20u
#define TRANSMITTER_IDLE  0x40u

static void put(char c)
{
	if (c == '\n')
		put('\r');
	while (!(in8(LINE_STATUS) & TRANSMIT_EMPTY))
		cpu_pause();
	out8(COM1, (uint8_t)c);
}

void print_flush(void)
{
	while (!(in8(LINE_STATUS) & TRANSMITTER_IDLE))
		cpu_pause();
}

static void put_number(uint64_t value, unsigned base, unsigned width)
{
	char digits[24];
	unsigned count = 0;

	do {
		digits[count++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	for (; width > count; width--)
		put('0');
	while (count)
		put(digits[--count]);
}

static void put_signed(int64_t value)
{
	if (value < 0)
		put('-');
	put_number(value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 10, 0);
}

static void put_text(const char *text)
{
	while (*text)
		put(*text++);
}

void print_list(const char *format, va_list arguments)
{
	for (; *format; format++) {
		unsigned width = 0, longs = 0;

		if (*format != '%') {
			put(*format);
			continue;
		}
		for (format++; *format >= '0' && *format <= '9'; format++)
			width = width * 10 + (unsigned)(*format - '0');
		for (; *format == 'l'; format++)
			longs++;
		if (*format == 's')
			put_text(va_arg(arguments, const char *));
		else if (*format == 'c')
			put((char)va_arg(arguments, int));
		else if (*format == 'd')
			put_signed(longs ? va_arg(arguments, long long) : va_arg(arguments, int));
		else if (*format == 'u' || *format == 'x')
			put_number(longs ? va_arg(arguments, unsigned long long) : va_arg(arguments, unsigned),
				   *format == 'x' ? 16 : 10, width);
		else if (*format == '%')
			put('%');
		else
			break;
	}
}

void print(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print_list(format, arguments);
	va_end(arguments);
}
