/* SPDX-License-Identifier: Apache-2.0 */
/* What the machine has: the processor's features, its processors, its memory. */
#include "boot/boot.h"
#include "x86/cpu.h"
#include "x86/x86.h"

#define VM_CR_SVMDIS (1ull << 4)

const char *efi_check_cpu(void)
{
	uint32_t r[4], ext[4];

	cpu_cpuid(0x80000000, 0, r);
	if (r[0] < 0x80000001)
		return "the processor has no 64-bit mode; a 64-bit AMD processor with SVM is needed";
	cpu_cpuid(0x80000001, 0, ext);
	if (!(ext[3] & (1u << 29)))
		return "the processor has no 64-bit mode; a 64-bit AMD processor with SVM is needed";
	if (!(ext[2] & (1u << 2)) || r[0] < 0x8000000a)
		return "the processor offers no SVM (AMD-V); use an AMD processor that has it, or let the lower hypervisor pass it on";
	if (cpu_rdmsr(MSR_VM_CR) & VM_CR_SVMDIS)
		return "SVM (AMD-V) is disabled by the firmware; enable it in the firmware's set-up";
	if (cpu_rdmsr(MSR_EFER) & EFER_SVME)
		return "SVM is already in use by another hypervisor; boot without it";
	cpu_cpuid(0x8000000a, 0, r);
	if (!(r[3] & 1))
		return "the processor has no nested paging; one with nested paging (NPT) is needed";
	if (!(ext[3] & (1u << 20)))
		return "the processor has no NX bit, or the firmware disables it; enable it in the firmware's set-up";
	if (!(ext[3] & (1u << 26)))
		return "the processor has no 1-GiB pages, which the parent's memory map needs";
	return NULL;
}

static bool is_ram(UINT32 type)
{
	return type == EfiLoaderCode || type == EfiLoaderData || type == EfiBootServicesCode || type == EfiBootServicesData ||
	       type == EfiRuntimeServicesCode || type == EfiRuntimeServicesData || type == EfiConventionalMemory ||
	       type == EfiACPIReclaimMemory || type == EfiACPIMemoryNVS;
}

/* Sorts in place by start: firmware maps are nearly sorted already. */
static void sort_ranges(struct boot_range *r, unsigned count)
{
	for (unsigned i = 1; i < count; i++) {
		struct boot_range x = r[i];
		unsigned k = i;

		for (; k && r[k - 1].base > x.base; k--)
			r[k] = r[k - 1];
		r[k] = x;
	}
}

/* What lies between the ranges of RAM; false when there are more gaps than can be kept. */
static bool find_holes(const struct boot_range *ram, unsigned count, struct boot_info *info)
{
	uint64_t end = 0;

	info->hole_count = 0;
	for (unsigned i = 0; i < count; i++) {
		if (ram[i].base > end) {
			if (info->hole_count == BOOT_HOLES_MAX)
				return false;
			info->holes[info->hole_count++] = (struct boot_range){ end, ram[i].base - end };
		}
		if (ram[i].base + ram[i].bytes > end)
			end = ram[i].base + ram[i].bytes;
	}
	info->ram_end = end;
	return true;
}

EFI_STATUS efi_find_memory(EFI_BOOT_SERVICES *bs, struct boot_info *info, uint64_t *out_ram_bytes)
{
	UINTN bytes = 0, key, stride = sizeof(EFI_MEMORY_DESCRIPTOR);
	UINT32 version;
	char *map = NULL;
	struct boot_range *ram;
	unsigned count = 0;
	EFI_STATUS status;

	bs->GetMemoryMap(&bytes, NULL, &key, &stride, &version);
	bytes += 16 * stride;	/* the allocation below may split a few */
	status = bs->AllocatePool(EfiBootServicesData, 2 * bytes, (void **)&map);
	if (status != EFI_SUCCESS)
		return status;
	ram = (struct boot_range *)(map + bytes);	/* a range is smaller than a descriptor */
	status = bs->GetMemoryMap(&bytes, (EFI_MEMORY_DESCRIPTOR *)map, &key, &stride, &version);
	*out_ram_bytes = 0;
	for (UINTN at = 0; status == EFI_SUCCESS && at < bytes; at += stride) {
		const EFI_MEMORY_DESCRIPTOR *d = (const void *)(map + at);

		if (!is_ram(d->Type))
			continue;
		ram[count++] = (struct boot_range){ d->PhysicalStart, d->NumberOfPages * PAGE_BYTES };
		*out_ram_bytes += d->NumberOfPages * PAGE_BYTES;
	}
	sort_ranges(ram, count);
	if (status == EFI_SUCCESS && !find_holes(ram, count, info))
		status = EFI_OUT_OF_RESOURCES;
	bs->FreePool(map);
	return status;
}

/* EFI_MP_SERVICES_PROTOCOL, PI specification vol. 2 §13.4: the members used here. */
#define MP_SERVICES_GUID { 0x3fdda605, 0xa76e, 0x4f46, { 0xad, 0x29, 0x12, 0xf4, 0x53, 0x1b, 0x3d, 0x08 } }

struct mp_processor {
	UINT64 processor_id;		/* APIC id */
	UINT32 status;			/* bit 0 BSP, 1 enabled, 2 healthy */
	UINT32 package, core, thread;
	UINT32 extended[6];
};

typedef VOID(EFIAPI *mp_procedure)(VOID *argument);

struct mp_services {
	EFI_STATUS(EFIAPI *get_count)(struct mp_services *mp, UINTN *count, UINTN *enabled);
	EFI_STATUS(EFIAPI *get_info)(struct mp_services *mp, UINTN number, struct mp_processor *info);
	EFI_STATUS(EFIAPI *start_all)(struct mp_services *mp, mp_procedure fn, BOOLEAN single, EFI_EVENT event,
				      UINTN timeout_us, VOID *argument, UINTN **failed);
	EFI_STATUS(EFIAPI *start_one)(struct mp_services *mp, mp_procedure fn, UINTN number, EFI_EVENT event,
				      UINTN timeout_us, VOID *argument, BOOLEAN *finished);
};

static struct mp_services *find_mp(EFI_BOOT_SERVICES *bs)
{
	EFI_GUID guid = MP_SERVICES_GUID;
	void *mp = NULL;

	return bs->LocateProtocol(&guid, NULL, &mp) == EFI_SUCCESS ? mp : NULL;
}

EFI_STATUS efi_find_cpus(EFI_BOOT_SERVICES *bs, struct boot_info *info)
{
	struct mp_services *mp = find_mp(bs);
	UINTN count = 0, enabled;

	info->cpu_count = 1;
	info->apic_ids[0] = lapic_hw_id();
	if (!mp || mp->get_count(mp, &count, &enabled) != EFI_SUCCESS)
		return EFI_SUCCESS;	/* one processor, as far as the firmware tells */
	for (UINTN i = 0; i < count; i++) {
		struct mp_processor p;

		if (mp->get_info(mp, i, &p) != EFI_SUCCESS)
			return EFI_DEVICE_ERROR;
		if (!(p.status & 2) || (uint32_t)p.processor_id == info->apic_ids[0])
			continue;
		if (info->cpu_count == CPUS_MAX)
			return EFI_OUT_OF_RESOURCES;
		info->apic_ids[info->cpu_count++] = (uint32_t)p.processor_id;
	}
	return EFI_SUCCESS;
}

EFI_STATUS efi_on_other_cpus(EFI_BOOT_SERVICES *bs, void (*fn)(void *argument), void *argument)
{
	struct mp_services *mp = find_mp(bs);

	return mp->start_all(mp, (mp_procedure)fn, TRUE, NULL, 0, argument, NULL);
}
