/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <string.h>

#define ID   0x20u
#define TPR  0x80u
#define PPR  0xa0u
#define EOI  0xb0u
#define LDR  0xd0u
#define DFR  0xe0u
#define SVR  0xf0u
#define ISR  0x100u
#define TMR  0x180u
#define IRR  0x200u
#define ESR  0x280u
#define ICR  0x300u
#define ICR2 0x310u
#define LVTT 0x320u
#define LINT0 0x350u
#define LVTE 0x370u
#define TMICT 0x380u
#define TMCCT 0x390u
#define TDCR 0x3e0u

#define X2(offset) (0x800u + ((offset) >> 4))
#define DIVIDE_BY_1 0xbu
#define MASKED 0x10000u
#define PERIODIC 0x20000u
#define DEADLINE 0x40000u

static struct vp *vp;

static int setup_one(void **state)
{
	(void)state;
	rig_child(1);
	vp = &rig.vp[0];
	lapic_write(vp, SVR, 0x1ff);
	return 0;
}

static int setup_many(void **state)
{
	(void)state;
	rig_child(RIG_VPS_MAX);
	vp = &rig.vp[0];
	for (unsigned i = 0; i < RIG_VPS_MAX; i++)
		lapic_write(&rig.vp[i], SVR, 0x1ff);
	return 0;
}

/* VPs that have this vector pending, as a bitmap. */
static uint32_t who_got(uint8_t vector)
{
	uint32_t got = 0;

	for (unsigned i = 0; i < rig.partition.vp_count; i++)
		got |= (lapic_read(&rig.vp[i], IRR + vector / 32 * 16) >> vector % 32 & 1) << i;
	return got;
}

static void forget_all(void)
{
	for (unsigned i = 0; i < rig.partition.vp_count; i++)
		memset(rig.vp[i].lapic.irr, 0, sizeof(rig.vp[i].lapic.irr));
}

static void the_power_on_state_is_disabled_and_masked(void **state)
{
	static const uint32_t zero[] = { ID, TPR, PPR, LDR, ESR, ICR, ICR2, TMICT, TMCCT, TDCR, ISR, TMR, IRR };

	(void)state;
	rig_child(2);
	vp = &rig.vp[0];
	for (unsigned i = 0; i < ARRAY_COUNT(zero); i++)
		assert_int_equal(lapic_read(vp, zero[i]), 0);
	assert_int_equal(lapic_read(vp, 0x30), 0x50014);
	assert_int_equal(lapic_read(vp, SVR), 0xff);
	assert_int_equal(lapic_read(vp, DFR), 0xffffffff);
	for (uint32_t lvt = LVTT; lvt <= LVTE; lvt += 16)
		assert_int_equal(lapic_read(vp, lvt), MASKED);
	assert_int_equal(rig_rdmsr(vp, 0x1b), 0xfee00900);
	assert_int_equal(rig_rdmsr(&rig.vp[1], 0x1b), 0xfee00800);
	assert_int_equal(lapic_read(&rig.vp[1], ID), 0x01000000);
}

static void a_posted_vector_is_pending_and_wakes_the_vp(void **state)
{
	(void)state;
	assert_int_equal(lapic_pending(vp), -1);
	lapic_post(vp, 0x41, false);
	assert_int_equal(rig.wakes[0], 1);
	assert_int_equal(lapic_pending(vp), 0x41);
	assert_int_equal(lapic_read(vp, IRR + 0x20), 2);
	assert_int_equal(rig_take_interrupt(vp), 0x41);
	assert_int_equal(lapic_read(vp, IRR + 0x20), 0);
	assert_int_equal(lapic_read(vp, ISR + 0x20), 2);
}

static void a_post_to_a_disabled_apic_is_lost(void **state)
{
	(void)state;
	lapic_write(vp, SVR, 0xff);
	lapic_post(vp, 0x41, false);
	lapic_write(vp, SVR, 0x1ff);
	assert_int_equal(lapic_pending(vp), -1);
	rig_wrmsr(vp, 0x1b, 0xfee00100);
	lapic_post(vp, 0x41, false);
	rig_wrmsr(vp, 0x1b, 0xfee00900);
	lapic_write(vp, SVR, 0x1ff);
	assert_int_equal(lapic_pending(vp), -1);
	assert_int_equal(rig.wakes[0], 0);
}

static void pending_vectors_survive_a_software_disable(void **state)
{
	(void)state;
	lapic_post(vp, 0x41, false);
	lapic_write(vp, SVR, 0xff);
	assert_int_equal(lapic_pending(vp), 0x41);
}

static void vectors_below_16_set_the_error_and_are_dropped(void **state)
{
	(void)state;
	lapic_write(vp, LVTE, 0xfe);
	lapic_post(vp, 15, false);
	assert_int_equal(lapic_pending(vp), 0xfe);
	assert_int_equal(lapic_read(vp, IRR), 0);
	assert_int_equal(lapic_read(vp, ESR), 0);
	lapic_write(vp, ESR, 0);
	assert_int_equal(lapic_read(vp, ESR), 0x40);
	lapic_write(vp, ESR, 0);
	assert_int_equal(lapic_read(vp, ESR), 0);
}

static void an_error_vector_below_16_does_not_come_back_to_itself(void **state)
{
	(void)state;
	lapic_write(vp, LVTE, 3);
	lapic_post(vp, 3, false);
	assert_int_equal(lapic_pending(vp), -1);
	lapic_write(vp, ESR, 0);
	assert_int_equal(lapic_read(vp, ESR), 0x40);
}

static void vectors_from_16_are_deliverable(void **state)
{
	(void)state;
	for (unsigned v = 16; v < 256; v++) {
		lapic_post(vp, (uint8_t)v, false);
		assert_int_equal(rig_take_interrupt(vp), v);
		lapic_write(vp, EOI, 0);
	}
}

static void the_highest_vector_goes_first_and_eoi_ends_the_highest(void **state)
{
	(void)state;
	lapic_post(vp, 0x31, false);
	assert_int_equal(rig_take_interrupt(vp), 0x31);
	lapic_post(vp, 0x52, false);
	lapic_post(vp, 0x81, false);
	assert_int_equal(rig_take_interrupt(vp), 0x81);
	assert_int_equal(rig_take_interrupt(vp), -1);
	lapic_write(vp, EOI, 0);
	assert_int_equal(lapic_read(vp, ISR + 0x40), 0);
	assert_int_equal(lapic_read(vp, ISR + 0x10), 2 << 16);
	assert_int_equal(rig_take_interrupt(vp), 0x52);
	lapic_write(vp, EOI, 0);
	assert_int_equal(lapic_read(vp, PPR), 0x30);
	lapic_write(vp, EOI, 0);
	lapic_write(vp, EOI, 0);
	assert_int_equal(lapic_read(vp, PPR), 0);
}

static void a_vector_waits_for_a_lower_priority_class(void **state)
{
	(void)state;
	lapic_write(vp, TPR, 0x4f);
	lapic_post(vp, 0x4f, false);
	assert_int_equal(lapic_pending(vp), -1);
	lapic_post(vp, 0x50, false);
	assert_int_equal(rig_take_interrupt(vp), 0x50);
	lapic_write(vp, TPR, 0);
	assert_int_equal(lapic_pending(vp), -1);
	lapic_post(vp, 0x5f, false);
	assert_int_equal(lapic_pending(vp), -1);
	lapic_write(vp, EOI, 0);
	assert_int_equal(rig_take_interrupt(vp), 0x5f);
}

static void the_processor_priority_is_the_larger_of_task_and_service(void **state)
{
	(void)state;
	lapic_write(vp, TPR, 0x47);
	assert_int_equal(lapic_read(vp, PPR), 0x47);
	lapic_post(vp, 0x63, false);
	assert_int_equal(lapic_read(vp, 0x90), 0x60);
	rig_take_interrupt(vp);
	assert_int_equal(lapic_read(vp, PPR), 0x60);
	lapic_write(vp, TPR, 0x65);
	assert_int_equal(lapic_read(vp, PPR), 0x65);
}

static unsigned level_ends;
static uint8_t level_vector;
static void count_level_eoi(struct vp *v, uint8_t vector)
{
	assert_ptr_equal(v, vp);
	level_ends++;
	level_vector = vector;
}

static void the_end_of_a_level_interrupt_is_reported(void **state)
{
	(void)state;
	level_ends = 0;
	vp->lapic.level_eoi = count_level_eoi;
	lapic_post(vp, 0x51, true);
	assert_int_equal(lapic_read(vp, TMR + 0x20), 2 << 16);
	rig_take_interrupt(vp);
	assert_int_equal(level_ends, 0);
	lapic_write(vp, EOI, 0);
	assert_int_equal(level_ends, 1);
	assert_int_equal(level_vector, 0x51);
	lapic_post(vp, 0x51, false);
	assert_int_equal(lapic_read(vp, TMR + 0x20), 0);
	rig_take_interrupt(vp);
	lapic_write(vp, EOI, 0);
	assert_int_equal(level_ends, 1);
}

static void a_level_interrupt_that_is_lost_ends_at_once(void **state)
{
	(void)state;
	level_ends = 0;
	vp->lapic.level_eoi = count_level_eoi;
	lapic_write(vp, SVR, 0xff);
	lapic_post(vp, 0x51, true);
	assert_int_equal(level_ends, 1);
	lapic_post(vp, 0x51, false);
	assert_int_equal(level_ends, 1);
}

static void an_auto_eoi_vector_leaves_nothing_in_service(void **state)
{
	(void)state;
	vp->lapic.auto_eoi[2] = 1u << 1;
	lapic_post(vp, 0x41, false);
	lapic_post(vp, 0x35, false);
	assert_int_equal(rig_take_interrupt(vp), 0x41);
	assert_int_equal(lapic_read(vp, ISR + 0x20), 0);
	assert_int_equal(rig_take_interrupt(vp), 0x35);
	lapic_reset(vp);
	assert_int_equal(vp->lapic.auto_eoi[2], 2);
	lapic_init(vp, 0, true, RIG_APIC_HZ);
	assert_int_equal(vp->lapic.auto_eoi[2], 0);
}

static void registers_keep_only_their_own_bits(void **state)
{
	static const struct { uint32_t offset, kept; } rows[] = {
		{ TPR, 0xff }, { LDR, 0xff000000 }, { SVR, 0x3ff }, { ICR2, 0xff000000 }, { TDCR, 0xb },
		{ LVTT, 0x300ff }, { 0x330, 0x107ff }, { 0x340, 0x107ff }, { LINT0, 0x1a7ff }, { 0x360, 0x1a7ff },
		{ LVTE, 0x100ff },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		lapic_write(vp, rows[i].offset, 0xffffffff);
		assert_int_equal(lapic_read(vp, rows[i].offset), rows[i].kept);
	}
	lapic_write(vp, DFR, 0);
	assert_int_equal(lapic_read(vp, DFR), 0x0fffffff);
	vp->lapic.tsc_deadline_allowed = true;
	lapic_write(vp, LVTT, 0xffffffff);
	assert_int_equal(lapic_read(vp, LVTT), 0x700ff);
}

static void read_only_registers_ignore_writes_without_an_error(void **state)
{
	static const uint32_t read_only[] = { ID, 0x30, 0x90, PPR, 0xc0, ISR, TMR + 0x30, IRR + 0x70, TMCCT };

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(read_only); i++) {
		uint32_t before = lapic_read(vp, read_only[i]);

		lapic_write(vp, read_only[i], 0x55555555);
		assert_int_equal(lapic_read(vp, read_only[i]), before);
	}
	lapic_write(vp, ESR, 0);
	assert_int_equal(lapic_read(vp, ESR), 0);
}

static void unknown_registers_read_0_and_set_the_error(void **state)
{
	static const uint32_t unknown[] = { 0x0, 0x40, 0x84, 0x2f0, 0x3b0, 0x3f0, 0x400, 0xff0, 0xfffffff0 };

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(unknown); i++) {
		assert_int_equal(lapic_read(vp, unknown[i]), 0);
		lapic_write(vp, ESR, 0);
		assert_int_equal(lapic_read(vp, ESR), 0x80);
		lapic_write(vp, unknown[i], 1);
		lapic_write(vp, ESR, 0);
		assert_int_equal(lapic_read(vp, ESR), 0x80);
		lapic_write(vp, ESR, 0);
	}
}

static void a_software_disabled_apic_masks_its_lvts(void **state)
{
	(void)state;
	for (uint32_t lvt = LVTT; lvt <= LVTE; lvt += 16)
		lapic_write(vp, lvt, 0x40);
	lapic_write(vp, SVR, 0xff);
	for (uint32_t lvt = LVTT; lvt <= LVTE; lvt += 16) {
		assert_int_equal(lapic_read(vp, lvt), MASKED | 0x40);
		lapic_write(vp, lvt, 0x41);
		assert_int_equal(lapic_read(vp, lvt), MASKED | 0x41);
	}
	lapic_write(vp, SVR, 0x1ff);
	assert_int_equal(lapic_read(vp, LVTT), MASKED | 0x41);
	lapic_write(vp, LVTT, 0x41);
	assert_int_equal(lapic_read(vp, LVTT), 0x41);
}

static unsigned mirrored;
static void count_mirror(struct vp *v)
{
	(void)v;
	mirrored++;
}

static void the_physical_apic_follows_destination_and_line_registers(void **state)
{
	static const struct { uint32_t offset; bool follows; } rows[] = {
		{ LDR, true }, { DFR, true }, { SVR, true }, { LINT0, true }, { 0x360, true },
		{ TPR, false }, { LVTT, false }, { LVTE, false }, { EOI, false }, { TMICT, false }, { ICR2, false },
	};

	(void)state;
	vp->lapic.mirror = count_mirror;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		mirrored = 0;
		lapic_write(vp, rows[i].offset, 0x1ff);
		assert_int_equal(mirrored > 0, rows[i].follows);
	}
}

/* Messages */

static void a_physical_destination_reaches_one_vp(void **state)
{
	(void)state;
	assert_int_equal(lapic_deliver(&rig.partition, HV_INTERRUPT_FIXED, 0x50, false, false, 3), 1);
	assert_int_equal(who_got(0x50), 1u << 3);
	assert_int_equal(lapic_deliver(&rig.partition, HV_INTERRUPT_FIXED, 0x50, false, false, RIG_VPS_MAX), 0);
	assert_int_equal(lapic_deliver(&rig.partition, HV_INTERRUPT_FIXED, 0x50, false, false, 0x103), 0);
}

static void a_broadcast_reaches_every_vp(void **state)
{
	(void)state;
	for (unsigned logical = 0; logical < 2; logical++) {
		assert_int_equal(lapic_deliver(&rig.partition, HV_INTERRUPT_FIXED, 0x50, false, logical, 0xff),
				 RIG_VPS_MAX);
		assert_int_equal(who_got(0x50), (1u << RIG_VPS_MAX) - 1);
		forget_all();
		assert_int_equal(lapic_deliver(&rig.partition, HV_INTERRUPT_FIXED, 0x50, false, logical, ~0u),
				 RIG_VPS_MAX);
		forget_all();
	}
}

static void a_flat_logical_destination_reaches_each_bit(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 8; i++)
		lapic_write(&rig.vp[i], LDR, 1u << (24 + i));
	assert_int_equal(lapic_deliver(&rig.partition, HV_INTERRUPT_FIXED, 0x50, false, true, 0xa5), 4);
	assert_int_equal(who_got(0x50), 0xa5);
}

static void a_cluster_destination_reaches_members_of_that_cluster(void **state)
{
	(void)state;
	for (unsigned i = 0; i < RIG_VPS_MAX; i++) {
		lapic_write(&rig.vp[i], DFR, 0);
		lapic_write(&rig.vp[i], LDR, (i / 4) << 28 | 1u << (24 + i % 4));
	}
	assert_int_equal(lapic_deliver(&rig.partition, HV_INTERRUPT_FIXED, 0x50, false, true, 0x2a), 2);
	assert_int_equal(who_got(0x50), 1u << 9 | 1u << 11);
	forget_all();
	lapic_write(&rig.vp[9], DFR, 0x50000000);
	assert_int_equal(lapic_deliver(&rig.partition, HV_INTERRUPT_FIXED, 0x50, false, true, 0x2a), 1);
}

static void the_lowest_priority_goes_to_the_least_busy(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		lapic_write(&rig.vp[i], LDR, 1u << (24 + i));
		lapic_write(&rig.vp[i], TPR, i == 2 ? 0x10 : 0x20);
	}
	lapic_write(&rig.vp[3], TPR, 0);
	lapic_write(&rig.vp[3], SVR, 0xff);
	assert_int_equal(lapic_deliver(&rig.partition, HV_INTERRUPT_LOWEST_PRIORITY, 0x50, false, true, 0xf), 1);
	assert_int_equal(who_got(0x50), 1u << 2);
}

static void a_disabled_apic_is_no_target(void **state)
{
	(void)state;
	lapic_write(&rig.vp[3], SVR, 0xff);
	assert_int_equal(lapic_deliver(&rig.partition, HV_INTERRUPT_FIXED, 0x50, false, false, 3), 0);
	assert_int_equal(lapic_deliver(&rig.partition, HV_INTERRUPT_NMI, 0, false, false, 3), 1);
	assert_int_equal(rig.vp[3].nmi_pending, 1);
	rig_wrmsr(&rig.vp[4], 0x1b, 0xfee00000);
	assert_int_equal(lapic_deliver(&rig.partition, HV_INTERRUPT_NMI, 0, false, false, 4), 0);
	assert_int_equal(lapic_deliver(&rig.partition, HV_INTERRUPT_FIXED, 0x50, false, false, 0xff), RIG_VPS_MAX - 2);
}

static void ipi_shorthands_choose_by_the_sender(void **state)
{
	uint32_t all = (1u << RIG_VPS_MAX) - 1;

	(void)state;
	vp = &rig.vp[5];
	lapic_write(vp, ICR, 0x40050);
	assert_int_equal(who_got(0x50), 1u << 5);
	lapic_write(vp, ICR, 0x80051);
	assert_int_equal(who_got(0x51), all);
	lapic_write(vp, ICR, 0xc0052);
	assert_int_equal(who_got(0x52), all & ~(1u << 5));
	lapic_write(vp, ICR2, 7u << 24);
	lapic_write(vp, ICR, 0x53);
	assert_int_equal(who_got(0x53), 1u << 7);
	assert_int_equal(lapic_read(vp, ICR), 0x53);
	assert_int_equal(lapic_read(vp, ICR2), 7u << 24);
}

static void an_ipi_with_an_illegal_vector_is_not_sent(void **state)
{
	(void)state;
	lapic_write(vp, ICR, 0x8000f);
	assert_int_equal(who_got(0xf), 0);
	lapic_write(vp, ESR, 0);
	assert_int_equal(lapic_read(vp, ESR), 0x20);
	lapic_write(&rig.vp[1], ESR, 0);
	assert_int_equal(lapic_read(&rig.vp[1], ESR), 0);
}

static void init_and_sipi_are_latched(void **state)
{
	(void)state;
	lapic_write(vp, ICR2, 1u << 24);
	lapic_write(vp, ICR, 0xc500);
	assert_int_equal(rig.vp[1].init_pending, 1);
	assert_int_equal(rig.wakes[1], 1);
	lapic_write(vp, ICR, 0x8500);
	assert_int_equal(rig.wakes[1], 1);
	lapic_write(vp, ICR, 0x699);
	assert_int_equal(rig.vp[1].sipi_pending, 0x199);
	assert_int_equal(rig.vp[1].init_pending, 1);
	lapic_write(vp, ICR, 0x69a);
	assert_int_equal(rig.vp[1].sipi_pending, 0x19a);
	lapic_write(vp, ICR, 0x4500);
	assert_int_equal(rig.vp[1].sipi_pending, 0);
	assert_int_equal(rig.vp[1].init_pending, 1);
}

static void firmware_starts_all_others_at_once(void **state)
{
	(void)state;
	lapic_write(vp, ICR, 0xc4500);
	lapic_write(vp, ICR, 0xc4687);
	assert_int_equal(vp->init_pending, 0);
	assert_int_equal(vp->sipi_pending, 0);
	for (unsigned i = 1; i < RIG_VPS_MAX; i++) {
		assert_int_equal(rig.vp[i].init_pending, 1);
		assert_int_equal(rig.vp[i].sipi_pending, 0x187);
	}
}

static void nmi_reaches_others_but_not_oneself_by_shorthand(void **state)
{
	(void)state;
	lapic_write(vp, ICR, 0x40400);
	lapic_write(vp, ICR, 0x80400);
	assert_int_equal(vp->nmi_pending, 0);
	lapic_write(vp, ICR, 0xc0400);
	assert_int_equal(vp->nmi_pending, 0);
	assert_int_equal(rig.vp[1].nmi_pending, 1);
	lapic_write(vp, ICR2, 0);
	lapic_write(vp, ICR, 0x400);
	assert_int_equal(vp->nmi_pending, 1);
}

static void smi_remote_read_and_extint_reach_nobody(void **state)
{
	static const enum hv_interrupt_type types[] = { HV_INTERRUPT_SMI, HV_INTERRUPT_REMOTE_READ, HV_INTERRUPT_EXTINT };

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(types); i++)
		assert_int_equal(lapic_deliver(&rig.partition, types[i], 0x50, false, false, 0xff), 0);
	assert_int_equal(who_got(0x50), 0);
}

/* x2APIC */

static void the_mode_changes_only_along_the_allowed_transitions(void **state)
{
	enum { OFF = 0, BAD = 0x400, XAPIC = 0x800, X2APIC = 0xc00 };
	static const uint32_t modes[] = { OFF, BAD, XAPIC, X2APIC };
	/* [from][to]: off, bad, xAPIC, x2APIC */
	static const bool legal[4][4] = {
		{ true, false, true, false }, { false }, { true, false, true, true }, { true, false, false, true },
	};

	(void)state;
	vp->lapic.x2apic_allowed = true;
	for (unsigned from = 0; from < 4; from++) {
		for (unsigned to = 0; to < 4 && from != 1; to++) {
			lapic_init(vp, 0, true, RIG_APIC_HZ);
			if (modes[from] == X2APIC || modes[from] == OFF)
				rig_wrmsr(vp, 0x1b, 0xfee00100 | modes[from]);
			if (!legal[from][to])
				rig_wrmsr_gp(vp, 0x1b, 0xfee00100 | modes[to]);
			else
				rig_wrmsr(vp, 0x1b, 0xfee00100 | modes[to]);
			assert_int_equal(rig_rdmsr(vp, 0x1b), 0xfee00100 | modes[legal[from][to] ? to : from]);
		}
	}
}

static void apic_base_refuses_reserved_bits_and_other_addresses(void **state)
{
	(void)state;
	rig_wrmsr_gp(vp, 0x1b, 0xfee00901);
	rig_wrmsr_gp(vp, 0x1b, 0xfee00b00);
	rig_wrmsr_gp(vp, 0x1b, 0xfed00900);
	rig_wrmsr_gp(vp, 0x1b, 0x100fee00900);
	rig_wrmsr_gp(vp, 0x1b, 0xfee00d00);
	rig_wrmsr(vp, 0x1b, 0xfee00800);
	assert_int_equal(rig_rdmsr(vp, 0x1b), 0xfee00900);	/* the BSP stays the BSP */
}

static void the_page_is_not_decoded_outside_xapic_mode(void **state)
{
	(void)state;
	vp->lapic.x2apic_allowed = true;
	rig_wrmsr(vp, 0x1b, 0xfee00d00);
	lapic_write(vp, TPR, 0x50);
	assert_int_equal(lapic_read(vp, TPR), ~0u);
	assert_int_equal(rig_rdmsr(vp, X2(TPR)), 0);
	rig_wrmsr(vp, 0x1b, 0xfee00100);
	assert_int_equal(lapic_read(vp, 0x30), ~0u);
}

static void x2apic_registers_have_their_rights(void **state)
{
	static const uint32_t readable[] = { ID, 0x30, TPR, PPR, LDR, SVR, ESR, ICR, LVTT, 0x330, 0x340, LINT0, 0x360,
					     LVTE, TMICT, TMCCT, TDCR };
	static const uint32_t writable[] = { TPR, EOI, SVR, ESR, ICR, LVTT, 0x330, 0x340, LINT0, 0x360, LVTE, TMICT,
					     TDCR };

	(void)state;
	vp->lapic.x2apic_allowed = true;
	for (uint32_t msr = 0x800; msr < 0x900; msr++) {
		rig_rdmsr_gp(vp, msr);
		rig_wrmsr_gp(vp, msr, 0);
	}
	rig_wrmsr(vp, 0x1b, 0xfee00d00);
	for (uint32_t msr = 0x800; msr < 0x900; msr++) {
		bool can_read = msr >= X2(ISR) && msr < X2(ESR), can_write = msr == 0x83f;

		for (unsigned i = 0; i < ARRAY_COUNT(readable); i++)
			can_read |= msr == X2(readable[i]);
		for (unsigned i = 0; i < ARRAY_COUNT(writable); i++)
			can_write |= msr == X2(writable[i]);
		if (can_read)
			(void)rig_rdmsr(vp, msr);
		else
			rig_rdmsr_gp(vp, msr);
		if (can_write)
			rig_wrmsr(vp, msr, msr == 0x83f ? 0x50 : 0);
		else
			rig_wrmsr_gp(vp, msr, 0);
	}
}

static void x2apic_reserved_bits_fault(void **state)
{
	static const struct { uint32_t offset; uint64_t legal; } rows[] = {
		/* Bits 12 and 14 of an LVT are status: read-only, so a write of them is ignored, as Linux relies on. */
		{ TPR, 0xff }, { EOI, 0 }, { SVR, 0x3ff }, { ESR, 0 }, { LVTT, 0x350ff }, { 0x330, 0x157ff },
		{ 0x340, 0x157ff }, { LINT0, 0x1f7ff }, { 0x360, 0x1f7ff }, { LVTE, 0x150ff }, { TMICT, 0xffffffff },
		{ TDCR, 0xb }, { 0x3f0, 0xff }, { ICR, 0xffffffff000cdfffull },
	};

	(void)state;
	vp->lapic.x2apic_allowed = true;
	rig_wrmsr(vp, 0x1b, 0xfee00d00);
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		for (unsigned bit = 0; bit < 64; bit++) {
			uint64_t value = 1ull << bit;

			if (value & rows[i].legal)
				rig_wrmsr(vp, X2(rows[i].offset), value);
			else
				rig_wrmsr_gp(vp, X2(rows[i].offset), value);
		}
	}
}

static void x2apic_ids_and_destinations_are_32_bits_wide(void **state)
{
	(void)state;
	lapic_init(&rig.vp[3], 0x12345, false, RIG_APIC_HZ);
	for (unsigned i = 0; i < RIG_VPS_MAX; i++) {
		rig.vp[i].lapic.x2apic_allowed = true;
		rig_wrmsr(&rig.vp[i], 0x1b, 0xfee00c00);
		rig_wrmsr(&rig.vp[i], X2(SVR), 0x1ff);
	}
	assert_int_equal(rig_rdmsr(&rig.vp[3], X2(ID)), 0x12345);
	assert_int_equal(rig_rdmsr(&rig.vp[3], X2(LDR)), 0x12340020);
	assert_int_equal(rig_rdmsr(&rig.vp[18], X2(LDR)), 0x00010004);
	rig_wrmsr(vp, X2(ICR), 0x12345ull << 32 | 0x50);
	assert_int_equal(rig.vp[3].lapic.irr[2], 1u << 16);
	assert_int_equal(rig_rdmsr(vp, X2(ICR)), 0x12345ull << 32 | 0x50);
	rig_wrmsr(vp, X2(ICR), 0x00010005ull << 32 | 0x851);
	assert_int_equal(rig.vp[16].lapic.irr[2], 1u << 17);
	assert_int_equal(rig.vp[18].lapic.irr[2], 1u << 17);
	assert_int_equal(rig.vp[17].lapic.irr[2], 0);
	rig_wrmsr(vp, X2(ICR), 0xffffffffull << 32 | 0x52);
	for (unsigned i = 0; i < RIG_VPS_MAX; i++)
		assert_true(rig.vp[i].lapic.irr[2] & 1u << 18);
	rig_wrmsr(vp, X2(ICR), 0xffull << 32 | 0x53);
	for (unsigned i = 0; i < RIG_VPS_MAX; i++)
		assert_false(rig.vp[i].lapic.irr[2] & 1u << 19);
	rig_wrmsr(vp, 0x83f, 0x54);
	assert_int_equal(lapic_pending(vp), 0x54);
}

static void init_keeps_mode_and_id(void **state)
{
	(void)state;
	vp->lapic.x2apic_allowed = true;
	rig_wrmsr(vp, 0x1b, 0xfee00d00);
	rig_wrmsr(vp, X2(TPR), 0x50);
	lapic_post(vp, 0x60, false);
	lapic_reset(vp);
	assert_int_equal(rig_rdmsr(vp, 0x1b), 0xfee00d00);
	assert_int_equal(rig_rdmsr(vp, X2(TPR)), 0);
	assert_int_equal(rig_rdmsr(vp, X2(SVR)), 0xff);
	assert_int_equal(rig_rdmsr(vp, X2(LDR)), 1);
	assert_int_equal(lapic_pending(vp), -1);
}

/* State */

static uint64_t run(void)
{
	return lapic_timer_run(vp, rig.tsc);
}

static void the_state_goes_out_and_in_again(void **state)
{
	struct hv_lapic_state out, again;

	(void)state;
	lapic_write(vp, LDR, 0x02000000);
	lapic_write(vp, LINT0, 0x700);
	lapic_write(vp, TDCR, DIVIDE_BY_1);
	lapic_write(vp, LVTT, PERIODIC | 0x20);
	lapic_write(vp, TMICT, 1000);
	lapic_post(vp, 0x90, true);
	lapic_post(vp, 0x41, false);
	rig_take_interrupt(vp);
	rig.tsc += 500;
	lapic_state_get(vp, &out);
	assert_int_equal(out.current_count, 750);
	lapic_init(vp, 0, true, RIG_APIC_HZ);
	assert_int_equal(lapic_state_set(vp, &out), HV_STATUS_SUCCESS);
	lapic_state_get(vp, &again);
	assert_memory_equal(&out, &again, sizeof(out));
	assert_int_equal(run(), rig.tsc + 1500);
	rig.tsc += 1500;
	assert_int_equal(run(), rig.tsc + 2000);
	assert_int_equal(lapic_read(vp, ISR + 0x40), 1u << 16);
	lapic_write(vp, EOI, 0);
	assert_int_equal(rig_take_interrupt(vp), 0x41);
}

static void nonsense_state_is_refused(void **state)
{
	struct hv_lapic_state good, bad;

	(void)state;
	lapic_state_get(vp, &good);
	bad = good;
	bad.id = 1u << 24;
	assert_int_equal(lapic_state_set(vp, &bad), HV_STATUS_INVALID_PARAMETER);
	bad = good;
	bad.irr[0] = 1u << 15;
	assert_int_equal(lapic_state_set(vp, &bad), HV_STATUS_INVALID_PARAMETER);
	bad = good;
	bad.isr[0] = 1;
	assert_int_equal(lapic_state_set(vp, &bad), HV_STATUS_INVALID_PARAMETER);
	bad = good;
	bad.tmr[0] = 0x80;
	assert_int_equal(lapic_state_set(vp, &bad), HV_STATUS_INVALID_PARAMETER);
	bad = good;
	bad.current_count = 1;
	assert_int_equal(lapic_state_set(vp, &bad), HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(lapic_state_set(vp, &good), HV_STATUS_SUCCESS);
}

/* Against a model that knows nothing of words and atomics. */

static struct {
	bool irr[256], isr[256], tmr[256], enabled;
	unsigned tpr;
} model;

static int model_highest(const bool *bits)
{
	for (int v = 255; v >= 0; v--) {
		if (bits[v])
			return v;
	}
	return -1;
}

static int model_pending(void)
{
	int irr = model_highest(model.irr), isr = model_highest(model.isr);

	if (irr < 0 || irr / 16 <= (int)model.tpr / 16 || (isr >= 0 && irr / 16 <= isr / 16))
		return -1;
	return irr;
}

static void model_step(void)
{
	unsigned v = rig_random() % 256;
	bool level = rig_random() % 4 == 0;
	int top;

	switch (rig_random() % 8) {
	case 0 ... 2:
		lapic_post(vp, (uint8_t)v, level);
		if (model.enabled && v >= 16) {
			model.irr[v] = true;
			model.tmr[v] = level;
		}
		break;
	case 3 ... 4:
		top = model_pending();
		assert_int_equal(rig_take_interrupt(vp), top);
		if (top >= 0) {
			model.irr[top] = false;
			model.isr[top] = true;
		}
		break;
	case 5:
		lapic_write(vp, EOI, 0);
		top = model_highest(model.isr);
		if (top >= 0)
			model.isr[top] = false;
		break;
	case 6:
		model.tpr = v;
		lapic_write(vp, TPR, v);
		break;
	case 7:
		model.enabled = rig_random() % 4 != 0;
		lapic_write(vp, SVR, model.enabled ? 0x1ff : 0xff);
		break;
	}
}

static void random_operations_agree_with_a_plain_model(void **state)
{
	(void)state;
	memset(&model, 0, sizeof(model));
	model.enabled = true;
	for (unsigned i = 0; i < 200000; i++) {
		model_step();
		assert_int_equal(lapic_pending(vp), model_pending());
		if (i % 64)
			continue;
		for (unsigned v = 0; v < 256; v++) {
			assert_int_equal(lapic_read(vp, IRR + v / 32 * 16) >> v % 32 & 1, model.irr[v]);
			assert_int_equal(lapic_read(vp, ISR + v / 32 * 16) >> v % 32 & 1, model.isr[v]);
			assert_int_equal(lapic_read(vp, TMR + v / 32 * 16) >> v % 32 & 1, model.tmr[v]);
		}
	}
}

#define ONE(f)  cmocka_unit_test_setup(f, setup_one)
#define MANY(f) cmocka_unit_test_setup(f, setup_many)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_power_on_state_is_disabled_and_masked),
		ONE(a_posted_vector_is_pending_and_wakes_the_vp),
		ONE(a_post_to_a_disabled_apic_is_lost),
		ONE(pending_vectors_survive_a_software_disable),
		ONE(vectors_below_16_set_the_error_and_are_dropped),
		ONE(an_error_vector_below_16_does_not_come_back_to_itself),
		ONE(vectors_from_16_are_deliverable),
		ONE(the_highest_vector_goes_first_and_eoi_ends_the_highest),
		ONE(a_vector_waits_for_a_lower_priority_class),
		ONE(the_processor_priority_is_the_larger_of_task_and_service),
		ONE(the_end_of_a_level_interrupt_is_reported),
		ONE(a_level_interrupt_that_is_lost_ends_at_once),
		ONE(an_auto_eoi_vector_leaves_nothing_in_service),
		ONE(registers_keep_only_their_own_bits),
		ONE(read_only_registers_ignore_writes_without_an_error),
		ONE(unknown_registers_read_0_and_set_the_error),
		ONE(a_software_disabled_apic_masks_its_lvts),
		ONE(the_physical_apic_follows_destination_and_line_registers),
		MANY(a_physical_destination_reaches_one_vp),
		MANY(a_broadcast_reaches_every_vp),
		MANY(a_flat_logical_destination_reaches_each_bit),
		MANY(a_cluster_destination_reaches_members_of_that_cluster),
		MANY(the_lowest_priority_goes_to_the_least_busy),
		MANY(a_disabled_apic_is_no_target),
		MANY(ipi_shorthands_choose_by_the_sender),
		MANY(an_ipi_with_an_illegal_vector_is_not_sent),
		MANY(init_and_sipi_are_latched),
		MANY(firmware_starts_all_others_at_once),
		MANY(nmi_reaches_others_but_not_oneself_by_shorthand),
		MANY(smi_remote_read_and_extint_reach_nobody),
		ONE(the_mode_changes_only_along_the_allowed_transitions),
		ONE(apic_base_refuses_reserved_bits_and_other_addresses),
		ONE(the_page_is_not_decoded_outside_xapic_mode),
		ONE(x2apic_registers_have_their_rights),
		ONE(x2apic_reserved_bits_fault),
		MANY(x2apic_ids_and_destinations_are_32_bits_wide),
		ONE(init_keeps_mode_and_id),
		ONE(the_state_goes_out_and_in_again),
		ONE(nonsense_state_is_refused),
		ONE(random_operations_agree_with_a_plain_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
