/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines for an operator, on standard error, one event a line:
 *   2026-01-31T12:00:00.123Z notice vm.start vm=GUID text="..."
 * `event` is a fixed word; the rest is key=value. Control characters become blanks.
 */
#ifndef DAEMON_LOG_H
#define DAEMON_LOG_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_NOTICE, LOG_LEVEL_DEBUG };

void log_set_level(enum log_level level);
void log_line(enum log_level level, const char *event, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#define log_error(event, ...)   log_line(LOG_LEVEL_ERROR, event, __VA_ARGS__)
#define log_warning(event, ...) log_line(LOG_LEVEL_WARNING, event, __VA_ARGS__)
#define log_notice(event, ...)  log_line(LOG_LEVEL_NOTICE, event, __VA_ARGS__)
#define log_debug(event, ...)   log_line(LOG_LEVEL_DEBUG, event, __VA_ARGS__)

#endif
