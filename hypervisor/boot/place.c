/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hypervisor's block: reserved memory that the operating system never touches, 2 MiB aligned. A copy of the running image
 * stands at its start, relocated. The original stays the loader's and is given back with it.
 */
#include "boot/boot.h"
#include "core/mem.h"

#define MIB2 0x200000ull

EFI_STATUS place_image(EFI_BOOT_SERVICES *bs, uint64_t image_base, uint64_t image_bytes, uint64_t block_bytes)
{
	EFI_PHYSICAL_ADDRESS at = 0xffffffffull;	/* below 4 GiB, where every mode of the parent can be served */
	UINTN pages = (block_bytes + MIB2) / PAGE_BYTES;
	EFI_STATUS status = bs->AllocatePages(AllocateMaxAddress, EfiReservedMemoryType, pages, &at);
	uint64_t block, pe;
	const uint8_t *reloc;
	uint32_t reloc_bytes, done;
	uint64_t delta;

	if (status != EFI_SUCCESS)
		return status;
	block = (at + MIB2 - 1) & ~(MIB2 - 1);
	if (block > at)
		bs->FreePages(at, (block - at) / PAGE_BYTES);
	if (at + pages * PAGE_BYTES > block + block_bytes)
		bs->FreePages(block + block_bytes, (at + pages * PAGE_BYTES - block - block_bytes) / PAGE_BYTES);

	boot_info.block = block;
	boot_info.block_bytes = block_bytes;
	boot_info.image_bytes = (image_bytes + PAGE_BYTES - 1) & PAGE_MASK;
	memset((void *)(uintptr_t)block, 0, block_bytes);
	memcpy((void *)(uintptr_t)block, (const void *)(uintptr_t)image_base, image_bytes);

	/* Base relocations: PE optional header, data directory 5. Only DIR64 entries occur in a PE32+ image. */
	delta = block - image_base;
	pe = image_base + *(const uint32_t *)(uintptr_t)(image_base + 0x3c);
	reloc = (const uint8_t *)(uintptr_t)(image_base + *(const uint32_t *)(uintptr_t)(pe + 24 + 112 + 5 * 8));
	reloc_bytes = *(const uint32_t *)(uintptr_t)(pe + 24 + 112 + 5 * 8 + 4);
	done = 0;
	while (done + 8 <= reloc_bytes) {
		const uint32_t *header = (const uint32_t *)(reloc + done);
		const uint16_t *entry = (const uint16_t *)(header + 2);

		if (header[1] < 8 || header[1] > reloc_bytes - done)
			return EFI_LOAD_ERROR;
		for (uint32_t i = 0; i < (header[1] - 8) / 2; i++) {
			if (entry[i] >> 12 == 10)
				*(uint64_t *)(uintptr_t)(block + header[0] + (entry[i] & 0xfff)) += delta;
			else if (entry[i] >> 12 != 0)
				return EFI_LOAD_ERROR;
		}
		done += header[1];
	}
	return EFI_SUCCESS;
}

void *place_in_copy(uint64_t image_base, const void *here)
{
	return (void *)((uintptr_t)here - image_base + boot_info.block);
}
