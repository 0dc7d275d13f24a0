/* SPDX-License-Identifier: Apache-2.0 */
/* The bearer token: one secret in a file that only its owner may read. */
#ifndef HTTP_AUTH_H
#define HTTP_AUTH_H

#include <stdbool.h>

#define AUTH_TOKEN_SIZE                                                                                      \
	65 /* 64 hexadecimal digits when generated here; a person may write another, 16 or more */

struct auth {
	char token[256];
};

/* Reads the file, or writes a new token when there is none. -1 with the reason; a file open to others is
 * refused. */
int auth_load(struct auth *auth, const char *path, char *reason, unsigned reason_size);
/* The value of the Authorization header (may be NULL). Takes the same time for every wrong token. */
bool auth_check(const struct auth *auth, const char *header);

#endif
