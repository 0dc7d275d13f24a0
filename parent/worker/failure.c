// SPDX-License-Identifier: Apache-2.0
#include "worker/failure.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char log_name[64] = "vmwp";

int failure_set(struct failure *why, int error, const char *format, ...)
{
	va_list args;

	if (!why)
		return error;
	va_start(args, format);
	(void)vsnprintf(why->text, sizeof why->text, format, args); /* a longer text is cut */
	va_end(args);
	return error;
}

void log_set_name(const char *name)
{
	(void)snprintf(log_name, sizeof log_name, "%s", name);
}

void log_line(const char *format, ...)
{
	char line[512];
	va_list args;
	int used = snprintf(line, sizeof line, "%s: ", log_name);
	int more;

	va_start(args, format);
	more = vsnprintf(line + used, sizeof line - (size_t)used - 1, format, args);
	va_end(args);
	if (more < 0)
		return;
	used += more;
	if (used > (int)sizeof line - 2)
		used = (int)sizeof line - 2;
	line[used++] = '\n';
	(void)!write(STDERR_FILENO, line, (size_t)used); /* nowhere left to complain */
}
