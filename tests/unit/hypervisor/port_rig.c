/* SPDX-License-Identifier: Apache-2.0 */
#include "port_rig.h"

#include <string.h>

#include "hv/hv_msr.h"

uint64_t child, child_ram;
struct vp *sender;

void synic_on(struct vp *vp, uint64_t sim, uint64_t sief)
{
	lapic_write(vp, 0xf0, 0x1ff);
	assert_true(synic_msr_write(vp, HV_MSR_SIMP, sim | 1));
	assert_true(synic_msr_write(vp, HV_MSR_SIEFP, sief | 1));
	assert_true(synic_msr_write(vp, HV_MSR_SINT0 + SINT, VECTOR));
	assert_true(synic_msr_write(vp, HV_MSR_SCONTROL, 1));
}

void mask(struct vp *vp, bool on)
{
	assert_true(synic_msr_write(vp, HV_MSR_SINT0 + SINT, VECTOR | (on ? HV_SINT_MASKED : 0)));
}

struct vp *root_vp(uint32_t n)
{
	return partition_vp(root_partition, n);
}

void child_make(uint64_t *out_id, struct vp **out_vp, uint64_t *out_ram)
{
	*out_id = caller_child(80);
	assert_status(caller_create_vp(*out_id, 0), SUCCESS);
	*out_ram = caller_ram(*out_id, 0, 8);
	*out_vp = caller_make_caller(*out_id, 0);
}

int port_setup(void **state)
{
	caller_setup(state);
	for (uint32_t i = 0; i < 2; i++)
		synic_on(root_vp(i), ROOT_SIM(i), ROOT_SIEF(i));
	child_make(&child, &sender, &child_ram);
	return 0;
}

/* --- Calls ---------------------------------------------------------------------------------------------------------- */

struct hv_port_info message_info(uint32_t vp)
{
	return (struct hv_port_info){ .type = HV_PORT_MESSAGE, .pad = ~0u, .message = { .sint = SINT, .vp_index = vp } };
}

struct hv_port_info event_info(uint32_t vp, uint16_t base, uint16_t count)
{
	return (struct hv_port_info){ .type = HV_PORT_EVENT,
				      .event = { .sint = SINT, .vp_index = vp, .base_flag = base, .flag_count = count } };
}

enum hv_status create_port(uint64_t owner, uint32_t id, uint64_t from, struct hv_port_info info)
{
	struct hv_input_create_port in = { .port_partition = owner, .port_id = id, .pad = 0x1234, .connection_partition = from,
					   .info = info };

	return caller_simple(HVCALL_CREATE_PORT, &in, sizeof in, NULL, 0);
}

enum hv_status delete_port(uint64_t owner, uint32_t id)
{
	struct hv_input_delete_port in = { .port_partition = owner, .port_id = id, .pad = ~0u };

	return caller_simple(HVCALL_DELETE_PORT, &in, sizeof in, NULL, 0);
}

enum hv_status connect(uint64_t from, uint32_t connection, uint64_t owner, uint32_t id, uint32_t type)
{
	struct hv_input_connect_port in = { .connection_partition = from, .connection_id = connection, .port_partition = owner,
					    .port_id = id, .info = { .type = type } };

	return caller_simple(HVCALL_CONNECT_PORT, &in, sizeof in, NULL, 0);
}

enum hv_status disconnect(uint64_t from, uint32_t connection)
{
	struct hv_input_disconnect_port in = { .connection_partition = from, .connection_id = connection };

	return caller_simple(HVCALL_DISCONNECT_PORT, &in, sizeof in, NULL, 0);
}

enum hv_status hold(uint32_t id, uint64_t value)
{
	struct hv_input_set_port_property in = { HV_PARTITION_ID_SELF, id, UC_PORT_PROPERTY_HOLD, value };

	return caller_simple(HVCALL_SET_PORT_PROPERTY, &in, sizeof in, NULL, 0);
}

/* A child's message carries a number, so that order and loss show. */
enum hv_status post_from(struct vp *vp, uint64_t ram, uint32_t connection, uint32_t number)
{
	struct hv_input_post_message in = { .connection_id = connection, .message_type = TYPE, .payload_bytes = sizeof number };

	memcpy(in.payload, &number, sizeof number);
	memcpy(platform_ptr(SPA((ram << PAGE_SHIFT) + CHILD_IN)), &in, sizeof in);
	return HC_RESULT_STATUS(caller_enter(vp, HVCALL_POST_MESSAGE, CHILD_IN, 7));
}

enum hv_status post(uint32_t connection, uint32_t number)
{
	return post_from(sender, child_ram, connection, number);
}

enum hv_status signal_fast(uint32_t connection, uint16_t flag)
{
	return HC_RESULT_STATUS(caller_enter(sender, HVCALL_SIGNAL_EVENT | HC_FAST_FLAG, connection | (uint64_t)flag << 32, 7));
}

enum hv_status signal_slow(uint32_t connection, uint16_t flag)
{
	struct hv_input_signal_event in = { .connection_id = connection, .flag_number = flag };

	memcpy(platform_ptr(SPA((child_ram << PAGE_SHIFT) + CHILD_IN)), &in, sizeof in);
	return HC_RESULT_STATUS(caller_enter(sender, HVCALL_SIGNAL_EVENT, CHILD_IN, 7));
}

/* --- The receiving end ---------------------------------------------------------------------------------------------- */

struct hv_message *slot(uint32_t vp)
{
	return (struct hv_message *)platform_ptr(SPA(ROOT_SIM(vp))) + SINT;
}

bool flag_is_set(uint32_t vp, unsigned flag)
{
	const uint8_t *page = platform_ptr(SPA(ROOT_SIEF(vp)));

	return page[SINT * 256 + flag / 8] >> flag % 8 & 1;
}

void flag_clear(uint32_t vp, unsigned flag)
{
	uint8_t *page = platform_ptr(SPA(ROOT_SIEF(vp)));

	page[SINT * 256 + flag / 8] &= (uint8_t)~(1u << flag % 8);
}

bool interrupted(struct vp *vp)
{
	int vector = lapic_pending(vp);

	if (vector < 0)
		return false;
	assert_int_equal(vector, VECTOR);
	lapic_accept(vp, VECTOR);
	lapic_eoi(vp);
	return true;
}

/* Takes the message as a guest does: type 0, then EOM. Returns its number. */
uint32_t take(uint32_t vp, uint32_t port)
{
	struct hv_message *m = slot(vp);
	uint32_t number;

	assert_int_equal(m->type, TYPE);
	assert_int_equal(m->payload_bytes, sizeof number);
	assert_int_equal(m->sender, port);
	memcpy(&number, m->payload, sizeof number);
	m->type = HV_MESSAGE_NONE;
	assert_true(synic_msr_write(root_vp(vp), HV_MSR_EOM, 0));
	return number;
}

bool empty(uint32_t vp)
{
	return slot(vp)->type == HV_MESSAGE_NONE;
}

void make(uint32_t port, uint32_t connection, struct hv_port_info info)
{
	assert_status(create_port(HV_PARTITION_ID_SELF, port, child, info), SUCCESS);
	assert_status(connect(child, connection, HV_PARTITION_ID_ROOT, port, info.type), SUCCESS);
}

enum hv_status root_post(uint32_t connection)
{
	struct hv_input_post_message in = { .connection_id = connection, .message_type = TYPE, .payload_bytes = 4 };

	return caller_simple(HVCALL_POST_MESSAGE, &in, sizeof in, NULL, 0);
}

/* A CPU gets its private pages with its first call at either level. */
uint64_t root_used(void)
{
	assert_status(delete_port(HV_PARTITION_ID_SELF, HV_PORT_ID_MAX), INVALID_PORT_ID);
	return root_partition->pool.used_count;
}

uint64_t child_used(void)
{
	uint64_t available, used;

	assert_status(caller_balance(child, &available, &used), SUCCESS);
	return used;
}
