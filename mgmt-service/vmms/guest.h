/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine's guest: what it says of itself through its integration components, and what is asked of it. All
 * of it comes from inside the guest: shown, never relied on.
 */
#ifndef VMMS_GUEST_H
#define VMMS_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/store.h"
#include "vmms/guest_addresses.h"
#include "vmms/memory_balancer.h"

#define GUEST_STATUS_OK         2
#define GUEST_STATUS_NO_CONTACT 12

struct vm;
struct json_object;
struct worker_device_event;

struct guest_item {
	char *name, *value;
	bool host_only;
};

struct guest_items {
	struct guest_item *items;
	size_t count;
};

/* Why a request failed: a code of the contract, and the guest's own status where there is one. */
struct guest_failure {
	const char *code;
	uint32_t status;
};

/*
 * The end of a request: `failure` NULL when it was done, then `event` ended it. Also with no event when the
 * request could not be sent. Both are the receiver's only until it returns.
 */
typedef void guest_done(struct vm *vm, void *context, const struct guest_failure *failure,
			struct json_object *event);

struct guest_request {
	struct guest_request *next;
	struct json_object *params; /* NULL once it is sent */
	char call[16];
	int fd; /* -1: none; closed once it is sent */
	bool sent;
	uint64_t serial; /* of what was sent */
	unsigned limit_ms;
	int64_t deadline_ms; /* monotonic; 0: none */
	guest_done *done;
	void *context;
};

/* Of dynamic memory, in MiB. */
struct guest_memory {
	bool known;
	uint64_t assigned, target, demand, available;
	bool hot_add, balloon;
};

struct guest {
	unsigned status, application; /* OperationalStatus of the heartbeat; 0: nothing heard */
	bool kvp_ready;
	/* monotonic: since when it is, when the guest's items were read, and when it took addresses; 0: not yet */
	int64_t kvp_ready_ms, kvp_read_ms, kvp_given_ms;
	struct guest_items intrinsic, exchange;
	struct guest_adapter *adapters; /* whose addresses are known */
	struct guest_items host; /* what the host gives; survives the guest */
	/* One call at a time goes to each component, in the order asked. */
	struct guest_request *requests[STORE_COMPONENT_COUNT];
	uint64_t serial;
	bool frozen;
	struct guest_memory memory;
	struct memory_machine balance; /* of dynamic memory */
	uint64_t sent_target;          /* MiB; 0: none */
};

/*
 * Asks a component; puts the parameters and takes the descriptor in any case. `done` comes exactly once, at
 * once when there is no worker to ask. It may be NULL. limit_ms 0: as long as it takes.
 */
void guest_ask(struct vm *vm, enum store_component component, struct json_object *params, int fd,
	       unsigned limit_ms, guest_done *done, void *context);
/* Parameters of a call of the component. */
struct json_object *guest_call(enum store_component component, const char *call);
/* A sentence for a person, in `out`. */
void guest_failure_text(const struct guest_failure *failure, const char *what, char *out, size_t size);

/*
 * Holds the guest's file systems still for a checkpoint: at most timeout_s until they are, and then for at
 * most frozen_max_s; thaw says whether they were still to the end.
 */
void guest_freeze(struct vm *vm, unsigned timeout_s, unsigned frozen_max_s, guest_done *done, void *context);
void guest_thaw(struct vm *vm, guest_done *done, void *context);

/* Called by vm.c and model.c. */
void guest_tick(struct vm *vm, int64_t monotonic_ms);
/* Another guest comes, or none: what the last one said does not count any more. */
void guest_forget(struct vm *vm);
/* Ends all requests with "gone". */
void guest_end_requests(struct vm *vm);
/* For device_event.c. */
void guest_heartbeat_event(struct vm *vm, const struct worker_device_event *event);
void guest_kvp_event(struct vm *vm, const struct worker_device_event *event);
void guest_vss_event(struct vm *vm, const struct worker_device_event *event);
void guest_fcopy_event(struct vm *vm, const struct worker_device_event *event);
void guest_memory_event(struct vm *vm, const struct worker_device_event *event);

/* In guest_kvp.c */
void guest_items_clear(struct guest_items *items);
struct guest_item *guest_items_find(const struct guest_items *items, const char *name);
/* False without memory. */
bool guest_items_put(struct guest_items *items, const char *name, const char *value, bool host_only);
void guest_items_remove(struct guest_items *items, const char *name);
void guest_kvp_tick(struct vm *vm, int64_t monotonic_ms);
/* To a guest that has just come: all that is for it, and whose guest it is. */
void guest_kvp_give_all(struct vm *vm);
/* Gives the guest an item of the host, or with a NULL value takes it away. */
void guest_kvp_give(struct vm *vm, const char *name, const char *value, guest_done *done, void *context);

#endif
