/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text that goes with an error code: what failed, on which device or member, and why. Functions of the worker return 0 or
 * -errno; those whose caller has to tell a person take a struct failure as well and fill it exactly when they fail.
 */
#ifndef WORKER_FAILURE_H
#define WORKER_FAILURE_H

#include <stdarg.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define FAILURE_TEXT_BYTES 256

struct failure {
	char text[FAILURE_TEXT_BYTES];		/* one line, no newline, always terminated */
};

/* Sets the text and returns `error` (a negative errno), so that a caller can write `return failure_set(...)`. `why` may be NULL. */
int failure_set(struct failure *why, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* One line on standard error, with the worker's name in front. Life-cycle and errors of ours only, never per guest access. */
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The name in front of each log line, until now "vmwp". Copied. */
void log_set_name(const char *name);

#endif
