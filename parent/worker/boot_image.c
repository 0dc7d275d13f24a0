// SPDX-License-Identifier: Apache-2.0
#include "worker/boot_image.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hv/hv_register.h"
#include "worker/bzimage.h"
#include "worker/le_bytes.h"
#include "worker/platform.h"

/* Zero page ("boot_params") offsets. */
enum {
	ZP_ACPI_RSDP = 0x070,
	ZP_E820_ENTRIES = 0x1e8,
	ZP_VID_MODE = 0x1fa,
	ZP_TYPE_OF_LOADER = 0x210,
	ZP_RAMDISK_IMAGE = 0x218,
	ZP_RAMDISK_SIZE = 0x21c,
	ZP_COMMAND_LINE = 0x228,
	ZP_E820_TABLE = 0x2d0,
};
#define VID_MODE_NORMAL        0xffffu
#define LOADER_UNDEFINED       0xffu
#define E820_RAM               1u
#define E820_RESERVED          2u
#define E820_ENTRY_BYTES       20u

#define PAGE_BYTES             4096u
#define LARGE_PAGE_BYTES       0x200000ull
#define PAGE_DIRECTORIES       4u		/* 4 GiB of 2 MiB pages */
#define PTE_PRESENT_WRITABLE   0x3ull
#define PTE_LARGE              0x80ull

#define SELECTOR_CODE          0x10u
#define SELECTOR_DATA          0x18u
#define GDT_ENTRIES            4u
#define GDT_CODE_64            0x00af9b000000ffffull
#define GDT_DATA               0x00cf93000000ffffull
/* The same as TLFS segment attributes: type, S, DPL, P in 7:0; L 13, D/B 14, G 15. */
#define ATTRIBUTES_CODE_64     0xa09bu
#define ATTRIBUTES_DATA        0xc093u

#define CR0_PE                 0x1ull
#define CR0_ET                 0x10ull
#define CR0_NE                 0x20ull
#define CR0_WP                 0x10000ull
#define CR0_PG                 0x80000000ull
#define CR4_PAE                0x20ull
#define EFER_LME               0x100ull
#define EFER_LMA               0x400ull
#define RFLAGS_FIXED           0x2ull

static int read_whole(int fd, uint64_t offset, void *to, uint64_t bytes, const char *what, struct failure *why)
{
	uint8_t *at = to;

	while (bytes) {
		ssize_t got = pread(fd, at, bytes > (1u << 30) ? 1u << 30 : (size_t)bytes, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return failure_set(why, -EIO, "%s: cannot read: %s", what, strerror(errno));
		if (got == 0)
			return failure_set(why, -EIO, "%s: the file became shorter while it was read", what);
		at += got;
		offset += (uint64_t)got;
		bytes -= (uint64_t)got;
	}
	return 0;
}

static int file_bytes(int fd, const char *what, uint64_t *out, struct failure *why)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return failure_set(why, -EIO, "%s: %s", what, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return failure_set(why, -EINVAL, "%s: not a regular file", what);
	*out = (uint64_t)st.st_size;
	return 0;
}

/* Where the kernel goes: its preferred place if that is RAM, else the lowest aligned one if it can be moved. */
static int place_kernel(const struct guest_mem *mem, const struct bzimage *image, uint64_t *out, struct failure *why)
{
	uint64_t gpa = image->preferred_gpa;

	if (!guest_mem_range(mem, gpa, image->init_bytes) && image->relocatable) {
		gpa = BOOT_HIGH_RAM_BASE + image->alignment - 1;
		gpa &= ~(image->alignment - 1);
	}
	if (!guest_mem_range(mem, gpa, image->init_bytes))
		return failure_set(why, -ENOSPC, "memory: %llu MiB are not enough: the kernel needs %llu MiB from %#llx on",
				   (unsigned long long)(mem->size_bytes >> 20),
				   (unsigned long long)((image->init_bytes + 0xfffff) >> 20), (unsigned long long)gpa);
	*out = gpa;
	return 0;
}

static int load_kernel(const struct guest_mem *mem, int fd, struct bzimage *image, uint8_t head[BZIMAGE_HEAD_BYTES],
		       struct boot_entry *entry, struct failure *why)
{
	uint64_t size = 0, head_bytes;
	int r = file_bytes(fd, "kernel", &size, why);

	if (r)
		return r;
	head_bytes = size < BZIMAGE_HEAD_BYTES ? size : BZIMAGE_HEAD_BYTES;
	r = read_whole(fd, 0, head, head_bytes, "kernel", why);
	if (r == 0)
		r = bzimage_parse(head, (size_t)head_bytes, size, image, why);
	if (r == 0)
		r = place_kernel(mem, image, &entry->kernel_gpa, why);
	if (r)
		return r;
	entry->kernel_bytes = image->init_bytes;
	entry->rip = entry->kernel_gpa + BZIMAGE_ENTRY_64;
	return read_whole(fd, image->code_offset, guest_mem_range(mem, entry->kernel_gpa, image->code_bytes),
			  image->code_bytes, "kernel", why);
}

/* As high as the kernel allows and low RAM reaches, so that it is out of the way of the kernel's own early allocations. */
static int load_initrd(const struct guest_mem *mem, int fd, const struct bzimage *image, struct boot_entry *entry,
		       struct failure *why)
{
	uint64_t limit = mem->slot[0].size_bytes;
	uint64_t size = 0, gpa;
	int r;

	if (fd < 0)
		return 0;
	r = file_bytes(fd, "initrd", &size, why);
	if (r)
		return r;
	if (size == 0)
		return failure_set(why, -EINVAL, "initrd: the file is empty");
	if (limit > image->initrd_max + 1)
		limit = image->initrd_max + 1;
	gpa = size <= limit ? (limit - size) & ~(uint64_t)(PAGE_BYTES - 1) : 0;
	if (gpa < entry->kernel_gpa + entry->kernel_bytes)
		return failure_set(why, -ENOSPC, "memory: %llu MiB are not enough: kernel (%llu MiB at %#llx) and initrd (%llu MiB) do not fit",
				   (unsigned long long)(mem->size_bytes >> 20), (unsigned long long)(entry->kernel_bytes >> 20),
				   (unsigned long long)entry->kernel_gpa, (unsigned long long)((size + 0xfffff) >> 20));
	entry->initrd_gpa = gpa;
	entry->initrd_bytes = size;
	return read_whole(fd, 0, guest_mem_range(mem, gpa, size), size, "initrd", why);
}

static int write_command_line(const struct guest_mem *mem, const char *text, const struct bzimage *image,
			      struct failure *why)
{
	size_t bytes = strlen(text);
	size_t limit = image->command_line_max;

	if (limit > BOOT_COMMAND_LINE_MAX - 1)
		limit = BOOT_COMMAND_LINE_MAX - 1;
	if (bytes > limit)
		return failure_set(why, -EINVAL, "boot.command_line: %zu bytes, this kernel takes at most %zu", bytes, limit);
	if (!guest_mem_write(mem, BOOT_COMMAND_LINE_GPA, text, bytes + 1))
		return failure_set(why, -ENOSPC, "memory: no room for the command line");
	return 0;
}

static void e820_add(uint8_t *zero_page, uint64_t base, uint64_t end, uint32_t type)
{
	uint8_t count = zero_page[ZP_E820_ENTRIES];
	uint8_t *at = zero_page + ZP_E820_TABLE + (size_t)count * E820_ENTRY_BYTES;

	le64_put(at, base);
	le64_put(at + 8, end - base);
	le32_put(at + 16, type);
	zero_page[ZP_E820_ENTRIES] = (uint8_t)(count + 1);
}

static void write_memory_map(const struct guest_mem *mem, uint8_t *zero_page)
{
	e820_add(zero_page, 0, BOOT_LOW_RAM_END, E820_RAM);
	e820_add(zero_page, BOOT_LOW_RAM_END, 0xa0000, E820_RESERVED);
	e820_add(zero_page, BOOT_RESERVED_BASE, BOOT_RESERVED_END, E820_RESERVED);
	e820_add(zero_page, BOOT_HIGH_RAM_BASE, mem->slot[0].size_bytes, E820_RAM);
	if (mem->slot_count > 1)
		e820_add(zero_page, mem->slot[1].gpa, mem->slot[1].gpa + mem->slot[1].size_bytes, E820_RAM);
}

static void write_zero_page(const struct guest_mem *mem, const uint8_t *head, const struct bzimage *image,
			    const struct boot_files *files, const struct boot_entry *entry)
{
	uint8_t *zp = guest_mem_range(mem, BOOT_ZERO_PAGE_GPA, PAGE_BYTES);

	memset(zp, 0, PAGE_BYTES);
	memcpy(zp + BZIMAGE_HEADER_OFFSET, head + BZIMAGE_HEADER_OFFSET, image->header_end - BZIMAGE_HEADER_OFFSET);
	le16_put(zp + ZP_VID_MODE, VID_MODE_NORMAL);
	zp[ZP_TYPE_OF_LOADER] = LOADER_UNDEFINED;
	le32_put(zp + ZP_RAMDISK_IMAGE, (uint32_t)entry->initrd_gpa);
	le32_put(zp + ZP_RAMDISK_SIZE, (uint32_t)entry->initrd_bytes);
	le32_put(zp + ZP_COMMAND_LINE, BOOT_COMMAND_LINE_GPA);
	le64_put(zp + ZP_ACPI_RSDP, files->rsdp_gpa);
	write_memory_map(mem, zp);
}

static void write_descriptors(const struct guest_mem *mem)
{
	uint8_t *gdt = guest_mem_range(mem, BOOT_GDT_GPA, GDT_ENTRIES * 8);
	uint8_t *pml4 = guest_mem_range(mem, BOOT_PAGE_TABLES_GPA, (2 + PAGE_DIRECTORIES) * PAGE_BYTES);
	uint8_t *pdpt = pml4 + PAGE_BYTES;
	uint8_t *directories = pdpt + PAGE_BYTES;

	memset(gdt, 0, GDT_ENTRIES * 8);
	le64_put(gdt + SELECTOR_CODE, GDT_CODE_64);
	le64_put(gdt + SELECTOR_DATA, GDT_DATA);

	memset(pml4, 0, 2 * PAGE_BYTES);
	le64_put(pml4, (BOOT_PAGE_TABLES_GPA + PAGE_BYTES) | PTE_PRESENT_WRITABLE);
	for (unsigned i = 0; i < PAGE_DIRECTORIES; i++)
		le64_put(pdpt + 8 * i, (BOOT_PAGE_TABLES_GPA + (2 + i) * PAGE_BYTES) | PTE_PRESENT_WRITABLE);
	for (uint64_t i = 0; i < PAGE_DIRECTORIES * 512; i++)
		le64_put(directories + 8 * i, (i * LARGE_PAGE_BYTES) | PTE_LARGE | PTE_PRESENT_WRITABLE);
}

/* No firmware lies below the kernel, but a kernel may restart by a jump to where one would: mov $v,%al; mov $p,%dx; out; hlt. */
static void write_reset_vector(const struct guest_mem *mem)
{
	static const uint8_t code[] = {
		0xb0, PLATFORM_RESET_VALUE,
		0xba, PLATFORM_RESET_PORT & 0xff, PLATFORM_RESET_PORT >> 8,
		0xee,
		0xf4, 0xeb, 0xfd,
	};

	memcpy(guest_mem_range(mem, BOOT_RESET_VECTOR_GPA, sizeof code), code, sizeof code);
}

int boot_image_load(const struct guest_mem *mem, const struct boot_files *files, struct boot_entry *out,
		    struct failure *why)
{
	uint8_t head[BZIMAGE_HEAD_BYTES];
	struct boot_entry entry = {
		.zero_page_gpa = BOOT_ZERO_PAGE_GPA,
		.page_table_gpa = BOOT_PAGE_TABLES_GPA,
	};
	struct bzimage image;
	int r;

	if (!guest_mem_range(mem, 0, BOOT_HIGH_RAM_BASE))
		return failure_set(why, -ENOSPC, "memory: less than 1 MiB");
	r = load_kernel(mem, files->kernel_fd, &image, head, &entry, why);
	if (r == 0)
		r = load_initrd(mem, files->initrd_fd, &image, &entry, why);
	if (r == 0)
		r = write_command_line(mem, files->command_line, &image, why);
	if (r)
		return r;
	write_zero_page(mem, head, &image, files, &entry);
	write_descriptors(mem);
	write_reset_vector(mem);
	*out = entry;
	return 0;
}

static void set_register(struct hv_register_assoc **at, uint32_t name, uint64_t low, uint64_t high)
{
	*(*at)++ = (struct hv_register_assoc){ .name = name, .value = { low, high } };
}

/* Segment as the TLFS packs it: base; limit, selector, attributes. */
static void set_segment(struct hv_register_assoc **at, uint32_t name, uint16_t selector, uint16_t attributes)
{
	set_register(at, name, 0, 0xffffffffull | (uint64_t)selector << 32 | (uint64_t)attributes << 48);
}

unsigned boot_image_registers(const struct boot_entry *entry, struct hv_register_assoc out[BOOT_REGISTER_COUNT])
{
	struct hv_register_assoc *at = out;

	set_register(&at, HV_REG_RIP, entry->rip, 0);
	set_register(&at, HV_REG_RSI, entry->zero_page_gpa, 0);
	set_register(&at, HV_REG_RFLAGS, RFLAGS_FIXED, 0);
	set_register(&at, HV_REG_RSP, 0, 0);
	set_register(&at, HV_REG_RBX, 0, 0);
	set_register(&at, HV_REG_RBP, 0, 0);
	set_register(&at, HV_REG_RDI, 0, 0);
	set_segment(&at, HV_REG_CS, SELECTOR_CODE, ATTRIBUTES_CODE_64);
	set_segment(&at, HV_REG_DS, SELECTOR_DATA, ATTRIBUTES_DATA);
	set_segment(&at, HV_REG_ES, SELECTOR_DATA, ATTRIBUTES_DATA);
	set_segment(&at, HV_REG_SS, SELECTOR_DATA, ATTRIBUTES_DATA);
	set_segment(&at, HV_REG_FS, SELECTOR_DATA, ATTRIBUTES_DATA);
	set_segment(&at, HV_REG_GS, SELECTOR_DATA, ATTRIBUTES_DATA);
	set_register(&at, HV_REG_GDTR, (uint64_t)(GDT_ENTRIES * 8 - 1) << 48, BOOT_GDT_GPA);
	/* Paging last, in the order in which a processor would allow it. */
	set_register(&at, HV_REG_CR3, entry->page_table_gpa, 0);
	set_register(&at, HV_REG_CR4, CR4_PAE, 0);
	set_register(&at, HV_REG_EFER, EFER_LME | EFER_LMA, 0);
	set_register(&at, HV_REG_CR0, CR0_PE | CR0_ET | CR0_NE | CR0_WP | CR0_PG, 0);
	return (unsigned)(at - out);
}
