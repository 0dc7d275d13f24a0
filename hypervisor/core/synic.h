/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Synthetic interrupt controller of a VP: 16 SINTs, a message page and an event flags page in guest memory (write-through:
 * the guest's own RAM pages), a queue of posted messages, and the ports whose messages wait for a slot. TLFS web,
 * "Inter-Partition Communication" and "Virtual Interrupt Controller". SynIC state is guarded by the VP's synic lock; message
 * posting works from any CPU.
 */
#ifndef CORE_SYNIC_H
#define CORE_SYNIC_H

#include "core/list.h"
#include "core/spinlock.h"
#include "hv/hv_msr.h"
#include "hv/hv_synic.h"

#define SYNIC_QUEUE_MAX 16u		/* posted messages that wait, per VP, all SINTs together */

/*
 * The messages of one port, in their order, in a page of the port's partition. While it waits at a VP the queue is guarded by
 * that VP's SynIC lock; else by the lock of its ports (port.c), which alone lets it begin to wait somewhere.
 */
struct message_queue {
	struct list_node node;		/* in synic.ports of the VP */
	struct vp *vp;			/* (a) where it waits for the slot; NULL: nowhere, because it is empty or held */
	spa_t page;			/* HV_PORT_MESSAGES messages of 256 bytes */
	uint8_t sint;			/* constant */
	uint8_t first, count;
	bool held;			/* (ports) stays with its port */
};

struct synic {
	struct spinlock lock;
	uint64_t scontrol, siefp, simp;
	uint64_t sint[HV_SINT_COUNT];
	uint16_t waiting;		/* bit n: something waits for slot n (queue, timer or scheduler signal) */
	uint8_t queue_count;
	spa_t queue_page;		/* 16 messages of 256 bytes */
	uint8_t queue_sint[SYNIC_QUEUE_MAX];	/* oldest first: SINT ... */
	uint8_t queue_cell[SYNIC_QUEUE_MAX];	/* ... and where in the page */
	uint8_t turn[HV_SINT_COUNT];	/* source that filled the slot last: 0..3 timers, 4 the queue, 5 ports; it comes last next time */
	struct list_node ports[HV_SINT_COUNT];	/* message_queue.node, none empty; they take turns */
};

enum hv_status synic_create(struct vp *vp) MUST_CHECK;	/* takes the queue page from the partition's pool */
void synic_destroy(struct vp *vp);
void synic_reset(struct vp *vp);	/* what waits here is gone, messages of ports too */

/* MSRs 0x40000080..9f. false: #GP. */
bool synic_msr_read(struct vp *vp, uint32_t msr, uint64_t *out_value) MUST_CHECK;
bool synic_msr_write(struct vp *vp, uint32_t msr, uint64_t value) MUST_CHECK;

/* Queue a whole message for a SINT of this VP: into the slot if free, else queued. The message is private memory; its flags
 * are ignored. INVALID_PARAMETER sint >= 16, type 0 or more than 240 bytes; INSUFFICIENT_BUFFERS queue full;
 * INVALID_SYNIC_STATE SynIC or message page off. */
enum hv_status synic_post(struct vp *vp, unsigned sint, const struct hv_message *message) MUST_CHECK;

/* Sets an event flag; interrupt on 0 -> 1 (none, but success, when the SINT is masked). *out_new tells whether it was newly
 * set. INVALID_PARAMETER sint >= 16 or flag >= 2048; INVALID_SYNIC_STATE SynIC or flags page off, or no RAM there. */
enum hv_status synic_signal(struct vp *vp, unsigned sint, unsigned flag, bool *out_new) MUST_CHECK;
/* As a port does it: INVALID_SYNIC_STATE also when the SINT is masked. */
enum hv_status synic_signal_open(struct vp *vp, unsigned sint, unsigned flag) MUST_CHECK;

/* How ready a VP is for what a port sends: a page that is off takes nothing, a masked SINT gets no interrupt. */
enum synic_readiness { SYNIC_OFF, SYNIC_MASKED, SYNIC_OPEN };
enum synic_readiness synic_messages_ready(const struct vp *vp, unsigned sint);
enum synic_readiness synic_flags_ready(const struct vp *vp, unsigned sint);

/* The same for a port's message; the caller has the ports' lock, and the queue waits at this VP or nowhere. The VP may be on
 * its way out, but not freed. INSUFFICIENT_BUFFERS queue full; INVALID_SYNIC_STATE the VP is less ready than that;
 * INVALID_VP_INDEX it is deleted. */
enum hv_status synic_queue_post(struct vp *vp, enum synic_readiness least, struct message_queue *q,
				const struct hv_message *message) MUST_CHECK;
/* Lets what the queue has wait at this VP, or nowhere. The caller has the ports' lock. */
void synic_queue_attach(struct vp *vp, struct message_queue *q);
void synic_queue_detach(struct message_queue *q);

/* Tries again to place what waits: after EOM, EOI of a SINT's vector, enabling, and at each VP exit while waiting != 0; of a
 * root VP, also when its CPU's scheduler has something to tell (SINT0). Any CPU; no SynIC lock may be held. */
void synic_scan(struct vp *vp);

/* Something new waits for slot `sint` (a timer's message, which the timer hands out when asked): notes it and tries to place
 * it. As synic_scan. */
void synic_wait(struct vp *vp, unsigned sint);

#endif
