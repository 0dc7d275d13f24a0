// SPDX-License-Identifier: Apache-2.0
#include "block/failure.h"

#include <stdarg.h>
#include <stdio.h>

int block_failure_set(struct block_failure *why, int error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(why->text, sizeof why->text, format, arguments);
	va_end(arguments);
	return error;
}
