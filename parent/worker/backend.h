/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the worker asks of the parent's virtualization driver: one partition, its memory, its VPs. Two implementers:
 * backend_vid.c on /dev/mshv, and the scripted one of the unit tests.
 *
 * Every call returns 0 or -errno and fills `why` on failure. Calls that name a VP may come from any thread, but at most one
 * thread at a time runs a given VP. partition_destroy also frees the VPs; no VP may be running then.
 */
#ifndef WORKER_BACKEND_H
#define WORKER_BACKEND_H

#include <stdint.h>

#include "hv/hv_hypercall.h"
#include "hv/hv_register.h"
#include "hv/hv_synic.h"
#include "worker/failure.h"

#define BACKEND_ROUTES_MAX 64u

/* Message signalled interrupt as the local APIC takes it; address_lo 0 means: this GSI has no route. */
struct backend_route {
	uint32_t gsi;
	uint32_t address_lo;
	uint32_t data;
};

struct backend;

struct backend_ops {
	int (*partition_create)(struct backend *b, struct failure *why);
	int (*partition_set_property)(struct backend *b, uint32_t code, uint64_t value, struct failure *why);
	int (*partition_initialize)(struct backend *b, struct failure *why);
	void (*partition_destroy)(struct backend *b);

	/* RAM: readable, writable, executable. Addresses and sizes are page multiples. */
	int (*map)(struct backend *b, uint64_t gpa, void *host, uint64_t bytes, struct failure *why);
	/* Pages that were mapped, also in several calls that adjoin. Release: the guest no longer has them, and what the host has
	 * there may be thrown away. Restore: it has what is there now. Those that are so already are left alone; after a failure a
	 * leading part may be done. */
	int (*release)(struct backend *b, uint64_t gpa, uint64_t bytes, struct failure *why);
	int (*restore)(struct backend *b, uint64_t gpa, uint64_t bytes, struct failure *why);
	int (*install_intercept)(struct backend *b, uint32_t type, uint32_t access_mask, uint64_t parameter,
				 struct failure *why);

	int (*vp_create)(struct backend *b, uint32_t vp, struct failure *why);
	/* The VP's register page (struct hv_register_page), valid while it is suspended by an intercept and marked dirty for what is
	 * changed; or NULL when the hypervisor offers none. Lives as long as the VP. */
	struct hv_register_page *(*register_page)(struct backend *b, uint32_t vp);
	int (*registers_set)(struct backend *b, uint32_t vp, const struct hv_register_assoc *regs, unsigned count,
			     struct failure *why);
	int (*registers_get)(struct backend *b, uint32_t vp, const uint32_t *names, struct hv_u128 *values, unsigned count,
			     struct failure *why);
	/* HvCallTranslateVirtualAddress; *out_result is enum hv_translate_result, *out_gpa valid when that is 0. */
	int (*translate)(struct backend *b, uint32_t vp, uint64_t gva, uint64_t flags, uint32_t *out_result,
			 uint64_t *out_gpa, struct failure *why);

	/* Replaces the whole routing table. */
	int (*set_routes)(struct backend *b, const struct backend_route *routes, unsigned count, struct failure *why);
	/* From now on a write to the eventfd asserts the GSI's interrupt. Undone by partition_destroy. */
	int (*irqfd)(struct backend *b, int eventfd, uint32_t gsi, struct failure *why);

	/* VMBus. The guest's HvPostMessage on one of the connections arrives at the descriptor that this returns: each read gives
	 * one struct hv_message. Closing it takes the connections away. */
	int (*message_port)(struct backend *b, const uint32_t *connection_ids, unsigned count, struct failure *why);
	/* The guest's HvSignalEvent on the connection signals the eventfd. -EEXIST: the id is in use. */
	int (*event_port)(struct backend *b, uint32_t connection_id, int eventfd, struct failure *why);
	void (*event_port_remove)(struct backend *b, uint32_t connection_id, int eventfd);
	/* Into a VP's SynIC. -EAGAIN: the queue is full; -ENOENT: no such VP; -EIO: its SynIC or a page of it is off. */
	int (*post_message)(struct backend *b, uint32_t vp, uint8_t sint, const struct hv_message *message);
	int (*signal_event)(struct backend *b, uint32_t vp, uint8_t sint, uint16_t flag);

	/* Runs until an intercept: 0 and a message, which may be of type HV_MESSAGE_NONE. -EINTR when signalled. */
	int (*run)(struct backend *b, uint32_t vp, struct hv_message *out_message, struct failure *why);
};

struct backend {
	const struct backend_ops *ops;
};

#endif
