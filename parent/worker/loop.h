/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Event loop of the main thread: epoll, one callback per descriptor. All calls but loop_stop are the loop thread's own.
 */
#ifndef WORKER_LOOP_H
#define WORKER_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "worker/failure.h"

/* events: EPOLLIN, EPOLLOUT, EPOLLHUP, ... as epoll reports them */
struct epoll_event;
typedef void (*loop_callback)(void *context, uint32_t events);

struct loop_source {
	int fd;
	loop_callback callback;
	void *context;
};

struct loop {
	int epoll_fd;
	bool stopping;
	struct epoll_event *in_hand;		/* events fetched and not yet given out */
	int in_hand_count;
};

int loop_init(struct loop *loop, struct failure *why) MUST_CHECK;
void loop_fini(struct loop *loop);

/* The source is the caller's and stays where it is until loop_remove. Its descriptor becomes non-blocking. */
int loop_add(struct loop *loop, struct loop_source *source, uint32_t events, struct failure *why) MUST_CHECK;
void loop_modify(struct loop *loop, struct loop_source *source, uint32_t events);
/* No callback of this source afterwards, not even for events already fetched. */
void loop_remove(struct loop *loop, struct loop_source *source);

/* Runs callbacks until loop_stop was called by one of them. */
void loop_run(struct loop *loop);
/* One round; -1 waits without end. Returns false when stopping. */
bool loop_step(struct loop *loop, int timeout_ms);
void loop_stop(struct loop *loop);

#endif
