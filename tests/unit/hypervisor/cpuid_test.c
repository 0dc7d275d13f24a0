/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <string.h>

#include "core/log.h"
#include "hv/hv_cpuid.h"

#define BIT(n) (1u << (n))
#define NONE 0xffu		/* ends a list of bits */

static struct vp *vp;

/* A machine that has everything, and whose CPUID repeats itself beyond its last leaf. */
static void everything(uint32_t leaf, uint32_t subleaf, struct cpuid_regs *out)
{
	*out = (struct cpuid_regs){ ~0u, ~0u, ~0u, ~0u };
	if (leaf == 0 || leaf == 0x80000000u)
		out->eax = leaf | 0x28;
	if (leaf == 0x80000008u)
		out->eax = 0x3930 | 0x300000;	/* 48 physical, 57 linear, guest 48 */
	if (leaf == 0xd && subleaf == 0)
		*out = (struct cpuid_regs){ 0xe7, 0x1000, 0x1000, 0 };
	if (leaf == 0xd && subleaf == 2)
		*out = (struct cpuid_regs){ 256, 576, 0, 0 };
	if (leaf == 0xd && subleaf >= 5 && subleaf <= 7)
		*out = (struct cpuid_regs){ 40 << (subleaf - 5), 1088 + 512 * (subleaf - 5), 3, 0 };
}

static void setup_child(unsigned vps)
{
	rig_child(vps);
	rig_cpuid = everything;
	rig.xfem = 7;
	vp = &rig.vp[vps - 1];
}

static int setup(void **state)
{
	(void)state;
	setup_child(6);
	return 0;
}

static int setup_root(void **state)
{
	(void)state;
	rig_root(1);
	rig_cpuid = everything;
	vp = &rig.vp[0];
	return 0;
}

static struct cpuid_regs leaf(uint32_t n, uint32_t subleaf)
{
	struct cpuid_regs r;

	cpuid_for_vp(vp, n, subleaf, &r);
	return r;
}

static bool is_zero(struct cpuid_regs r)
{
	return !(r.eax | r.ebx | r.ecx | r.edx);
}

static uint32_t mask_of(const uint8_t *bits)
{
	uint32_t mask = 0;

	for (; *bits != NONE; bits++)
		mask |= BIT(*bits);
	return mask;
}

/* Children */

static void the_table_is_sorted(void **state)
{
	(void)state;
	for (size_t i = 1; i < cpuid_child_row_count; i++)
		assert_true(cpuid_child_rows[i - 1].leaf < cpuid_child_rows[i].leaf);
}

static void children_see_no_leaf_without_a_row(void **state)
{
	(void)state;
	for (unsigned range = 0; range < 4; range++) {
		for (uint32_t n = 0; n < 0x200; n++) {
			uint32_t id = n | range << 30;
			bool row = false;

			for (size_t i = 0; i < cpuid_child_row_count; i++)
				row |= cpuid_child_rows[i].leaf == id;
			if (!row && !(id >= 0x40000000 && id <= 0x40000006))
				assert_true(is_zero(leaf(id, 0)));
		}
	}
}

static void the_maximum_leaves_are_the_hypervisors(void **state)
{
	(void)state;
	assert_int_equal(leaf(0, 0).eax, 0xd);
	assert_int_equal(leaf(0, 0).ebx, ~0u);
	assert_int_equal(leaf(0x80000000, 0).eax, 0x8000001e);
}

static void basic_features_are_those_that_work(void **state)
{
	static const uint8_t ecx[] = { 0, 1, 9, 12, 13, 19, 20, 22, 23, 25, 26, 28, 29, 30, 31, NONE };
	static const uint8_t edx_hidden[] = { 10, 18, 20, 21, 22, 27, 29, 30, 31, NONE };

	(void)state;
	assert_int_equal(leaf(1, 0).ecx, mask_of(ecx));
	assert_int_equal(leaf(1, 0).edx, ~mask_of(edx_hidden));
}

static void structured_features_are_those_that_work(void **state)
{
	static const uint8_t ebx_hidden[] = { 1, 2, 4, 10, 11, 12, 14, 15, 16, 17, 21, 22, 25, 26, 27, 28, 30, 31, NONE };
	static const uint8_t ecx[] = { 0, 2, 8, 9, 10, 22, NONE };
	static const uint8_t edx[] = { 4, 10, NONE };

	(void)state;
	assert_int_equal(leaf(7, 0).eax, 0);
	assert_int_equal(leaf(7, 0).ebx, ~mask_of(ebx_hidden));
	assert_int_equal(leaf(7, 0).ecx, mask_of(ecx));
	assert_int_equal(leaf(7, 0).edx, mask_of(edx));
	assert_true(is_zero(leaf(7, 1)));
}

static void avx512_comes_with_its_state(void **state)
{
	(void)state;
	machine.xcr0_mask = 0xe7;
	assert_int_equal(leaf(7, 0).ebx & 0xdc230000, 0xdc230000);
	assert_int_equal(leaf(7, 0).ecx & 0x00005842, 0x00005842);
	assert_int_equal(leaf(7, 0).edx & 0x0080010c, 0x0080010c);
}

static void without_avx_state_nothing_of_avx_is_shown(void **state)
{
	(void)state;
	machine.xcr0_mask = 3;
	assert_int_equal(leaf(1, 0).ecx & (BIT(12) | BIT(28) | BIT(29)), 0);
	assert_int_not_equal(leaf(1, 0).ecx & BIT(26), 0);
	assert_int_equal(leaf(7, 0).ebx & BIT(5), 0);
	assert_int_equal(leaf(7, 0).ecx & (BIT(9) | BIT(10)), 0);
	assert_int_equal(leaf(0x80000001, 0).ecx & (BIT(11) | BIT(16)), 0);
}

static void without_xsave_nothing_of_it_is_shown(void **state)
{
	(void)state;
	machine.xcr0_mask = 0;
	rig.cr4 = ~0ull;
	assert_int_equal(leaf(1, 0).ecx & (BIT(26) | BIT(27)), 0);
	for (uint32_t i = 0; i < 64; i++)
		assert_true(is_zero(leaf(0xd, i)));
}

static void extended_features_are_those_that_work(void **state)
{
	static const uint8_t ecx[] = { 0, 1, 4, 5, 6, 7, 8, 11, 16, 21, 22, NONE };
	static const uint8_t edx_hidden[] = { 10, 18, 19, 21, 25, 28, NONE };

	(void)state;
	assert_int_equal(leaf(0x80000001, 0).ecx, mask_of(ecx));
	assert_int_equal(leaf(0x80000001, 0).edx, ~mask_of(edx_hidden));
}

static void virtualization_and_monitor_are_hidden(void **state)
{
	(void)state;
	assert_int_equal(leaf(1, 0).ecx & (BIT(3) | BIT(5)), 0);
	assert_int_equal(leaf(0x80000001, 0).ecx & (BIT(2) | BIT(12) | BIT(29)), 0);
	assert_true(is_zero(leaf(5, 0)));
	assert_true(is_zero(leaf(0xa, 0)));
	assert_true(is_zero(leaf(0x8000000a, 0)));
	assert_true(is_zero(leaf(0x8000001b, 0)));
	assert_true(is_zero(leaf(0x8000001f, 0)));
}

static void addresses_have_48_linear_bits(void **state)
{
	(void)state;
	assert_int_equal(leaf(0x80000008, 0).eax, 0x3030);
	assert_int_equal(leaf(7, 0).ecx & BIT(16), 0);
	assert_int_equal(leaf(0x80000008, 0).ebx, BIT(0) | BIT(2) | BIT(9));
}

static void osxsave_follows_cr4(void **state)
{
	(void)state;
	assert_int_equal(leaf(1, 0).ecx & BIT(27), 0);
	rig.cr4 = BIT(18);
	assert_int_not_equal(leaf(1, 0).ecx & BIT(27), 0);
}

static void the_apics_features_follow_the_apic(void **state)
{
	(void)state;
	assert_int_equal(leaf(1, 0).ecx & (BIT(21) | BIT(24)), 0);
	vp->lapic.x2apic_allowed = vp->lapic.tsc_deadline_allowed = true;
	assert_int_equal(leaf(1, 0).ecx & (BIT(21) | BIT(24)), BIT(21) | BIT(24));
	assert_int_not_equal(leaf(1, 0).edx & BIT(9), 0);
	rig_wrmsr(vp, 0x1b, 0xfee00000);
	assert_int_equal(leaf(1, 0).edx & BIT(9), 0);
}

static void the_topology_is_one_socket_with_a_core_for_each_vp(void **state)
{
	(void)state;
	assert_int_equal(leaf(1, 0).ebx, 5u << 24 | 6 << 16 | 0xff00);
	assert_int_equal(leaf(0xb, 0).eax, 0);
	assert_int_equal(leaf(0xb, 0).ebx, 1);
	assert_int_equal(leaf(0xb, 0).ecx, 0x100);
	assert_int_equal(leaf(0xb, 0).edx, 5);
	assert_int_equal(leaf(0xb, 1).eax, 3);
	assert_int_equal(leaf(0xb, 1).ebx, 6);
	assert_int_equal(leaf(0xb, 1).ecx, 0x201);
	assert_int_equal(leaf(0xb, 1).edx, 5);
	assert_int_equal(leaf(0xb, 2).ebx, 0);
	assert_int_equal(leaf(0xb, 2).ecx, 2);
	assert_int_equal(leaf(0xb, 2).edx, 5);
	assert_int_equal(leaf(0x80000008, 0).ecx, 3 << 12 | 5);
	assert_int_equal(leaf(0x8000001e, 0).eax, 5);
	assert_int_equal(leaf(0x8000001e, 0).ebx, 5);
	assert_int_equal(leaf(0x8000001e, 0).ecx, 0);
}

static void a_single_vp_is_not_multithreaded(void **state)
{
	(void)state;
	setup_child(1);
	vp = &rig.vp[0];
	assert_int_equal(leaf(1, 0).edx & BIT(28), 0);
	assert_int_equal(leaf(1, 0).ebx, 1 << 16 | 0xff00);
	assert_int_equal(leaf(0xb, 1).eax, 0);
	assert_int_equal(leaf(0xb, 1).ebx, 1);
	assert_int_equal(leaf(0x80000008, 0).ecx, 0);
}

/* 7:5 level, 4:0 type */
static uint32_t cache_eax;
static void caches(uint32_t n, uint32_t subleaf, struct cpuid_regs *out)
{
	everything(n, subleaf, out);
	if (n == 4 || n == 0x8000001d)
		out->eax = cache_eax;
}

static void the_last_cache_is_shared_and_the_others_are_not(void **state)
{
	(void)state;
	rig_cpuid = caches;
	cache_eax = 0xffffc000 | 1 << 8 | 2 << 5 | 3;
	assert_int_equal(leaf(0x8000001d, 2).eax, 1 << 8 | 2 << 5 | 3);
	assert_int_equal(leaf(4, 2).eax, 7u << 26 | 1 << 8 | 2 << 5 | 3);
	cache_eax = 0xffffc000 | 1 << 8 | 3 << 5 | 3;
	assert_int_equal(leaf(0x8000001d, 3).eax, 5 << 14 | 1 << 8 | 3 << 5 | 3);
	assert_int_equal(leaf(4, 3).eax, 7u << 26 | 7 << 14 | 1 << 8 | 3 << 5 | 3);
	cache_eax = 0;
	assert_int_equal(leaf(4, 4).eax, 0);
	assert_int_equal(leaf(0x8000001d, 4).eax, 0);
}

static void all_vps_see_the_same_but_their_ids(void **state)
{
	static const uint32_t with_ids[] = { 1, 0xb, 0x8000001e };

	(void)state;
	for (size_t i = 0; i < cpuid_child_row_count; i++) {
		uint32_t n = cpuid_child_rows[i].leaf;
		struct cpuid_regs first, last;
		bool skip = false;

		for (unsigned k = 0; k < ARRAY_COUNT(with_ids); k++)
			skip |= n == with_ids[k];
		cpuid_for_vp(&rig.vp[0], n, 0, &first);
		cpuid_for_vp(&rig.vp[5], n, 0, &last);
		if (!skip)
			assert_memory_equal(&first, &last, sizeof(first));
	}
}

static void xsave_sizes_follow_the_components(void **state)
{
	(void)state;
	assert_int_equal(leaf(0xd, 0).eax, 7);
	assert_int_equal(leaf(0xd, 0).edx, 0);
	assert_int_equal(leaf(0xd, 0).ebx, 832);
	assert_int_equal(leaf(0xd, 0).ecx, 832);
	rig.xfem = 3;
	assert_int_equal(leaf(0xd, 0).ebx, 576);
	assert_int_equal(leaf(0xd, 0).ecx, 832);
	assert_int_equal(leaf(0xd, 1).eax, 7);
	assert_int_equal(leaf(0xd, 1).ebx, 576);
	assert_int_equal(leaf(0xd, 1).ecx, 0);
	assert_int_equal(leaf(0xd, 2).eax, 256);
	assert_int_equal(leaf(0xd, 2).ebx, 576);
	assert_true(is_zero(leaf(0xd, 5)));
	assert_true(is_zero(leaf(0xd, 9)));
	assert_true(is_zero(leaf(0xd, 64)));
	machine.xcr0_mask = 0xe7;
	rig.xfem = 0xe3;
	assert_int_equal(leaf(0xd, 0).ecx, 2112 + 160);
	/* compacted, each aligned to 64: 576 + 40, 640 + 80, 768 + 160 */
	assert_int_equal(leaf(0xd, 1).ebx, 768 + 160);
	assert_int_equal(leaf(0xd, 6).ecx, 2);
}

static void the_invariant_tsc_is_hidden_until_asked_for(void **state)
{
	(void)state;
	assert_int_equal(leaf(0x80000007, 0).edx, 0);
	rig.partition.tsc_invariant_control = 1;
	assert_int_equal(leaf(0x80000007, 0).edx, BIT(8));
	rig.partition.tsc_invariant_control = 0;
	rig.partition.privileges &= ~HV_PRIV_TSC_INVARIANT;
	assert_int_equal(leaf(0x80000007, 0).edx, BIT(8));	/* nothing to ask: the machine's */
	assert_int_equal(leaf(0x80000007, 0).ebx, 0);
}

/* Synthetic leaves */

static void a_child_finds_hv1(void **state)
{
	struct cpuid_regs r = leaf(0x40000000, 0);
	char vendor[13] = { 0 };

	(void)state;
	memcpy(vendor, &r.ebx, 12);
	assert_string_equal(vendor, "Microsoft Hv");
	assert_int_equal(r.eax, 0x40000006);
	r = leaf(0x40000001, 0);
	assert_int_equal(r.eax, 0x31237648);
	assert_int_equal(r.ebx | r.ecx | r.edx, 0);
	assert_int_not_equal(leaf(0x40000002, 0).eax, 0);
	assert_int_equal(leaf(0x40000004, 0).eax, 0x220);
	assert_int_equal(leaf(0x40000004, 0).ebx, 0xffffffff);
	assert_int_equal(leaf(0x40000005, 0).eax, PARTITION_VPS_MAX);
	assert_int_equal(leaf(0x40000005, 0).ebx, 2);
	assert_int_equal(leaf(0x40000006, 0).eax, 0xa);
	for (uint32_t n = 0x40000007; n < 0x40000200; n++)
		assert_true(is_zero(leaf(n, 0)));
}

static void a_childs_features_are_its_privileges(void **state)
{
	(void)state;
	assert_int_equal(leaf(0x40000003, 0).eax, 0x8a7f);
	assert_int_equal(leaf(0x40000003, 0).ebx, 0x30);
	assert_int_equal(leaf(0x40000003, 0).ecx, 0);
	assert_int_equal(leaf(0x40000003, 0).edx, 0xc0500);
	rig.partition.privileges &= ~(HV_PRIV_FREQUENCY_REGS | HV_PRIV_SYNTHETIC_TIMERS);
	assert_int_equal(leaf(0x40000003, 0).eax, 0x8277);
	assert_int_equal(leaf(0x40000003, 0).edx, 0x40400);
}

static void a_child_never_sees_root_bits(void **state)
{
	(void)state;
	rig.partition.privileges = ~0ull;
	assert_int_equal(leaf(0x40000003, 0).ebx, 0x30);
}

static void a_hidden_hypervisor_has_no_leaves(void **state)
{
	(void)state;
	rig.partition.synthetic_features = CPUID_FEATURE_HYPERVISOR_PRESENT;
	assert_true(is_zero(leaf(0x40000000, 0)));
	assert_int_not_equal(leaf(1, 0).ecx & BIT(31), 0);
	rig.partition.synthetic_features = 0;
	assert_int_equal(leaf(1, 0).ecx & BIT(31), 0);
}

static uint64_t privileges(uint64_t features)
{
	uint64_t out = 0xdead;

	assert_int_equal(cpuid_privileges_from_features(features, &out), HV_STATUS_SUCCESS);
	return out;
}

static void features_become_privileges_bit_by_bit(void **state)
{
	static const struct { unsigned feature, privilege; } rows[] = {
		{ 2, 0 }, { 3, 1 }, { 4, 2 }, { 5, 3 }, { 6, 4 }, { 7, 5 }, { 8, 6 }, { 9, 9 }, { 11, 11 },
	};
	uint64_t always = 1ull << 36 | 1ull << 37 | 1ull << 15;

	(void)state;
	assert_int_equal(privileges(3), always);
	assert_int_equal(privileges(1ull << 22 | 1ull << 29 | 3), always);
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++)
		assert_int_equal(privileges(3 | 1ull << rows[i].feature), always | 1ull << rows[i].privilege);
	assert_int_equal(privileges(0), 0);
	assert_int_equal(privileges(0x3fd), 0);		/* without Hv#1 */
}

static void features_that_cannot_be_honoured_are_refused(void **state)
{
	uint64_t honoured = 0xbff | 1ull << 22 | 1ull << 29, out = 77;

	(void)state;
	for (unsigned bit = 0; bit < 64; bit++) {
		if (honoured >> bit & 1)
			continue;
		assert_int_equal(cpuid_privileges_from_features(3 | 1ull << bit, &out),
				 HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE);
		assert_int_equal(out, 77);
	}
	machine.tsc_reliable = false;
	assert_int_equal(cpuid_privileges_from_features(3 | 1ull << 9, &out), HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE);
}

static void the_defaults_depend_on_the_machines_tsc(void **state)
{
	(void)state;
	assert_int_equal(cpuid_default_features(), 0x400bff);
	machine.tsc_reliable = machine.tsc_invariant = false;
	assert_int_equal(cpuid_default_features(), 0x4009ff);
	assert_int_equal(privileges(cpuid_default_features()), 0x300000087full);
	assert_int_equal(cpuid_root_privileges(), 0x3000000876ull);
}

/* Root */

static void the_root_keeps_the_machine_but_for_what_is_taken(void **state)
{
	static const uint32_t same[] = { 0, 2, 6, 0xa, 0xf, 0x10, 0x14, 0x80000000, 0x80000002, 0x80000006, 0x8000001b,
					 0x8000001d, 0x8000001e };
	struct cpuid_regs own, seen;

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(same); i++) {
		everything(same[i], 0, &own);
		seen = leaf(same[i], 0);
		assert_memory_equal(&own, &seen, sizeof(own));
	}
	assert_int_equal(leaf(1, 0).eax, ~0u);
	assert_int_equal(leaf(1, 0).ebx, ~0u);
	assert_int_equal(leaf(1, 0).ecx, ~(BIT(3) | BIT(21) | BIT(24) | BIT(27)));
	assert_int_equal(leaf(1, 0).edx, ~0u);
	assert_int_equal(leaf(7, 0).ecx, ~(BIT(4) | BIT(16)));
	assert_int_equal(leaf(7, 1).ecx, ~0u);
	assert_int_equal(leaf(0x80000001, 0).ecx, ~(BIT(2) | BIT(12)));
	assert_int_equal(leaf(0x80000008, 0).eax, 0x303030);
	assert_true(is_zero(leaf(5, 0)));
	assert_true(is_zero(leaf(0x8000000a, 0)));
	assert_true(is_zero(leaf(0x8000001f, 0)));
	rig.cr4 = BIT(18) | BIT(22);
	assert_int_not_equal(leaf(1, 0).ecx & BIT(27), 0);
	assert_int_not_equal(leaf(7, 0).ecx & BIT(4), 0);
}

static void the_roots_apic_features_are_the_virtual_ones(void **state)
{
	(void)state;
	vp->lapic.x2apic_allowed = true;
	assert_int_not_equal(leaf(1, 0).ecx & BIT(21), 0);
	vp->lapic.tsc_deadline_allowed = true;
	assert_int_not_equal(leaf(1, 0).ecx & BIT(24), 0);
}

static void the_root_sees_hv1_without_root_bits_or_timers(void **state)
{
	(void)state;
	rig.partition.privileges = ~0ull;
	rig.partition.synthetic_features = ~0ull;
	assert_int_equal(leaf(0x40000003, 0).eax, 0x8a76);
	assert_int_equal(leaf(0x40000003, 0).ebx, 0x30);
	assert_int_equal(leaf(0x40000003, 0).edx, 0x40500);
	assert_int_equal(leaf(0x40000005, 0).eax, 2);
	machine.tsc_reliable = machine.tsc_invariant = false;
	assert_int_equal(leaf(0x40000003, 0).eax, 0x0876);
}

static void the_root_finds_the_private_leaves(void **state)
{
	struct cpuid_regs r = leaf(0x40000100, 0);
	char signature[13] = { 0 };

	(void)state;
	memcpy(signature, &r.ebx, 12);
	assert_string_equal(signature, "Undercroft  ");
	assert_int_equal(r.eax, 0x40000101);
	assert_true(is_zero(leaf(0x40000101, 0)));	/* no ring yet */
	log_ring_spa = SPA(0x1234567000);
	log_ring_pages = 16;
	r = leaf(0x40000101, 0);
	assert_int_equal(r.eax, 0x34567000);
	assert_int_equal(r.ebx, 0x12);
	assert_int_equal(r.ecx, 16);
	assert_int_equal(r.edx, 0);
	assert_true(is_zero(leaf(0x40000102, 0)));
	setup_child(1);
	assert_true(is_zero(leaf(0x40000100, 0)));
	assert_true(is_zero(leaf(0x40000101, 0)));
	log_ring_pages = 0;
}

static void another_hypervisor_below_does_not_shine_through(void **state)
{
	(void)state;
	for (uint32_t n = 0x40000007; n < 0x40000100; n++)
		assert_true(is_zero(leaf(n, 0)));
	assert_true(is_zero(leaf(0x4fffffff, 0)));
}

/* Beyond its last leaf this one repeats its secrets. */
static void few_leaves(uint32_t n, uint32_t subleaf, struct cpuid_regs *out)
{
	everything(n, subleaf, out);
	if (n == 0 || n == 0x80000000u)
		out->eax = n == 0 ? 1 : 0x80000008;
}

static void a_machine_with_few_leaves_is_not_read_beyond_them(void **state)
{
	(void)state;
	setup_child(2);
	rig_cpuid = few_leaves;
	assert_true(is_zero(leaf(2, 0)));
	assert_true(is_zero(leaf(7, 0)));
	assert_true(is_zero(leaf(0x80000019, 0)));
	assert_int_equal(leaf(0x80000000, 0).eax, 0x80000008);
	assert_int_equal(leaf(0xb, 1).ebx, 2);		/* ours in any case */
	assert_int_not_equal(leaf(1, 0).ecx, 0);
}

#define T(f) cmocka_unit_test_setup(f, setup)
#define ROOT(f) cmocka_unit_test_setup(f, setup_root)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_table_is_sorted),
		T(children_see_no_leaf_without_a_row),
		T(the_maximum_leaves_are_the_hypervisors),
		T(basic_features_are_those_that_work),
		T(structured_features_are_those_that_work),
		T(avx512_comes_with_its_state),
		T(without_avx_state_nothing_of_avx_is_shown),
		T(without_xsave_nothing_of_it_is_shown),
		T(extended_features_are_those_that_work),
		T(virtualization_and_monitor_are_hidden),
		T(addresses_have_48_linear_bits),
		T(osxsave_follows_cr4),
		T(the_apics_features_follow_the_apic),
		T(the_topology_is_one_socket_with_a_core_for_each_vp),
		T(a_single_vp_is_not_multithreaded),
		T(the_last_cache_is_shared_and_the_others_are_not),
		T(all_vps_see_the_same_but_their_ids),
		T(xsave_sizes_follow_the_components),
		T(the_invariant_tsc_is_hidden_until_asked_for),
		T(a_machine_with_few_leaves_is_not_read_beyond_them),
		T(a_child_finds_hv1),
		T(a_childs_features_are_its_privileges),
		T(a_child_never_sees_root_bits),
		T(a_hidden_hypervisor_has_no_leaves),
		T(features_become_privileges_bit_by_bit),
		T(features_that_cannot_be_honoured_are_refused),
		T(the_defaults_depend_on_the_machines_tsc),
		ROOT(the_root_keeps_the_machine_but_for_what_is_taken),
		ROOT(the_roots_apic_features_are_the_virtual_ones),
		ROOT(the_root_sees_hv1_without_root_bits_or_timers),
		ROOT(the_root_finds_the_private_leaves),
		ROOT(another_hypervisor_below_does_not_shine_through),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
