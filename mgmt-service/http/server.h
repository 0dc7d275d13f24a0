/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP server: the only user of libmicrohttpd. One thread per connection, all of them bounded. */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include "http/auth.h"
#include "vmms/model.h"

struct server;

/* NULL with the reason. `port` gets the port it listens on. */
struct server *server_start(struct model *model, const struct auth *auth, unsigned *port, char *reason,
			    unsigned reason_size);
/* Ends long polls and consoles, waits for their threads. */
void server_stop(struct server *server);

#endif
