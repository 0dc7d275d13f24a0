/* SPDX-License-Identifier: Apache-2.0 */
#include "fake/fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Nested paging entries of no real CPU, so that the core cannot rely on one: 2:0 access, 7 leaf, 62 table, 51:12 address. */
#define ENTRY_LEAF    (1ull << 7)
#define ENTRY_TABLE   (1ull << 62)
#define ENTRY_ADDRESS 0x000ffffffffff000ull

struct fake_cpu {
	struct cpu cpu;
	unsigned kicks;
	uint32_t kicked;
};

struct fake_register {
	uint32_t name;
	struct hv_u128 value;
};

struct fake_vp {
	spa_t self, fpu;
	unsigned count;
	struct fake_register registers[120];
};
_Static_assert(sizeof(struct fake_vp) <= PAGE_BYTES, "a VP's registers fit a page");

struct machine machine;
struct cpu *cpus[CPUS_MAX];
const struct arch_ops *arch;
uint32_t fake_cpuid_vendor[3] = { 0x68747541, 0x444d4163, 0x69746e65 };

static uint8_t *ram;
static struct fake_cpu fake_cpus[FAKE_CPUS_MAX];
static uint64_t now;
static fake_guest guest;
static _Thread_local unsigned cpu_index;

/* --- platform.h ----------------------------------------------------------------------------------------------------- */

_Noreturn void platform_panic(const char *what, const char *file, int line)
{
	fprintf(stderr, "%s:%d: %s\n", file, line, what);
	abort();
}

void *platform_ptr(spa_t spa)
{
	CHECK(spa.v < FAKE_RAM_BYTES);
	return ram + spa.v;
}

struct cpu *platform_cpu(void)
{
	return &fake_cpus[cpu_index].cpu;
}

uint64_t platform_tsc(void)
{
	return __atomic_load_n(&now, __ATOMIC_RELAXED);
}

void platform_kick(struct cpu *cpu)
{
	struct fake_cpu *f = container_of(cpu, struct fake_cpu, cpu);

	__atomic_fetch_add(&f->kicks, 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&f->kicked, 1, __ATOMIC_SEQ_CST);
}

void platform_set_timer(uint64_t deadline_tsc)
{
	platform_cpu()->timer_deadline = deadline_tsc;
}

void platform_take_interrupts(struct vp *root)
{
	(void)root;
}

void platform_idle(struct vp *root)
{
	(void)root;
}

void platform_window_open(struct vp *root)
{
	(void)root;
}

int platform_extint(struct cpu *cpu)
{
	(void)cpu;
	return -1;
}

void platform_extint_taken(struct cpu *cpu)
{
	(void)cpu;
}

void platform_debug_write(const char *text, size_t bytes)
{
	(void)text;
	(void)bytes;
}

/* --- arch.h --------------------------------------------------------------------------------------------------------- */

static const uint32_t register_names[] = {
	HV_REG_CR0, HV_REG_CR2, HV_REG_CR3, HV_REG_CR4, HV_REG_XFEM,
	HV_REG_DR0, HV_REG_DR1, HV_REG_DR2, HV_REG_DR3, HV_REG_DR6, HV_REG_DR7,
	HV_REG_ES, HV_REG_CS, HV_REG_SS, HV_REG_DS, HV_REG_FS, HV_REG_GS, HV_REG_LDTR, HV_REG_TR, HV_REG_IDTR, HV_REG_GDTR,
	HV_REG_EFER, HV_REG_KERNEL_GS_BASE, HV_REG_PAT, HV_REG_SYSENTER_CS, HV_REG_SYSENTER_EIP, HV_REG_SYSENTER_ESP,
	HV_REG_STAR, HV_REG_LSTAR, HV_REG_CSTAR, HV_REG_SFMASK, HV_REG_TSC_AUX, HV_REG_INTERRUPT_STATE,
	HV_REG_FP_CONTROL_STATUS, HV_REG_XMM_CONTROL_STATUS,
};

static void register_add(struct fake_vp *f, uint32_t name)
{
	CHECK(f->count < ARRAY_COUNT(f->registers));
	f->registers[f->count++] = (struct fake_register){ .name = name };
}

static struct fake_register *register_find(const struct vp *vp, uint32_t name)
{
	struct fake_vp *f = vp->arch;

	for (unsigned i = 0; i < f->count; i++)
		if (f->registers[i].name == name)
			return &f->registers[i];
	return NULL;
}

static enum hv_status fake_reg_get(const struct vp *vp, uint32_t name, struct hv_u128 *out)
{
	const struct fake_register *r = register_find(vp, name);

	if (!r)
		return HV_STATUS_UNKNOWN_REGISTER;
	*out = r->value;
	return HV_STATUS_SUCCESS;
}

static enum hv_status fake_reg_set(struct vp *vp, uint32_t name, const struct hv_u128 *value)
{
	struct fake_register *r = register_find(vp, name);

	if (!r)
		return HV_STATUS_UNKNOWN_REGISTER;
	if (name == HV_REG_CR0 && value->low >> 32)
		return HV_STATUS_INVALID_REGISTER_VALUE;
	r->value = *value;
	return HV_STATUS_SUCCESS;
}

static void set(struct vp *vp, uint32_t name, uint64_t low, uint64_t high)
{
	register_find(vp, name)->value = (struct hv_u128){ low, high };
}

static void set_segment(struct vp *vp, uint32_t name, uint16_t selector, uint64_t base, uint32_t limit, uint16_t attributes)
{
	struct hv_segment_register s = { base, limit, selector, attributes };

	memcpy(&register_find(vp, name)->value, &s, sizeof s);
}

static void fake_vp_reset(struct vp *vp, bool init)
{
	struct fake_vp *f = vp->arch;

	for (unsigned i = 0; i < f->count; i++)
		f->registers[i].value = (struct hv_u128){ 0, 0 };
	set(vp, HV_REG_CR0, 0x60000010, 0);
	set(vp, HV_REG_XFEM, 1, 0);
	set_segment(vp, HV_REG_CS, 0xf000, 0xffff0000, 0xffff, 0x9b);
	set_segment(vp, HV_REG_SS, 0, 0, 0xffff, 0x93);
	if (!init)
		memset(platform_ptr(f->fpu), 0, PAGE_BYTES);
}

static void fake_vp_destroy(struct vp *vp)
{
	struct fake_vp *f = vp->arch;
	spa_t self = f->self;

	if (f->fpu.v)
		page_pool_free(&vp->partition->pool, f->fpu);
	page_pool_free(&vp->partition->pool, self);
	vp->arch = NULL;
}

static enum hv_status fake_vp_create(struct vp *vp)
{
	spa_t self = page_pool_alloc(&vp->partition->pool);
	struct fake_vp *f;

	if (!self.v)
		return HV_STATUS_INSUFFICIENT_MEMORY;
	f = vp->arch = platform_ptr(self);
	f->self = self;
	f->fpu = page_pool_alloc(&vp->partition->pool);
	if (!f->fpu.v) {
		fake_vp_destroy(vp);
		return HV_STATUS_INSUFFICIENT_MEMORY;
	}
	for (size_t i = 0; i < ARRAY_COUNT(register_names); i++)
		register_add(f, register_names[i]);
	for (uint32_t i = 0; i < 16; i++)
		register_add(f, HV_REG_XMM0 + i);
	fake_vp_reset(vp, false);
	return HV_STATUS_SUCCESS;
}

static void fake_vp_startup(struct vp *vp, uint8_t vector)
{
	set_segment(vp, HV_REG_CS, (uint16_t)(vector << 8), (uint64_t)vector << 12, 0xffff, 0x9b);
	vp->rip = 0;
}

static void fake_vp_load(struct vp *vp)
{
	(void)vp;
}

static void fake_vp_enter(struct vp *vp, struct vp_exit *out_exit)
{
	uint64_t generation = __atomic_load_n(&vp->partition->space.generation, __ATOMIC_SEQ_CST);

	__atomic_store_n(&vp->gpa_generation, generation, __ATOMIC_SEQ_CST);
	memset(out_exit, 0, sizeof *out_exit);
	CHECK(guest);
	guest(vp, out_exit);
}

static bool fake_can_interrupt(const struct vp *vp)
{
	return (vp->rflags >> 9) & 1;
}

static void fake_clear_shadow(struct vp *vp)
{
	set(vp, HV_REG_INTERRUPT_STATE, register_find(vp, HV_REG_INTERRUPT_STATE)->value.low & ~1ull, 0);
}

static void *fake_fpu_image(struct vp *vp, size_t *out_bytes)
{
	struct fake_vp *f = vp->arch;

	*out_bytes = 832;
	return platform_ptr(f->fpu);
}

static void fake_cpuid(uint32_t leaf, uint32_t subleaf, struct cpuid_regs *out)
{
	*out = (struct cpuid_regs){ 0 };
	if (leaf == 0)
		*out = (struct cpuid_regs){ 0xd, fake_cpuid_vendor[0], fake_cpuid_vendor[1], fake_cpuid_vendor[2] };
	else if (leaf == 1)
		*out = (struct cpuid_regs){ 0x00800f12, 0, 1u << 0 | 1u << 9 | 1u << 13, 0 };
	else if (leaf == 0xd && subleaf == 2)
		*out = (struct cpuid_regs){ 256, 576, 0, 0 };
	else if (leaf == 0x80000000)
		out->eax = 0x80000008;
}

static bool fake_msr_read(uint32_t msr, uint64_t *out_value)
{
	(void)msr;
	*out_value = 0;
	return false;
}

static bool fake_msr_write(uint32_t msr, uint64_t value)
{
	(void)msr;
	(void)value;
	return false;
}

static bool fake_vp_msr_read(struct vp *vp, uint32_t msr, uint64_t *out_value)
{
	(void)vp;
	(void)msr;
	*out_value = 0;
	return false;
}

static int fake_vp_msr_write(struct vp *vp, uint32_t msr, uint64_t value)
{
	(void)vp;
	(void)msr;
	(void)value;
	return 0;
}

static uint64_t fake_leaf_encode(spa_t spa, uint8_t access, uint8_t level)
{
	return spa.v | access | (level ? ENTRY_LEAF : 0);
}

static uint64_t fake_table_encode(spa_t table)
{
	return table.v | ENTRY_TABLE | ACCESS_ALL;
}

static uint8_t fake_entry_access(uint64_t entry)
{
	return entry & ACCESS_ALL;
}

static bool fake_entry_is_leaf(uint64_t entry, uint8_t level)
{
	return level == 0 || (entry & ENTRY_LEAF);
}

static spa_t fake_entry_spa(uint64_t entry)
{
	return SPA(entry & ENTRY_ADDRESS);
}

static void fake_no_interrupts(void)
{
}

const struct arch_ops fake_ops = {
	.let_interrupts_in = fake_no_interrupts,
	.wait_for_interrupt = fake_no_interrupts,
	.name = "fake",
	.vp_create = fake_vp_create,
	.vp_destroy = fake_vp_destroy,
	.vp_reset = fake_vp_reset,
	.vp_startup = fake_vp_startup,
	.vp_load = fake_vp_load,
	.vp_unload = fake_vp_load,
	.vp_enter = fake_vp_enter,
	.reg_get = fake_reg_get,
	.reg_set = fake_reg_set,
	.can_interrupt = fake_can_interrupt,
	.clear_shadow = fake_clear_shadow,
	.fpu_image = fake_fpu_image,
	.cpuid = fake_cpuid,
	.msr_read = fake_msr_read,
	.msr_write = fake_msr_write,
	.vp_msr_read = fake_vp_msr_read,
	.vp_msr_write = fake_vp_msr_write,
	.leaf_encode = fake_leaf_encode,
	.table_encode = fake_table_encode,
	.entry_access = fake_entry_access,
	.entry_is_leaf = fake_entry_is_leaf,
	.entry_spa = fake_entry_spa,
};

/* --- For tests ------------------------------------------------------------------------------------------------------ */

void fake_set_cpu(unsigned index)
{
	CHECK(index < machine.cpu_count);
	cpu_index = index;
}

void fake_set_tsc(uint64_t tsc)
{
	__atomic_store_n(&now, tsc, __ATOMIC_RELAXED);
}

unsigned fake_kicks(unsigned cpu)
{
	return __atomic_load_n(&fake_cpus[cpu].kicks, __ATOMIC_SEQ_CST);
}

bool fake_take_kick(unsigned cpu)
{
	return __atomic_exchange_n(&fake_cpus[cpu].kicked, 0, __ATOMIC_SEQ_CST) != 0;
}

uint64_t fake_timer(unsigned cpu)
{
	return fake_cpus[cpu].cpu.timer_deadline;
}

void fake_set_guest(fake_guest step)
{
	guest = step;
}

void fake_long_mode(struct vp *vp, unsigned cpl)
{
	set(vp, HV_REG_CR0, 0x80010033, 0);
	set(vp, HV_REG_CR4, 0x20, 0);
	set(vp, HV_REG_EFER, 0xd01, 0);
	set_segment(vp, HV_REG_CS, 0x10, 0, 0xffffffff, (uint16_t)(0xa09b | cpl << 5));
	set_segment(vp, HV_REG_SS, 0x18, 0, 0xffffffff, (uint16_t)(0xc093 | cpl << 5));
}

static void cpu_init(unsigned index)
{
	struct cpu *cpu = &fake_cpus[index].cpu;
	struct vp *vp;

	cpu->index = index;
	cpu->apic_id = index;
	cpu->timer_deadline = ~0ull;
	list_init(&cpu->blocked);
	list_init(&cpu->signals);
	cpus[index] = cpu;
	CHECK(vp_create(root_partition, index, &vp) == HV_STATUS_SUCCESS);
	vp->explicit_suspend = 0;
	vp->owned = VP_DISPATCHED;
	vp->home = cpu;
	vp->activity = VP_ACTIVE;
	cpu->root_vp = cpu->current = vp;
	fake_long_mode(vp, 0);
}

void fake_machine_init(unsigned cpu_count)
{
	fake_machine_fini();
	ram = aligned_alloc(PAGE_BYTES, FAKE_RAM_BYTES);
	CHECK(ram);
	memset(ram, 0, FAKE_RAM_BYTES);
	memset(fake_cpus, 0, sizeof fake_cpus);
	memset(cpus, 0, sizeof cpus);
	machine = (struct machine){
		.cpu_count = cpu_count,
		.tsc_hz = FAKE_TSC_HZ,
		.apic_hz = 1000000000,
		.tsc_reliable = true,
		.phys_bits = FAKE_PHYS_BITS,
		.hv_base = SPA(FAKE_BLOCK_BASE),
		.hv_bytes = FAKE_BLOCK_BYTES,
		.ram_end = FAKE_RAM_BYTES,
		.xcr0_mask = 7,
	};
	arch = &fake_ops;
	guest = NULL;
	fake_set_tsc(1000);
	cpu_index = 0;
	memset(root_partition, 0, sizeof *root_partition);
	for (uint64_t at = FAKE_BLOCK_BASE; at < FAKE_BLOCK_BASE + FAKE_BLOCK_BYTES; at += PAGE_BYTES)
		page_pool_add(&root_partition->pool, SPA(at));
	CHECK(partition_create_root() == HV_STATUS_SUCCESS);
	for (unsigned i = 0; i < cpu_count; i++)
		cpu_init(i);
	partition_guest_os_id_write(root_partition, 0x8100000000000000ull);
	CHECK(partition_hypercall_msr_write(root_partition, FAKE_HYPERCALL_GPA | 1));
}

void fake_machine_fini(void)
{
	free(ram);
	ram = NULL;
}
