/* SPDX-License-Identifier: Apache-2.0 */
/* Life cycle, properties, intercepts, statistics. */
#include "caller.h"

#include <string.h>

#include "core/gpa_access.h"
#include "hv/hv_msr.h"

/* --- Life cycle ----------------------------------------------------------------------------------------------------- */

static enum hv_status next_child(uint64_t parent, uint64_t previous, uint64_t *out)
{
	uint64_t in[2] = { parent, previous };

	return caller_simple(HVCALL_GET_NEXT_CHILD_PARTITION, in, sizeof in, out, 8);
}

static void children_are_listed_in_order_and_ids_never_come_back(void **state)
{
	uint64_t a, b, c, next;

	(void)state;
	assert_status(next_child(HV_PARTITION_ID_SELF, 0, &next), SUCCESS);
	assert_int_equal(next, 0);
	assert_status(caller_create(0, &a), SUCCESS);
	assert_status(caller_create(0, &b), SUCCESS);
	assert_true(a > HV_PARTITION_ID_ROOT && b > a);
	assert_status(caller_partition(HVCALL_DELETE_PARTITION, b), SUCCESS);
	assert_status(caller_create(0, &c), SUCCESS);
	assert_true(c > b);
	assert_status(next_child(HV_PARTITION_ID_ROOT, 0, &next), SUCCESS);
	assert_int_equal(next, a);
	assert_status(next_child(HV_PARTITION_ID_ROOT, a, &next), SUCCESS);
	assert_int_equal(next, c);
	assert_status(next_child(HV_PARTITION_ID_ROOT, c, &next), SUCCESS);
	assert_int_equal(next, 0);
	assert_status(next_child(HV_PARTITION_ID_ROOT, b, &next), INVALID_PARTITION_ID);
	assert_status(next_child(a, 0, &next), ACCESS_DENIED);
	assert_status(next_child(77, 0, &next), INVALID_PARTITION_ID);
}

static void create_refuses_what_it_cannot_honour(void **state)
{
	struct hv_input_create_partition in = { .flags = 0 };
	uint64_t id;

	(void)state;
	assert_status(caller_create(HV_PARTITION_FLAG_NESTED, &id), INVALID_PARAMETER);
	assert_status(caller_create(1ull << 40, &id), INVALID_PARAMETER);
	in.disabled_processor_features[0] = 1;
	assert_status(caller_simple(HVCALL_CREATE_PARTITION, &in, sizeof in, NULL, 0), INVALID_PARAMETER);
	in = (struct hv_input_create_partition){ .isolation_properties = 1 };
	assert_status(caller_simple(HVCALL_CREATE_PARTITION, &in, sizeof in, NULL, 0), INVALID_PARAMETER);
	assert_status(caller_create(HV_PARTITION_FLAG_EXO | HV_PARTITION_FLAG_LAPIC | HV_PARTITION_FLAG_X2APIC |
				    HV_PARTITION_FLAG_INTERCEPT_MESSAGE_PAGE | HV_PARTITION_FLAG_GPA_SUPER_PAGES, &id), SUCCESS);
}

static void initialize_needs_pages_and_leaves_none_in_use_when_it_fails(void **state)
{
	uint64_t id, available, used, given = 0;

	(void)state;
	assert_status(caller_create(0, &id), SUCCESS);
	while (caller_partition(HVCALL_INITIALIZE_PARTITION, id) == HV_STATUS_INSUFFICIENT_MEMORY) {
		assert_status(caller_balance(id, &available, &used), SUCCESS);
		assert_int_equal(used, 0);
		assert_int_equal(available, given);
		caller_give(id, 1);
		given++;
	}
	assert_true(given > 0);
	assert_status(caller_partition(HVCALL_INITIALIZE_PARTITION, id), INVALID_PARTITION_STATE);
	assert_int_equal(caller_destroy(id), given);
}

static void steps_in_wrong_order_are_refused(void **state)
{
	uint64_t id, page = caller_page();

	(void)state;
	assert_status(caller_create(0, &id), SUCCESS);
	assert_status(caller_partition(HVCALL_FINALIZE_PARTITION, id), INVALID_PARTITION_STATE);
	assert_status(caller_create_vp(id, 0), INVALID_PARTITION_STATE);
	caller_give(id, 20);
	assert_status(caller_partition(HVCALL_DELETE_PARTITION, id), OPERATION_DENIED);	/* pool not drained */
	assert_status(caller_partition(HVCALL_INITIALIZE_PARTITION, id), SUCCESS);
	assert_status(caller_partition(HVCALL_DELETE_PARTITION, id), INVALID_PARTITION_STATE);
	assert_status(caller_partition(HVCALL_FINALIZE_PARTITION, id), SUCCESS);
	assert_status(caller_partition(HVCALL_FINALIZE_PARTITION, id), INVALID_PARTITION_STATE);
	assert_status(caller_partition(HVCALL_INITIALIZE_PARTITION, id), INVALID_PARTITION_STATE);
	assert_status(caller_deposit(id, &page, 1, NULL), INVALID_PARTITION_STATE);
	assert_status(caller_partition(HVCALL_DELETE_PARTITION, id), OPERATION_DENIED);
	assert_status(caller_withdraw(id, 20, (uint64_t[20]){ 0 }, NULL), SUCCESS);
	assert_status(caller_partition(HVCALL_DELETE_PARTITION, id), SUCCESS);
	assert_status(caller_partition(HVCALL_DELETE_PARTITION, id), INVALID_PARTITION_ID);
}

static void create_takes_its_page_from_the_parents_pool(void **state)
{
	uint64_t before, id;

	(void)state;
	assert_status(caller_create(1ull << 40, &id), INVALID_PARAMETER);	/* the CPU has its private pages now */
	before = root_partition->pool.used_count;
	assert_status(caller_create(0, &id), SUCCESS);
	assert_int_equal(root_partition->pool.used_count, before + 1);
	assert_status(caller_partition(HVCALL_DELETE_PARTITION, id), SUCCESS);
	assert_int_equal(root_partition->pool.used_count, before);
}

/* All that a partition can have: memory, VPs, pages shown to the parent, intercepts, statistics, a hypercall page. */
static void finalize_gives_everything_back(void **state)
{
	uint64_t id = caller_child(200), first, shown[3], large = 8ull << 20 >> PAGE_SHIFT;
	struct hv_input_install_intercept io = { .partition_id = id, .access_mask = 3, .parameter = 0x3f8 };
	struct hv_input_map_stats_page stats = { .object_type = HV_STATS_OBJECT_PARTITION };
	struct hv_input_vp_state_page page = { .partition_id = id };
	uint64_t root_used;

	(void)state;
	memcpy(stats.identity, &id, 8);
	for (uint32_t i = 0; i < 4; i++)
		assert_status(caller_create_vp(id, i * 50), SUCCESS);
	first = caller_ram(id, 0, 20);
	assert_status(caller_map(id, 512, HV_MAP_ALL | HV_MAP_GPA_LARGE_PAGE, &large, 1, NULL), SUCCESS);
	assert_status(caller_simple(HVCALL_INSTALL_INTERCEPT, &io, sizeof io, NULL, 0), SUCCESS);
	assert_status(caller_simple(HVCALL_MAP_STATS_PAGE, &stats, sizeof stats, &shown[0], 8), SUCCESS);
	assert_status(caller_simple(HVCALL_MAP_VP_STATE_PAGE, &page, sizeof page, &shown[1], 8), SUCCESS);
	page.type = HV_VP_STATE_PAGE_INTERCEPT_MESSAGE;
	assert_status(caller_simple(HVCALL_MAP_VP_STATE_PAGE, &page, sizeof page, &shown[2], 8), SUCCESS);
	caller_make_caller(id, 0);
	root_used = root_partition->pool.used_count;
	assert_status(caller_deposit(HV_PARTITION_ID_SELF, &first, 1, NULL), OBJECT_IN_USE);
	assert_status(caller_partition(HVCALL_FINALIZE_PARTITION, id), SUCCESS);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(gpa_space_lookup(&root_partition->space, GPA(shown[i] << PAGE_SHIFT)).spa.v, partition_dummy_page().v);
	assert_int_equal(caller_partition_of(id)->pool.used_count, 0);
	assert_int_equal(caller_partition_of(id)->pool.free_count, 200);
	assert_int_equal(root_partition->pool.used_count, root_used);
	for (unsigned i = 0; i < 20; i++)
		assert_status(caller_deposit(HV_PARTITION_ID_SELF, &(uint64_t){ first + i }, 1, NULL), SUCCESS);
	for (unsigned i = 0; i < 512; i++)
		assert_status(caller_deposit(HV_PARTITION_ID_SELF, &(uint64_t){ large + i }, 1, NULL), SUCCESS);
}

static void a_partition_that_is_in_use_is_not_deleted(void **state)
{
	struct partition *p;
	uint64_t id;

	(void)state;
	assert_status(caller_create(0, &id), SUCCESS);
	p = partition_get(root_partition, id);
	assert_status(caller_partition(HVCALL_DELETE_PARTITION, id), OBJECT_IN_USE);
	partition_put(p);
	assert_status(caller_partition(HVCALL_DELETE_PARTITION, id), SUCCESS);
}

/* --- Properties ----------------------------------------------------------------------------------------------------- */

static void early_and_late_properties(void **state)
{
	uint64_t id, value, defaults;

	(void)state;
	assert_status(caller_create(0, &id), SUCCESS);
	caller_give(id, 10);
	assert_status(caller_get_property(id, HV_PROPERTY_SYNTHETIC_PROC_FEATURES, &defaults), SUCCESS);
	assert_status(caller_get_property(id, HV_PROPERTY_PRIVILEGE_FLAGS, &value), SUCCESS);
	assert_status(caller_set_property(id, HV_PROPERTY_SYNTHETIC_PROC_FEATURES, defaults & ~(1ull << 4)), SUCCESS);
	assert_true(!(caller_partition_of(id)->privileges & HV_PRIV_SYNIC));
	assert_status(caller_set_property(id, HV_PROPERTY_SYNTHETIC_PROC_FEATURES, defaults), SUCCESS);
	assert_status(caller_set_property(id, HV_PROPERTY_PRIVILEGE_FLAGS, value | HV_PRIV_CREATE_PARTITIONS), PROPERTY_VALUE_OUT_OF_RANGE);
	assert_status(caller_set_property(id, HV_PROPERTY_PRIVILEGE_FLAGS, HV_PRIV_VP_INDEX | HV_PRIV_PARTITION_ID), SUCCESS);
	assert_status(caller_get_property(id, HV_PROPERTY_PRIVILEGE_FLAGS, &value), SUCCESS);
	assert_int_equal(value, HV_PRIV_VP_INDEX | HV_PRIV_PARTITION_ID);
	assert_status(caller_set_property(id, HV_PROPERTY_SUSPEND, 1), INVALID_PARTITION_STATE);
	assert_status(caller_get_property(id, HV_PROPERTY_REFERENCE_TIME, &value), INVALID_PARTITION_STATE);
	assert_status(caller_partition(HVCALL_INITIALIZE_PARTITION, id), SUCCESS);
	assert_status(caller_set_property(id, HV_PROPERTY_SYNTHETIC_PROC_FEATURES, defaults), INVALID_PARTITION_STATE);
	assert_status(caller_set_property(id, HV_PROPERTY_SUSPEND, 1), SUCCESS);
	assert_status(caller_get_property(id, HV_PROPERTY_SUSPEND, &value), SUCCESS);
	assert_int_equal(value, 1);
	assert_status(caller_set_property(id, HV_PROPERTY_SUSPEND, 2), PROPERTY_VALUE_OUT_OF_RANGE);
	assert_status(caller_set_property(id, HV_PROPERTY_UNIMPLEMENTED_MSR_ACTION, 1), SUCCESS);
	assert_status(caller_set_property(id, HV_PROPERTY_UNIMPLEMENTED_MSR_ACTION, 2), PROPERTY_VALUE_OUT_OF_RANGE);
	assert_status(caller_get_property(id, HV_PROPERTY_UNIMPLEMENTED_MSR_ACTION, &value), SUCCESS);
	assert_int_equal(value, 1);
	assert_status(caller_set_property(id, HV_PROPERTY_PROCESSOR_VENDOR, 1), INVALID_PARAMETER);
	assert_status(caller_set_property(id, 0x99, 1), UNKNOWN_PROPERTY);
	assert_status(caller_get_property(id, 0x99, &value), UNKNOWN_PROPERTY);
}

static void time_stands_still_while_frozen(void **state)
{
	uint64_t id = caller_child(10), before, after;

	(void)state;
	assert_status(caller_set_property(id, HV_PROPERTY_REFERENCE_TIME, 5), INVALID_PARTITION_STATE);
	assert_status(caller_set_property(id, HV_PROPERTY_TIME_FREEZE, 1), SUCCESS);
	assert_status(caller_get_property(id, HV_PROPERTY_REFERENCE_TIME, &before), SUCCESS);
	fake_set_tsc(platform_tsc() + FAKE_TSC_HZ);
	assert_status(caller_get_property(id, HV_PROPERTY_REFERENCE_TIME, &after), SUCCESS);
	assert_int_equal(before, after);
	assert_status(caller_set_property(id, HV_PROPERTY_REFERENCE_TIME, 12345678), SUCCESS);
	assert_status(caller_set_property(id, HV_PROPERTY_TIME_FREEZE, 0), SUCCESS);
	fake_set_tsc(platform_tsc() + FAKE_TSC_HZ);
	assert_status(caller_get_property(id, HV_PROPERTY_REFERENCE_TIME, &after), SUCCESS);
	assert_in_range(after, 12345678 + 9999999, 12345678 + 10000001);
}

static void facts_of_the_machine(void **state)
{
	uint64_t value;

	(void)state;
	assert_status(caller_get_property(HV_PARTITION_ID_SELF, HV_PROPERTY_PROCESSOR_VENDOR, &value), SUCCESS);
	assert_int_equal(value, 0);
	memcpy(fake_cpuid_vendor, "GenuntelineI", 12);
	assert_status(caller_get_property(HV_PARTITION_ID_SELF, HV_PROPERTY_PROCESSOR_VENDOR, &value), SUCCESS);
	assert_int_equal(value, 1);
	memcpy(fake_cpuid_vendor, "AuthcAMDenti", 12);
	assert_status(caller_get_property(HV_PARTITION_ID_SELF, HV_PROPERTY_XSAVE_STATES, &value), SUCCESS);
	assert_int_equal(value, 7);
	assert_status(caller_get_property(HV_PARTITION_ID_SELF, HV_PROPERTY_MAX_XSAVE_DATA_SIZE, &value), SUCCESS);
	assert_int_equal(value, 832);
	assert_status(caller_get_property(HV_PARTITION_ID_SELF, HV_PROPERTY_PROCESSOR_FEATURES0, &value), SUCCESS);
	assert_int_equal(value, 1 << 0 | 1 << 2 | 1 << 8);
	assert_status(caller_get_property(HV_PARTITION_ID_SELF, HV_PROPERTY_PROCESSOR_FEATURES1, &value), SUCCESS);
	assert_int_equal(value, 0);
}

static void the_scheduler_is_the_roots(void **state)
{
	struct hv_input_get_system_property in = { .property = HV_SYSTEM_PROPERTY_SCHEDULER_TYPE };
	uint64_t value;

	(void)state;
	assert_status(caller_simple(HVCALL_GET_SYSTEM_PROPERTY, &in, sizeof in, &value, 8), SUCCESS);
	assert_int_equal(value, HV_SCHEDULER_TYPE_ROOT);
	in.property = 3;
	assert_status(caller_simple(HVCALL_GET_SYSTEM_PROPERTY, &in, sizeof in, &value, 8), UNKNOWN_PROPERTY);
}

/* --- Hypercall page ------------------------------------------------------------------------------------------------- */

static void hypercall_page_follows_its_msr(void **state)
{
	static const uint8_t code[] = { 0xf3, 0x0f, 0x1e, 0xfa, 0x0f, 0x01, 0xd9, 0xc3, 0xcc };
	uint64_t id = caller_child(20);
	struct partition *p = caller_partition_of(id);
	uint8_t got[sizeof code];

	(void)state;
	caller_ram(id, 0, 4);
	assert_true(partition_hypercall_msr_write(p, 0x2001));
	assert_int_equal(p->hypercall_msr, 0x2000);		/* no OS id: not enabled, place kept */
	partition_guest_os_id_write(p, 1);
	assert_true(partition_hypercall_msr_write(p, 0x2001));
	assert_int_equal(gpa_read(p, GPA(0x2000), got, sizeof got), GPA_DONE);
	assert_memory_equal(got, code, sizeof code);
	assert_int_equal(gpa_write(p, GPA(0x2000), got, 1), GPA_NOT_ALLOWED);
	assert_false(partition_hypercall_msr_write(p, 1ull << FAKE_PHYS_BITS | 1));
	assert_false(partition_hypercall_msr_write(p, LAPIC_MMIO_BASE | 1));
	assert_int_equal(p->hypercall_msr, 0x2001);
	assert_true(partition_hypercall_msr_write(p, 0x3001 | HV_MSR_HYPERCALL_LOCKED));
	assert_int_equal(gpa_write(p, GPA(0x2000), got, 1), GPA_DONE);
	assert_false(partition_hypercall_msr_write(p, 0x2001));
	assert_false(partition_hypercall_msr_write(p, 0));
	partition_guest_os_id_write(p, 0);
	assert_int_equal(p->hypercall_msr & 1, 0);
	assert_int_equal(gpa_write(p, GPA(0x3000), got, 1), GPA_DONE);
}

/* A guest cannot deposit: the page must come, wherever it is wanted, when its pool has nothing else left. */
static void hypercall_page_needs_no_deposit(void **state)
{
	uint64_t id = caller_child(20), gpfn[64];
	struct partition *p = caller_partition_of(id);
	uint8_t got[1];

	(void)state;
	while (caller_withdraw(id, 1, gpfn, NULL) == HV_STATUS_SUCCESS)
		;
	assert_int_equal(page_pool_alloc(&p->pool).v, 0);
	partition_guest_os_id_write(p, 1);
	assert_true(partition_hypercall_msr_write(p, 0x40002001));
	assert_int_equal(gpa_read(p, GPA(0x40002000), got, 1), GPA_DONE);
	assert_int_equal(got[0], 0xf3);
	caller_destroy(id);
}

/* --- Intercepts ----------------------------------------------------------------------------------------------------- */

static enum hv_status install(uint64_t id, uint32_t type, uint64_t parameter, uint32_t mask)
{
	struct hv_input_install_intercept in = { .partition_id = id, .access_mask = mask, .intercept_type = type, .parameter = parameter };

	return caller_simple(HVCALL_INSTALL_INTERCEPT, &in, sizeof in, NULL, 0);
}

static void intercepts_are_kept_by_direction(void **state)
{
	uint64_t id;
	struct partition *p;

	(void)state;
	assert_status(caller_create(HV_PARTITION_FLAG_LAPIC, &id), SUCCESS);
	caller_give(id, 7);	/* 4, and the three that wait for the hypercall page */
	assert_status(caller_partition(HVCALL_INITIALIZE_PARTITION, id), SUCCESS);
	p = caller_partition_of(id);
	assert_status(install(id, HV_INTERCEPT_IO_PORT, 0x3f8, 1), SUCCESS);
	assert_true(partition_io_intercepted(p, 0x3f8, false));
	assert_false(partition_io_intercepted(p, 0x3f8, true));
	assert_false(partition_io_intercepted(p, 0x3f9, false));
	assert_status(install(id, HV_INTERCEPT_IO_PORT, 0xffff, 3), INSUFFICIENT_MEMORY);
	caller_give(id, 4);
	assert_status(install(id, HV_INTERCEPT_IO_PORT, 0xffff, 3), SUCCESS);
	assert_true(partition_io_intercepted(p, 0xffff, true));
	assert_status(install(id, HV_INTERCEPT_IO_PORT, 0xffff, 0), SUCCESS);
	assert_false(partition_io_intercepted(p, 0xffff, true) || partition_io_intercepted(p, 0xffff, false));
	assert_status(install(id, HV_INTERCEPT_IO_PORT, 0x10000, 3), INVALID_PARAMETER);
	assert_status(install(id, HV_INTERCEPT_IO_PORT, 1, 4), INVALID_PARAMETER);
	assert_status(install(id, HV_INTERCEPT_MSR, 0, 2), SUCCESS);
	assert_int_equal(p->msr_intercept, 2);
	assert_status(install(id, HV_INTERCEPT_MSR, 0, 4), INVALID_PARAMETER);
	assert_status(install(id, HV_INTERCEPT_EXCEPTION, 1, 4), INVALID_PARAMETER);
	assert_status(install(id, 99, 1, 4), INVALID_PARAMETER);
	for (uint32_t i = 0; i < 8; i++)
		assert_status(install(id, HV_INTERCEPT_CPUID, 0x40000000 + i, 4), SUCCESS);
	assert_status(install(id, HV_INTERCEPT_CPUID, 0x40000003, 4), SUCCESS);		/* there already */
	assert_status(install(id, HV_INTERCEPT_CPUID, 0x40000099, 4), NO_RESOURCES);
	assert_status(install(id, HV_INTERCEPT_CPUID, 0x40000000, 0), SUCCESS);
	assert_status(install(id, HV_INTERCEPT_CPUID, 0x40000099, 4), SUCCESS);
	assert_int_equal(p->cpuid_intercept_count, 8);
	assert_status(install(id, HV_INTERCEPT_CPUID, 1, 1), INVALID_PARAMETER);
	/* A VMM-managed partition has no ports of its own at all. */
	assert_true(partition_io_intercepted(caller_partition_of(caller_child(10)), 0x3f8, true));
}

/* --- Statistics ----------------------------------------------------------------------------------------------------- */

static enum hv_status stats(uint16_t code, uint32_t type, uint64_t id, uint32_t vp, uint64_t *out)
{
	struct hv_input_map_stats_page in = { .object_type = type };

	memcpy(in.identity, &id, 8);
	memcpy(in.identity + 8, &vp, 4);
	return caller_simple(code, &in, sizeof in, out, 8);
}

static const uint64_t *seen(uint64_t gpfn)
{
	struct gpa_mapping m = gpa_space_lookup(&root_partition->space, GPA(gpfn << PAGE_SHIFT));

	assert_int_equal(m.access, ACCESS_READ);
	return platform_ptr(m.spa);
}

static void statistics_pages_tell_the_truth(void **state)
{
	uint64_t id = caller_child(60), hv, p, vp;
	struct hv_input_map_stats_page area = { .object_type = HV_STATS_OBJECT_HYPERVISOR, .identity = { [15] = 1 } };

	(void)state;
	assert_status(caller_create_vp(id, 3), SUCCESS);
	assert_status(stats(HVCALL_MAP_STATS_PAGE, HV_STATS_OBJECT_HYPERVISOR, 0, 0, &hv), SUCCESS);
	assert_status(stats(HVCALL_MAP_STATS_PAGE, HV_STATS_OBJECT_HYPERVISOR, 0, 0, &p), OPERATION_DENIED);
	assert_status(stats(HVCALL_MAP_STATS_PAGE, HV_STATS_OBJECT_PARTITION, id, 0, &p), SUCCESS);
	assert_status(stats(HVCALL_MAP_STATS_PAGE, HV_STATS_OBJECT_PARTITION, id, 0, &vp), OPERATION_DENIED);
	assert_status(stats(HVCALL_MAP_STATS_PAGE, HV_STATS_OBJECT_VP, id, 4, &vp), INVALID_VP_INDEX);
	assert_status(stats(HVCALL_MAP_STATS_PAGE, HV_STATS_OBJECT_VP, id, 3, &vp), SUCCESS);
	assert_status(stats(HVCALL_MAP_STATS_PAGE, HV_STATS_OBJECT_VP, id, 3, &vp), OPERATION_DENIED);
	vp = partition_vp(caller_partition_of(id), 3)->stats_page.v >> PAGE_SHIFT;
	assert_status(stats(HVCALL_MAP_STATS_PAGE, HV_STATS_OBJECT_LP, 0, 0, &hv), INVALID_PARAMETER);
	assert_status(stats(HVCALL_MAP_STATS_PAGE, 99, 0, 0, &hv), INVALID_PARAMETER);
	assert_status(stats(HVCALL_MAP_STATS_PAGE, HV_STATS_OBJECT_PARTITION, 99, 0, &hv), INVALID_PARTITION_ID);
	assert_status(caller_simple(HVCALL_MAP_STATS_PAGE, &area, sizeof area, NULL, 0), INVALID_PARAMETER);
	assert_status(stats(HVCALL_UNMAP_STATS_PAGE, HV_STATS_OBJECT_HYPERVISOR, 0, 0, NULL), SUCCESS);
	assert_status(stats(HVCALL_UNMAP_STATS_PAGE, HV_STATS_OBJECT_HYPERVISOR, 0, 0, NULL), OPERATION_DENIED);
	assert_status(stats(HVCALL_MAP_STATS_PAGE, HV_STATS_OBJECT_HYPERVISOR, 0, 0, &hv), SUCCESS);

	caller_ram(id, 0x10, 7);
	assert_int_equal(seen(p)[HV_STATS_PARTITION_DEPOSITED_PAGES], 60);
	assert_int_equal(seen(p)[HV_STATS_PARTITION_MAPPED_PAGES], 7);
	assert_int_equal(seen(p)[HV_STATS_PARTITION_USED_PAGES], caller_partition_of(id)->pool.used_count);
	assert_int_equal(seen(hv)[HV_STATS_HV_LP_COUNT], 2);
	assert_int_equal(seen(hv)[HV_STATS_HV_PARTITIONS], 2);
	assert_int_equal(seen(hv)[HV_STATS_HV_VPS], 3);
	assert_int_equal(seen(hv)[HV_STATS_HV_DEPOSITED_PAGES], 60);
	assert_int_equal(seen(hv)[HV_STATS_HV_MAPPED_PAGES], 7);
	assert_int_equal(seen(hv)[HV_STATS_HV_TSC_HZ], FAKE_TSC_HZ);
	assert_int_equal(seen(vp)[HV_STATS_VP_DISPATCHES], 0);
	assert_status(stats(HVCALL_UNMAP_STATS_PAGE, HV_STATS_OBJECT_VP, id, 3, NULL), SUCCESS);
	assert_status(stats(HVCALL_UNMAP_STATS_PAGE, HV_STATS_OBJECT_VP, id, 3, NULL), OPERATION_DENIED);
	assert_int_equal(caller_destroy(id), 60);
	assert_int_equal(seen(hv)[HV_STATS_HV_PARTITIONS], 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, caller_setup, caller_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(children_are_listed_in_order_and_ids_never_come_back),
		TEST(create_refuses_what_it_cannot_honour),
		TEST(initialize_needs_pages_and_leaves_none_in_use_when_it_fails),
		TEST(steps_in_wrong_order_are_refused),
		TEST(create_takes_its_page_from_the_parents_pool),
		TEST(finalize_gives_everything_back),
		TEST(a_partition_that_is_in_use_is_not_deleted),
		TEST(early_and_late_properties),
		TEST(time_stands_still_while_frozen),
		TEST(facts_of_the_machine),
		TEST(the_scheduler_is_the_roots),
		TEST(hypercall_page_follows_its_msr),
		TEST(hypercall_page_needs_no_deposit),
		TEST(intercepts_are_kept_by_direction),
		TEST(statistics_pages_tell_the_truth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
