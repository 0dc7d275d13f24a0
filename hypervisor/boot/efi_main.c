/* SPDX-License-Identifier: Apache-2.0 */
/*
 * undercroft.efi: checks the machine, slides the hypervisor under it, and starts the parent.
 *
 *   read undercroft.conf -> check -> find CPUs, memory, clocks -> reserve the block, copy the image -> start_hypervisor (copy)
 *   -> lift the other CPUs, then this one, each in place -> from here on a guest -> start the parent's kernel
 *
 * Until start_hypervisor has succeeded nothing of the machine is changed; any failure starts the parent unlifted.
 */
#include "boot/boot.h"
#include "core/mem.h"
#include "x86/cpu.h"
#include "x86/x86.h"

#define BLOCK_MIN_BYTES (8ull << 20)
#define RAM_MIN_BYTES   (512ull << 20)
#define CONFIG_BYTES    8192

struct boot_info boot_info;

typedef enum hv_status start_fn(void);
typedef void lift_fn(void *argument, const struct launch_state *state);

/* Runs on each CPU, in the firmware's context; comes back as a guest. */
static void lift_here(void *lift)
{
	launch_in_place((lift_fn *)lift, NULL);
}

static bool read_config(EFI_BOOT_SERVICES *bs, EFI_HANDLE device, struct boot_config *config)
{
	static char text[CONFIG_BYTES];
	size_t bytes = 0;
	const char *why = NULL;
	unsigned line;
	EFI_STATUS status = efi_read_file(bs, device, u"\\undercroft.conf", text, sizeof text, &bytes);

	if (status != EFI_SUCCESS) {
		config_parse("", 0, config, &why);
		console_line("undercroft: no \\undercroft.conf on this partition; the next boot entry starts the parent");
		return true;
	}
	line = bytes == sizeof text ? 1 : config_parse(text, bytes, config, &why);
	if (line)
		console_line("undercroft: undercroft.conf line %u: %s", line, why ? why : "the file is over 8 KiB");
	return line == 0;
}

static bool lift(EFI_SYSTEM_TABLE *st, const EFI_LOADED_IMAGE *self, const struct boot_config *config)
{
	EFI_BOOT_SERVICES *bs = st->BootServices;
	uint64_t base = (uintptr_t)self->ImageBase, ram_bytes = 0, block_bytes;
	const char *missing = efi_check_cpu();
	start_fn *start;
	lift_fn *lift_cpu;
	enum hv_status status;

	if (missing) {
		console_line("undercroft: cannot lift this machine: %s", missing);
		return false;
	}
	lapic_hw_init();
	if (efi_find_memory(bs, &boot_info, &ram_bytes) != EFI_SUCCESS) {
		console_line("undercroft: cannot lift this machine: its memory map has too many pieces");
		return false;
	}
	if (ram_bytes < RAM_MIN_BYTES) {
		console_line("undercroft: cannot lift this machine: %llu MiB of memory, at least 512 MiB are needed",
			     (unsigned long long)(ram_bytes >> 20));
		return false;
	}
	if (efi_find_cpus(bs, &boot_info) != EFI_SUCCESS) {
		console_line("undercroft: cannot lift this machine: more than %u processors, or the firmware cannot name them",
			     CPUS_MAX);
		return false;
	}
	boot_info.tsc_declared_stable = config->tsc_stable;
	efi_calibrate(st, &boot_info);
	block_bytes = (BLOCK_MIN_BYTES + boot_info.ram_end / 1024 + (2 << 20) - 1) & ~((2ull << 20) - 1);
	if (place_image(bs, base, self->ImageSize, block_bytes) != EFI_SUCCESS) {
		console_line("undercroft: cannot lift this machine: no %llu MiB of free memory below 4 GiB",
			     (unsigned long long)(block_bytes >> 20));
		return false;
	}
	/* place_image filled boot_info after the copy began: hand the final values over. */
	memcpy(place_in_copy(base, &boot_info), &boot_info, sizeof boot_info);
	start = (start_fn *)place_in_copy(base, (const void *)(uintptr_t)start_hypervisor);
	lift_cpu = (lift_fn *)place_in_copy(base, (const void *)(uintptr_t)start_lift);
	status = start();
	if (status != HV_STATUS_SUCCESS) {
		console_line("undercroft: cannot lift this machine: set-up failed with status %#x", status);
		bs->FreePages(boot_info.block, boot_info.block_bytes / PAGE_BYTES);
		return false;
	}
	console_line("undercroft: %u processors, %llu MiB, TSC %llu kHz, LAPIC %llu kHz, block %llu MiB at %#llx",
		     boot_info.cpu_count, (unsigned long long)(ram_bytes >> 20), (unsigned long long)(boot_info.tsc_hz / 1000),
		     (unsigned long long)(boot_info.apic_hz / 1000), (unsigned long long)(block_bytes >> 20),
		     (unsigned long long)boot_info.block);
	if (boot_info.cpu_count > 1 &&
	    efi_on_other_cpus(bs, lift_here, (void *)(uintptr_t)lift_cpu) != EFI_SUCCESS)
		console_line("undercroft: the firmware did not start all processors; those stay with the firmware");
	lift_here((void *)(uintptr_t)lift_cpu);
	console_line("undercroft: lifted");
	return true;
}

EFI_STATUS EFIAPI efi_main(EFI_HANDLE handle, EFI_SYSTEM_TABLE *st);

EFI_STATUS EFIAPI efi_main(EFI_HANDLE handle, EFI_SYSTEM_TABLE *st)
{
	EFI_GUID guid = EFI_LOADED_IMAGE_PROTOCOL_GUID;
	static struct boot_config config;
	EFI_LOADED_IMAGE *self;
	EFI_STATUS status;

	console_init(st);
	status = st->BootServices->HandleProtocol(handle, &guid, (void **)&self);
	if (status != EFI_SUCCESS)
		return status;
	if (!read_config(st->BootServices, self->DeviceHandle, &config))
		return EFI_LOAD_ERROR;
	if (config.lift)
		lift(st, self, &config);
	else
		console_line("undercroft: not lifting (options: lift=off)");
	if (!config.kernel[0])
		return EFI_NOT_FOUND;	/* an error makes the boot manager go on with the next entry */
	status = efi_start_kernel(st->BootServices, handle, self->DeviceHandle, &config);
	console_line("undercroft: %s could not be started: firmware status %#llx", config.kernel, (unsigned long long)status);
	return status;
}
