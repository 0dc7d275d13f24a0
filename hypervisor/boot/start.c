/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hypervisor's own start, in its copy of the image: builds everything while the firmware's stack and page tables still
 * serve, and then takes over each CPU in turn. No firmware is called from here.
 */
#include "boot/boot.h"
#include "core/frame.h"
#include "core/log.h"
#include "core/partition.h"
#include "core/run.h"
#include "svm/svm.h"
#include "x86/cpu.h"
#include "x86/x86.h"

#define LOG_RING_BYTES 0x10000ull

/* An emulator without hardware underneath gives all processors the TSC of one clock, but does not call it invariant. */
static bool tsc_of_emulator(void)
{
	uint32_t r[4];

	cpu_cpuid(0x40000000, 0, r);
	return r[1] == 0x54474354 && r[2] == 0x43544743 && r[3] == 0x47435447;	/* "TCGTCGTCGTCG" */
}

static void find_xsave(void)
{
	uint32_t r[4];

	cpu_cpuid(1, 0, r);
	if (!(r[2] & (1u << 26)))
		return;
	cpu_cpuid(0xd, 0, r);
	machine.xcr0_mask = ((uint64_t)r[3] << 32 | r[0]) & 0x7;	/* x87, SSE, AVX */
	if (r[2] > PAGE_BYTES)
		log_line("hypervisor: extended state of %u bytes, of which the parent keeps x87, SSE and AVX", r[2]);
}

static void find_machine(void)
{
	uint32_t r[4];

	machine.cpu_count = boot_info.cpu_count;
	machine.tsc_hz = boot_info.tsc_hz;
	machine.apic_hz = boot_info.apic_hz;
	machine.ram_end = boot_info.ram_end;
	machine.hv_base = SPA(boot_info.block);
	machine.hv_bytes = boot_info.block_bytes;
	cpu_cpuid(0x80000008, 0, r);
	machine.phys_bits = (uint8_t)r[0];
	cpu_cpuid(0x80000007, 0, r);
	machine.tsc_invariant = (r[3] >> 8) & 1;
	machine.tsc_reliable = machine.tsc_invariant || boot_info.tsc_declared_stable || tsc_of_emulator();
	find_xsave();
}

static spa_t carve(uint64_t *at, uint64_t bytes, uint64_t align)
{
	uint64_t from = (*at + align - 1) & ~(align - 1);

	*at = from + bytes;
	return SPA(from);
}

static enum hv_status start_cpu(unsigned index, spa_t area)
{
	struct x86_cpu *c = platform_ptr(area);
	struct vp *vp;
	enum hv_status status;

	_Static_assert(sizeof *c <= PAGE_BYTES, "per-CPU data fits a page");
	c->area = area;
	c->cpu.index = index;
	c->cpu.apic_id = boot_info.apic_ids[index];
	c->cpu.platform = c;
	c->cpu.timer_deadline = ~0ull;
	list_init(&c->cpu.blocked);
	list_init(&c->cpu.signals);
	*(struct x86_cpu **)platform_ptr(SPA(area.v + CPU_AREA_BYTES - 8)) = c;
	cpus[index] = &c->cpu;
	c->host_save = page_pool_alloc(&root_partition->pool);
	if (!c->host_save.v)
		return HV_STATUS_INSUFFICIENT_MEMORY;
	status = vp_create(root_partition, index, &vp);
	if (status != HV_STATUS_SUCCESS)
		return status;
	vp->explicit_suspend = 0;
	vp->owned = VP_DISPATCHED;
	vp->home = &c->cpu;
	vp->activity = VP_ACTIVE;
	c->cpu.root_vp = c->cpu.current = vp;
	/* Only a parent whose firmware chose it gets x2APIC: with it Linux puts an interrupt domain of its own over the IOAPICs. */
	vp->lapic.x2apic_allowed = lapic_hw_is_x2apic();
	lapic_init(vp, c->cpu.apic_id, index == 0, machine.apic_hz);
	return HV_STATUS_SUCCESS;
}

static enum hv_status show_log_ring(spa_t ring)
{
	enum hv_status status = HV_STATUS_SUCCESS;

	for (uint64_t at = 0; at < LOG_RING_BYTES && status == HV_STATUS_SUCCESS; at += PAGE_BYTES)
		status = partition_show_page(SPA(ring.v + at), ACCESS_READ);
	log_ring_spa = ring;
	log_ring_pages = LOG_RING_BYTES / PAGE_BYTES;
	return status;
}

/* Device windows below the end of RAM are nobody's memory to deposit or to map. */
static enum hv_status add_holes(void)
{
	for (uint32_t i = 0; i < boot_info.hole_count; i++)
		if (!frame_add_hole(SPA(boot_info.holes[i].base), boot_info.holes[i].bytes))
			return HV_STATUS_INSUFFICIENT_MEMORY;
	return HV_STATUS_SUCCESS;
}

enum hv_status start_hypervisor(void)
{
	uint64_t at = boot_info.block + boot_info.image_bytes, end = boot_info.block + boot_info.block_bytes;
	spa_t ring = carve(&at, LOG_RING_BYTES, PAGE_BYTES), areas;
	enum hv_status status;

	log_set_ring(platform_ptr(ring), LOG_RING_BYTES);
	lapic_hw_init();
	find_machine();
	areas = carve(&at, CPU_AREA_BYTES * machine.cpu_count, CPU_AREA_BYTES);
	for (; at + PAGE_BYTES <= end; at += PAGE_BYTES)
		page_pool_add(&root_partition->pool, SPA(at));

	arch = &svm_ops;
	svm_init();
	desc_init();
	status = partition_create_root();
	if (status == HV_STATUS_SUCCESS)
		status = add_holes();
	if (status == HV_STATUS_SUCCESS)
		status = paging_init(machine.hv_base, boot_info.image_bytes);
	if (status == HV_STATUS_SUCCESS)
		status = show_log_ring(ring);
	for (unsigned i = 0; i < machine.cpu_count && status == HV_STATUS_SUCCESS; i++) {
		status = start_cpu(i, SPA(areas.v + i * CPU_AREA_BYTES));
		paging_guard(SPA(areas.v + i * CPU_AREA_BYTES + CPU_GUARD_AT));
	}
	log_line("hypervisor: %u CPUs, TSC %llu Hz%s, LAPIC %llu Hz, block %#llx + %#llx, %llu pages free", machine.cpu_count,
		 (unsigned long long)machine.tsc_hz, machine.tsc_reliable ? " (reliable)" : "",
		 (unsigned long long)machine.apic_hz, (unsigned long long)machine.hv_base.v,
		 (unsigned long long)machine.hv_bytes, (unsigned long long)root_partition->pool.free_count);
	return status;
}

/* --- lift: on each CPU ---------------------------------------------------------------------------------------------- */

static void enter_host(void *argument)
{
	struct x86_cpu *c = argument;
	uint64_t cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | (cpu_read_cr4() & CR4_PGE);

	cpu_write_cr4(cr4 | (machine.xcr0_mask ? CR4_OSXSAVE : 0));
	paging_load();
	desc_load();
	__asm__ volatile("clgi; sti");
	root_irq_adopt(c->cpu.root_vp);
	log_line("hypervisor: CPU %u (APIC id %u) lifted", c->cpu.index, c->cpu.apic_id);
	run_root(&c->cpu);
}

void start_lift(void *unused, const struct launch_state *state)
{
	uint32_t apic_id = lapic_hw_id();

	(void)unused;
	for (unsigned i = 0; i < machine.cpu_count; i++) {
		struct x86_cpu *c = x86_of(cpus[i]);

		if (c->cpu.apic_id != apic_id)
			continue;
		svm_cpu_enable(c->host_save);
		svm_capture(c->cpu.root_vp, state);
		launch_on_stack(enter_host, c, platform_ptr(SPA(c->area.v + CPU_AREA_BYTES - 16)));
	}
}
