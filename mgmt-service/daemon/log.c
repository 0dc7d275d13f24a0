/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define LOG_LINE_MAX 2048

static enum log_level highest = LOG_LEVEL_NOTICE;
static const char *const level_names[] = {"error", "warning", "notice", "debug"};

void log_set_level(enum log_level level)
{
	highest = level;
}

void log_line(enum log_level level, const char *event, const char *format, ...)
{
	char line[LOG_LINE_MAX];
	struct timespec now;
	struct tm tm;
	va_list arguments;
	int size, more;

	if (level > highest)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	size = snprintf(line, sizeof(line), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ %s %s ", tm.tm_year + 1900,
			tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
			(int)(now.tv_nsec / 1000000), level_names[level], event);
	va_start(arguments, format);
	more = vsnprintf(line + size, sizeof(line) - (size_t)size - 1, format, arguments);
	va_end(arguments);
	size += more < 0 ? 0 : more;
	if (size > (int)sizeof(line) - 2)
		size = (int)sizeof(line) - 2;
	/* One event stays one line whatever a name or a message holds. */
	for (int i = 0; i < size; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = ' ';
	line[size] = '\n';
	/* One write, so that lines of threads do not mix; a full log is nobody's fault here. */
	if (write(STDERR_FILENO, line, (size_t)size + 1) < 0)
		return;
}
