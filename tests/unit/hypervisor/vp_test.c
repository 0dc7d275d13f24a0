/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual processors: creation, registers by name, start-up, exceptions, ownership, waking. */
#include "caller.h"

#include <string.h>

#include "core/scheduler.h"

static uint64_t id;
static struct vp *vp;

static int setup(void **state)
{
	caller_setup(state);
	id = caller_child(60);
	assert_status(caller_create_vp(id, 0), SUCCESS);
	vp = partition_vp(caller_partition_of(id), 0);
	return 0;
}

static uint64_t get(uint32_t name)
{
	struct hv_u128 value;

	assert_status(caller_get_register(id, 0, name, &value), SUCCESS);
	return value.low;
}

static enum hv_status set(uint32_t name, uint64_t value)
{
	return caller_set_register(id, 0, name, (struct hv_u128){ value, 0 });
}

static void creation_statuses(void **state)
{
	struct hv_input_create_vp in = { .partition_id = id, .vp_index = 1, .flags = 1 };
	uint64_t poor = caller_child(6), available, used, before;
	struct vp *fresh;

	(void)state;
	assert_status(caller_partition(HVCALL_FINALIZE_PARTITION, poor), SUCCESS);
	assert_status(vp_create(caller_partition_of(poor), 0, &fresh), INVALID_PARTITION_STATE);
	poor = caller_child(6);
	assert_status(caller_create_vp(id, 0), INVALID_VP_INDEX);
	assert_status(caller_create_vp(id, PARTITION_VPS_MAX), INVALID_VP_INDEX);
	assert_status(caller_create_vp(id, ~0u), INVALID_VP_INDEX);
	assert_status(caller_create_vp(id, PARTITION_VPS_MAX - 1), SUCCESS);
	assert_status(caller_simple(HVCALL_CREATE_VP, &in, sizeof in, NULL, 0), INVALID_PARAMETER);
	assert_status(caller_delete_vp(id, 5), INVALID_VP_INDEX);
	/* Too few pages: told, and none is lost. */
	assert_status(caller_balance(poor, &available, &before), SUCCESS);
	for (unsigned given = 0; caller_create_vp(poor, 0) == HV_STATUS_INSUFFICIENT_MEMORY; given++) {
		assert_true(given < 10);
		assert_status(caller_balance(poor, &available, &used), SUCCESS);
		assert_int_equal(used, before);
		caller_give(poor, 1);
	}
}

static void delete_gives_pages_back_and_frees_the_index(void **state)
{
	uint64_t available, used, before;

	(void)state;
	assert_status(caller_delete_vp(id, 0), SUCCESS);
	assert_status(caller_balance(id, &available, &before), SUCCESS);
	for (unsigned i = 0; i < 5; i++) {
		assert_status(caller_create_vp(id, 0), SUCCESS);
		assert_status(caller_delete_vp(id, 0), SUCCESS);
		assert_status(caller_balance(id, &available, &used), SUCCESS);
		assert_int_equal(used, before);
	}
	assert_status(caller_delete_vp(id, 0), INVALID_VP_INDEX);
}

/* A lookup in flight may still point to it: its pages stay until that has ended. */
static void a_deleted_vp_outlives_lookups(void **state)
{
	struct partition *p = partition_get(root_partition, id);
	uint64_t used = p->pool.used_count;

	(void)state;
	assert_status(caller_delete_vp(id, 0), SUCCESS);
	assert_null(partition_vp(p, 0));
	assert_int_equal(p->pool.used_count, used);
	assert_false(vp_try_own(vp));
	assert_false(vp_hold(vp));
	vp_wake(vp);
	partition_put(p);
	assert_true(p->pool.used_count < used);
}

static void starts_in_reset_state_and_suspended(void **state)
{
	struct hv_u128 value;

	(void)state;
	assert_status(caller_create_vp(id, 1), SUCCESS);
	assert_int_equal(get(HV_REG_EXPLICIT_SUSPEND), 1);
	assert_int_equal(get(HV_REG_RIP), 0xfff0);
	assert_int_equal(get(HV_REG_RFLAGS), 2);
	assert_int_equal(get(HV_REG_RDX), 0x00800f12);		/* family, model, stepping */
	assert_int_equal(get(HV_REG_RAX), 0);
	assert_int_equal(get(HV_REG_INTERNAL_ACTIVITY_STATE), 0);
	assert_int_equal(get(HV_REG_INITIAL_APIC_ID), 0);
	assert_int_equal(get(HV_REG_VP_INDEX), 0);
	assert_status(caller_get_register(id, 1, HV_REG_INTERNAL_ACTIVITY_STATE, &value), SUCCESS);
	assert_int_equal(value.low, 1);
	assert_status(caller_get_register(id, 1, HV_REG_INITIAL_APIC_ID, &value), SUCCESS);
	assert_int_equal(value.low, 1);
	assert_status(caller_get_register(id, 1, HV_REG_APIC_BASE, &value), SUCCESS);
	assert_int_equal(value.low, 0xfee00800);
	assert_int_equal(get(HV_REG_APIC_BASE), 0xfee00900);
}

static void registers_keep_what_is_written(void **state)
{
	static const struct { uint32_t name; uint64_t low, high; } rows[] = {
		{ HV_REG_RIP, 0xffffffff81000000, 0 }, { HV_REG_RFLAGS, 0x246, 0 }, { HV_REG_CR0, 0x80010033, 0 },
		{ HV_REG_CR2, 0x1234, 0 }, { HV_REG_CR3, 0x5000, 0 }, { HV_REG_CR4, 0x20, 0 }, { HV_REG_CR8, 7, 0 },
		{ HV_REG_EFER, 0xd01, 0 }, { HV_REG_XFEM, 7, 0 }, { HV_REG_DR7, 0x400, 0 }, { HV_REG_PAT, 0x0007040600070406, 0 },
		{ HV_REG_STAR, 3, 0 }, { HV_REG_LSTAR, 4, 0 }, { HV_REG_KERNEL_GS_BASE, 5, 0 }, { HV_REG_TSC_AUX, 6, 0 },
		{ HV_REG_CS, 0, 0xa09b0010ffffffff }, { HV_REG_TR, 0x77, 0x008b0020000000ff }, { HV_REG_GDTR, 0x00ff000000000000, 0x99 },
		{ HV_REG_XMM15, 0x1111, 0x2222 }, { HV_REG_FP_CONTROL_STATUS, 0x37f, 0 }, { HV_REG_INTERRUPT_STATE, 1, 0 },
		{ HV_REG_INITIAL_APIC_ID, 9, 0 }, { HV_REG_INTERNAL_ACTIVITY_STATE, 2, 0 }, { HV_REG_INTERNAL_ACTIVITY_STATE, 1, 0 },
		{ HV_REG_GUEST_OS_ID, 0x8100, 0 }, { HV_REG_SCONTROL, 1, 0 }, { HV_REG_SIMP, 0x2001, 0 }, { HV_REG_SIEFP, 0x3001, 0 },
		{ HV_REG_SINT0 + 2, 0x20051, 0 }, { HV_REG_SINT15, 0x10000, 0 }, { HV_REG_STIMER0_CONFIG + 2, 0x20000, 0 },
		{ HV_REG_VP_ASSIST_PAGE, 0x1001, 0 }, { HV_REG_EXPLICIT_SUSPEND, 0, 0 }, { HV_REG_EXPLICIT_SUSPEND, 1, 0 },
		{ HV_REG_GUEST_CRASH_P0 + 1, 0xdead, 0 }, { HV_REG_HYPERCALL, 0x2001, 0 },
	};
	struct hv_u128 value;

	(void)state;
	caller_ram(id, 0, 8);
	for (uint32_t i = 0; i < 16; i++) {
		assert_status(set(HV_REG_RAX + i, 0x0101010101010101ull * i), SUCCESS);
		assert_int_equal(vp->gpr[i], 0x0101010101010101ull * i);
		assert_int_equal(get(HV_REG_RAX + i), 0x0101010101010101ull * i);
	}
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		value = (struct hv_u128){ rows[i].low, rows[i].high };
		assert_status(caller_set_register(id, 0, rows[i].name, value), SUCCESS);
		memset(&value, 0xff, sizeof value);
		assert_status(caller_get_register(id, 0, rows[i].name, &value), SUCCESS);
		assert_int_equal(value.low, rows[i].low);
		assert_int_equal(value.high, rows[i].high);
	}
}

static void bad_names_and_values_are_told(void **state)
{
	static const uint32_t read_only[] = { HV_REG_VP_INDEX, HV_REG_TIME_REF_COUNT, HV_REG_VP_RUNTIME, HV_REG_SVERSION, HV_REG_TSC,
					      HV_REG_VP_ROOT_SIGNAL_COUNT };
	struct hv_u128 value;

	(void)state;
	assert_status(set(0x12345, 0), UNKNOWN_REGISTER);
	assert_status(caller_get_register(id, 0, 0x00020012, &value), UNKNOWN_REGISTER);
	assert_status(caller_get_register(id, 3, HV_REG_RAX, &value), INVALID_VP_INDEX);
	for (size_t i = 0; i < ARRAY_COUNT(read_only); i++)
		assert_status(set(read_only[i], 1), INVALID_REGISTER_VALUE);
	assert_status(set(HV_REG_CR0, 1ull << 32), INVALID_REGISTER_VALUE);
	assert_status(set(HV_REG_CR8, 16), INVALID_REGISTER_VALUE);
	assert_status(set(HV_REG_RFLAGS, 1ull << 3), INVALID_REGISTER_VALUE);
	assert_status(set(HV_REG_EXPLICIT_SUSPEND, 2), INVALID_REGISTER_VALUE);
	assert_status(set(HV_REG_INTERCEPT_SUSPEND, 1), INVALID_REGISTER_VALUE);	/* may only be cleared */
	assert_status(set(HV_REG_INTERCEPT_SUSPEND, 0), SUCCESS);
	vp->intercept_suspend = 1;
	assert_status(set(HV_REG_INTERCEPT_SUSPEND, 1), SUCCESS);
	assert_int_equal(get(HV_REG_INTERCEPT_SUSPEND), 1);
	assert_status(set(HV_REG_INTERCEPT_SUSPEND, 0), SUCCESS);
	assert_status(set(HV_REG_INTERCEPT_SUSPEND, 0), SUCCESS);
	assert_int_equal(vp->intercept_suspend, 0);
	assert_status(set(HV_REG_INTERNAL_ACTIVITY_STATE, 4), INVALID_REGISTER_VALUE);
	assert_status(set(HV_REG_DISPATCH_SUSPEND, 1), INVALID_REGISTER_VALUE);
}

static void lists_stop_at_the_bad_name(void **state)
{
	struct {
		struct hv_input_vp_registers header;
		uint32_t name[200];
	} in = { .header = { .partition_id = id } };
	struct hv_u128 values[200];
	uint32_t done;

	(void)state;
	for (unsigned i = 0; i < 200; i++)
		in.name[i] = HV_REG_RAX + i % 16;
	for (unsigned i = 0; i < 16; i++)
		vp->gpr[i] = i + 100;
	assert_status(caller_rep(HVCALL_GET_VP_REGISTERS, &in, sizeof in, 200, values, sizeof values, &done), SUCCESS);
	for (unsigned i = 0; i < 200; i++)
		assert_int_equal(values[i].low, i % 16 + 100);
	in.name[150] = 0x999;
	assert_status(caller_rep(HVCALL_GET_VP_REGISTERS, &in, sizeof in, 200, values, sizeof values, &done), UNKNOWN_REGISTER);
	assert_int_equal(done, 150);
	assert_int_equal(values[149].low, 149 % 16 + 100);
	assert_int_equal(values[150].low, 0x5a5a5a5a5a5a5a5a);		/* nothing was written there */
	in.header.vtl = 1;
	assert_status(caller_rep(HVCALL_GET_VP_REGISTERS, &in, sizeof in, 200, values, sizeof values, &done), INVALID_PARAMETER);
	assert_int_equal(vp->owned, VP_FREE);
}

static void the_parent_reads_its_own_vp(void **state)
{
	struct hv_u128 value;

	(void)state;
	assert_status(caller_get_register(HV_PARTITION_ID_SELF, HV_VP_INDEX_SELF, HV_REG_VP_INDEX, &value), SUCCESS);
	assert_int_equal(value.low, 0);
	assert_status(caller_get_register(HV_PARTITION_ID_SELF, 0, HV_REG_RBX, &value), SUCCESS);
	assert_int_equal(value.low, 0x3333333333333333);
	assert_status(caller_get_register(HV_PARTITION_ID_SELF, 1, HV_REG_RBX, &value), ACCESS_DENIED);
	assert_status(caller_set_register(HV_PARTITION_ID_SELF, 0, HV_REG_RBX, value), ACCESS_DENIED);
}

static void pending_events(void **state)
{
	struct hv_u128 value;

	(void)state;
	assert_int_equal(get(HV_REG_PENDING_INTERRUPTION), 0);
	vp->activity = VP_HALTED;
	assert_status(set(HV_REG_CR2, 0xabc), SUCCESS);
	assert_status(set(HV_REG_PENDING_INTERRUPTION, HV_PENDING_INTERRUPTION(HV_INTERRUPTION_EXCEPTION, 14) |
			  HV_PENDING_INTERRUPTION_ERROR_CODE | 5ull << 32), SUCCESS);
	assert_int_equal(vp->event.type, VP_EVENT_EXCEPTION);
	assert_int_equal(vp->event.vector, 14);
	assert_true(vp->event.has_error);
	assert_int_equal(vp->event.error, 5);
	assert_int_equal(vp->event_cr2, 0xabc);
	assert_int_equal(vp->activity, VP_ACTIVE);			/* it ends a HLT */
	assert_int_equal(get(HV_REG_PENDING_INTERRUPTION), HV_PENDING_INTERRUPTION(HV_INTERRUPTION_EXCEPTION, 14) |
			 HV_PENDING_INTERRUPTION_ERROR_CODE | 5ull << 32);
	assert_status(caller_get_register(id, 0, HV_REG_PENDING_EVENT0, &value), SUCCESS);
	assert_int_equal(value.low, 1 | 0x100 | 14 << 16 | 5ull << 32);
	assert_int_equal(value.high, 0xabc);
	assert_status(set(HV_REG_PENDING_INTERRUPTION, 0), SUCCESS);
	assert_int_equal(vp->event.type, VP_EVENT_NONE);
	assert_status(caller_set_register(id, 0, HV_REG_PENDING_EVENT0, value), SUCCESS);
	assert_int_equal(vp->event.vector, 14);
	assert_int_equal(vp->event_cr2, 0xabc);
	assert_status(set(HV_REG_PENDING_INTERRUPTION, HV_PENDING_INTERRUPTION(HV_INTERRUPTION_NMI, 2)), SUCCESS);
	assert_int_equal(vp->event.type, VP_EVENT_NMI);
	assert_status(set(HV_REG_PENDING_INTERRUPTION, HV_PENDING_INTERRUPTION(HV_INTERRUPTION_EXCEPTION, 32)), INVALID_REGISTER_VALUE);
	assert_status(set(HV_REG_PENDING_INTERRUPTION, HV_PENDING_INTERRUPTION(HV_INTERRUPTION_EXCEPTION, 2)), INVALID_REGISTER_VALUE);
	assert_status(set(HV_REG_PENDING_INTERRUPTION, HV_PENDING_INTERRUPTION(HV_INTERRUPTION_SOFTWARE_INTERRUPT, 3)), INVALID_REGISTER_VALUE);
	assert_status(set(HV_REG_PENDING_INTERRUPTION, HV_PENDING_INTERRUPTION(HV_INTERRUPTION_EXTERNAL, 3)), INVALID_REGISTER_VALUE);
	assert_status(caller_set_register(id, 0, HV_REG_PENDING_EVENT0, (struct hv_u128){ 3, 0 }), INVALID_REGISTER_VALUE);
	lapic_write(vp, 0xf0, 0x1ff);
	assert_status(set(HV_REG_PENDING_INTERRUPTION, HV_PENDING_INTERRUPTION(HV_INTERRUPTION_EXTERNAL, 0x41)), SUCCESS);
	assert_int_equal(lapic_pending(vp), 0x41);
}

static void init_and_sipi(void **state)
{
	struct vp *ap;

	(void)state;
	assert_status(caller_create_vp(id, 1), SUCCESS);
	ap = partition_vp(caller_partition_of(id), 1);
	ap->gpr[5] = 5;
	ap->sipi_pending = 0x100 | 0x9a;
	vp_process_startup(ap);
	assert_int_equal(ap->activity, VP_ACTIVE);
	assert_int_equal(ap->rip, 0);
	assert_int_equal(ap->sipi_pending, 0);
	ap->sipi_pending = 0x100 | 0x12;
	ap->rip = 0x777;
	vp_process_startup(ap);						/* runs already: nothing happens */
	assert_int_equal(ap->rip, 0x777);
	assert_int_equal(ap->sipi_pending, 0);
	ap->init_pending = 1;
	vp_process_startup(ap);
	assert_int_equal(ap->activity, VP_WAIT_SIPI);
	assert_int_equal(ap->gpr[5], 0);
	assert_int_equal(ap->rip, 0xfff0);
	ap->init_pending = 1;
	ap->sipi_pending = 0x100;					/* both at once: vector 0 is a vector too */
	vp_process_startup(ap);
	assert_int_equal(ap->activity, VP_ACTIVE);
	vp->init_pending = 1;
	vp_process_startup(vp);
	assert_int_equal(vp->activity, VP_ACTIVE);			/* the first VP starts again at once */
	ap->vp_assist_msr = 1;
	vp_reset(ap);
	assert_int_equal(ap->vp_assist_msr, 0);
	assert_int_equal(ap->activity, VP_WAIT_SIPI);
	assert_int_equal(ap->lapic.id, 1);
}

static void two_faults_make_a_double_fault(void **state)
{
	static const struct { uint8_t first, second, want; } rows[] = {
		{ 13, 13, 8 }, { 14, 14, 8 }, { 14, 13, 8 }, { 13, 14, 14 }, { 6, 13, 13 }, { 13, 6, 6 }, { 0, 11, 8 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		vp->event.type = VP_EVENT_NONE;
		vp_inject_exception(vp, rows[i].first, true, 7);
		vp_inject_exception(vp, rows[i].second, true, 7);
		assert_int_equal(vp->event.vector, rows[i].want);
		assert_int_equal(vp->event.error, rows[i].want == 8 ? 0 : 7);
	}
}

static void ip_wraps_as_the_mode_says(void **state)
{
	(void)state;
	vp->rip = 0xffffffff;
	vp_advance_ip(vp, 3);
	assert_int_equal(vp->rip, 2);
	fake_long_mode(vp, 0);
	vp->rip = 0xffffffff;
	vp_advance_ip(vp, 3);
	assert_int_equal(vp->rip, 0x100000002);
	vp->rip = ~0ull;
	vp_advance_ip(vp, 3);
	assert_int_equal(vp->rip, 2);
}

static void one_owner_at_a_time(void **state)
{
	(void)state;
	assert_true(vp_try_own(vp));
	assert_false(vp_try_own(vp));
	vp_release(vp);
	assert_true(vp_hold(vp));
	assert_int_equal(vp->owned, VP_HELD);
	assert_int_equal(vp->stop_request, 0);
	vp_release(vp);
	assert_true(vp_try_own(vp));
	vp_release(vp);
}

static void waking(void **state)
{
	struct hv_message message;
	const struct hv_vp_signal_pair_message *pair = (const void *)message.payload;
	unsigned kicks;

	(void)state;
	vp->home = cpus[1];
	kicks = fake_kicks(1);
	vp_wake(vp);
	assert_int_equal(fake_kicks(1), kicks);				/* it does not run */
	assert_true(vp_try_own(vp));
	vp_wake(vp);
	assert_int_equal(fake_kicks(1), kicks + 1);
	vp_release(vp);
	assert_false(scheduler_take_message(caller_vp(), &message));
	vp->blocked = 1;
	vp_wake(vp);
	vp_wake(vp);
	assert_int_equal(vp->blocked, 0);
	assert_true(scheduler_take_message(caller_vp(), &message));
	assert_int_equal(pair->vp_count, 1);
	assert_int_equal(pair->partition_ids[0], id);
	assert_int_equal(vp->root_signal_count, 1);
	assert_false(scheduler_take_message(caller_vp(), &message));
	/* The parent's VPs: another CPU is kicked, the own one looks by itself. */
	kicks = fake_kicks(1);
	vp_wake(cpus[1]->root_vp);
	vp_wake(cpus[0]->root_vp);
	assert_int_equal(fake_kicks(1), kicks + 1);
	assert_int_equal(fake_kicks(0), 0);
}

static void a_deleted_vp_is_not_announced(void **state)
{
	struct hv_message message;

	(void)state;
	vp->blocked = 1;
	vp_wake(vp);
	assert_status(caller_delete_vp(id, 0), SUCCESS);
	assert_false(scheduler_take_message(caller_vp(), &message));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, caller_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(creation_statuses),
		TEST(delete_gives_pages_back_and_frees_the_index),
		TEST(a_deleted_vp_outlives_lookups),
		TEST(starts_in_reset_state_and_suspended),
		TEST(registers_keep_what_is_written),
		TEST(bad_names_and_values_are_told),
		TEST(lists_stop_at_the_bad_name),
		TEST(the_parent_reads_its_own_vp),
		TEST(pending_events),
		TEST(init_and_sipi),
		TEST(two_faults_make_a_double_fault),
		TEST(ip_wraps_as_the_mode_says),
		TEST(one_owner_at_a_time),
		TEST(waking),
		TEST(a_deleted_vp_is_not_announced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
