// SPDX-License-Identifier: Apache-2.0
/* The boot loader: a good image ends up where the boot protocol wants it, a bad one is refused by the name of its fault. */
#include "cmocka_all.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hv/hv_register.h"
#include "kernel_image.h"
#include "worker/boot_image.h"
#include "worker/bzimage.h"
#include "worker/le_bytes.h"

#define MIB (1ull << 20)

static struct guest_mem mem;

static void make_memory(uint64_t mib)
{
	struct failure why = { "" };

	assert_int_equal(guest_mem_init(&mem, mib * MIB, &why), 0);
}

static int free_memory(void **state)
{
	guest_mem_fini(&mem);
	return 0;
}

static const struct {
	const char *what;
	unsigned offset;
	uint64_t value;
	unsigned bytes;
	const char *text;			/* part of the error */
} corruptions[] = {
	{ "boot flag", 0x1fe, 0x1234, 2, "boot flag" },
	{ "magic", 0x202, 0x20726448, 4, "HdrS" },
	{ "no magic", 0x202, 0, 4, "HdrS" },
	{ "protocol 2.11", 0x206, 0x020b, 2, "boot protocol" },
	{ "protocol 0", 0x206, 0, 2, "boot protocol" },
	{ "header too short", 0x201, 0x20, 1, "end of the setup header" },
	{ "header too long", 0x201, 0xff, 1, "end of the setup header" },
	{ "zImage", 0x211, 0x00, 1, "loadflags" },
	{ "no 64-bit entry", 0x236, 0x7e, 2, "xloadflags" },
	{ "empty code", 0x1f4, 0, 4, "syssize" },
	{ "code without entry", 0x1f4, 0x20, 4, "syssize" },
	{ "code longer than the file", 0x1f4, 0x101, 4, "cut off" },
	{ "code of 64 GiB", 0x1f4, 0xffffffff, 4, "cut off" },
	{ "setup longer than the file", 0x1f1, 0xff, 1, "setup_sects" },
	{ "alignment 0", 0x230, 0, 4, "kernel_alignment" },
	{ "alignment no power of two", 0x230, 0x300000, 4, "kernel_alignment" },
	{ "alignment 2 GiB", 0x230, 0x80000000, 4, "kernel_alignment" },
	{ "preferred address 0", 0x258, 0, 8, "pref_address" },
	{ "preferred address below 1 MiB", 0x258, 0x9000, 8, "pref_address" },
	{ "preferred address odd", 0x258, 0x1000001, 8, "pref_address" },
	{ "preferred address huge", 0x258, 0xfffffffffffff000, 8, "pref_address" },
	{ "init size below the code", 0x260, 0x800, 4, "init_size" },
	{ "init size 4 GiB", 0x260, 0xffffffff, 4, "memory" },
	{ "no command line", 0x238, 0, 4, "cmdline_size" },
	{ "initrd limit below 1 MiB", 0x22c, 0xffff, 4, "initrd_addr_max" },
};

static void each_bad_field_is_named(void **state)
{
	static uint8_t image[KERNEL_IMAGE_BYTES];

	make_memory(64);
	for (unsigned i = 0; i < COUNT(corruptions); i++) {
		struct boot_files files = { .initrd_fd = -1, .command_line = "" };
		struct failure why = { "" };
		struct boot_entry entry;
		int r;

		kernel_image_make(image);
		le_put(image + corruptions[i].offset, corruptions[i].value, corruptions[i].bytes);
		files.kernel_fd = file_of(image, sizeof image);
		r = boot_image_load(&mem, &files, &entry, &why);
		(void)close(files.kernel_fd);
		if (r >= 0 || !strstr(why.text, corruptions[i].text))
			fail_msg("%s: result %d, \"%s\" does not say \"%s\"", corruptions[i].what, r, why.text,
				 corruptions[i].text);
	}
}

static void a_short_file_is_refused_at_every_length(void **state)
{
	static uint8_t image[KERNEL_IMAGE_BYTES];
	struct bzimage parsed;

	kernel_image_make(image);
	for (size_t bytes = 0; bytes < sizeof image; bytes += 13) {
		size_t head = bytes < BZIMAGE_HEAD_BYTES ? bytes : BZIMAGE_HEAD_BYTES;
		uint8_t *copy = malloc(head + 1);	/* exactly as long: the sanitizer sees a read beyond */

		memcpy(copy, image, head);
		assert_int_equal(bzimage_parse(copy, head, bytes, &parsed, NULL), -ENOEXEC);
		free(copy);
	}
	assert_int_equal(bzimage_parse(image, BZIMAGE_HEAD_BYTES, sizeof image, &parsed, NULL), 0);
	assert_int_equal(parsed.header_end, 0x268);
	assert_int_equal(parsed.code_bytes, KERNEL_IMAGE_CODE_BYTES);
}

static void no_regular_file_is_refused(void **state)
{
	struct boot_files files = { .initrd_fd = -1, .command_line = "" };
	struct failure why = { "" };
	struct boot_entry entry;
	int pipe_fds[2];

	make_memory(64);
	assert_int_equal(pipe(pipe_fds), 0);
	files.kernel_fd = pipe_fds[0];
	assert_int_equal(boot_image_load(&mem, &files, &entry, &why), -EINVAL);
	assert_non_null(strstr(why.text, "kernel: not a regular file"));
	(void)close(pipe_fds[0]);
	(void)close(pipe_fds[1]);
}

static int load_small(uint64_t mib, size_t initrd_bytes, const char *command_line, struct boot_entry *entry,
		      struct failure *why)
{
	static uint8_t image[KERNEL_IMAGE_BYTES];
	uint8_t *initrd = calloc(1, initrd_bytes + 1);
	struct boot_files files = { .initrd_fd = -1, .command_line = command_line, .rsdp_gpa = 0xe0000 };
	int r;

	make_memory(mib);
	kernel_image_make(image);
	memset(initrd, 0x5a, initrd_bytes);
	files.kernel_fd = file_of(image, sizeof image);
	files.initrd_fd = file_of(initrd, initrd_bytes);
	r = boot_image_load(&mem, &files, entry, why);
	(void)close(files.kernel_fd);
	(void)close(files.initrd_fd);
	free(initrd);
	return r;
}

static void a_good_image_lies_where_it_should(void **state)
{
	struct failure why = { "" };
	struct boot_entry entry;
	const uint8_t *zp;

	assert_int_equal(load_small(64, 5000, "console=ttyS0", &entry, &why), 0);
	zp = guest_mem_range(&mem, BOOT_ZERO_PAGE_GPA, 4096);
	assert_int_equal(entry.rip, 0x1000200);
	assert_int_equal(((uint8_t *)guest_mem_range(&mem, 0x1000001, 1))[0], 8);
	assert_memory_equal(zp + 0x202, "HdrS", 4);
	assert_int_equal(zp[0x210], 0xff);
	assert_int_equal(le64_get(zp + 0x070), 0xe0000);
	assert_int_equal(le32_get(zp + 0x228), BOOT_COMMAND_LINE_GPA);
	assert_string_equal(guest_mem_range(&mem, BOOT_COMMAND_LINE_GPA, 14), "console=ttyS0");
	/* initrd: at the top of RAM, page aligned, whole */
	assert_int_equal(le32_get(zp + 0x218), 64 * MIB - 8192);
	assert_int_equal(le32_get(zp + 0x21c), 5000);
	assert_int_equal(((uint8_t *)guest_mem_range(&mem, 64 * MIB - 8192 + 4999, 1))[0], 0x5a);
}

static void a_kernel_moves_when_its_place_is_no_ram(void **state)
{
	struct failure why = { "" };
	struct boot_entry entry;

	assert_int_equal(load_small(16, 100, "", &entry, &why), 0);
	assert_int_equal(entry.kernel_gpa, 0x200000);
}

static void too_little_memory_is_an_answer(void **state)
{
	struct failure why = { "" };
	struct boot_entry entry;

	assert_int_equal(load_small(2, 100, "", &entry, &why), -ENOSPC);
	assert_non_null(strstr(why.text, "memory: 2 MiB are not enough"));
}

static void an_initrd_that_would_touch_the_kernel_is_refused(void **state)
{
	struct failure why = { "" };
	struct boot_entry entry;

	assert_int_equal(load_small(18, 1 * MIB + 1, "", &entry, &why), -ENOSPC);
	assert_non_null(strstr(why.text, "initrd"));
}

static void an_empty_initrd_is_refused(void **state)
{
	struct failure why = { "" };
	struct boot_entry entry;

	assert_int_equal(load_small(64, 0, "", &entry, &why), -EINVAL);
	assert_non_null(strstr(why.text, "initrd: the file is empty"));
}

static void the_kernels_own_command_line_limit_holds(void **state)
{
	char text[2049];
	struct failure why = { "" };
	struct boot_entry entry;

	memset(text, 'x', sizeof text);
	text[2048] = 0;
	assert_int_equal(load_small(64, 10, text, &entry, &why), -EINVAL);
	assert_non_null(strstr(why.text, "boot.command_line: 2048 bytes, this kernel takes at most 2047"));
	guest_mem_fini(&mem);
	text[2047] = 0;
	assert_int_equal(load_small(64, 10, text, &entry, &why), 0);
}

/* base, end, type of each entry */
static void expect_map(const uint64_t (*map)[3], unsigned count)
{
	const uint8_t *zp = guest_mem_range(&mem, BOOT_ZERO_PAGE_GPA, 4096);

	assert_int_equal(zp[0x1e8], count);
	for (unsigned i = 0; i < count; i++) {
		const uint8_t *at = zp + 0x2d0 + 20 * i;

		assert_int_equal(le64_get(at), map[i][0]);
		assert_int_equal(le64_get(at) + le64_get(at + 8), map[i][1]);
		assert_int_equal(le32_get(at + 16), map[i][2]);
	}
}

static void ram_beyond_3_gib_goes_above_4_gib(void **state)
{
	static const uint64_t small[][3] = {
		{ 0, 0x9fc00, 1 }, { 0x9fc00, 0xa0000, 2 }, { 0xe0000, 0x100000, 2 }, { 0x100000, 64 * MIB, 1 },
	};
	static const uint64_t large[][3] = {
		{ 0, 0x9fc00, 1 }, { 0x9fc00, 0xa0000, 2 }, { 0xe0000, 0x100000, 2 }, { 0x100000, 3072 * MIB, 1 },
		{ 4096 * MIB, 5120 * MIB, 1 },
	};
	struct failure why = { "" };
	struct boot_entry entry;

	assert_int_equal(load_small(64, 10, "", &entry, &why), 0);
	expect_map(small, COUNT(small));
	guest_mem_fini(&mem);
	assert_int_equal(load_small(4096, 10, "", &entry, &why), 0);
	expect_map(large, COUNT(large));
	assert_true(entry.initrd_gpa < 0x80000000);	/* what the kernel allows, not what RAM allows */
	assert_int_equal(guest_mem_top(&mem), 5120 * MIB);
}

static void page_tables_map_the_low_4_gib_to_themselves(void **state)
{
	struct failure why = { "" };
	struct boot_entry entry;

	assert_int_equal(load_small(64, 10, "", &entry, &why), 0);
	for (uint64_t gva = 0; gva < 4096 * MIB; gva += 2 * MIB) {
		uint64_t table = entry.page_table_gpa, pte;

		for (int shift = 39; shift > 21; shift -= 9) {
			assert_true(guest_mem_read(&mem, table + (gva >> shift & 511) * 8, &pte, 8));
			assert_int_equal(pte & 0xfff, 3);
			table = pte & ~0xfffull;
		}
		assert_true(guest_mem_read(&mem, table + (gva >> 21 & 511) * 8, &pte, 8));
		assert_int_equal(pte, gva | 0x83);
	}
}

static void the_reset_vector_writes_the_reset_register(void **state)
{
	static const uint8_t expected[] = { 0xb0, 0x01, 0xba, 0x02, 0x06, 0xee, 0xf4, 0xeb, 0xfd };
	uint8_t code[sizeof expected];
	struct failure why = { "" };
	struct boot_entry entry;

	assert_int_equal(load_small(64, 10, "", &entry, &why), 0);
	assert_true(guest_mem_read(&mem, 0xf000 * 16 + 0xfff0, code, sizeof code));
	assert_memory_equal(code, expected, sizeof code);
}

static uint64_t find_low(const struct hv_register_assoc *regs, unsigned count, uint32_t name)
{
	for (unsigned i = 0; i < count; i++)
		if (regs[i].name == name)
			return regs[i].value.low;
	fail_msg("register %#x is not set", name);
	return 0;
}

static void registers_are_those_of_the_64_bit_entry(void **state)
{
	struct hv_register_assoc regs[BOOT_REGISTER_COUNT];
	struct failure why = { "" };
	struct hv_segment_register cs;
	struct boot_entry entry;
	unsigned count;
	uint64_t descriptor;

	assert_int_equal(load_small(64, 10, "", &entry, &why), 0);
	count = boot_image_registers(&entry, regs);
	assert_int_equal(count, BOOT_REGISTER_COUNT);
	assert_int_equal(find_low(regs, count, HV_REG_RSI), BOOT_ZERO_PAGE_GPA);
	assert_int_equal(find_low(regs, count, HV_REG_RIP), 0x1000200);
	assert_int_equal(find_low(regs, count, HV_REG_CR3), entry.page_table_gpa);
	assert_int_equal(find_low(regs, count, HV_REG_EFER), 0x500);
	assert_int_equal(find_low(regs, count, HV_REG_CR0) & 0x80000001, 0x80000001);
	assert_int_equal(find_low(regs, count, HV_REG_CR4) & 0x20, 0x20);
	for (unsigned i = 0; i < count; i++)
		if (regs[i].name == HV_REG_CS)
			memcpy(&cs, &regs[i].value, sizeof cs);
	assert_int_equal(cs.selector, 0x10);
	/* The descriptor in memory says the same as the loaded attributes. */
	assert_true(guest_mem_read(&mem, BOOT_GDT_GPA + cs.selector, &descriptor, 8));
	assert_int_equal(cs.attributes, (descriptor >> 40 & 0xff) | (descriptor >> 52 & 0xf) << 12);
}

static void ranges_of_guest_memory_cannot_overflow(void **state)
{
	make_memory(4096);
	assert_non_null(guest_mem_range(&mem, 0, GUEST_MEM_LOW_MAX));
	assert_null(guest_mem_range(&mem, 0, GUEST_MEM_LOW_MAX + 1));
	assert_null(guest_mem_range(&mem, GUEST_MEM_LOW_MAX, 1));
	assert_null(guest_mem_range(&mem, UINT64_MAX, 1));
	assert_null(guest_mem_range(&mem, UINT64_MAX - 1, 4));
	assert_null(guest_mem_range(&mem, 1, UINT64_MAX));
	assert_null(guest_mem_range(&mem, GUEST_MEM_HIGH_BASE + 1024 * MIB - 1, 2));
	assert_non_null(guest_mem_range(&mem, GUEST_MEM_HIGH_BASE + 1024 * MIB - 1, 1));
	assert_ptr_equal((uint8_t *)guest_mem_range(&mem, GUEST_MEM_HIGH_BASE, 1),
			 (uint8_t *)guest_mem_range(&mem, 0, 1) + GUEST_MEM_LOW_MAX);
}

static void the_stock_kernel_loads(void **state)
{
	struct boot_files files = { .initrd_fd = -1, .command_line = "quiet", .rsdp_gpa = 0xe0000 };
	struct failure why = { "" };
	struct boot_entry entry;
	glob_t found;

	if (glob("/boot/vmlinuz-*", 0, NULL, &found)) {
		skip();
		return;
	}
	for (size_t i = 0; i < found.gl_pathc; i++) {
		files.kernel_fd = open(found.gl_pathv[i], O_RDONLY | O_CLOEXEC);
		assert_true(files.kernel_fd >= 0);
		make_memory(256);
		if (boot_image_load(&mem, &files, &entry, &why))
			fail_msg("%s: %s", found.gl_pathv[i], why.text);
		guest_mem_fini(&mem);
		(void)close(files.kernel_fd);
	}
	globfree(&found);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(each_bad_field_is_named, free_memory),
		cmocka_unit_test(a_short_file_is_refused_at_every_length),
		cmocka_unit_test_teardown(no_regular_file_is_refused, free_memory),
		cmocka_unit_test_teardown(a_good_image_lies_where_it_should, free_memory),
		cmocka_unit_test_teardown(a_kernel_moves_when_its_place_is_no_ram, free_memory),
		cmocka_unit_test_teardown(too_little_memory_is_an_answer, free_memory),
		cmocka_unit_test_teardown(an_initrd_that_would_touch_the_kernel_is_refused, free_memory),
		cmocka_unit_test_teardown(an_empty_initrd_is_refused, free_memory),
		cmocka_unit_test_teardown(the_kernels_own_command_line_limit_holds, free_memory),
		cmocka_unit_test_teardown(ram_beyond_3_gib_goes_above_4_gib, free_memory),
		cmocka_unit_test_teardown(page_tables_map_the_low_4_gib_to_themselves, free_memory),
		cmocka_unit_test_teardown(the_reset_vector_writes_the_reset_register, free_memory),
		cmocka_unit_test_teardown(registers_are_those_of_the_64_bit_entry, free_memory),
		cmocka_unit_test_teardown(ranges_of_guest_memory_cannot_overflow, free_memory),
		cmocka_unit_test_teardown(the_stock_kernel_loads, free_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
