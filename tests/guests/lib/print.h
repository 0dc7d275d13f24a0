/* SPDX-License-Identifier: Apache-2.0 */
/* Text to COM1, polled. */
#ifndef GUEST_PRINT_H
#define GUEST_PRINT_H

#include <stdarg.h>

/* %s %c %% and %d %u %x with or without ll; a width with leading zeros for %x ("%016llx"). */
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));
void print_list(const char *format, va_list arguments);
void print_flush(void);		/* until the last bit has left the transmitter */

#endif
