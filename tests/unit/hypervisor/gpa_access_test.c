/* SPDX-License-Identifier: Apache-2.0 */
/* Guest memory by GPA, and the walk of guest page tables that a test builds by hand. */
#include "caller.h"

#include <string.h>

#include "core/gpa_access.h"

#define P  0x1ull
#define W  0x2ull
#define U  0x4ull
#define A  0x20ull
#define D  0x40ull
#define LARGE 0x80ull
#define NX (1ull << 63)

#define TOP 0x10000ull		/* guest table pages */
#define L2  0x11000ull
#define L1  0x12000ull
#define L0  0x13000ull
#define READ_WRITE (ACCESS_READ | ACCESS_WRITE)

static uint64_t id;
static struct vp *vp;
static struct partition *p;

static int setup(void **state)
{
	caller_setup(state);
	id = caller_child(40);
	assert_status(caller_create_vp(id, 0), SUCCESS);
	caller_ram(id, 0, 32);
	p = caller_partition_of(id);
	vp = partition_vp(p, 0);
	return 0;
}

static void reg(uint32_t name, uint64_t value)
{
	assert_status(vp_register_set(vp, name, &(struct hv_u128){ value, 0 }), SUCCESS);
}

static void put64(uint64_t at, uint64_t value)
{
	assert_int_equal(gpa_write(p, GPA(at), &value, 8), GPA_DONE);
}

static uint64_t get64(uint64_t at)
{
	uint64_t value;

	assert_int_equal(gpa_read(p, GPA(at), &value, 8), GPA_DONE);
	return value;
}

static void put32(uint64_t at, uint32_t value)
{
	assert_int_equal(gpa_write(p, GPA(at), &value, 4), GPA_DONE);
}

static uint32_t translate(uint64_t gva, uint8_t access, bool user, uint64_t *out)
{
	gpa_t gpa = GPA(~0ull);
	uint32_t result = gva_translate(vp, GVA(gva), access, user, false, &gpa);

	*out = gpa.v;
	return result;
}

#define assert_translates(gva, access, user, gpa) do {					\
	uint64_t got;									\
	assert_int_equal(translate(gva, access, user, &got), HV_TRANSLATE_SUCCESS);	\
	assert_int_equal(got, gpa);							\
} while (0)
#define assert_refused(gva, access, user, why) do {					\
	uint64_t got;									\
	assert_int_equal(translate(gva, access, user, &got), HV_TRANSLATE_##why);	\
	assert_int_equal(got, ~0ull);							\
} while (0)

static void copies_cross_pages_and_stop_at_holes(void **state)
{
	uint8_t out[6000], in[6000];

	(void)state;
	for (unsigned i = 0; i < sizeof out; i++)
		out[i] = (uint8_t)(i * 7);
	assert_int_equal(gpa_write(p, GPA(0x0ff0), out, sizeof out), GPA_DONE);
	assert_int_equal(gpa_read(p, GPA(0x0ff0), in, sizeof in), GPA_DONE);
	assert_memory_equal(in, out, sizeof in);
	assert_int_equal(gpa_read(p, GPA(32 * PAGE_BYTES - 4), in, 8), GPA_NOT_MAPPED);
	assert_int_equal(gpa_read(p, GPA(~0ull - 3), in, 8), GPA_NOT_MAPPED);
	assert_status(caller_map(id, 5, HV_MAP_GPA_READABLE, &(uint64_t){ caller_page() }, 1, NULL), SUCCESS);
	assert_int_equal(gpa_write(p, GPA(5 * PAGE_BYTES), out, 1), GPA_NOT_ALLOWED);
	assert_int_equal(gpa_read(p, GPA(5 * PAGE_BYTES), in, 1), GPA_DONE);
	assert_null(gpa_page_get(p, GPA(5 * PAGE_BYTES), READ_WRITE));
	assert_non_null(gpa_page_get(p, GPA(5 * PAGE_BYTES), ACCESS_READ));
	gpa_page_put(p);
	/* The root's space holds device addresses too: they are not memory. */
	assert_int_equal(gpa_read(root_partition, GPA(FAKE_RAM_BYTES), in, 1), GPA_NOT_MAPPED);
}

static void without_paging_addresses_are_the_same(void **state)
{
	(void)state;
	assert_translates(0x1234, ACCESS_READ, false, 0x1234);
	assert_translates(0x100001234, ACCESS_READ, true, 0x1234);		/* 32 bits wide */
	assert_refused(0x7fffe000, ACCESS_READ, false, GPA_UNMAPPED);
}

static void long_mode_setup(uint64_t rights_top)
{
	fake_long_mode(vp, 0);
	reg(HV_REG_CR3, TOP | 0x18);
	put64(TOP + 8 * 0x1ff, L2 | rights_top);
	put64(L2 + 8 * 0, L1 | P | W | U);
	put64(L1 + 8 * 1, L0 | P | W | U);
	put64(L0 + 8 * 2, 0x5000 | P | W | U);
}

#define GVA_LONG (0xffffff8000000000ull + (1ull << 21) + (2ull << 12))

static void long_mode_four_levels(void **state)
{
	(void)state;
	long_mode_setup(P | W | U);
	assert_translates(GVA_LONG + 0x123, ACCESS_ALL, true, 0x5123);
	assert_refused(GVA_LONG + 0x1000, ACCESS_READ, false, PAGE_NOT_PRESENT);
	assert_refused(0x0000ff8000000000ull, ACCESS_READ, false, PAGE_NOT_PRESENT);	/* not canonical */
	put64(L0 + 8 * 2, 0x40000000 | P);
	assert_refused(GVA_LONG, ACCESS_READ, false, GPA_UNMAPPED);
	put64(L1 + 8 * 1, 0x40000000 | P);
	assert_refused(GVA_LONG, ACCESS_READ, false, GPA_UNMAPPED);
}

static void rights_are_those_of_all_levels(void **state)
{
	(void)state;
	long_mode_setup(P | W);						/* supervisor at the top */
	assert_refused(GVA_LONG, ACCESS_READ, true, PRIVILEGE_VIOLATION);
	assert_translates(GVA_LONG, READ_WRITE, false, 0x5000);
	long_mode_setup(P | U);						/* read-only at the top */
	assert_translates(GVA_LONG, ACCESS_READ, true, 0x5000);
	assert_refused(GVA_LONG, ACCESS_WRITE, true, PRIVILEGE_VIOLATION);
	assert_refused(GVA_LONG, ACCESS_WRITE, false, PRIVILEGE_VIOLATION);
	reg(HV_REG_CR0, 0x80000033);					/* without WP the supervisor may */
	assert_translates(GVA_LONG, ACCESS_WRITE, false, 0x5000);
	assert_refused(GVA_LONG, ACCESS_WRITE, true, PRIVILEGE_VIOLATION);
	long_mode_setup(P | W | U | NX);
	assert_translates(GVA_LONG, ACCESS_READ, true, 0x5000);
	assert_refused(GVA_LONG, ACCESS_EXECUTE, false, PRIVILEGE_VIOLATION);
	reg(HV_REG_EFER, 0x501);					/* without NXE the bit is reserved */
	assert_refused(GVA_LONG, ACCESS_READ, false, INVALID_TABLE_FLAGS);
}

static void large_pages_and_reserved_bits(void **state)
{
	(void)state;
	long_mode_setup(P | W | U);
	put64(L1 + 8 * 1, P | W | U | LARGE);
	assert_translates(GVA_LONG + 0x123, ACCESS_ALL, true, 0x2123);
	put64(L1 + 8 * 1, 0x2000 | P | W | U | LARGE);
	assert_refused(GVA_LONG, ACCESS_READ, true, INVALID_TABLE_FLAGS);
	put64(L1 + 8 * 1, 0x1000 | P | W | U | LARGE);			/* bit 12 is PAT there */
	assert_translates(GVA_LONG, ACCESS_READ, true, 0x2000);
	put64(L2, P | U | LARGE);
	assert_refused(GVA_LONG, ACCESS_READ, true, GPA_UNMAPPED);	/* 1 GiB page at 0: beyond our RAM there */
	assert_translates(0xffffff8000003456ull, ACCESS_READ, true, 0x3456);
	put64(TOP + 8 * 0x1ff, L2 | P | LARGE);
	assert_refused(GVA_LONG, ACCESS_READ, false, INVALID_TABLE_FLAGS);
	put64(TOP + 8 * 0x1ff, L2 | P | 1ull << FAKE_PHYS_BITS);
	assert_refused(GVA_LONG, ACCESS_READ, false, INVALID_TABLE_FLAGS);
}

static void accessed_and_dirty_only_when_asked(void **state)
{
	gpa_t gpa;

	(void)state;
	long_mode_setup(P | W | U);
	assert_translates(GVA_LONG, READ_WRITE, true, 0x5000);
	assert_int_equal(get64(L0 + 16), 0x5000 | P | W | U);
	assert_int_equal(gva_translate(vp, GVA(GVA_LONG), ACCESS_READ, true, true, &gpa), HV_TRANSLATE_SUCCESS);
	assert_int_equal(get64(L0 + 16), 0x5000 | P | W | U | A);
	assert_int_equal(get64(L1 + 8), L0 | P | W | U | A);
	assert_int_equal(get64(TOP + 8 * 0x1ff), L2 | P | W | U | A);
	assert_int_equal(gva_translate(vp, GVA(GVA_LONG), ACCESS_WRITE, true, true, &gpa), HV_TRANSLATE_SUCCESS);
	assert_int_equal(get64(L0 + 16), 0x5000 | P | W | U | A | D);
	assert_int_equal(get64(L1 + 8), L0 | P | W | U | A);		/* dirty at the leaf only */
	put64(L0 + 16, 0x5000 | P | U);
	assert_int_equal(gva_translate(vp, GVA(GVA_LONG), ACCESS_WRITE, true, true, &gpa), HV_TRANSLATE_PRIVILEGE_VIOLATION);
	assert_int_equal(get64(L0 + 16), 0x5000 | P | U);
}

static void rights_of_the_partition_count_too(void **state)
{
	(void)state;
	long_mode_setup(P | W | U);
	assert_status(caller_map(id, 5, HV_MAP_GPA_READABLE, &(uint64_t){ caller_page() }, 1, NULL), SUCCESS);
	assert_translates(GVA_LONG, ACCESS_READ, true, 0x5000);
	assert_refused(GVA_LONG, ACCESS_WRITE, true, GPA_NO_WRITE);
}

static void pae_three_levels(void **state)
{
	(void)state;
	reg(HV_REG_CR0, 0x80010011);
	reg(HV_REG_CR4, 0x20);
	reg(HV_REG_EFER, 0x800);
	reg(HV_REG_CR3, TOP | 0x40 | 0x18);				/* 32-byte aligned */
	put64(TOP + 0x40 + 8 * 3, L1 | P);
	put64(L1 + 8 * 1, L0 | P | W | U);
	put64(L0 + 8 * 2, 0x6000 | P | W | U | NX);
	assert_translates(0xc0202abc, READ_WRITE, true, 0x6abc);
	assert_translates(0xffffffffc0202abc, READ_WRITE, true, 0x6abc);
	assert_refused(0xc0202abc, ACCESS_EXECUTE, true, PRIVILEGE_VIOLATION);
	put64(L1 + 8 * 1, P | W | U | LARGE);
	assert_translates(0xc0202abc, ACCESS_EXECUTE, true, 0x2abc);
	put64(TOP + 0x40 + 8 * 3, L1 | P | W);				/* reserved in a PDPTE */
	assert_refused(0xc0202abc, ACCESS_READ, false, INVALID_TABLE_FLAGS);
	assert_refused(0x80000000, ACCESS_READ, false, PAGE_NOT_PRESENT);
}

static void two_levels_of_32_bits(void **state)
{
	(void)state;
	reg(HV_REG_CR0, 0x80010011);
	reg(HV_REG_CR3, TOP);
	put32(TOP + 4 * 0x300, (uint32_t)(L0 | P | W | U));
	put32(L0 + 4 * 7, 0x4000 | (uint32_t)(P | U));
	assert_translates(0xc0007010, ACCESS_READ | ACCESS_EXECUTE, true, 0x4010);
	assert_refused(0xc0007010, ACCESS_WRITE, true, PRIVILEGE_VIOLATION);
	put32(TOP + 4 * 0x301, (uint32_t)(P | W | U | LARGE));
	assert_refused(0xc0407010, ACCESS_READ, false, PAGE_NOT_PRESENT);	/* no PSE: a table at 0, whose entry is empty */
	reg(HV_REG_CR4, 0x10);
	assert_translates(0xc0407010, ACCESS_WRITE, true, 0x7010);
	put32(TOP + 4 * 0x301, (uint32_t)(P | LARGE | 1u << 21));
	assert_refused(0xc0407010, ACCESS_READ, false, INVALID_TABLE_FLAGS);
	put32(TOP + 4 * 0x301, (uint32_t)(P | LARGE | 1u << 13));	/* PSE-36: bit 32 */
	assert_refused(0xc0407010, ACCESS_READ, false, GPA_UNMAPPED);
}

static void code_is_fetched_up_to_the_hole(void **state)
{
	uint8_t code[15], want[16];

	(void)state;
	for (unsigned i = 0; i < 16; i++)
		want[i] = (uint8_t)(0x90 + i);
	long_mode_setup(P | W | U);
	assert_int_equal(gpa_write(p, GPA(0x5ff8), want, 8), GPA_DONE);
	vp->rip = GVA_LONG + 0xff8;
	assert_int_equal(gva_fetch_code(vp, code, sizeof code), 8);
	assert_memory_equal(code, want, 8);
	put64(L0 + 8 * 3, 0x9000 | P);
	assert_int_equal(gpa_write(p, GPA(0x9000), want + 8, 7), GPA_DONE);
	assert_int_equal(gva_fetch_code(vp, code, sizeof code), 15);
	assert_memory_equal(code, want, 15);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, caller_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(copies_cross_pages_and_stop_at_holes),
		TEST(without_paging_addresses_are_the_same),
		TEST(long_mode_four_levels),
		TEST(rights_are_those_of_all_levels),
		TEST(large_pages_and_reserved_bits),
		TEST(accessed_and_dirty_only_when_asked),
		TEST(rights_of_the_partition_count_too),
		TEST(pae_three_levels),
		TEST(two_levels_of_32_bits),
		TEST(code_is_fetched_up_to_the_hole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
