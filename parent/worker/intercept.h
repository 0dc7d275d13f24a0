/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intercept messages that the hypervisor leaves to the parent: one row per message type. The handlers change the VP's
 * registers; whoever called decides what to do with the VP by the verdict.
 */
#ifndef WORKER_INTERCEPT_H
#define WORKER_INTERCEPT_H

#include "hv/hv_synic.h"
#include "worker/vp_context.h"

enum intercept_verdict {
	INTERCEPT_RESUME,			/* run the VP again */
	INTERCEPT_HALT,				/* it waits for ever: nothing can wake it */
	INTERCEPT_POWER_OFF,			/* the guest wants to be off */
	INTERCEPT_RESET,			/* the guest wants to start anew */
	INTERCEPT_TRIPLE_FAULT,
	INTERCEPT_FAILED,			/* the VP cannot go on; `why` says why */
};

enum intercept_kind {
	INTERCEPT_KIND_NONE, INTERCEPT_KIND_IO_PORT, INTERCEPT_KIND_MEMORY, INTERCEPT_KIND_MSR, INTERCEPT_KIND_CPUID,
	INTERCEPT_KIND_HALT, INTERCEPT_KIND_APIC_EOI, INTERCEPT_KIND_UNRECOVERABLE, INTERCEPT_KIND_UNSUPPORTED,
	INTERCEPT_KIND_INVALID_REGISTER, INTERCEPT_KIND_EXCEPTION, INTERCEPT_KIND_UNKNOWN, INTERCEPT_KIND_COUNT
};

struct intercept_route {
	uint32_t message_type;
	enum intercept_kind kind;
	enum intercept_verdict (*handle)(const struct vp_context *vp, const struct hv_message *message, struct failure *why);
};
extern const struct intercept_route intercept_routes[];
extern const unsigned intercept_route_count;
extern const char *const intercept_kind_names[INTERCEPT_KIND_COUNT];

/* *out_kind is for the VP's counters. */
enum intercept_verdict intercept_handle(const struct vp_context *vp, const struct hv_message *message,
					enum intercept_kind *out_kind, struct failure *why);

/* string_io.c: INS and OUTS, some elements per call; RIP moves on when the count is used up. */
int string_io(const struct vp_context *vp, const struct hv_io_port_intercept *io, struct failure *why) MUST_CHECK;

#endif
