/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker's state machine (worker_msg.h): requests from the management service and events of the guest, each a row of one
 * table. Loop thread only.
 */
#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

#include "worker/machine.h"

enum worker_state { WORKER_CREATED, WORKER_RUNNING, WORKER_PAUSED, WORKER_STOPPED, WORKER_STATE_COUNT };

enum worker_input {
	WORKER_START, WORKER_PAUSE, WORKER_RESUME, WORKER_TURN_OFF, WORKER_RESET,
	WORKER_GUEST_POWER_OFF, WORKER_GUEST_RESET, WORKER_GUEST_TRIPLE_FAULT, WORKER_GUEST_FAILED,
	WORKER_INPUT_COUNT
};

extern const char *const worker_state_names[WORKER_STATE_COUNT];

struct worker {
	struct loop *loop;
	struct machine machine;
	const struct config *config;
	enum worker_state state;
	const char *reason;			/* of the last change; NULL: none yet */
	int exit_status;			/* WORKER_EXIT_*, valid once stopped */
	uint64_t started_ns;			/* CLOCK_MONOTONIC of the last start or reset; 0: never */
	void (*on_change)(void *context);	/* state or reason changed; may be NULL */
	void *context;
};

/* state WORKER_STATE_COUNT: the input is refused in this state. */
struct worker_transition {
	enum worker_state next;
	int (*act)(struct worker *w, struct failure *why);	/* NULL: nothing to do; on failure see worker_apply */
	const char *reason;
	int exit_status;
};
const struct worker_transition *worker_transition(enum worker_state state, enum worker_input input);

int worker_init(struct worker *w, struct config *config, const struct machine_files *files, struct backend *backend,
		struct console *console, struct loop *loop, struct failure *why) MUST_CHECK;
void worker_fini(struct worker *w);

/*
 * Carries out one input. 0; -EBUSY when the state does not allow it (nothing happened); another -errno when the action failed.
 * A failed start stops the worker for good (WORKER_EXIT_START_FAILED), as does a failed reset (WORKER_EXIT_ERROR); a failed
 * pause or resume leaves the state as it was. Once stopped the loop is told to end.
 */
int worker_apply(struct worker *w, enum worker_input input, struct failure *why) MUST_CHECK;

/* For the console: input waits. context is the worker. */
void worker_console_input(void *context);

uint64_t worker_uptime_ms(const struct worker *w);
uint64_t worker_cpu_time_100ns(void);

#endif
