/* SPDX-License-Identifier: Apache-2.0 */
/* A host of descriptors and timers for the storage tests: no guest memory, no events; poll() underneath. */
#ifndef TESTS_BLOCK_HOST_H
#define TESTS_BLOCK_HOST_H

#include <stdbool.h>

#include "host.h"

#define BLOCK_HOST_SLOTS 64

struct block_host {
	struct vsp_host host;
	struct vsp_watch *watches[BLOCK_HOST_SLOTS];
	struct vsp_timer *timers[BLOCK_HOST_SLOTS];
	uint64_t expires[BLOCK_HOST_SLOTS];
	uint64_t clock_ns;		/* what monotonic_ns says; 0: the true time */
};

void block_host_init(struct block_host *h);
/* One turn: waits at most `wait_ms` for a descriptor or timer and calls what is due. false: nothing was. */
bool block_host_turn(struct block_host *h, int wait_ms);
/* Turns until *flag. Ends the program after ten seconds. */
void block_host_run_until(struct block_host *h, const bool *flag);
bool block_host_idle(const struct block_host *h);	/* nothing watched, nothing armed */

#endif
