// SPDX-License-Identifier: Apache-2.0
#include "worker/worker.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "worker/worker_msg.h"

const char *const worker_state_names[WORKER_STATE_COUNT] = {
	[WORKER_CREATED] = "created",
	[WORKER_RUNNING] = "running",
	[WORKER_PAUSED] = "paused",
	[WORKER_STOPPED] = "stopped",
};

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	(void)clock_gettime(clock, &now); /* cannot fail for the clocks used here */
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int act_start(struct worker *w, struct failure *why)
{
	int r = machine_build(&w->machine, why);

	if (r)
		return r;
	w->started_ns = clock_ns(CLOCK_MONOTONIC);
	machine_run(&w->machine);
	return 0;
}

static int act_reset(struct worker *w, struct failure *why)
{
	machine_destroy(&w->machine);
	return act_start(w, why);
}

static int act_pause(struct worker *w, struct failure *why)
{
	return machine_pause(&w->machine, why);
}

static int act_resume(struct worker *w, struct failure *why)
{
	return machine_resume(&w->machine, why);
}

static int act_stop(struct worker *w, struct failure *why)
{
	machine_destroy(&w->machine);
	return 0;
}

#define REFUSED { .next = WORKER_STATE_COUNT }
#define TURN_OFF { WORKER_STOPPED, act_stop, "turned_off", WORKER_EXIT_OK }

/* A guest event may come in the moment of a pause: it counts then as well. */
#define GUEST_ROWS \
	[WORKER_GUEST_POWER_OFF] = { WORKER_STOPPED, act_stop, "guest_power_off", WORKER_EXIT_OK }, \
	[WORKER_GUEST_RESET] = { WORKER_RUNNING, act_reset, "guest_reset", 0 }, \
	[WORKER_GUEST_TRIPLE_FAULT] = { WORKER_STOPPED, act_stop, "triple_fault", WORKER_EXIT_TRIPLE_FAULT }, \
	[WORKER_GUEST_FAILED] = { WORKER_STOPPED, act_stop, "internal_error", WORKER_EXIT_ERROR }
#define NO_GUEST_ROWS \
	[WORKER_GUEST_POWER_OFF] = REFUSED, [WORKER_GUEST_RESET] = REFUSED, \
	[WORKER_GUEST_TRIPLE_FAULT] = REFUSED, [WORKER_GUEST_FAILED] = REFUSED

static const struct worker_transition transitions[WORKER_STATE_COUNT][WORKER_INPUT_COUNT] = {
	[WORKER_CREATED] = {
		[WORKER_START] = { WORKER_RUNNING, act_start, "started", 0 },
		[WORKER_PAUSE] = REFUSED,
		[WORKER_RESUME] = REFUSED,
		[WORKER_TURN_OFF] = TURN_OFF,
		[WORKER_RESET] = REFUSED,
		NO_GUEST_ROWS,
	},
	[WORKER_RUNNING] = {
		[WORKER_START] = REFUSED,
		[WORKER_PAUSE] = { WORKER_PAUSED, act_pause, "paused", 0 },
		[WORKER_RESUME] = REFUSED,
		[WORKER_TURN_OFF] = TURN_OFF,
		[WORKER_RESET] = { WORKER_RUNNING, act_reset, "started", 0 },
		GUEST_ROWS,
	},
	[WORKER_PAUSED] = {
		[WORKER_START] = REFUSED,
		[WORKER_PAUSE] = REFUSED,
		[WORKER_RESUME] = { WORKER_RUNNING, act_resume, "resumed", 0 },
		[WORKER_TURN_OFF] = TURN_OFF,
		[WORKER_RESET] = { WORKER_RUNNING, act_reset, "started", 0 },
		GUEST_ROWS,
	},
	[WORKER_STOPPED] = {
		[WORKER_START] = REFUSED,
		[WORKER_PAUSE] = REFUSED,
		[WORKER_RESUME] = REFUSED,
		[WORKER_TURN_OFF] = { WORKER_STOPPED, NULL, NULL, 0 },	/* it is what was asked for */
		[WORKER_RESET] = REFUSED,
		NO_GUEST_ROWS,
	},
};

const struct worker_transition *worker_transition(enum worker_state state, enum worker_input input)
{
	return &transitions[state][input];
}

static void change(struct worker *w, enum worker_state state, const char *reason, int exit_status)
{
	w->state = state;
	w->reason = reason;
	if (state == WORKER_STOPPED)
		w->exit_status = exit_status;
	log_line("%s (%s)", worker_state_names[state], reason);
	if (w->on_change)
		w->on_change(w->context);
	if (state == WORKER_STOPPED)
		loop_stop(w->loop);
}

int worker_apply(struct worker *w, enum worker_input input, struct failure *why)
{
	const struct worker_transition *row = worker_transition(w->state, input);
	enum worker_state from = w->state;
	int r;

	if (row->next == WORKER_STATE_COUNT)
		return failure_set(why, -EBUSY, "not possible in state \"%s\"", worker_state_names[w->state]);
	r = row->act ? row->act(w, why) : 0;
	if (r == 0) {
		if (row->reason)
			change(w, row->next, row->reason, row->exit_status);
		return 0;
	}
	if (row->act == act_start || row->act == act_reset) {
		change(w, WORKER_STOPPED, "internal_error", from == WORKER_CREATED ? WORKER_EXIT_START_FAILED : WORKER_EXIT_ERROR);
		log_line("%s", why ? why->text : strerror(-r));	/* the last line: who started us shows it */
	}
	return r;
}

static const enum worker_input verdict_inputs[] = {
	[INTERCEPT_POWER_OFF] = WORKER_GUEST_POWER_OFF,
	[INTERCEPT_RESET] = WORKER_GUEST_RESET,
	[INTERCEPT_TRIPLE_FAULT] = WORKER_GUEST_TRIPLE_FAULT,
	[INTERCEPT_FAILED] = WORKER_GUEST_FAILED,
};

static void on_machine_event(void *context, enum intercept_verdict verdict, const struct failure *reported)
{
	struct worker *w = context;
	bool crashed = verdict != INTERCEPT_POWER_OFF && machine_guest_crashed(&w->machine);
	struct failure why = { "" };

	if (crashed)
		log_line("the guest has reported a crash");
	/* A refusal means that the state has moved on meanwhile; a failure has been told by worker_apply. */
	(void)!worker_apply(w, verdict_inputs[verdict], &why);
	if (reported->text[0])
		log_line("%s", reported->text);	/* the last line: who started us shows it */
}

int worker_init(struct worker *w, struct config *config, const struct machine_files *files, struct backend *backend,
		struct console *console, struct loop *loop, struct failure *why)
{
	memset(w, 0, sizeof *w);
	w->loop = loop;
	w->config = config;
	w->state = WORKER_CREATED;
	return machine_init(&w->machine, config, files, backend, console, loop, on_machine_event, w, why);
}

void worker_fini(struct worker *w)
{
	machine_fini(&w->machine);
}

void worker_console_input(void *context)
{
	struct worker *w = context;

	machine_console_input(&w->machine);
}

uint64_t worker_uptime_ms(const struct worker *w)
{
	return w->started_ns ? (clock_ns(CLOCK_MONOTONIC) - w->started_ns) / 1000000u : 0;
}

uint64_t worker_cpu_time_100ns(void)
{
	return clock_ns(CLOCK_PROCESS_CPUTIME_ID) / 100u;
}
