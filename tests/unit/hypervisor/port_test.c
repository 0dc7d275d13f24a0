/* SPDX-License-Identifier: Apache-2.0 */
/* Ports and connections by hypercall: the parent makes them, a child sends, the parent's SynIC receives; and back. */
#include "port_rig.h"

#include <string.h>

#include "hv/hv_msr.h"

/* --- Messages ------------------------------------------------------------------------------------------------------- */

static void a_message_arrives_with_its_port_as_sender(void **state)
{
	(void)state;
	make(0x123456, 1, message_info(1));
	memset(slot(1), 0xee, sizeof *slot(1));
	slot(1)->type = HV_MESSAGE_NONE;
	assert_status(post(1, 77), SUCCESS);
	assert_int_equal(slot(1)->flags, 0);
	assert_int_equal(slot(1)->rsvd, 0);
	assert_int_equal(slot(1)->payload[4], 0xee);		/* only the payload's bytes are written */
	assert_true(interrupted(root_vp(1)));
	assert_false(interrupted(root_vp(0)));
	assert_int_equal(take(1, 0x123456), 77);
	assert_true(empty(1) && empty(0));
}

static void messages_wait_in_order_up_to_the_quota(void **state)
{
	(void)state;
	make(5, 1, message_info(0));
	for (uint32_t i = 0; i < 1 + HV_PORT_MESSAGES; i++)
		assert_status(post(1, i), SUCCESS);
	assert_status(post(1, 99), INSUFFICIENT_BUFFERS);
	assert_int_equal(slot(0)->flags, HV_MESSAGE_FLAG_PENDING);
	assert_true(interrupted(root_vp(0)));
	assert_false(interrupted(root_vp(0)));
	for (uint32_t i = 0; i < 1 + HV_PORT_MESSAGES; i++) {
		assert_int_equal(slot(0)->flags, i < HV_PORT_MESSAGES ? HV_MESSAGE_FLAG_PENDING : 0);
		assert_int_equal(take(0, 5), i);
		assert_int_equal(interrupted(root_vp(0)), i < HV_PORT_MESSAGES);
	}
	assert_true(empty(0));
}

/* A slot that was freed without EOM is seen by the next post, also by one that finds all buffers full. */
static void a_post_finds_a_slot_that_was_freed_quietly(void **state)
{
	(void)state;
	make(5, 1, message_info(0));
	for (uint32_t i = 0; i < 1 + HV_PORT_MESSAGES; i++)
		assert_status(post(1, i), SUCCESS);
	slot(0)->type = HV_MESSAGE_NONE;
	assert_status(post(1, 17), SUCCESS);
	assert_status(post(1, 18), INSUFFICIENT_BUFFERS);
	for (uint32_t i = 1; i < 2 + HV_PORT_MESSAGES; i++)
		assert_int_equal(take(0, 5), i);
}

/* One port cannot keep another from the slot: they take turns. */
static void ports_share_a_slot_fairly(void **state)
{
	uint32_t other = 0;

	(void)state;
	make(5, 1, message_info(0));
	make(6, 2, message_info(0));
	for (uint32_t i = 0; i < 1 + HV_PORT_MESSAGES; i++)
		assert_status(post(1, i), SUCCESS);
	assert_status(post(1, 99), INSUFFICIENT_BUFFERS);
	assert_status(post(2, 1000), SUCCESS);
	for (unsigned i = 0; i < 3; i++) {
		if (slot(0)->sender == 6)
			other = take(0, 6);
		else
			take(0, 5);
	}
	assert_int_equal(other, 1000);
}

static void hypervisor_messages_and_ports_share_a_sint(void **state)
{
	const struct hv_message direct = { .type = 3, .sender = 9 };

	(void)state;
	make(5, 1, message_info(0));
	assert_status(post(1, 0), SUCCESS);
	assert_status(post(1, 1), SUCCESS);
	assert_status(synic_post(root_vp(0), SINT, &direct), SUCCESS);
	assert_int_equal(take(0, 5), 0);
	assert_int_equal(slot(0)->type, 3);
	slot(0)->type = 0;
	assert_true(synic_msr_write(root_vp(0), HV_MSR_EOM, 0));
	assert_int_equal(take(0, 5), 1);
}

static void malformed_messages_are_refused_first(void **state)
{
	struct hv_input_post_message in = { .connection_id = 1, .message_type = TYPE };
	void *at = platform_ptr(SPA((child_ram << PAGE_SHIFT) + CHILD_IN));

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		struct hv_input_post_message bad = in;

		if (i == 0)
			bad.message_type = 0;
		else if (i == 1)
			bad.message_type = 0x80000001u;
		else if (i == 2)
			bad.payload_bytes = 241;
		else if (i == 3)
			bad.payload_bytes = 0xffffff00u;
		else
			bad.rsvdz = 1;
		memcpy(at, &bad, sizeof bad);
		assert_int_equal(caller_enter(sender, HVCALL_POST_MESSAGE, CHILD_IN, 0), HV_STATUS_INVALID_PARAMETER);
	}
	assert_status(post(1, 0), INVALID_CONNECTION_ID);
	assert_status(post(0x1000001, 0), INVALID_CONNECTION_ID);
	assert_int_equal(caller_enter(sender, HVCALL_SIGNAL_EVENT | HC_FAST_FLAG, 1ull << 48 | 1, 0), HV_STATUS_INVALID_PARAMETER);
	assert_status(signal_fast(1, 0), INVALID_CONNECTION_ID);
}

static void the_longest_payload_arrives_whole(void **state)
{
	struct hv_input_post_message in = { .connection_id = 1, .message_type = 0x7fffffff, .payload_bytes = 240 };

	(void)state;
	make(5, 1, message_info(0));
	for (unsigned i = 0; i < 240; i++)
		in.payload[i] = (uint8_t)(i * 7);
	memcpy(platform_ptr(SPA((child_ram << PAGE_SHIFT) + CHILD_IN)), &in, sizeof in);
	assert_int_equal(caller_enter(sender, HVCALL_POST_MESSAGE, CHILD_IN, 0), 0);
	assert_int_equal(slot(0)->type, 0x7fffffff);
	assert_int_equal(slot(0)->payload_bytes, 240);
	assert_memory_equal(slot(0)->payload, in.payload, 240);
}

static void privileges_are_needed(void **state)
{
	(void)state;
	make(5, 1, message_info(0));
	make(6, 2, event_info(0, 0, 1));
	sender->partition->privileges &= ~HV_PRIV_POST_MESSAGES;
	assert_status(post(1, 0), ACCESS_DENIED);
	assert_status(signal_fast(2, 0), SUCCESS);
	sender->partition->privileges |= HV_PRIV_POST_MESSAGES;
	sender->partition->privileges &= ~HV_PRIV_SIGNAL_EVENTS;
	assert_status(post(1, 0), SUCCESS);
	assert_status(signal_fast(2, 0), ACCESS_DENIED);
}

/* --- Where messages go ---------------------------------------------------------------------------------------------- */

static void a_port_for_a_vp_goes_to_that_vp_alone(void **state)
{
	(void)state;
	make(5, 1, message_info(1));
	mask(root_vp(1), true);
	assert_status(post(1, 0), SUCCESS);
	assert_false(interrupted(root_vp(1)));			/* in the slot, and the interrupt is lost */
	assert_int_equal(take(1, 5), 0);
	assert_true(synic_msr_write(root_vp(1), HV_MSR_SIMP, ROOT_SIM(1)));
	assert_status(post(1, 1), INVALID_SYNIC_STATE);
	assert_true(synic_msr_write(root_vp(1), HV_MSR_SIMP, ROOT_SIM(1) | 1));
	assert_true(synic_msr_write(root_vp(1), HV_MSR_SCONTROL, 0));
	assert_status(post(1, 1), INVALID_SYNIC_STATE);
	assert_true(empty(0));
	make(6, 2, message_info(7));
	assert_status(post(2, 0), INVALID_VP_INDEX);
	make(7, 3, message_info(0x12345678));
	assert_status(post(3, 0), INVALID_VP_INDEX);
}

static void any_vp_stays_with_one_that_takes_messages(void **state)
{
	(void)state;
	make(5, 1, message_info(HV_ANY_VP));
	fake_set_cpu(1);
	assert_status(post(1, 0), SUCCESS);			/* the VP of the sender's CPU */
	fake_set_cpu(0);
	assert_status(post(1, 1), SUCCESS);			/* and it stays there */
	assert_status(post(1, 2), SUCCESS);
	assert_true(empty(0));
	mask(root_vp(1), true);
	assert_status(post(1, 3), SUCCESS);			/* now elsewhere, with all that waited */
	assert_int_equal(take(1, 5), 0);
	assert_true(empty(1));
	for (uint32_t i = 1; i < 4; i++)
		assert_int_equal(take(0, 5), i);
	assert_true(empty(0));
	mask(root_vp(0), true);
	assert_status(post(1, 4), SUCCESS);			/* masked everywhere */
	assert_true(empty(0) != empty(1));
	assert_true(synic_msr_write(root_vp(0), HV_MSR_SCONTROL, 0));
	assert_true(synic_msr_write(root_vp(1), HV_MSR_SCONTROL, 0));
	assert_status(post(1, 5), INVALID_SYNIC_STATE);
}

static void what_waited_for_a_disabled_page_appears_when_it_is_enabled(void **state)
{
	(void)state;
	make(5, 1, message_info(0));
	assert_status(post(1, 0), SUCCESS);
	assert_status(post(1, 1), SUCCESS);
	assert_true(synic_msr_write(root_vp(0), HV_MSR_SIMP, 0));
	slot(0)->type = HV_MESSAGE_NONE;
	assert_true(synic_msr_write(root_vp(0), HV_MSR_EOM, 0));
	assert_true(empty(0));
	assert_true(synic_msr_write(root_vp(0), HV_MSR_SIMP, ROOT_SIM(0) | 1));
	assert_int_equal(take(0, 5), 1);
}

/* --- Held ports ----------------------------------------------------------------------------------------------------- */

static void a_held_port_keeps_its_messages_and_no_others(void **state)
{
	(void)state;
	make(5, 1, message_info(HV_ANY_VP));
	make(6, 2, message_info(0));
	for (uint32_t i = 0; i < 4; i++)
		assert_status(post(1, i), SUCCESS);
	assert_status(hold(5, 1), SUCCESS);
	assert_int_equal(take(0, 5), 0);			/* it was in the slot */
	assert_true(empty(0));
	assert_status(post(2, 1000), SUCCESS);
	assert_int_equal(take(0, 6), 1000);
	for (uint32_t i = 4; i < 1 + HV_PORT_MESSAGES; i++)
		assert_status(post(1, i), SUCCESS);
	assert_status(post(1, 99), INSUFFICIENT_BUFFERS);
	assert_status(hold(5, 1), SUCCESS);
	assert_true(empty(0));
	assert_status(hold(5, 0), SUCCESS);
	assert_status(hold(5, 0), SUCCESS);
	for (uint32_t i = 1; i < 1 + HV_PORT_MESSAGES; i++)
		assert_int_equal(take(0, 5), i);
	assert_true(empty(0));
	assert_status(post(1, 50), SUCCESS);
	assert_int_equal(take(0, 5), 50);
}

static void hold_is_for_message_ports(void **state)
{
	struct hv_input_set_port_property in = { HV_PARTITION_ID_SELF, 5, 1, 0 };

	(void)state;
	make(5, 1, message_info(0));
	make(6, 2, event_info(0, 0, 1));
	assert_status(hold(6, 1), INVALID_PORT_ID);
	assert_status(hold(7, 1), INVALID_PORT_ID);
	assert_status(hold(5, 2), PROPERTY_VALUE_OUT_OF_RANGE);
	assert_status(caller_simple(HVCALL_SET_PORT_PROPERTY, &in, sizeof in, NULL, 0), UNKNOWN_PROPERTY);
	/* A held port may be deleted like any other. */
	assert_status(hold(5, 1), SUCCESS);
	assert_status(post(1, 0), SUCCESS);
	assert_status(delete_port(HV_PARTITION_ID_SELF, 5), SUCCESS);
	assert_status(post(1, 0), INVALID_PORT_ID);
}

/* --- Events --------------------------------------------------------------------------------------------------------- */

static void a_flag_interrupts_once(void **state)
{
	(void)state;
	make(5, 1, event_info(1, 100, 3));
	for (unsigned slow = 0; slow < 2; slow++) {
		for (uint16_t flag = 0; flag < 3; flag++) {
			assert_status(slow ? signal_slow(1, flag) : signal_fast(1, flag), SUCCESS);
			assert_true(flag_is_set(1, 100u + flag));
			assert_true(interrupted(root_vp(1)));
			assert_status(slow ? signal_slow(1, flag) : signal_fast(1, flag), SUCCESS);
			assert_false(interrupted(root_vp(1)));
			flag_clear(1, 100u + flag);
		}
		assert_status(slow ? signal_slow(1, 3) : signal_fast(1, 3), INVALID_PARAMETER);
		assert_status(slow ? signal_slow(1, 0xffff) : signal_fast(1, 0xffff), INVALID_PARAMETER);
	}
	for (unsigned flag = 0; flag < HV_EVENT_FLAGS_PER_SINT; flag++)
		assert_false(flag_is_set(1, flag) || flag_is_set(0, flag));
}

static void a_masked_sint_or_a_page_that_is_off_refuses_events(void **state)
{
	(void)state;
	make(5, 1, event_info(1, 0, 1));
	make(6, 2, event_info(HV_ANY_VP, 2047, 1));
	make(7, 3, event_info(9, 0, 1));
	mask(root_vp(1), true);
	assert_status(signal_fast(1, 0), INVALID_SYNIC_STATE);
	assert_false(flag_is_set(1, 0));
	mask(root_vp(1), false);
	assert_true(synic_msr_write(root_vp(1), HV_MSR_SIEFP, ROOT_SIEF(1)));
	assert_status(signal_fast(1, 0), INVALID_SYNIC_STATE);
	fake_set_cpu(1);
	assert_status(signal_fast(2, 0), SUCCESS);
	fake_set_cpu(0);
	assert_true(flag_is_set(0, 2047));
	mask(root_vp(0), true);
	assert_status(signal_fast(2, 0), INVALID_SYNIC_STATE);
	assert_status(signal_fast(3, 0), INVALID_VP_INDEX);
}

static void any_vp_is_that_of_the_senders_cpu(void **state)
{
	(void)state;
	make(5, 1, event_info(HV_ANY_VP, 10, 1));
	fake_set_cpu(1);
	assert_status(signal_fast(1, 0), SUCCESS);
	fake_set_cpu(0);
	assert_true(flag_is_set(1, 10) && !flag_is_set(0, 10));
	assert_status(signal_fast(1, 0), SUCCESS);
	assert_true(flag_is_set(0, 10));
}

/* --- Making and unmaking -------------------------------------------------------------------------------------------- */

static void ports_are_checked_when_they_are_made(void **state)
{
	struct hv_input_create_port vtl = { .port_partition = HV_PARTITION_ID_SELF, .port_id = 50, .connection_partition = child,
					    .info = message_info(0), .min_connection_vtl = 1 };
	struct hv_port_info info = message_info(0);

	(void)state;
	for (uint32_t type = 0; type < 6; type++) {
		info.type = type;
		if (type != HV_PORT_MESSAGE && type != HV_PORT_EVENT)
			assert_status(create_port(HV_PARTITION_ID_SELF, 1, child, info), INVALID_PARAMETER);
	}
	info = message_info(0);
	info.message.sint = 16;
	assert_status(create_port(HV_PARTITION_ID_SELF, 1, child, info), INVALID_PARAMETER);
	info.message.sint = 0x10002;
	assert_status(create_port(HV_PARTITION_ID_SELF, 1, child, info), INVALID_PARAMETER);
	assert_status(create_port(HV_PARTITION_ID_SELF, 1, child, event_info(0, 0, 0)), INVALID_PARAMETER);
	assert_status(create_port(HV_PARTITION_ID_SELF, 1, child, event_info(0, 2047, 2)), INVALID_PARAMETER);
	assert_status(create_port(HV_PARTITION_ID_SELF, 1, child, event_info(0, 1, 0xffff)), INVALID_PARAMETER);
	assert_status(create_port(HV_PARTITION_ID_SELF, 1, child, event_info(0, 0, 2048)), SUCCESS);
	assert_status(create_port(HV_PARTITION_ID_SELF, 1, child, message_info(0)), INVALID_PORT_ID);
	assert_status(create_port(HV_PARTITION_ID_SELF, 0x1000000, child, message_info(0)), INVALID_PORT_ID);
	assert_status(create_port(HV_PARTITION_ID_SELF, 2, 99, message_info(0)), INVALID_PARTITION_ID);
	assert_status(caller_simple(HVCALL_CREATE_PORT, &vtl, sizeof vtl, NULL, 0), INVALID_PARAMETER);
	assert_status(delete_port(HV_PARTITION_ID_SELF, 2), INVALID_PORT_ID);
	assert_status(delete_port(child, 1), INVALID_PORT_ID);
	assert_status(delete_port(HV_PARTITION_ID_SELF, 1), SUCCESS);
}

static void connections_are_checked_when_they_are_made(void **state)
{
	struct hv_input_disconnect_port in = { .connection_partition = child, .connection_id = 1, .flags = 1 };
	uint64_t other = caller_child(30), fresh;

	(void)state;
	make(5, 1, message_info(0));
	assert_status(connect(child, 2, HV_PARTITION_ID_SELF, 6, HV_PORT_MESSAGE), INVALID_PORT_ID);
	assert_status(connect(child, 2, child, 5, HV_PORT_MESSAGE), INVALID_PORT_ID);
	assert_status(connect(child, 2, 99, 5, HV_PORT_MESSAGE), INVALID_PARTITION_ID);
	assert_status(connect(child, 1, HV_PARTITION_ID_SELF, 5, HV_PORT_MESSAGE), INVALID_CONNECTION_ID);
	assert_status(connect(child, 0x1000000, HV_PARTITION_ID_SELF, 5, HV_PORT_MESSAGE), INVALID_CONNECTION_ID);
	assert_status(connect(child, 2, HV_PARTITION_ID_SELF, 5, HV_PORT_EVENT), INVALID_PARAMETER);
	assert_status(connect(other, 2, HV_PARTITION_ID_SELF, 5, HV_PORT_MESSAGE), ACCESS_DENIED);
	assert_status(connect(HV_PARTITION_ID_SELF, 2, HV_PARTITION_ID_SELF, 5, HV_PORT_MESSAGE), ACCESS_DENIED);
	assert_status(caller_create(0, &fresh), SUCCESS);
	assert_status(connect(child, 2, fresh, 5, HV_PORT_MESSAGE), INVALID_PARTITION_STATE);
	assert_status(caller_simple(HVCALL_DISCONNECT_PORT, &in, sizeof in, NULL, 0), INVALID_CONNECTION_ID);
	in.flags = 2;
	assert_status(caller_simple(HVCALL_DISCONNECT_PORT, &in, sizeof in, NULL, 0), INVALID_PARAMETER);
	/* A message is not an event, and the other way round. */
	make(6, 3, event_info(0, 0, 1));
	assert_status(post(3, 0), INVALID_PORT_ID);
	assert_status(signal_fast(1, 0), INVALID_PORT_ID);
	assert_status(disconnect(child, 3), SUCCESS);
	assert_status(disconnect(child, 3), INVALID_CONNECTION_ID);
	assert_status(signal_fast(3, 0), INVALID_CONNECTION_ID);
}

/* The same in registers. */
static void deletion_has_a_fast_form(void **state)
{
	(void)state;
	make(5, 1, message_info(0));
	assert_int_equal(caller_enter(caller_vp(), HVCALL_DISCONNECT_PORT | HC_FAST_FLAG, child, 1), 0);
	assert_status(post(1, 0), INVALID_CONNECTION_ID);
	assert_int_equal(caller_enter(caller_vp(), HVCALL_DELETE_PORT | HC_FAST_FLAG, HV_PARTITION_ID_SELF, 5), 0);
	assert_status(delete_port(HV_PARTITION_ID_SELF, 5), INVALID_PORT_ID);
}

static void disconnecting_drops_nothing_and_deleting_drops_all(void **state)
{
	(void)state;
	make(5, 1, message_info(0));
	for (uint32_t i = 0; i < 6; i++)
		assert_status(post(1, i), SUCCESS);
	assert_status(disconnect(child, 1), SUCCESS);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(take(0, 5), i);
	assert_status(delete_port(HV_PARTITION_ID_SELF, 5), SUCCESS);
	assert_int_equal(take(0, 5), 3);			/* in the slot it was the receiver's already */
	assert_true(empty(0));
}

static void a_dangling_connection_stays_dead(void **state)
{
	(void)state;
	make(5, 1, message_info(0));
	assert_status(delete_port(HV_PARTITION_ID_SELF, 5), SUCCESS);
	assert_status(post(1, 0), INVALID_PORT_ID);
	assert_status(create_port(HV_PARTITION_ID_SELF, 5, child, message_info(0)), SUCCESS);
	assert_status(post(1, 0), INVALID_PORT_ID);
	assert_true(empty(0));
	assert_status(connect(child, 2, HV_PARTITION_ID_SELF, 5, HV_PORT_MESSAGE), SUCCESS);
	assert_status(post(2, 1), SUCCESS);
	assert_status(disconnect(child, 1), SUCCESS);
}

/* --- Children as receivers ------------------------------------------------------------------------------------------ */

static void the_root_sends_to_a_child(void **state)
{
	struct hv_message *at = (struct hv_message *)platform_ptr(SPA((child_ram << PAGE_SHIFT) + CHILD_SIM)) + SINT;
	const uint8_t *flags = platform_ptr(SPA((child_ram << PAGE_SHIFT) + CHILD_SIEF));

	(void)state;
	assert_status(create_port(child, 5, HV_PARTITION_ID_SELF, message_info(HV_ANY_VP)), SUCCESS);
	assert_status(create_port(child, 6, HV_PARTITION_ID_ROOT, event_info(0, 8, 8)), SUCCESS);
	assert_status(connect(HV_PARTITION_ID_SELF, 1, child, 5, HV_PORT_MESSAGE), SUCCESS);
	assert_status(connect(HV_PARTITION_ID_SELF, 2, child, 6, HV_PORT_EVENT), SUCCESS);
	assert_status(root_post(1), INVALID_SYNIC_STATE);
	synic_on(sender, CHILD_SIM, CHILD_SIEF);
	assert_status(root_post(1), SUCCESS);
	assert_int_equal(at->sender, 5);
	assert_true(interrupted(sender));
	assert_int_equal(caller_enter(caller_vp(), HVCALL_SIGNAL_EVENT | HC_FAST_FLAG, 2 | 3ull << 32, 0), 0);
	assert_int_equal(flags[SINT * 256 + 1], 1 << 3);
	assert_true(interrupted(sender));

	/* A reset VP has forgotten what waited; a deleted one takes nothing. */
	assert_status(root_post(1), SUCCESS);
	vp_reset(sender);
	synic_on(sender, CHILD_SIM, CHILD_SIEF);
	at->type = HV_MESSAGE_NONE;
	assert_true(synic_msr_write(sender, HV_MSR_EOM, 0));
	assert_int_equal(at->type, HV_MESSAGE_NONE);
	for (unsigned i = 0; i < 3; i++)
		assert_status(root_post(1), SUCCESS);
	assert_status(caller_delete_vp(child, 0), SUCCESS);
	assert_status(root_post(1), INVALID_SYNIC_STATE);	/* there is none of any */
	assert_int_equal(caller_enter(caller_vp(), HVCALL_SIGNAL_EVENT | HC_FAST_FLAG, 2, 0), HV_STATUS_INVALID_VP_INDEX);
	assert_status(caller_create_vp(child, 0), SUCCESS);
	synic_on(partition_vp(caller_partition_of(child), 0), CHILD_SIM, CHILD_SIEF);
	at->type = HV_MESSAGE_NONE;
	assert_status(root_post(1), SUCCESS);
	assert_int_equal(at->type, TYPE);
	assert_int_equal(at->flags, 0);
	assert_int_equal(caller_destroy(child), 80);
	assert_status(root_post(1), INVALID_PORT_ID);
	assert_int_equal(caller_enter(caller_vp(), HVCALL_SIGNAL_EVENT | HC_FAST_FLAG, 2, 0), HV_STATUS_INVALID_PORT_ID);
	assert_status(disconnect(HV_PARTITION_ID_SELF, 1), SUCCESS);
	assert_status(disconnect(HV_PARTITION_ID_SELF, 2), SUCCESS);
}

static void children_reach_each_other_through_the_root_only(void **state)
{
	uint64_t other, other_ram;
	struct vp *other_vp;

	(void)state;
	child_make(&other, &other_vp, &other_ram);
	synic_on(other_vp, CHILD_SIM, CHILD_SIEF);
	assert_status(create_port(other, 5, child, message_info(0)), SUCCESS);
	assert_status(connect(child, 1, other, 5, HV_PORT_MESSAGE), SUCCESS);
	assert_status(post(1, 0), SUCCESS);
	assert_status(post_from(other_vp, other_ram, 1, 0), INVALID_CONNECTION_ID);
	/* Finalizing the sender leaves what it has sent. */
	assert_status(post(1, 1), SUCCESS);
	assert_int_equal(caller_destroy(child), 80);
	assert_int_equal(caller_partition_of(other)->ports.count, 1);
	assert_int_equal(other_vp->synic.waiting, 1u << SINT);
	assert_int_equal(caller_destroy(other), 80);
}

/* --- Memory --------------------------------------------------------------------------------------------------------- */

static void every_page_comes_back_with_the_last_object(void **state)
{
	uint64_t root_before, child_before = child_used();
	enum { MANY = 100 };

	(void)state;
	assert_status(post(1, 0), INVALID_CONNECTION_ID);
	root_before = root_used();
	for (uint32_t i = 0; i < MANY; i++)
		make(i * 256 + i % 3, i * 512, i % 2 ? message_info(0) : event_info(0, (uint16_t)i, 1));
	assert_int_equal(root_used(), root_before + 1 + (MANY + 30) / 31 + MANY / 2);
	assert_int_equal(child_used(), child_before + 1 + (MANY + 30) / 31);
	for (uint32_t i = 0; i < MANY; i++)
		assert_status(i % 2 ? post(i * 512, 0) : signal_fast(i * 512, 0), SUCCESS);
	for (uint32_t i = 0; i < MANY; i++)
		assert_status(delete_port(HV_PARTITION_ID_SELF, (i * 7 % MANY) * 256 + (i * 7 % MANY) % 3), SUCCESS);
	assert_int_equal(root_used(), root_before);
	for (uint32_t i = 0; i < MANY; i++)
		assert_status(disconnect(child, (i * 3 % MANY) * 512), SUCCESS);
	assert_int_equal(child_used(), child_before);
}

static void memory_is_asked_of_who_owns_the_object(void **state)
{
	uint64_t poor = caller_child(0 + 20), gpfn[64], given = 0;
	enum hv_status status;

	(void)state;
	while (caller_withdraw(poor, 1, gpfn, NULL) == HV_STATUS_SUCCESS)
		;
	assert_status(create_port(HV_PARTITION_ID_SELF, 5, poor, message_info(0)), SUCCESS);
	while ((status = connect(poor, 1, HV_PARTITION_ID_SELF, 5, HV_PORT_MESSAGE)) == HV_STATUS_INSUFFICIENT_MEMORY) {
		assert_int_equal(caller_partition_of(poor)->ports.count, 0);
		assert_int_equal(caller_partition_of(poor)->ports.buckets_page.v, 0);
		caller_give(poor, 1);
		given++;
		assert_true(given < 10);
		if (given == 1)
			assert_int_equal(caller_partition_of(poor)->pool.free_count, caller_partition_of(poor)->pool.reserve + 1);
	}
	assert_status(status, SUCCESS);
	assert_int_equal(given, 2);
	while ((status = create_port(poor, 9, HV_PARTITION_ID_SELF, message_info(0))) == HV_STATUS_INSUFFICIENT_MEMORY) {
		assert_int_equal(caller_partition_of(poor)->ports.count, 1);
		caller_give(poor, 1);
		given++;
	}
	assert_status(status, SUCCESS);
	assert_int_equal(given, 3);
	assert_status(delete_port(HV_PARTITION_ID_SELF, 5), SUCCESS);
	caller_destroy(poor);
}

static void finalize_takes_ports_and_connections_along(void **state)
{
	uint64_t root_before;

	(void)state;
	assert_status(post(1, 0), INVALID_CONNECTION_ID);
	root_before = root_used();
	synic_on(sender, CHILD_SIM, CHILD_SIEF);
	for (uint32_t i = 0; i < 40; i++) {
		make(i, i, message_info(HV_ANY_VP));
		assert_status(create_port(child, i, HV_PARTITION_ID_SELF, event_info(0, 0, 1)), SUCCESS);
	}
	assert_status(create_port(child, 100, HV_PARTITION_ID_SELF, message_info(0)), SUCCESS);
	assert_status(connect(HV_PARTITION_ID_SELF, 7, child, 100, HV_PORT_MESSAGE), SUCCESS);
	assert_status(root_post(7), SUCCESS);
	assert_status(root_post(7), SUCCESS);
	for (uint32_t i = 0; i < 40; i++)
		assert_status(post(i, i), SUCCESS);
	assert_int_equal(caller_destroy(child), 80);
	assert_status(disconnect(HV_PARTITION_ID_SELF, 7), SUCCESS);
	for (uint32_t i = 0; i < 40; i++)
		assert_status(delete_port(HV_PARTITION_ID_SELF, i), SUCCESS);
	assert_int_equal(root_used() + 1, root_before);		/* the partition's own page went too */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, port_setup, caller_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_message_arrives_with_its_port_as_sender),
		TEST(messages_wait_in_order_up_to_the_quota),
		TEST(a_post_finds_a_slot_that_was_freed_quietly),
		TEST(ports_share_a_slot_fairly),
		TEST(hypervisor_messages_and_ports_share_a_sint),
		TEST(malformed_messages_are_refused_first),
		TEST(the_longest_payload_arrives_whole),
		TEST(privileges_are_needed),
		TEST(a_port_for_a_vp_goes_to_that_vp_alone),
		TEST(any_vp_stays_with_one_that_takes_messages),
		TEST(what_waited_for_a_disabled_page_appears_when_it_is_enabled),
		TEST(a_held_port_keeps_its_messages_and_no_others),
		TEST(hold_is_for_message_ports),
		TEST(a_flag_interrupts_once),
		TEST(a_masked_sint_or_a_page_that_is_off_refuses_events),
		TEST(any_vp_is_that_of_the_senders_cpu),
		TEST(ports_are_checked_when_they_are_made),
		TEST(connections_are_checked_when_they_are_made),
		TEST(deletion_has_a_fast_form),
		TEST(disconnecting_drops_nothing_and_deleting_drops_all),
		TEST(a_dangling_connection_stays_dead),
		TEST(the_root_sends_to_a_child),
		TEST(children_reach_each_other_through_the_root_only),
		TEST(every_page_comes_back_with_the_last_object),
		TEST(memory_is_asked_of_who_owns_the_object),
		TEST(finalize_takes_ports_and_connections_along),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
