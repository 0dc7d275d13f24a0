/* SPDX-License-Identifier: Apache-2.0 */
/* What was wrong with an image, in words for whoever chose it. */
#ifndef VSP_BLOCK_FAILURE_H
#define VSP_BLOCK_FAILURE_H

#define BLOCK_FAILURE_BYTES 200

struct block_failure {
	char text[BLOCK_FAILURE_BYTES];
};

/* Returns `error`. */
int block_failure_set(struct block_failure *why, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
