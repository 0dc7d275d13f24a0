/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP to the management service: the only way the shell does anything. Errors are printed where they occur.
 */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include <json-c/json.h>
#include <stdbool.h>

struct client {
	void *curl;
	char *server; /* http://host:port, without path */
	char *token;
};

/* NULL server and token file: environment, then the defaults. 0, or -1 with a message printed. */
int client_open(struct client *client, const char *server, const char *token_file);
void client_close(struct client *client);

/* The parsed answer, or NULL after printing the problem's detail. `path` is below the server, encoded. */
struct json_object *client_get(struct client *client, const char *path);
/* Calls a method and waits for its job, if it starts one. NULL as above. `body` may be NULL; is put. */
struct json_object *client_invoke(struct client *client, const char *instance, const char *method,
				  struct json_object *body);
/* Percent-encoded copy, to be freed. */
char *client_encode(const char *text);
/* Asks for an upgrade of the path. The connected socket, whose use is then the caller's; -1 after a message.
 * The client must not be used for anything else until the socket's end. Bytes that came with the answer go to
 * `early`. */
int client_upgrade(struct client *client, const char *path, const char *protocol, char *early,
		   size_t *early_size);

void cli_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
