/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket (worker_msg.h): one client at a time, a newer one replaces the older; requests in, responses and
 * events out, each one packet. A client that does not read loses its connection, and hears the state when it connects again.
 */
#ifndef WORKER_CONTROL_H
#define WORKER_CONTROL_H

#include "worker/loop.h"
#include "worker/worker.h"
#include "worker/worker_msg.h"

struct control {
	struct loop *loop;
	struct worker *worker;
	struct loop_source listener;
	struct loop_source client;		/* fd -1: nobody is connected */
	char *packet;				/* WORKER_MSG_MAX + 1 */
	int fd[WORKER_MSG_FDS_MAX];		/* came with the packet */
	struct node_fds fds;			/* the same; those that nobody took are closed */
};

/* listen_fd stays the caller's. Becomes the worker's on_change. */
int control_listen(struct control *c, struct loop *loop, int listen_fd, struct worker *worker, struct failure *why) MUST_CHECK;
void control_end(struct control *c);

#endif
