// SPDX-License-Identifier: Apache-2.0
/*
 * The kernel file's header as anybody may write it. What is taken must lie inside the file, and loading it into a small
 * memory must end with an answer.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "worker/boot_image.h"
#include "worker/bzimage.h"
#include "worker/le_bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition) do { if (!(condition)) abort(); } while (0)
#define HEADER_BYTES 0xa0u

/* The input is the header at 0x1f1 alone; the constants that every file has are set, so that the rest is reached. */
static size_t make_file(const uint8_t *data, size_t size, uint8_t *file, size_t file_bytes)
{
	memset(file, 0x90, file_bytes);
	memcpy(file + BZIMAGE_HEADER_OFFSET, data, size < HEADER_BYTES ? size : HEADER_BYTES);
	le16_put(file + 0x1fe, 0xaa55);
	memcpy(file + 0x202, "HdrS", 4);
	return size > HEADER_BYTES && (data[HEADER_BYTES] & 1) ? file_bytes / 2 : file_bytes;
}

static void load(const uint8_t *file, size_t bytes)
{
	static struct guest_mem mem;
	struct boot_files files = { .initrd_fd = -1, .command_line = "quiet" };
	struct boot_entry entry;
	struct failure why;

	if (!mem.mapping && guest_mem_init(&mem, 32u << 20, &why))
		abort();
	files.kernel_fd = memfd_create("kernel", MFD_CLOEXEC);
	CHECK(files.kernel_fd >= 0 && write(files.kernel_fd, file, bytes) == (ssize_t)bytes);
	files.initrd_fd = files.kernel_fd;
	if (boot_image_load(&mem, &files, &entry, &why) == 0) {
		CHECK(guest_mem_range(&mem, entry.kernel_gpa, entry.kernel_bytes));
		CHECK(guest_mem_range(&mem, entry.initrd_gpa, entry.initrd_bytes));
		CHECK(entry.initrd_gpa >= entry.kernel_gpa + entry.kernel_bytes);
		CHECK(guest_mem_range(&mem, entry.rip, 1));
	}
	(void)close(files.kernel_fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t file[8192];
	size_t bytes = make_file(data, size, file, sizeof file);
	struct bzimage image;
	struct failure why;

	if (bzimage_parse(file, BZIMAGE_HEAD_BYTES, bytes, &image, &why) == 0) {
		CHECK(image.code_offset < bytes && image.code_bytes <= bytes - image.code_offset);
		CHECK(image.code_bytes > BZIMAGE_ENTRY_64 && image.init_bytes >= image.code_bytes);
		CHECK(image.header_end <= BZIMAGE_HEADER_LIMIT && image.header_end <= BZIMAGE_HEAD_BYTES);
	}
	load(file, bytes);
	return 0;
}
