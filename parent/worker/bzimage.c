// SPDX-License-Identifier: Apache-2.0
#include "worker/bzimage.h"

#include <errno.h>
#include <string.h>

#include "worker/le_bytes.h"

enum {
	OFFSET_SETUP_SECTS = 0x1f1,
	OFFSET_SYSSIZE = 0x1f4,
	OFFSET_BOOT_FLAG = 0x1fe,
	OFFSET_JUMP_LENGTH = 0x201,
	OFFSET_MAGIC = 0x202,
	OFFSET_VERSION = 0x206,
	OFFSET_LOADFLAGS = 0x211,
	OFFSET_INITRD_MAX = 0x22c,
	OFFSET_ALIGNMENT = 0x230,
	OFFSET_RELOCATABLE = 0x234,
	OFFSET_XLOADFLAGS = 0x236,
	OFFSET_COMMAND_LINE_SIZE = 0x238,
	OFFSET_PREF_ADDRESS = 0x258,
	OFFSET_INIT_SIZE = 0x260,
	HEADER_END_MIN = 0x264,			/* behind init_size, the last field that is used */
};

#define BOOT_FLAG          0xaa55u
#define VERSION_MIN        0x020cu		/* the first with XLF_KERNEL_64 */
#define LOADFLAG_HIGH      0x01u
#define XLOADFLAG_64       0x01u
#define SECTOR_BYTES       512u
#define SETUP_SECTS_LEGACY 4u			/* what 0 stands for */
#define ALIGNMENT_MIN      0x1000u
#define ALIGNMENT_MAX      0x40000000u
#define LOAD_MIN           0x100000u

static int refuse(struct failure *why, const char *field, uint64_t value, const char *wanted)
{
	return failure_set(why, -ENOEXEC, "kernel: %s is %#llx, %s", field, (unsigned long long)value, wanted);
}

static int parse_identity(const uint8_t *head, size_t head_bytes, struct bzimage *image, struct failure *why)
{
	if (head_bytes < BZIMAGE_HEAD_BYTES)
		return failure_set(why, -ENOEXEC, "kernel: the file has only %zu bytes, no bzImage", head_bytes);
	if (le16_get(head + OFFSET_BOOT_FLAG) != BOOT_FLAG)
		return refuse(why, "boot flag", le16_get(head + OFFSET_BOOT_FLAG), "not 0xaa55: no bzImage");
	if (memcmp(head + OFFSET_MAGIC, "HdrS", 4))
		return failure_set(why, -ENOEXEC, "kernel: no \"HdrS\" at 0x202: no bzImage");
	image->version = le16_get(head + OFFSET_VERSION);
	if (image->version < VERSION_MIN)
		return refuse(why, "boot protocol", image->version, "0x20c or later is needed");
	image->header_end = OFFSET_MAGIC + head[OFFSET_JUMP_LENGTH];
	if (image->header_end < HEADER_END_MIN || image->header_end > BZIMAGE_HEADER_LIMIT)
		return refuse(why, "end of the setup header", image->header_end, "not in 0x264..0x290");
	if (!(head[OFFSET_LOADFLAGS] & LOADFLAG_HIGH))
		return refuse(why, "loadflags", head[OFFSET_LOADFLAGS], "without LOADED_HIGH: a zImage cannot be started");
	if (!(le16_get(head + OFFSET_XLOADFLAGS) & XLOADFLAG_64))
		return refuse(why, "xloadflags", le16_get(head + OFFSET_XLOADFLAGS),
			      "without the 64-bit entry: no x86-64 kernel");
	return 0;
}

static int parse_extent(const uint8_t *head, uint64_t file_bytes, struct bzimage *image, struct failure *why)
{
	uint32_t sects = head[OFFSET_SETUP_SECTS] ? head[OFFSET_SETUP_SECTS] : SETUP_SECTS_LEGACY;
	uint64_t paragraphs = le32_get(head + OFFSET_SYSSIZE);

	image->code_offset = (uint64_t)(sects + 1) * SECTOR_BYTES;
	image->code_bytes = paragraphs * 16;
	if (image->code_bytes <= BZIMAGE_ENTRY_64)
		return refuse(why, "syssize", paragraphs, "too small to hold the 64-bit entry");
	if (image->code_offset >= file_bytes)
		return refuse(why, "setup_sects", sects, "beyond the end of the file");
	if (image->code_bytes > file_bytes - image->code_offset)
		return failure_set(why, -ENOEXEC, "kernel: the file is cut off: %llu bytes of %llu",
				   (unsigned long long)file_bytes,
				   (unsigned long long)(image->code_offset + image->code_bytes));
	return 0;
}

static int parse_placement(const uint8_t *head, struct bzimage *image, struct failure *why)
{
	image->relocatable = head[OFFSET_RELOCATABLE] != 0;
	image->alignment = le32_get(head + OFFSET_ALIGNMENT);
	if (image->alignment < ALIGNMENT_MIN || image->alignment > ALIGNMENT_MAX ||
	    (image->alignment & (image->alignment - 1)))
		return refuse(why, "kernel_alignment", image->alignment, "not a power of two in 4 KiB..1 GiB");
	image->preferred_gpa = le64_get(head + OFFSET_PREF_ADDRESS);
	if (image->preferred_gpa < LOAD_MIN || image->preferred_gpa > UINT32_MAX || image->preferred_gpa % ALIGNMENT_MIN)
		return refuse(why, "pref_address", image->preferred_gpa, "not a page in 1 MiB..4 GiB");
	image->init_bytes = le32_get(head + OFFSET_INIT_SIZE);
	if (image->init_bytes < image->code_bytes)
		return refuse(why, "init_size", image->init_bytes, "smaller than the code itself");
	image->initrd_max = le32_get(head + OFFSET_INITRD_MAX);
	if (image->initrd_max < LOAD_MIN)
		return refuse(why, "initrd_addr_max", image->initrd_max, "below 1 MiB");
	image->command_line_max = le32_get(head + OFFSET_COMMAND_LINE_SIZE);
	if (image->command_line_max == 0)
		return refuse(why, "cmdline_size", 0, "a command line must be possible");
	return 0;
}

int bzimage_parse(const uint8_t *head, size_t head_bytes, uint64_t file_bytes, struct bzimage *out, struct failure *why)
{
	struct bzimage image = { 0 };
	int r = parse_identity(head, head_bytes, &image, why);

	if (r == 0)
		r = parse_extent(head, file_bytes, &image, why);
	if (r == 0)
		r = parse_placement(head, &image, why);
	if (r == 0)
		*out = image;
	return r;
}
