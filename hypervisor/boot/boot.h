/* SPDX-License-Identifier: Apache-2.0 */
/* From power-on to the parent: what the boot code finds out, and the few functions it is made of. Before hand-off only. */
#ifndef BOOT_BOOT_H
#define BOOT_BOOT_H

#include <efi.h>

#include "boot/config.h"
#include "core/types.h"
#include "x86/launch.h"

struct boot_range {
	uint64_t base, bytes;
};
#define BOOT_HOLES_MAX 32u

/* Filled by the firmware side and carried into the hypervisor's own copy of the image. */
struct boot_info {
	uint64_t block, block_bytes;	/* reserved memory: image copy first, the rest free */
	uint64_t image_bytes;
	uint32_t cpu_count;
	uint32_t apic_ids[CPUS_MAX];	/* [0] is the boot processor */
	uint64_t tsc_hz, apic_hz;
	uint64_t ram_end;
	struct boot_range holes[BOOT_HOLES_MAX];	/* below ram_end, and not RAM */
	uint32_t hole_count;
	bool tsc_declared_stable;	/* option tsc=stable */
};
extern struct boot_info boot_info;

/* console.c: one line to the screen and the debug port. */
void console_init(EFI_SYSTEM_TABLE *st);
void console_line(const char *format, ...) __attribute__((format(gnu_printf, 1, 2)));

/* efi_check.c: can this machine be lifted? NULL, or one line that says what is missing and what to do. */
const char *efi_check_cpu(void);
/* Fills ram_end and holes. EFI_OUT_OF_RESOURCES: memory in more than BOOT_HOLES_MAX pieces. */
EFI_STATUS efi_find_memory(EFI_BOOT_SERVICES *bs, struct boot_info *info, uint64_t *out_ram_bytes);
EFI_STATUS efi_find_cpus(EFI_BOOT_SERVICES *bs, struct boot_info *info);
/* Runs `lift` on every other processor, one after the other, each returning normally. */
EFI_STATUS efi_on_other_cpus(EFI_BOOT_SERVICES *bs, void (*fn)(void *argument), void *argument);

/* efi_clock.c: tsc_hz and apic_hz. */
void efi_calibrate(EFI_SYSTEM_TABLE *st, struct boot_info *info);

/* efi_file.c */
EFI_STATUS efi_read_file(EFI_BOOT_SERVICES *bs, EFI_HANDLE device, const CHAR16 *path, char *buf, size_t max, size_t *out_bytes);
EFI_STATUS efi_start_kernel(EFI_BOOT_SERVICES *bs, EFI_HANDLE self, EFI_HANDLE device, const struct boot_config *config);

/* place.c: reserves the block and puts a relocated copy of this image at its start. */
EFI_STATUS place_image(EFI_BOOT_SERVICES *bs, uint64_t image_base, uint64_t image_bytes, uint64_t block_bytes);
/* The same function or object in the copy. */
void *place_in_copy(uint64_t image_base, const void *here);

/* start.c, called in the copy: builds everything; then takes over the CPU that it runs on. */
enum hv_status start_hypervisor(void);
void start_lift(void *unused, const struct launch_state *state);

#endif
