/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/gpa_access.h"
#include "core/log.h"
#include "core/msr.h"
#include "core/scheduler.h"
#include "hv/hv_cpuid.h"

struct rig rig;
struct machine machine;
struct cpu *cpus[CPUS_MAX];
spa_t log_ring_spa;
uint32_t log_ring_pages;

static uint8_t guest_ram[RIG_PAGES][PAGE_BYTES] __attribute__((aligned(4096)));
static uint8_t pool_pages[RIG_VPS_MAX][PAGE_BYTES] __attribute__((aligned(4096)));
static uint32_t random_state;

/* Platform */

void *platform_ptr(spa_t spa)
{
	return (void *)(uintptr_t)spa.v;
}

struct cpu *platform_cpu(void)
{
	return &rig.cpu;
}

uint64_t platform_tsc(void)
{
	return rig.tsc;
}

void platform_panic(const char *what, const char *file, int line)
{
	fprintf(stderr, "%s:%d: %s\n", file, line, what);
	abort();
}

/* The rest of the core */

void vp_wake(struct vp *vp)
{
	assert_int_equal(vp->synic.lock.next, vp->synic.lock.owner);	/* never under the SynIC lock */
	rig.wakes[vp->index]++;
}

struct vp *partition_vp(struct partition *p, uint32_t index)
{
	return index < PARTITION_VPS_MAX ? p->vps[index] : NULL;
}

void *gpa_page_get(struct partition *p, gpa_t page, uint8_t access)
{
	uint64_t n = page.v >> PAGE_SHIFT;

	assert_int_equal(page.v & ~PAGE_MASK, 0);
	assert_true(access & ACCESS_WRITE);
	assert_false(rig.page_borrowed);
	assert_ptr_equal(p, &rig.partition);
	if (n >= RIG_PAGES || !rig.page_mapped[n])
		return NULL;
	rig.page_borrowed = true;
	return guest_ram[n];
}

void gpa_page_put(struct partition *p)
{
	assert_ptr_equal(p, &rig.partition);
	assert_true(rig.page_borrowed);
	rig.page_borrowed = false;
}

spa_t page_pool_alloc(struct page_pool *pool)
{
	(void)pool;
	if (rig.pool_used >= rig.pool_limit)
		return SPA(0);
	memset(pool_pages[rig.pool_used], 0, PAGE_BYTES);
	return SPA((uintptr_t)pool_pages[rig.pool_used++]);
}

void page_pool_free(struct page_pool *pool, spa_t page)
{
	(void)pool;
	assert_int_not_equal(page.v, 0);
	rig.pool_used--;
}

bool scheduler_take_message(struct vp *root_vp, struct hv_message *out)
{
	assert_true(root_vp->partition->is_root);
	if (rig.scheduler_message.type == 0)
		return false;
	*out = rig.scheduler_message;
	rig.scheduler_message.type = 0;
	list_init(&rig.cpu.signals);
	return true;
}

bool partition_hypercall_msr_write(struct partition *p, uint64_t value)
{
	rig.hypercall_msr_written = value;
	p->hypercall_msr = value;
	return value >> machine.phys_bits == 0;
}

void partition_guest_os_id_write(struct partition *p, uint64_t value)
{
	rig.guest_os_id_written = value;
	p->guest_os_id = value;
}

void log_line(const char *format, ...)
{
	assert_non_null(format);
	rig.log_lines++;
}

/* The vendor */

static void no_cpuid(uint32_t leaf, uint32_t subleaf, struct cpuid_regs *out)
{
	(void)leaf, (void)subleaf;
	memset(out, 0, sizeof(*out));
}
void (*rig_cpuid)(uint32_t leaf, uint32_t subleaf, struct cpuid_regs *out) = no_cpuid;

static void cpuid(uint32_t leaf, uint32_t subleaf, struct cpuid_regs *out)
{
	rig_cpuid(leaf, subleaf, out);
}

static enum hv_status reg_get(const struct vp *vp, uint32_t name, struct hv_u128 *out)
{
	(void)vp;
	*out = (struct hv_u128){ 0 };
	switch (name) {
	case HV_REG_CR4:
		out->low = rig.cr4;
		return HV_STATUS_SUCCESS;
	case HV_REG_XFEM:
		out->low = rig.xfem;
		return HV_STATUS_SUCCESS;
	}
	return HV_STATUS_UNKNOWN_REGISTER;
}

static bool machine_msr_read(uint32_t msr, uint64_t *out_value)
{
	*out_value = 0x08301055;
	return msr == 0x8b && !rig.patch_level_faults;
}

/* One MSR of the CPU state, LSTAR, that takes canonical addresses only. */
static uint64_t lstar;

static bool vp_msr_read(struct vp *vp, uint32_t msr, uint64_t *out_value)
{
	(void)vp;
	*out_value = lstar;
	return msr == 0xc0000082;
}

static int vp_msr_write(struct vp *vp, uint32_t msr, uint64_t value)
{
	(void)vp;
	if (msr != 0xc0000082)
		return 0;
	if (value >> 47 != 0 && value >> 47 != 0x1ffff)
		return -1;
	lstar = value;
	return 1;
}

static const struct arch_ops rig_ops = {
	.name = "rig", .cpuid = cpuid, .reg_get = reg_get, .msr_read = machine_msr_read,
	.vp_msr_read = vp_msr_read, .vp_msr_write = vp_msr_write,
};
const struct arch_ops *arch = &rig_ops;

/* The workbench */

static void partition_make(unsigned vps, bool root)
{
	struct partition *p = &rig.partition;

	assert_in_range(vps, 1, RIG_VPS_MAX);
	memset(&rig, 0, sizeof(rig));
	memset(guest_ram, 0, sizeof(guest_ram));
	rig_cpuid = no_cpuid;
	random_state = 12345;
	machine = (struct machine){
		.cpu_count = 2, .tsc_hz = RIG_TSC_HZ, .apic_hz = RIG_APIC_HZ, .tsc_reliable = true, .tsc_invariant = true,
		.phys_bits = 40, .xcr0_mask = 7,
	};
	rig.tsc = 1000 * RIG_TSC_HZ;
	rig.pool_limit = RIG_VPS_MAX;
	memset(rig.page_mapped, true, sizeof(rig.page_mapped));
	list_init(&rig.cpu.signals);
	p->id = root ? HV_PARTITION_ID_ROOT : 7;
	p->is_root = root;
	p->vps = rig.vps;
	p->vp_count = vps;
	p->synthetic_features = root ? 0 : cpuid_default_features();
	p->privileges = cpuid_root_privileges() | HV_PRIV_CREATE_PARTITIONS;
	if (!root)
		assert_int_equal(cpuid_privileges_from_features(p->synthetic_features, &p->privileges), 0);
	ref_time_init(p, root);
	for (unsigned i = 0; i < vps; i++) {
		struct vp *vp = &rig.vp[i];

		rig.vps[i] = vp;
		vp->index = i;
		vp->partition = p;
		vp->home = &rig.cpu;
		lapic_init(vp, i, i == 0, RIG_APIC_HZ);
		assert_int_equal(synic_create(vp), HV_STATUS_SUCCESS);
		synth_timer_reset(vp);
	}
}

void rig_child(unsigned vps)
{
	partition_make(vps, false);
}

void rig_root(unsigned vps)
{
	partition_make(vps, true);
}

uint8_t *rig_page(unsigned n)
{
	assert_true(n < RIG_PAGES);
	return guest_ram[n];
}

struct hv_message *rig_slot(unsigned page, unsigned sint)
{
	return (struct hv_message *)rig_page(page) + sint;
}

void rig_advance_100ns(uint64_t units)
{
	rig.tsc += units * (RIG_TSC_HZ / 10000000);
}

uint64_t rig_rdmsr(struct vp *vp, uint32_t msr)
{
	uint64_t value = 0xdeadbeef;

	assert_int_equal(msr_read(vp, msr, &value), MSR_DONE);
	return value;
}

void rig_wrmsr(struct vp *vp, uint32_t msr, uint64_t value)
{
	assert_int_equal(msr_write(vp, msr, value), MSR_DONE);
}

void rig_rdmsr_gp(struct vp *vp, uint32_t msr)
{
	uint64_t value;

	assert_int_equal(msr_read(vp, msr, &value), MSR_GP);
}

void rig_wrmsr_gp(struct vp *vp, uint32_t msr, uint64_t value)
{
	assert_int_equal(msr_write(vp, msr, value), MSR_GP);
}

int rig_take_interrupt(struct vp *vp)
{
	int vector = lapic_pending(vp);

	if (vector >= 0)
		lapic_accept(vp, (uint8_t)vector);
	return vector;
}

uint32_t rig_random(void)
{
	random_state = random_state * 1664525u + 1013904223u;
	return random_state >> 8;
}
