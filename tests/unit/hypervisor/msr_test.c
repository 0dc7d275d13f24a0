/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <string.h>

#include "core/msr.h"
#include "hv/hv_cpuid.h"
#include "hv/hv_msr.h"

static struct vp *vp;

static int setup(void **state)
{
	(void)state;
	rig_child(3);
	vp = &rig.vp[2];
	return 0;
}

static int setup_root(void **state)
{
	(void)state;
	rig_root(1);
	vp = &rig.vp[0];
	return 0;
}

#define R 1u
#define W 2u
#define RW 3u

/* What the TLFS says, written down a second time. Sample: a value that may be written and reads back as `back`. */
static const struct {
	uint32_t first, last;
	uint64_t privilege;
	unsigned rights;
	uint64_t reset, sample, back;
} synthetic[] = {
	{ 0x40000000, 0x40000000, HV_PRIV_HYPERCALL_MSRS, RW, 0, 0x8100000601000000, 0x8100000601000000 },
	{ 0x40000001, 0x40000001, HV_PRIV_HYPERCALL_MSRS, RW, 0, 0x5fff, 0x5fff },
	{ 0x40000002, 0x40000002, HV_PRIV_VP_INDEX, R, 2, 0, 0 },
	{ 0x40000010, 0x40000010, HV_PRIV_VP_RUNTIME, R, 0, 0, 0 },
	{ 0x40000020, 0x40000020, HV_PRIV_REFERENCE_COUNTER, R, 0, 0, 0 },
	{ 0x40000021, 0x40000021, HV_PRIV_REFERENCE_TSC, RW, 0, 0x5fff, 0x5fff },
	{ 0x40000022, 0x40000022, HV_PRIV_FREQUENCY_REGS, R, RIG_TSC_HZ, 0, 0 },
	{ 0x40000023, 0x40000023, HV_PRIV_FREQUENCY_REGS, R, RIG_APIC_HZ, 0, 0 },
	{ 0x40000070, 0x40000070, HV_PRIV_INTR_CTRL, W, 0, 0xffffffff, 0 },
	{ 0x40000071, 0x40000071, HV_PRIV_INTR_CTRL, RW, 0, 0x0100000000000050, 0x0100000000000050 },
	{ 0x40000072, 0x40000072, HV_PRIV_INTR_CTRL, RW, 0, 0xff, 0xff },
	{ 0x40000073, 0x40000073, HV_PRIV_INTR_CTRL, RW, 0, 0x5fff, 0x5fff },
	{ 0x40000080, 0x40000080, HV_PRIV_SYNIC, RW, 0, ~0ull, ~0ull },
	{ 0x40000081, 0x40000081, HV_PRIV_SYNIC, R, 1, 0, 0 },
	{ 0x40000082, 0x40000082, HV_PRIV_SYNIC, RW, 0, 0x5fff, 0x5fff },
	{ 0x40000083, 0x40000083, HV_PRIV_SYNIC, RW, 0, 0x5fff, 0x5fff },
	{ 0x40000084, 0x40000084, HV_PRIV_SYNIC, RW, 0, ~0ull, 0 },
	{ 0x40000090, 0x4000009f, HV_PRIV_SYNIC, RW, 0x10000, ~0ull, ~0ull },
	{ 0x400000b0, 0x400000b0, HV_PRIV_SYNTHETIC_TIMERS, RW, 0, 0x2000e, 0x2000e },
	{ 0x400000b1, 0x400000b1, HV_PRIV_SYNTHETIC_TIMERS, RW, 0, ~0ull, ~0ull },
	{ 0x400000b2, 0x400000b2, HV_PRIV_SYNTHETIC_TIMERS, RW, 0, 0x2000e, 0x2000e },
	{ 0x400000b3, 0x400000b3, HV_PRIV_SYNTHETIC_TIMERS, RW, 0, ~0ull, ~0ull },
	{ 0x400000b4, 0x400000b4, HV_PRIV_SYNTHETIC_TIMERS, RW, 0, 0x2000e, 0x2000e },
	{ 0x400000b5, 0x400000b5, HV_PRIV_SYNTHETIC_TIMERS, RW, 0, ~0ull, ~0ull },
	{ 0x400000b6, 0x400000b6, HV_PRIV_SYNTHETIC_TIMERS, RW, 0, 0x2000e, 0x2000e },
	{ 0x400000b7, 0x400000b7, HV_PRIV_SYNTHETIC_TIMERS, RW, 0, ~0ull, ~0ull },
	{ 0x40000100, 0x40000104, HV_PRIV_HYPERCALL_MSRS, RW, 0, ~0ull, ~0ull },
	{ 0x40000105, 0x40000105, HV_PRIV_HYPERCALL_MSRS, RW, 3ull << 62, 1ull << 63, 3ull << 62 },
	{ 0x40000118, 0x40000118, HV_PRIV_TSC_INVARIANT, RW, 0, 1, 1 },
};

static void the_table_is_sorted_and_disjoint(void **state)
{
	(void)state;
	for (size_t i = 0; i < msr_row_count; i++) {
		assert_true(msr_rows[i].first <= msr_rows[i].last);
		if (i > 0)
			assert_true(msr_rows[i - 1].last < msr_rows[i].first);
	}
}

static void reset_values_are_the_documented_ones(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(synthetic); i++) {
		for (uint32_t msr = synthetic[i].first; msr <= synthetic[i].last; msr++) {
			if (synthetic[i].rights & R)
				assert_int_equal(rig_rdmsr(vp, msr), synthetic[i].reset);
		}
	}
}

static void msrs_have_their_rights_and_keep_what_they_must(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(synthetic); i++) {
		for (uint32_t msr = synthetic[i].first; msr <= synthetic[i].last; msr++) {
			if (synthetic[i].rights & W)
				rig_wrmsr(vp, msr, synthetic[i].sample);
			else
				rig_wrmsr_gp(vp, msr, 0);
			if (!(synthetic[i].rights & R))
				rig_rdmsr_gp(vp, msr);
			else if (synthetic[i].rights & W)
				assert_int_equal(rig_rdmsr(vp, msr), synthetic[i].back);
		}
	}
}

static void without_its_privilege_an_msr_faults(void **state)
{
	uint64_t all = rig.partition.privileges;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(synthetic); i++) {
		rig.partition.privileges = all & ~synthetic[i].privilege;
		for (uint32_t msr = synthetic[i].first; msr <= synthetic[i].last; msr++) {
			rig_rdmsr_gp(vp, msr);
			rig_wrmsr_gp(vp, msr, synthetic[i].sample);
		}
		/* No other privilege stands in. */
		rig.partition.privileges = synthetic[i].privilege;
		if (synthetic[i].rights & R)
			(void)rig_rdmsr(vp, synthetic[i].first);
	}
}

static void unknown_synthetic_msrs_fault(void **state)
{
	uint32_t next = 0x40000000;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(synthetic); i++) {
		for (; next < synthetic[i].first; next++) {
			rig_rdmsr_gp(vp, next);
			rig_wrmsr_gp(vp, next, 0);
		}
		next = synthetic[i].last + 1;
	}
	for (; next < 0x40002000; next++) {
		rig_rdmsr_gp(vp, next);
		rig_wrmsr_gp(vp, next, 0);
	}
}

static void every_synthetic_row_is_covered_here(void **state)
{
	(void)state;
	for (size_t i = 0; i < msr_row_count; i++) {
		for (uint32_t msr = msr_rows[i].first; msr >> 24 == 0x40 && msr <= msr_rows[i].last; msr++) {
			bool found = false;

			for (size_t n = 0; n < ARRAY_COUNT(synthetic); n++)
				found |= msr >= synthetic[n].first && msr <= synthetic[n].last;
			assert_true(found);
		}
	}
}

static void identity_and_hypercall_page_go_to_the_partition(void **state)
{
	(void)state;
	rig_wrmsr(vp, HV_MSR_GUEST_OS_ID, 0x1234);
	assert_int_equal(rig.guest_os_id_written, 0x1234);
	rig_wrmsr(vp, HV_MSR_HYPERCALL, 0x7001);
	assert_int_equal(rig.hypercall_msr_written, 0x7001);
	rig_wrmsr_gp(vp, HV_MSR_HYPERCALL, 1ull << 40 | 1);
}

static void clock_and_pages_do_not_need_a_guest_os_id(void **state)
{
	(void)state;
	assert_int_equal(rig_rdmsr(vp, HV_MSR_GUEST_OS_ID), 0);
	rig_wrmsr(vp, HV_MSR_REFERENCE_TSC, 0x5001);
	assert_int_equal(((const uint32_t *)rig_page(5))[0], 1);
	rig_wrmsr(vp, HV_MSR_VP_ASSIST_PAGE, 0x6001);
	assert_int_equal(rig_rdmsr(vp, HV_MSR_VP_ASSIST_PAGE), 0x6001);
}

static void the_assist_page_is_left_alone(void **state)
{
	(void)state;
	memset(rig_page(6), 0xa5, PAGE_BYTES);
	rig_wrmsr(vp, HV_MSR_VP_ASSIST_PAGE, 0x6001);
	for (unsigned i = 0; i < PAGE_BYTES; i++)
		assert_int_equal(rig_page(6)[i], 0xa5);
}

static void pages_must_lie_inside_the_address_width(void **state)
{
	static const uint32_t pages[] = { HV_MSR_REFERENCE_TSC, HV_MSR_VP_ASSIST_PAGE, HV_MSR_SIMP, HV_MSR_SIEFP };

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(pages); i++) {
		rig_wrmsr(vp, pages[i], 0xfffffff001);
		rig_wrmsr_gp(vp, pages[i], 0x10000000001);
		assert_int_equal(rig_rdmsr(vp, pages[i]), 0xfffffff001);
		rig_wrmsr(vp, pages[i], 0x10000000000);	/* disabled: kept, not judged */
	}
}

static void eoi_ends_an_interrupt_and_refuses_a_high_half(void **state)
{
	(void)state;
	lapic_write(vp, 0xf0, 0x1ff);
	lapic_post(vp, 0x41, false);
	rig_take_interrupt(vp);
	rig_wrmsr_gp(vp, HV_MSR_EOI, 1ull << 32);
	assert_int_equal(lapic_read(vp, 0x120), 2);
	rig_wrmsr(vp, HV_MSR_EOI, 0);
	assert_int_equal(lapic_read(vp, 0x120), 0);
}

static void icr_sends_in_the_format_of_the_mode(void **state)
{
	(void)state;
	lapic_write(&rig.vp[1], 0xf0, 0x1ff);
	rig_wrmsr(vp, HV_MSR_ICR, 1ull << 56 | 0x50);
	assert_int_equal(lapic_pending(&rig.vp[1]), 0x50);
	vp->lapic.x2apic_allowed = true;
	rig_wrmsr(vp, 0x1b, 0xfee00c00);
	rig_wrmsr(vp, HV_MSR_ICR, 1ull << 32 | 0x60);
	assert_int_equal(lapic_pending(&rig.vp[1]), 0x60);
	assert_int_equal(rig_rdmsr(vp, HV_MSR_ICR), 1ull << 32 | 0x60);
}

static void tpr_is_the_apics_own_in_either_mode(void **state)
{
	(void)state;
	rig_wrmsr_gp(vp, HV_MSR_TPR, 0x100);
	rig_wrmsr(vp, HV_MSR_TPR, 0x35);
	assert_int_equal(lapic_read(vp, 0x80), 0x35);
	vp->lapic.x2apic_allowed = true;
	rig_wrmsr(vp, 0x1b, 0xfee00c00);
	rig_wrmsr(vp, HV_MSR_TPR, 0x45);
	assert_int_equal(rig_rdmsr(vp, 0x808), 0x45);
}

static void runtime_counts_in_100_ns_and_goes_on_while_running(void **state)
{
	(void)state;
	vp->runtime_tsc = RIG_TSC_HZ;
	assert_in_range(rig_rdmsr(vp, HV_MSR_VP_RUNTIME), 9999999, 10000000);
	vp->run_start_tsc = rig.tsc;
	rig.tsc += RIG_TSC_HZ;
	assert_in_range(rig_rdmsr(vp, HV_MSR_VP_RUNTIME), 19999999, 20000000);
}

static void a_crash_is_logged_once_and_kept(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 5; i++)
		rig_wrmsr(vp, HV_MSR_CRASH_P0 + i, 0x1111111111111111ull * i);
	rig_wrmsr(vp, HV_MSR_CRASH_CTL, 0);
	assert_int_equal(rig.log_lines, 0);
	rig_wrmsr(vp, HV_MSR_CRASH_CTL, HV_CRASH_CTL_NOTIFY | HV_CRASH_CTL_MESSAGE);
	rig_wrmsr(&rig.vp[0], HV_MSR_CRASH_CTL, HV_CRASH_CTL_NOTIFY);
	assert_int_equal(rig.log_lines, 1);
	assert_int_equal(rig.partition.crash[4], 0x4444444444444444ull);
	assert_int_equal(rig_rdmsr(&rig.vp[1], HV_MSR_CRASH_P4), 0x4444444444444444ull);	/* partition wide */
	assert_true(rig.partition.crash_ctl & HV_CRASH_CTL_NOTIFY);
}

static void tsc_invariance_once_asked_for_stays(void **state)
{
	(void)state;
	rig_wrmsr_gp(vp, HV_MSR_TSC_INVARIANT_CONTROL, 2);
	rig_wrmsr_gp(vp, HV_MSR_TSC_INVARIANT_CONTROL, 1ull << 63);
	rig_wrmsr(vp, HV_MSR_TSC_INVARIANT_CONTROL, 1);
	rig_wrmsr(vp, HV_MSR_TSC_INVARIANT_CONTROL, 0);
	assert_int_equal(rig_rdmsr(&rig.vp[0], HV_MSR_TSC_INVARIANT_CONTROL), 1);
}

/* Architectural MSRs */

static void a_stock_kernel_finds_what_it_reads_and_may_write_it_back(void **state)
{
	static const struct { uint32_t msr; uint64_t value; } rows[] = {
		{ 0x0, 0 }, { 0x1, 0 }, { 0x8b, 0x08301055 }, { 0xfe, 0 }, { 0x179, 0 }, { 0x17a, 0 }, { 0x1d9, 0 },
		{ 0x2ff, 0x806 }, { 0xc0010010, 0 }, { 0xc0010015, 1 << 24 }, { 0xc001001a, 0 }, { 0xc001001d, 0 },
		{ 0xc001001f, 0 }, { 0xc0010055, 0 }, { 0xc0010058, 0 }, { 0xc0010140, 0 }, { 0xc0010141, 0 },
		{ 0xc0011022, 0 }, { 0xc0011029, 2 }, { 0xc001102a, 0 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		assert_int_equal(rig_rdmsr(vp, rows[i].msr), rows[i].value);
		rig_wrmsr(vp, rows[i].msr, ~0ull);
		assert_int_equal(rig_rdmsr(vp, rows[i].msr), rows[i].value);
	}
	rig.patch_level_faults = true;
	assert_int_equal(rig_rdmsr(vp, 0x8b), 0);
}

static void the_tsc_is_the_guests_and_cannot_be_moved(void **state)
{
	(void)state;
	rig.tsc += 12345;
	assert_int_equal(rig_rdmsr(vp, 0x10), 12345);
	rig_wrmsr(vp, 0x10, 0);
	assert_int_equal(rig_rdmsr(vp, 0x10), 12345);
}

static void the_virtualization_extension_is_taken(void **state)
{
	static const uint32_t forbidden[] = { 0xc0010114, 0xc0010117, 0xc0010118 };

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(forbidden); i++) {
		rig_rdmsr_gp(vp, forbidden[i]);
		rig_wrmsr_gp(vp, forbidden[i], 0);
	}
}

static void cpu_state_goes_to_the_vendor(void **state)
{
	(void)state;
	rig_wrmsr(vp, 0xc0000082, 0xffffffff81000000);
	assert_int_equal(rig_rdmsr(vp, 0xc0000082), 0xffffffff81000000);
	rig_wrmsr_gp(vp, 0xc0000082, 1ull << 62);
}

static void others_are_unknown(void **state)
{
	static const uint32_t unknown[] = { 0x3a, 0x200, 0x250, 0x400, 0x10a, 0xc0010004, 0xc0011020, 0x50000000 };
	uint64_t value;

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(unknown); i++) {
		assert_int_equal(msr_read(vp, unknown[i], &value), MSR_UNKNOWN);
		assert_int_equal(msr_write(vp, unknown[i], 0), MSR_UNKNOWN);
	}
}

/* Root */

static void the_root_has_the_machines_own_msrs(void **state)
{
	static const uint32_t own[] = { 0x0, 0x10, 0x8b, 0xfe, 0x179, 0x1d9, 0x2ff, 0xc0010010, 0xc0010015, 0xc001001f,
					0xc0010058, 0xc0011029 };
	uint64_t value;

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(own); i++) {
		assert_int_equal(msr_read(vp, own[i], &value), MSR_UNKNOWN);
		assert_int_equal(msr_write(vp, own[i], 0), MSR_UNKNOWN);
	}
	the_virtualization_extension_is_taken(state);
}

static void the_root_has_no_synthetic_timers_whatever_its_privileges(void **state)
{
	(void)state;
	rig.partition.privileges = ~0ull;
	for (size_t i = 0; i < ARRAY_COUNT(synthetic); i++) {
		bool offered = synthetic[i].privilege & ~(HV_PRIV_SYNTHETIC_TIMERS | HV_PRIV_VP_RUNTIME);

		if (!(synthetic[i].rights & R))
			continue;
		if (offered)
			(void)rig_rdmsr(vp, synthetic[i].first);
		else
			rig_rdmsr_gp(vp, synthetic[i].first);
	}
	rig_rdmsr_gp(vp, 0x40000003);
	rig_rdmsr_gp(vp, 0x400000f0);
}

static void the_roots_apic_is_virtual(void **state)
{
	(void)state;
	assert_int_equal(rig_rdmsr(vp, 0x1b), 0xfee00900);
	rig_wrmsr_gp(vp, 0x1b, 0xfee00d00);
	rig_rdmsr_gp(vp, 0x802);
	rig_rdmsr_gp(vp, 0x6e0);
}

#define T(f) cmocka_unit_test_setup(f, setup)
#define ROOT(f) cmocka_unit_test_setup(f, setup_root)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_table_is_sorted_and_disjoint),
		T(reset_values_are_the_documented_ones),
		T(msrs_have_their_rights_and_keep_what_they_must),
		T(without_its_privilege_an_msr_faults),
		T(unknown_synthetic_msrs_fault),
		T(every_synthetic_row_is_covered_here),
		T(identity_and_hypercall_page_go_to_the_partition),
		T(clock_and_pages_do_not_need_a_guest_os_id),
		T(the_assist_page_is_left_alone),
		T(pages_must_lie_inside_the_address_width),
		T(eoi_ends_an_interrupt_and_refuses_a_high_half),
		T(icr_sends_in_the_format_of_the_mode),
		T(tpr_is_the_apics_own_in_either_mode),
		T(runtime_counts_in_100_ns_and_goes_on_while_running),
		T(a_crash_is_logged_once_and_kept),
		T(tsc_invariance_once_asked_for_stays),
		T(a_stock_kernel_finds_what_it_reads_and_may_write_it_back),
		T(the_tsc_is_the_guests_and_cannot_be_moved),
		T(the_virtualization_extension_is_taken),
		T(cpu_state_goes_to_the_vendor),
		T(others_are_unknown),
		ROOT(the_root_has_the_machines_own_msrs),
		ROOT(the_root_has_no_synthetic_timers_whatever_its_privileges),
		ROOT(the_roots_apic_is_virtual),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
