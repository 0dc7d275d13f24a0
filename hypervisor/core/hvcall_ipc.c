/* SPDX-License-Identifier: Apache-2.0 */
/* TLFS 2.0a "Virtual Interrupt Control"; TLFS web, "Inter-Partition Communication". */
#include "core/hvcall.h"
#include "core/lapic.h"
#include "core/mem.h"
#include "core/partition.h"
#include "core/synic.h"
#include "core/vp.h"

#define CONTROL_KNOWN (0xffffffffull | HV_INTERRUPT_CONTROL_LEVEL | HV_INTERRUPT_CONTROL_LOGICAL)
#define MESSAGE_TYPE_HYPERVISOR 0x80000000u

/* Types that carry a vector. External interrupts of an interrupt controller pair are not offered: children have none. */
static bool interrupt_is_legal(uint32_t type, uint32_t vector)
{
	switch (type) {
	case HV_INTERRUPT_FIXED:
	case HV_INTERRUPT_LOWEST_PRIORITY:
	case HV_INTERRUPT_SIPI:
		return vector <= 255;
	case HV_INTERRUPT_NMI:
	case HV_INTERRUPT_INIT:
		return vector == 0;
	}
	return false;
}

enum hv_status hvcall_assert_virtual_interrupt(struct hypercall_context *c)
{
	const struct hv_input_assert_virtual_interrupt *in = (const void *)c->input;
	uint32_t type = (uint32_t)in->control;
	struct partition *p;
	enum hv_status status = hypercall_target(c, in->partition_id, HC_TARGET_CHILD | HC_IN_ACTIVE, &p);

	if (status != HV_STATUS_SUCCESS)
		return status;
	if ((in->control & ~CONTROL_KNOWN) || !interrupt_is_legal(type, in->vector))
		return HV_STATUS_INVALID_PARAMETER;
	if (in->destination >> 32)
		return HV_STATUS_INVALID_VP_INDEX;
	if (!lapic_deliver(p, (enum hv_interrupt_type)type, (uint8_t)in->vector, (in->control & HV_INTERRUPT_CONTROL_LEVEL) != 0,
			   (in->control & HV_INTERRUPT_CONTROL_LOGICAL) != 0, (uint32_t)in->destination))
		return HV_STATUS_INVALID_VP_INDEX;
	return HV_STATUS_SUCCESS;
}

/* Takes back an external interrupt; there is never one. */
enum hv_status hvcall_clear_virtual_interrupt(struct hypercall_context *c)
{
	const struct hv_input_partition *in = (const void *)c->input;
	struct partition *p;
	enum hv_status status = hypercall_target(c, in->partition_id, HC_TARGET_CHILD | HC_IN_ACTIVE, &p);

	return status != HV_STATUS_SUCCESS ? status : HV_STATUS_NOT_ACKNOWLEDGED;
}

/* --- Ports and connections ------------------------------------------------------------------------------------------ */

/* The second partition that a call names: the caller or a child of it. With a reference, for the handler to give back. */
static enum hv_status second_get(struct hypercall_context *c, uint64_t partition_id, struct partition **out)
{
	struct partition *caller = c->vp->partition, *p = partition_get(caller, partition_id);

	if (!p)
		return HV_STATUS_INVALID_PARTITION_ID;
	if (p != caller && p->parent != caller) {
		partition_put(p);
		return HV_STATUS_ACCESS_DENIED;
	}
	*out = p;
	return HV_STATUS_SUCCESS;
}

#define TARGET_ACTIVE (HC_TARGET_CHILD | HC_TARGET_SELF | HC_IN_ACTIVE)

enum hv_status hvcall_create_port(struct hypercall_context *c)
{
	const struct hv_input_create_port *in = (const void *)c->input;
	struct partition *p, *sender;
	enum hv_status status = hypercall_target(c, in->port_partition, TARGET_ACTIVE, &p);

	if (status != HV_STATUS_SUCCESS)
		return status;
	if (in->port_vtl || in->min_connection_vtl)
		return HV_STATUS_INVALID_PARAMETER;
	status = second_get(c, in->connection_partition, &sender);
	if (status != HV_STATUS_SUCCESS)
		return status;
	status = port_create(p, in->port_id, sender->id, &in->info);
	partition_put(sender);
	return status;
}

enum hv_status hvcall_delete_port(struct hypercall_context *c)
{
	const struct hv_input_delete_port *in = (const void *)c->input;
	struct partition *p;
	enum hv_status status = hypercall_target(c, in->port_partition, TARGET_ACTIVE, &p);

	return status != HV_STATUS_SUCCESS ? status : port_delete(p, in->port_id);
}

enum hv_status hvcall_set_port_property(struct hypercall_context *c)
{
	const struct hv_input_set_port_property *in = (const void *)c->input;
	struct partition *p;
	enum hv_status status = hypercall_target(c, in->port_partition, TARGET_ACTIVE, &p);

	if (status != HV_STATUS_SUCCESS)
		return status;
	if (in->property != UC_PORT_PROPERTY_HOLD)
		return HV_STATUS_UNKNOWN_PROPERTY;
	if (in->value > 1)
		return HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE;
	return port_hold(p, in->port_id, in->value != 0);
}

enum hv_status hvcall_connect_port(struct hypercall_context *c)
{
	const struct hv_input_connect_port *in = (const void *)c->input;
	struct partition *sender, *p;
	enum hv_status status = hypercall_target(c, in->connection_partition, TARGET_ACTIVE, &sender);

	if (status != HV_STATUS_SUCCESS)
		return status;
	if (in->connection_vtl)
		return HV_STATUS_INVALID_PARAMETER;
	status = second_get(c, in->port_partition, &p);
	if (status != HV_STATUS_SUCCESS)
		return status;
	if (__atomic_load_n(&p->state, __ATOMIC_SEQ_CST) == PARTITION_ACTIVE)
		status = port_connect(sender, in->connection_id, p, in->port_id, in->info.type);
	else
		status = HV_STATUS_INVALID_PARTITION_STATE;
	partition_put(p);
	return status;
}

enum hv_status hvcall_disconnect_port(struct hypercall_context *c)
{
	const struct hv_input_disconnect_port *in = (const void *)c->input;
	struct partition *sender;
	enum hv_status status = hypercall_target(c, in->connection_partition, TARGET_ACTIVE, &sender);

	if (status != HV_STATUS_SUCCESS)
		return status;
	if (in->flags & ~HV_DISCONNECT_DOORBELL)
		return HV_STATUS_INVALID_PARAMETER;
	if (in->flags & HV_DISCONNECT_DOORBELL)		/* their ids are a space of their own, and it is empty */
		return HV_STATUS_INVALID_CONNECTION_ID;
	return port_disconnect(sender, in->connection_id);
}

enum hv_status hvcall_post_message(struct hypercall_context *c)
{
	const struct hv_input_post_message *in = (const void *)c->input;
	struct hv_message message;

	if (!in->message_type || (in->message_type & MESSAGE_TYPE_HYPERVISOR) || in->rsvdz ||
	    in->payload_bytes > HV_MESSAGE_PAYLOAD_BYTES)
		return HV_STATUS_INVALID_PARAMETER;
	message.type = in->message_type;
	message.payload_bytes = (uint8_t)in->payload_bytes;
	memcpy(message.payload, in->payload, sizeof message.payload);
	return port_post(c->vp->partition, in->connection_id, &message);
}

enum hv_status hvcall_signal_event(struct hypercall_context *c)
{
	const struct hv_input_signal_event *in = (const void *)c->input;

	if (in->rsvdz)
		return HV_STATUS_INVALID_PARAMETER;
	return port_signal(c->vp->partition, in->connection_id, in->flag_number);
}

/* --- Straight to a VP of a child ------------------------------------------------------------------------------------ */

static enum hv_status vp_of(struct hypercall_context *c, uint64_t partition_id, uint32_t vp_index, struct vp **out)
{
	struct partition *p;
	enum hv_status status = hypercall_target(c, partition_id, HC_TARGET_CHILD | HC_IN_ACTIVE, &p);

	if (status != HV_STATUS_SUCCESS)
		return status;
	*out = partition_vp(p, vp_index);
	return *out ? HV_STATUS_SUCCESS : HV_STATUS_INVALID_VP_INDEX;
}

enum hv_status hvcall_signal_event_direct(struct hypercall_context *c)
{
	const struct hv_input_signal_event_direct *in = (const void *)c->input;
	struct hv_output_signal_event_direct *out = (void *)c->output;
	struct vp *vp;
	enum hv_status status = vp_of(c, in->partition_id, in->vp_index, &vp);
	bool fresh = false;

	if (status != HV_STATUS_SUCCESS)
		return status;
	if (in->vtl || in->sint >= HV_SINT_COUNT || in->flag >= HV_EVENT_FLAGS_PER_SINT)
		return HV_STATUS_INVALID_PARAMETER;
	status = synic_signal(vp, in->sint, in->flag, &fresh);
	out->newly_signaled = fresh;
	return status;
}

enum hv_status hvcall_post_message_direct(struct hypercall_context *c)
{
	const struct hv_input_post_message_direct *in = (const void *)c->input;
	struct hv_message message;
	struct vp *vp;
	enum hv_status status = vp_of(c, in->partition_id, in->vp_index, &vp);

	if (status != HV_STATUS_SUCCESS)
		return status;
	memcpy(&message, in->message, sizeof message);
	if (in->vtl || in->sint >= HV_SINT_COUNT || message.type == HV_MESSAGE_NONE ||
	    message.payload_bytes > HV_MESSAGE_PAYLOAD_BYTES)
		return HV_STATUS_INVALID_PARAMETER;
	return synic_post(vp, in->sint, &message);
}
