/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The link to one worker process: its control and console sockets, its exit. Runs on the main thread with the
 * model locked. A worker is not trusted: what it sends is bounded and checked, and a worker that breaks the
 * protocol is killed. Source: schemas/worker/worker_msg.h.
 */
#ifndef VMMS_WORKER_H
#define VMMS_WORKER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/loop.h"
#include "vmms/model.h"

enum worker_state {
	WORKER_UNKNOWN,
	WORKER_CREATED,
	WORKER_STATE_RUNNING,
	WORKER_STATE_PAUSED,
	WORKER_STOPPED
};
enum worker_request {
	WORKER_REQUEST_STATUS,
	WORKER_REQUEST_START,
	WORKER_REQUEST_PAUSE,
	WORKER_REQUEST_RESUME,
	WORKER_REQUEST_STOP,
	WORKER_REQUEST_RESET,
	WORKER_REQUEST_COUNT
};

#define WORKER_REASON_SIZE 64
#define WORKER_PENDING_MAX 64
#define WORKER_CALLS_MAX   (WORKER_PENDING_MAX - 8) /* the rest is for requests about the machine itself */
#define WORKER_SILENT_MS   20000

struct json_object;
struct disk_set;

/* How a call ended. Codes are the contract's, or of our own: "gone" the worker ended, "timed_out" it said
 * nothing. */
struct worker_answer {
	const char *code; /* NULL: done */
	const char *message;
	struct json_object *result; /* with NULL code; the receiver's only until it returns */
};

typedef void worker_done(void *context, const struct worker_answer *answer);

/* "device" of the contract. */
struct worker_device_event {
	char instance[40];
	char type[16];
	char what[32];
	struct json_object *body; /* the whole event; the receiver's only until it returns */
};

/* How it ended, as far as can be known. */
struct worker_end {
	char reason[WORKER_REASON_SIZE]; /* of its last "stopped" event, or empty */
	bool have_status;                /* only of our own children */
	bool signaled;
	int code;              /* exit status or signal */
	char last_line[256];   /* of its standard error */
	char start_error[256]; /* what it answered to start, or empty */
};

struct worker {
	struct model *model;
	struct vm *vm;
	pid_t pid; /* 0: not known yet (adopted) */
	bool is_child;
	struct loop_source process; /* pidfd */
	struct loop_source control;
	struct loop_source console;
	uint64_t next_id;
	struct {
		uint64_t id; /* 0: free */
		enum worker_request request;
		bool is_call;
		int64_t asked_ms; /* of a call */
		worker_done *done;
		void *context;
	} pending[WORKER_PENDING_MAX];
	enum worker_state state;
	struct worker_end end;
	int64_t kill_at_ms; /* monotonic; 0: no */
	bool has_status;
	uint64_t uptime_ms; /* as of status_at_ms */
	uint64_t cpu_time_100ns;
	uint64_t memory_mib;
	unsigned cpu_percent;    /* of all its virtual processors */
	int64_t status_at_ms;    /* monotonic */
	int64_t status_asked_ms; /* monotonic; 0: no question is open */
	bool silent;
};

/* Starts a process for the machine, whose images are open, and connects to it. NULL with the reason. */
struct worker *worker_launch(struct model *model, struct vm *vm, const struct disk_set *disks, char *reason,
			     unsigned reason_size);
/* Connects to one that runs already. NULL when nobody listens. */
struct worker *worker_adopt(struct model *model, struct vm *vm);
/* -1: it takes no requests. */
int worker_send(struct worker *worker, enum worker_request request);
/*
 * Calls a method with parameters, which are put in any case, and descriptors, which stay the caller's. 0:
 * sent; `done` comes exactly once, later, when the answer does or cannot any more. -1: not sent, and `done`
 * never comes. `done` NULL: a refusal goes to the log.
 */
int worker_call(struct worker *worker, const char *method, struct json_object *params, const int *fds,
		unsigned fd_count, worker_done *done, void *context);
bool worker_is_pending(const struct worker *worker, enum worker_request request);
/* SIGKILL once this time has come, unless it ends by itself. */
void worker_kill_after(struct worker *worker, int64_t ms);
void worker_tick(struct worker *worker, int64_t monotonic_ms);
/* Milliseconds the guest has run, extrapolated while it runs. */
uint64_t worker_uptime_ms(const struct worker *worker);
/* Drops the link and leaves the process alone. */
void worker_release(struct worker *worker);
/* A worker of a machine that the store does not know: told to stop, its sockets removed. */
void worker_stop_stray(struct model *model, const char *id);
/* A new connection to the console of a machine's worker, blocking; -1 with errno. */
int worker_console_connect(const struct model *model, const char *id);

#endif
