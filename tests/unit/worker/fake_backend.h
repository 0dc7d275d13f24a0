/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A second implementation of the worker's backend: VPs that live by a script of intercept messages. When the script is at its
 * end a VP sleeps in `run` until a signal, like a halted one in the driver. Registers are kept by name and VP, guest virtual
 * addresses are physical ones, but for the pages declared absent.
 */
#ifndef TESTS_UNIT_WORKER_FAKE_BACKEND_H
#define TESTS_UNIT_WORKER_FAKE_BACKEND_H

#include <pthread.h>

#include "worker/backend.h"

#define FAKE_REGISTERS_MAX 64
#define FAKE_SCRIPT_MAX    64
#define FAKE_ROUTES_MAX    24
#define FAKE_POSTED_MAX    64
#define FAKE_PORTS_MAX     16

struct fake_register {
	uint32_t vp, name;
	struct hv_u128 value;
};

struct fake_backend {
	struct backend base;
	pthread_mutex_t lock;

	bool exists, initialized;
	unsigned partitions;			/* created so far */
	unsigned vps;
	uint64_t mapped_bytes;
	uint64_t released_bytes, restored_bytes;	/* of all calls */
	uint64_t changed_gpa, changed_bytes;		/* of the last release or restore */
	uint64_t features, time_freeze;
	bool msr_intercept;

	struct fake_register registers[FAKE_REGISTERS_MAX];
	unsigned register_count;
	uint64_t absent_page;			/* GVA page that is not present; UINT64_MAX: none */
	bool use_page;				/* offer a register page for VP 0 */
	struct hv_register_page page;

	struct backend_route routes[FAKE_ROUTES_MAX];
	unsigned route_count;
	int irqfd[FAKE_ROUTES_MAX];		/* by GSI, -1: none */

	struct hv_message script[FAKE_SCRIPT_MAX];	/* of VP 0 */
	unsigned script_count, script_next;
	unsigned runs;

	int message_fds[2];			/* the message port, and the guest's end of it */
	struct hv_message posted[FAKE_POSTED_MAX];	/* to the guest */
	unsigned posted_count;

	struct fake_port {
		uint32_t connection;
		int eventfd;			/* 0: free */
	} ports[FAKE_PORTS_MAX];
	unsigned signals;			/* to the guest */

	const char *fail_call;			/* name of the call that fails, or NULL */
	int fail_error;
};

void fake_backend_init(struct fake_backend *f);
void fake_backend_fini(struct fake_backend *f);

/* Appends a message to VP 0's script. */
void fake_message(struct fake_backend *f, uint32_t type, const void *payload, size_t bytes);
/* The guest posts a message to VMBus. */
void fake_guest_posts(struct fake_backend *f, const void *payload, size_t bytes);
/* The guest signals a connection; nobody may listen there. */
void fake_guest_signals(struct fake_backend *f, uint32_t connection);
/* The `index`th message that was posted to the guest; false: there is none yet. */
bool fake_posted(struct fake_backend *f, unsigned index, struct hv_message *out);
/* Value of a register, 0 when it was never set. */
uint64_t fake_register_low(struct fake_backend *f, uint32_t vp, uint32_t name);
void fake_register_set(struct fake_backend *f, uint32_t vp, uint32_t name, uint64_t low, uint64_t high);

#endif
