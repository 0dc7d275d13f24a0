/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The message slot protocol with a guest that looks at the same memory: a slot is free when its type is 0; the type is
 * written last. Who finds a slot occupied sets its pending flag and then looks at the type again, while the guest clears
 * the type and then looks at the flag, so that one of the two sees the other. TLFS web, "SynIC Message Flags".
 * Interrupts are raised when the SynIC lock is free again, because waking a VP may need another VP's SynIC.
 */
#include "core/synic.h"

#include "core/gpa_access.h"
#include "core/mem.h"
#include "core/msr.h"
#include "core/partition.h"
#include "core/scheduler.h"
#include "core/vp.h"

#define SINT_RESET     HV_SINT_MASKED
#define SINT_VECTOR_MIN 16u
#define SYNIC_VERSION  1u
#define SCONTROL_ENABLE 1ull
#define SCHEDULER_SINT 0u
#define SOURCE_QUEUE   HV_STIMER_COUNT		/* after the timers 0..3 */
#define SOURCE_PORTS   (HV_STIMER_COUNT + 1)
#define SOURCE_COUNT   (HV_STIMER_COUNT + 2)
#define SLOT_TRIES     3			/* a guest that plays with the slot waits for the next exit */

/* Vectors to raise once the lock is free. */
struct interrupts {
	unsigned count;
	uint8_t vector[HV_SINT_COUNT];
};

static void interrupts_add(struct interrupts *todo, uint64_t sint)
{
	if (!(sint & (HV_SINT_MASKED | HV_SINT_POLLING)) && todo->count < HV_SINT_COUNT)
		todo->vector[todo->count++] = (uint8_t)(sint & HV_SINT_VECTOR_MASK);
}

static void interrupts_raise(struct vp *vp, const struct interrupts *todo)
{
	for (unsigned i = 0; i < todo->count; i++)
		lapic_post(vp, todo->vector[i], false);
}

static bool message_page_on(const struct synic *s)
{
	return s->scontrol & SCONTROL_ENABLE && s->simp & HV_MSR_PAGE_ENABLE;
}

/* waiting is read without the lock to see whether a scan is worth while. */
static void waiting_set(struct synic *s, unsigned sint)
{
	__atomic_store_n(&s->waiting, (uint16_t)(s->waiting | 1u << sint), __ATOMIC_RELAXED);
}

static void waiting_clear(struct synic *s, unsigned sint)
{
	__atomic_store_n(&s->waiting, (uint16_t)(s->waiting & ~(1u << sint)), __ATOMIC_RELAXED);
}

/* The queue of posted messages */

static struct hv_message *queue_cells(const struct synic *s)
{
	return platform_ptr(s->queue_page);
}

static int queue_find(const struct synic *s, unsigned sint)
{
	for (unsigned i = 0; i < s->queue_count; i++) {
		if (s->queue_sint[i] == sint)
			return (int)i;
	}
	return -1;
}

/* There is room. */
static void queue_push(struct synic *s, unsigned sint, const struct hv_message *message)
{
	uint32_t used = 0;
	unsigned cell;

	for (unsigned i = 0; i < s->queue_count; i++)
		used |= 1u << s->queue_cell[i];
	cell = (unsigned)__builtin_ctz(~used);
	queue_cells(s)[cell] = *message;
	s->queue_sint[s->queue_count] = (uint8_t)sint;
	s->queue_cell[s->queue_count] = (uint8_t)cell;
	s->queue_count++;
}

static void queue_pop(struct synic *s, unsigned at, struct hv_message *out)
{
	*out = queue_cells(s)[s->queue_cell[at]];
	s->queue_count--;
	for (unsigned i = at; i < s->queue_count; i++) {
		s->queue_sint[i] = s->queue_sint[i + 1];
		s->queue_cell[i] = s->queue_cell[i + 1];
	}
}

/* Messages of ports. A queue begins to wait under the ports' lock only, and ends it under the SynIC lock alone: whoever
 * reads NULL from its vp under the ports' lock has it for himself. */

_Static_assert(HV_PORT_MESSAGES * HV_MESSAGE_BYTES == PAGE_BYTES, "a port's buffers are a page");

static void port_push(struct message_queue *q, const struct hv_message *message)
{
	struct hv_message *cells = platform_ptr(q->page);

	cells[(q->first + q->count) % HV_PORT_MESSAGES] = *message;
	q->count++;
}

static void port_link(struct vp *vp, struct message_queue *q)
{
	list_add_tail(&vp->synic.ports[q->sint], &q->node);
	__atomic_store_n(&q->vp, vp, __ATOMIC_RELEASE);
	waiting_set(&vp->synic, q->sint);
}

/* The queue is not the caller's any more. */
static void port_unlink(struct message_queue *q)
{
	list_remove(&q->node);
	__atomic_store_n(&q->vp, NULL, __ATOMIC_RELEASE);
}

/* From the port whose turn it is. */
static void port_pop(struct synic *s, unsigned sint, struct hv_message *out)
{
	struct message_queue *q = container_of(s->ports[sint].next, struct message_queue, node);
	const struct hv_message *cells = platform_ptr(q->page);

	*out = cells[q->first];
	q->first = (uint8_t)((q->first + 1) % HV_PORT_MESSAGES);
	if (--q->count) {
		list_remove(&q->node);
		list_add_tail(&s->ports[sint], &q->node);
	} else {
		port_unlink(q);
	}
}

static void ports_forget(struct synic *s)
{
	for (unsigned sint = 0; sint < HV_SINT_COUNT; sint++) {
		while (!list_empty(&s->ports[sint])) {
			struct message_queue *q = container_of(s->ports[sint].next, struct message_queue, node);

			q->count = 0;
			port_unlink(q);
		}
	}
}

/* Placing messages */

static bool scheduler_ready(const struct vp *vp, unsigned sint)
{
	return sint == SCHEDULER_SINT && vp->partition->is_root && vp->home && scheduler_pending(vp->home);
}

static bool source_ready(const struct vp *vp, unsigned source, unsigned sint)
{
	if (source == SOURCE_QUEUE)
		return queue_find(&vp->synic, sint) >= 0;
	if (source == SOURCE_PORTS)
		return !list_empty(&vp->synic.ports[sint]);
	return synth_timer_has_message(vp, source, sint);
}

static bool source_any(const struct vp *vp, unsigned sint)
{
	for (unsigned source = 0; source < SOURCE_COUNT; source++) {
		if (source_ready(vp, source, sint))
			return true;
	}
	return scheduler_ready(vp, sint);
}

/* Next message for the slot, in turn among the sources; *out_more: others wait behind it. */
static bool take_message(struct vp *vp, unsigned sint, struct hv_message *out, bool *out_more)
{
	struct synic *s = &vp->synic;

	if (scheduler_ready(vp, sint) && scheduler_take_message(vp, out)) {
		*out_more = source_any(vp, sint);
		return true;
	}
	for (unsigned i = 1; i <= SOURCE_COUNT; i++) {
		unsigned source = (s->turn[sint] + i) % SOURCE_COUNT;

		if (!source_ready(vp, source, sint))
			continue;
		s->turn[sint] = (uint8_t)source;
		if (source == SOURCE_QUEUE)
			queue_pop(s, (unsigned)queue_find(s, sint), out);
		else if (source == SOURCE_PORTS)
			port_pop(s, sint, out);
		else
			synth_timer_take_message(vp, source, out);
		*out_more = source_any(vp, sint);
		return true;
	}
	return false;
}

static bool slot_occupied(const struct hv_message *slot)
{
	return __atomic_load_n(&slot->type, __ATOMIC_SEQ_CST) != HV_MESSAGE_NONE;
}

static void slot_fill(struct hv_message *slot, const struct hv_message *message, bool more)
{
	slot->payload_bytes = message->payload_bytes;
	slot->flags = more ? HV_MESSAGE_FLAG_PENDING : 0;
	slot->rsvd = 0;
	slot->sender = message->sender;
	memcpy(slot->payload, message->payload, message->payload_bytes);
	__atomic_store_n(&slot->type, message->type, __ATOMIC_SEQ_CST);
}

/* At most one message finds its place. */
static void scan_sint(struct vp *vp, struct hv_message *slot, unsigned sint, struct interrupts *todo)
{
	struct synic *s = &vp->synic;
	struct hv_message message;
	bool more = false;

	for (unsigned i = 0; slot_occupied(slot); i++) {
		if (i == SLOT_TRIES)
			return;
		if (!source_any(vp, sint)) {
			waiting_clear(s, sint);
			return;
		}
		__atomic_fetch_or(&slot->flags, HV_MESSAGE_FLAG_PENDING, __ATOMIC_SEQ_CST);
		if (slot_occupied(slot))
			return;
	}
	if (take_message(vp, sint, &message, &more)) {
		slot_fill(slot, &message, more);
		interrupts_add(todo, s->sint[sint]);
	}
	if (!more)
		waiting_clear(s, sint);
}

static void scan_locked(struct vp *vp, struct interrupts *todo)
{
	struct synic *s = &vp->synic;
	struct hv_message *slots;

	if (scheduler_ready(vp, SCHEDULER_SINT))
		waiting_set(s, SCHEDULER_SINT);
	if (!s->waiting || !message_page_on(s))
		return;
	slots = gpa_page_get(vp->partition, GPA(s->simp & HV_MSR_PAGE_GPFN_MASK), ACCESS_READ | ACCESS_WRITE);
	if (!slots)
		return;
	for (unsigned sint = 0; sint < HV_SINT_COUNT; sint++) {
		if (s->waiting & 1u << sint)
			scan_sint(vp, &slots[sint], sint, todo);
	}
	gpa_page_put(vp->partition);
}

void synic_scan(struct vp *vp)
{
	struct interrupts todo = { 0 };

	spin_lock(&vp->synic.lock);
	scan_locked(vp, &todo);
	spin_unlock(&vp->synic.lock);
	interrupts_raise(vp, &todo);
}

void synic_wait(struct vp *vp, unsigned sint)
{
	struct interrupts todo = { 0 };

	spin_lock(&vp->synic.lock);
	waiting_set(&vp->synic, sint);
	scan_locked(vp, &todo);
	spin_unlock(&vp->synic.lock);
	interrupts_raise(vp, &todo);
}

static enum hv_status post_locked(struct vp *vp, unsigned sint, const struct hv_message *message,
				  struct interrupts *todo)
{
	struct synic *s = &vp->synic;

	if (!message_page_on(s))
		return HV_STATUS_INVALID_SYNIC_STATE;
	if (s->queue_count == SYNIC_QUEUE_MAX)
		scan_locked(vp, todo);
	if (s->queue_count == SYNIC_QUEUE_MAX)
		return HV_STATUS_INSUFFICIENT_BUFFERS;
	queue_push(s, sint, message);
	waiting_set(s, sint);
	return HV_STATUS_SUCCESS;
}

enum hv_status synic_post(struct vp *vp, unsigned sint, const struct hv_message *message)
{
	struct interrupts todo = { 0 };
	enum hv_status status;

	if (sint >= HV_SINT_COUNT || message->type == HV_MESSAGE_NONE ||
	    message->payload_bytes > HV_MESSAGE_PAYLOAD_BYTES)
		return HV_STATUS_INVALID_PARAMETER;
	spin_lock(&vp->synic.lock);
	status = post_locked(vp, sint, message, &todo);
	spin_unlock(&vp->synic.lock);
	interrupts_raise(vp, &todo);
	if (status == HV_STATUS_SUCCESS)
		synic_scan(vp);
	return status;
}

/* Also without the lock: then a register that changes just now is seen before or after, and whoever sends looks again. */
static enum synic_readiness readiness(const struct synic *s, uint64_t page, unsigned sint)
{
	if (!(__atomic_load_n(&s->scontrol, __ATOMIC_RELAXED) & SCONTROL_ENABLE) || !(page & HV_MSR_PAGE_ENABLE))
		return SYNIC_OFF;
	return __atomic_load_n(&s->sint[sint], __ATOMIC_RELAXED) & HV_SINT_MASKED ? SYNIC_MASKED : SYNIC_OPEN;
}

enum synic_readiness synic_messages_ready(const struct vp *vp, unsigned sint)
{
	return readiness(&vp->synic, __atomic_load_n(&vp->synic.simp, __ATOMIC_RELAXED), sint);
}

enum synic_readiness synic_flags_ready(const struct vp *vp, unsigned sint)
{
	return readiness(&vp->synic, __atomic_load_n(&vp->synic.siefp, __ATOMIC_RELAXED), sint);
}

static enum hv_status queue_post_locked(struct vp *vp, enum synic_readiness least, struct message_queue *q,
					const struct hv_message *message, struct interrupts *todo)
{
	/* A VP is marked dead before its SynIC is reset for the last time. */
	if (__atomic_load_n(&vp->owned, __ATOMIC_SEQ_CST) == VP_DEAD)
		return HV_STATUS_INVALID_VP_INDEX;
	if (synic_messages_ready(vp, q->sint) < least)
		return HV_STATUS_INVALID_SYNIC_STATE;
	if (q->count == HV_PORT_MESSAGES && !q->held)
		scan_locked(vp, todo);
	if (q->count == HV_PORT_MESSAGES)
		return HV_STATUS_INSUFFICIENT_BUFFERS;
	port_push(q, message);
	if (!q->held && !q->vp)
		port_link(vp, q);
	return HV_STATUS_SUCCESS;
}

enum hv_status synic_queue_post(struct vp *vp, enum synic_readiness least, struct message_queue *q,
				const struct hv_message *message)
{
	struct interrupts todo = { 0 };
	enum hv_status status;

	spin_lock(&vp->synic.lock);
	status = queue_post_locked(vp, least, q, message, &todo);
	spin_unlock(&vp->synic.lock);
	interrupts_raise(vp, &todo);
	if (status == HV_STATUS_SUCCESS)
		synic_scan(vp);
	return status;
}

void synic_queue_attach(struct vp *vp, struct message_queue *q)
{
	spin_lock(&vp->synic.lock);
	if (q->count && !q->vp && __atomic_load_n(&vp->owned, __ATOMIC_SEQ_CST) != VP_DEAD)
		port_link(vp, q);
	spin_unlock(&vp->synic.lock);
	synic_scan(vp);
}

void synic_queue_detach(struct message_queue *q)
{
	struct vp *vp = __atomic_load_n(&q->vp, __ATOMIC_ACQUIRE);

	if (!vp)
		return;
	spin_lock(&vp->synic.lock);
	if (q->vp)
		port_unlink(q);
	spin_unlock(&vp->synic.lock);
}

/* Event flags */

static bool flag_set(struct vp *vp, unsigned sint, unsigned flag, bool *out_new)
{
	uint8_t bit = (uint8_t)(1u << flag % 8);
	uint8_t *page = gpa_page_get(vp->partition, GPA(vp->synic.siefp & HV_MSR_PAGE_GPFN_MASK),
				     ACCESS_READ | ACCESS_WRITE);

	if (!page)
		return false;
	page += sint * (HV_EVENT_FLAGS_PER_SINT / 8) + flag / 8;
	*out_new = !(__atomic_fetch_or(page, bit, __ATOMIC_SEQ_CST) & bit);
	gpa_page_put(vp->partition);
	return true;
}

static enum hv_status signal(struct vp *vp, enum synic_readiness least, unsigned sint, unsigned flag, bool *out_new)
{
	struct synic *s = &vp->synic;
	struct interrupts todo = { 0 };
	bool set;

	if (sint >= HV_SINT_COUNT || flag >= HV_EVENT_FLAGS_PER_SINT)
		return HV_STATUS_INVALID_PARAMETER;
	spin_lock(&s->lock);
	set = synic_flags_ready(vp, sint) >= least && flag_set(vp, sint, flag, out_new);
	if (set && *out_new)
		interrupts_add(&todo, s->sint[sint]);
	spin_unlock(&s->lock);
	interrupts_raise(vp, &todo);
	return set ? HV_STATUS_SUCCESS : HV_STATUS_INVALID_SYNIC_STATE;
}

enum hv_status synic_signal(struct vp *vp, unsigned sint, unsigned flag, bool *out_new)
{
	return signal(vp, SYNIC_MASKED, sint, flag, out_new);
}

enum hv_status synic_signal_open(struct vp *vp, unsigned sint, unsigned flag)
{
	bool fresh;

	return signal(vp, SYNIC_OPEN, sint, flag, &fresh);
}

/* Registers */

/* Vectors whose acceptance is their end. */
static void auto_eoi_update(struct vp *vp)
{
	uint32_t bits[8] = { 0 };

	for (unsigned i = 0; i < HV_SINT_COUNT; i++) {
		uint64_t sint = vp->synic.sint[i];
		unsigned vector = sint & HV_SINT_VECTOR_MASK;

		if (sint & HV_SINT_AUTO_EOI && !(sint & HV_SINT_MASKED))
			bits[vector / 32] |= 1u << vector % 32;
	}
	memcpy(vp->lapic.auto_eoi, bits, sizeof(bits));
}

/* A message that finds its page on a disabled SINT stays there without an interrupt; nothing is raised later. */
static bool sint_write(struct vp *vp, unsigned n, uint64_t value)
{
	if (!(value & HV_SINT_MASKED) && (value & HV_SINT_VECTOR_MASK) < SINT_VECTOR_MIN)
		return false;
	vp->synic.sint[n] = value;
	auto_eoi_update(vp);
	return true;
}

static bool page_write(uint64_t *reg, uint64_t value)
{
	if (!msr_page_valid(value))
		return false;
	*reg = value;
	return true;
}

static bool write_locked(struct vp *vp, uint32_t msr, uint64_t value)
{
	struct synic *s = &vp->synic;

	switch (msr) {
	case HV_MSR_SCONTROL:
		s->scontrol = value;
		return true;
	case HV_MSR_SIEFP:
		return page_write(&s->siefp, value);
	case HV_MSR_SIMP:
		return page_write(&s->simp, value);
	case HV_MSR_EOM:
		return true;
	case HV_MSR_SINT0 ... HV_MSR_SINT15:
		return sint_write(vp, msr - HV_MSR_SINT0, value);
	default:
		return false;
	}
}

bool synic_msr_write(struct vp *vp, uint32_t msr, uint64_t value)
{
	struct interrupts todo = { 0 };
	bool known;

	spin_lock(&vp->synic.lock);
	known = write_locked(vp, msr, value);
	/* EOM asks for it; enabling and unmasking let what waited appear. */
	if (known)
		scan_locked(vp, &todo);
	spin_unlock(&vp->synic.lock);
	interrupts_raise(vp, &todo);
	return known;
}

bool synic_msr_read(struct vp *vp, uint32_t msr, uint64_t *out_value)
{
	const struct synic *s = &vp->synic;

	switch (msr) {
	case HV_MSR_SCONTROL:
		*out_value = s->scontrol;
		return true;
	case HV_MSR_SVERSION:
		*out_value = SYNIC_VERSION;
		return true;
	case HV_MSR_SIEFP:
		*out_value = s->siefp;
		return true;
	case HV_MSR_SIMP:
		*out_value = s->simp;
		return true;
	case HV_MSR_EOM:
		*out_value = 0;
		return true;
	case HV_MSR_SINT0 ... HV_MSR_SINT15:
		*out_value = s->sint[msr - HV_MSR_SINT0];
		return true;
	default:
		return false;
	}
}

/* Life cycle */

enum hv_status synic_create(struct vp *vp)
{
	spa_t page = page_pool_alloc(&vp->partition->pool);

	if (page.v == 0)
		return HV_STATUS_INSUFFICIENT_MEMORY;
	memset(&vp->synic, 0, sizeof(vp->synic));
	vp->synic.queue_page = page;
	for (unsigned i = 0; i < HV_SINT_COUNT; i++)
		list_init(&vp->synic.ports[i]);
	synic_reset(vp);
	return HV_STATUS_SUCCESS;
}

void synic_destroy(struct vp *vp)
{
	if (vp->synic.queue_page.v == 0)
		return;
	page_pool_free(&vp->partition->pool, vp->synic.queue_page);
	vp->synic.queue_page = SPA(0);
}

void synic_reset(struct vp *vp)
{
	struct synic *s = &vp->synic;

	spin_lock(&s->lock);
	s->scontrol = s->siefp = s->simp = 0;
	for (unsigned i = 0; i < HV_SINT_COUNT; i++) {
		s->sint[i] = SINT_RESET;
		s->turn[i] = 0;
		waiting_clear(s, i);
	}
	s->queue_count = 0;
	ports_forget(s);
	auto_eoi_update(vp);
	spin_unlock(&s->lock);
}
