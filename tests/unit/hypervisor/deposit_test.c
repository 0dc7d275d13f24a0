/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who has which page: deposits, withdrawals and mappings by hypercall, against a model that knows for each of the parent's
 * pages where it is, and for each child what it sees where.
 */
#include "caller.h"

#include <string.h>

#include "core/gpa_access.h"

#define FRAME_FIRST  1024u		/* 4 MiB: two large pages */
#define FRAMES       1024u
#define CHILDREN     2u
#define TARGET_FIRST 512u
#define TARGETS      1024u
#define OPERATIONS   120000u

enum { PARENT = -1 };

static uint64_t ids[CHILDREN];
static int owner[FRAMES];		/* PARENT or a child's pool */
static unsigned mapped[FRAMES];		/* child mappings */
static struct { int frame; uint32_t flags; } sees[CHILDREN][TARGETS];	/* frame -1 none */
static unsigned deposited[CHILDREN];

static uint32_t rights(uint8_t access)
{
	return (access & ACCESS_READ ? HV_MAP_GPA_READABLE : 0) | (access & ACCESS_WRITE ? HV_MAP_GPA_WRITABLE : 0) |
	       (access & ACCESS_EXECUTE ? HV_MAP_GPA_KERNEL_EXECUTABLE | HV_MAP_GPA_USER_EXECUTABLE : 0);
}

static void give(unsigned child)
{
	unsigned frame = (unsigned)caller_random(FRAMES);
	uint64_t gpfn = FRAME_FIRST + frame;
	enum hv_status status;

	memset(platform_ptr(SPA(gpfn << PAGE_SHIFT)), 0x99, owner[frame] == PARENT ? 64 : 0);
	status = caller_deposit(ids[child], &gpfn, 1, NULL);
	if (owner[frame] != PARENT) {
		assert_status(status, OPERATION_DENIED);
	} else if (mapped[frame]) {
		assert_status(status, OBJECT_IN_USE);
	} else {
		assert_status(status, SUCCESS);
		owner[frame] = (int)child;
		deposited[child]++;
	}
}

static void take_back(unsigned child)
{
	uint64_t gpfn[8];
	uint32_t done, wanted = 1 + (uint32_t)caller_random(8);
	enum hv_status status = caller_withdraw(ids[child], wanted, gpfn, &done);

	assert_int_equal(status, done == wanted ? HV_STATUS_SUCCESS : HV_STATUS_NO_RESOURCES);
	for (uint32_t i = 0; i < done; i++) {
		unsigned frame = (unsigned)gpfn[i] - FRAME_FIRST;
		const uint8_t *bytes = platform_ptr(SPA(gpfn[i] << PAGE_SHIFT));

		assert_true(frame < FRAMES);
		assert_int_equal(owner[frame], child);
		assert_true(bytes[0] == 0 && !memcmp(bytes, bytes + 1, PAGE_BYTES - 1));
		owner[frame] = PARENT;
		deposited[child]--;
	}
}

static void model_put(unsigned child, unsigned target)
{
	if (sees[child][target].frame >= 0)
		mapped[sees[child][target].frame]--;
	sees[child][target].frame = -1;
}

static void model_map(unsigned child, unsigned target, unsigned frame, unsigned count, uint32_t flags)
{
	for (unsigned i = 0; i < count; i++) {
		model_put(child, target + i);
		if (!(flags & HV_MAP_GPA_READABLE))
			continue;
		sees[child][target + i].frame = (int)(frame + i);
		sees[child][target + i].flags = flags & HV_MAP_GPA_RIGHTS;
		mapped[frame + i]++;
	}
}

static bool all_are_parents(unsigned frame, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (owner[frame + i] != PARENT)
			return false;
	return true;
}

static void map(unsigned child, bool large)
{
	static const uint8_t choices[] = { 0, ACCESS_READ, ACCESS_READ | ACCESS_WRITE, ACCESS_READ | ACCESS_EXECUTE, ACCESS_ALL };
	unsigned count = large ? 512 : 1;
	unsigned target = (unsigned)caller_random(TARGETS / count) * count, frame = (unsigned)caller_random(FRAMES / count) * count;
	uint32_t flags = rights(choices[caller_random(ARRAY_COUNT(choices))]) | (large ? HV_MAP_GPA_LARGE_PAGE : 0);
	uint64_t source = FRAME_FIRST + frame;
	enum hv_status status = caller_map(ids[child], TARGET_FIRST + target, flags, &source, 1, NULL);

	if (!all_are_parents(frame, count)) {
		assert_status(status, OPERATION_DENIED);
	} else if (status != HV_STATUS_INSUFFICIENT_MEMORY) {
		assert_status(status, SUCCESS);
		model_map(child, target, frame, count, flags);
	}
}

static void unmap(unsigned child, bool large)
{
	unsigned count = large ? 512 : 1 + (unsigned)caller_random(20);
	unsigned target = large ? (unsigned)caller_random(TARGETS / 512) * 512 : (unsigned)caller_random(TARGETS - 20);
	uint32_t done;
	enum hv_status status = caller_unmap(ids[child], TARGET_FIRST + target, large ? HV_UNMAP_GPA_LARGE_PAGE : 0,
					     large ? 1 : count, &done);

	if (status != HV_STATUS_INSUFFICIENT_MEMORY)
		assert_status(status, SUCCESS);
	for (unsigned i = 0; i < (large ? done * 512 : done); i++)
		model_put(child, target + i);
}

static void check_target(unsigned child, unsigned target)
{
	struct gpa_mapping m = gpa_space_lookup(&caller_partition_of(ids[child])->space,
						GPA((uint64_t)(TARGET_FIRST + target) << PAGE_SHIFT));
	int frame = sees[child][target].frame;

	if (frame < 0) {
		assert_int_equal(m.access, 0);
		return;
	}
	assert_int_equal(m.spa.v >> PAGE_SHIFT, FRAME_FIRST + (unsigned)frame);
	assert_int_equal(rights(m.access), sees[child][target].flags);
}

static void check_frame(unsigned frame)
{
	uint64_t at = (uint64_t)(FRAME_FIRST + frame) << PAGE_SHIFT;
	struct gpa_mapping m = gpa_space_lookup(&root_partition->space, GPA(at));

	assert_int_equal(m.spa.v, owner[frame] == PARENT ? at : partition_dummy_page().v);
}

static void check_balance(unsigned child)
{
	uint64_t available, used;

	assert_status(caller_balance(ids[child], &available, &used), SUCCESS);
	assert_int_equal(available + used, deposited[child]);
}

static void create_or_delete_vp(unsigned child)
{
	uint32_t index = (uint32_t)caller_random(3);
	enum hv_status status = caller_random(2) ? caller_create_vp(ids[child], index) : caller_delete_vp(ids[child], index);

	assert_true(status == HV_STATUS_SUCCESS || status == HV_STATUS_INVALID_VP_INDEX || status == HV_STATUS_INSUFFICIENT_MEMORY);
}

static void operation(void)
{
	unsigned child = (unsigned)caller_random(CHILDREN);

	switch (caller_random(40)) {
	case 0 ... 9:
		give(child);
		break;
	case 10 ... 13:
		take_back(child);
		break;
	case 14 ... 27:
		map(child, false);
		break;
	case 28 ... 36:
		unmap(child, false);
		break;
	case 37:
		map(child, true);
		break;
	case 38:
		unmap(child, true);
		break;
	default:
		create_or_delete_vp(child);
	}
}

static void check_all(void)
{
	for (unsigned i = 0; i < FRAMES; i++)
		check_frame(i);
	for (unsigned c = 0; c < CHILDREN; c++) {
		check_balance(c);
		for (unsigned i = 0; i < TARGETS; i++)
			check_target(c, i);
	}
}

static void every_page_has_one_owner(void **state)
{
	unsigned total;

	(void)state;
	caller_seed(0x5eed);
	memset(sees, 0xff, sizeof sees);
	memset(owner, 0xff, sizeof owner);
	for (unsigned c = 0; c < CHILDREN; c++) {
		assert_status(caller_create(0, &ids[c]), SUCCESS);
		for (unsigned i = 0; i < 20; i++)
			give(c);
		assert_status(caller_partition(HVCALL_INITIALIZE_PARTITION, ids[c]), SUCCESS);
	}
	for (unsigned i = 0; i < OPERATIONS; i++) {
		operation();
		check_frame((unsigned)caller_random(FRAMES));
		check_target((unsigned)caller_random(CHILDREN), (unsigned)caller_random(TARGETS));
		check_balance((unsigned)caller_random(CHILDREN));
		if (i % 5000 == 0)
			check_all();
	}
	check_all();
	for (unsigned c = 0; c < CHILDREN; c++) {
		total = caller_destroy(ids[c]);
		assert_int_equal(total, deposited[c]);
	}
	/* All of the parent's memory is the parent's again, and free to be used. */
	for (unsigned i = 0; i < FRAMES; i++) {
		uint64_t gpfn = FRAME_FIRST + i;

		assert_status(caller_deposit(HV_PARTITION_ID_SELF, &gpfn, 1, NULL), SUCCESS);
	}
}

static void a_list_is_done_up_to_the_bad_element(void **state)
{
	uint64_t id, gpfn[300], got[300], available, used;
	uint32_t done;

	(void)state;
	assert_status(caller_create(0, &id), SUCCESS);
	for (unsigned i = 0; i < 300; i++)
		gpfn[i] = caller_page();
	gpfn[200] = FAKE_BLOCK_BASE >> PAGE_SHIFT;
	assert_status(caller_deposit(id, gpfn, 300, &done), OPERATION_DENIED);
	assert_int_equal(done, 200);
	assert_status(caller_balance(id, &available, &used), SUCCESS);
	assert_int_equal(available, 200);
	assert_status(caller_deposit(id, gpfn + 199, 1, &done), OPERATION_DENIED);	/* already there */
	assert_int_equal(done, 0);
	assert_status(caller_withdraw(id, 300, got, &done), NO_RESOURCES);
	assert_int_equal(done, 200);
	assert_status(caller_partition(HVCALL_DELETE_PARTITION, id), SUCCESS);
}

static void pages_that_are_not_plain_ram_are_refused(void **state)
{
	uint64_t id, overlay = FAKE_HYPERCALL_GPA >> PAGE_SHIFT;
	const uint64_t bad[] = { 0, FAKE_BLOCK_BASE >> PAGE_SHIFT, FAKE_RAM_BYTES >> PAGE_SHIFT, 0xfee00, 1ull << 28, ~0ull, overlay };

	(void)state;
	assert_status(caller_create(0, &id), SUCCESS);
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
		assert_status(caller_deposit(id, &bad[i], 1, NULL), OPERATION_DENIED);
}

static void the_parent_may_add_to_its_own_pool_and_take_it_back(void **state)
{
	uint64_t gpfn = caller_page(), got[2], before = root_partition->pool.free_count;
	uint32_t done;

	(void)state;
	assert_status(caller_deposit(HV_PARTITION_ID_SELF, &gpfn, 1, NULL), SUCCESS);
	assert_true(root_partition->pool.free_count >= before - 3);	/* tables for the split came out of it */
	assert_status(caller_withdraw(HV_PARTITION_ID_SELF, 2, got, &done), NO_RESOURCES);
	assert_int_equal(done, 1);
	assert_int_equal(got[0], gpfn);
}

static void the_reserve_lets_a_poor_parent_help_itself(void **state)
{
	uint64_t gpfn, id;

	(void)state;
	while (page_pool_alloc(&root_partition->pool).v)
		;
	assert_status(caller_create(0, &id), INSUFFICIENT_MEMORY);
	for (unsigned i = 0; i < 8; i++) {
		gpfn = caller_page();
		assert_status(caller_deposit(HV_PARTITION_ID_SELF, &gpfn, 1, NULL), SUCCESS);
	}
	assert_status(caller_create(0, &id), SUCCESS);
}

static void a_deposit_that_fails_half_way_leaves_the_page(void **state)
{
	uint64_t id, first = 24ull << 20 >> PAGE_SHIFT, other = (26ull << 20 >> PAGE_SHIFT);

	(void)state;
	assert_status(caller_create(0, &id), SUCCESS);
	assert_status(caller_deposit(id, &first, 1, NULL), SUCCESS);
	while (page_pool_alloc_reserved(&root_partition->pool).v)
		;
	/* Its words are there, the table that splits its large page cannot be made. */
	assert_status(caller_deposit(id, &other, 1, NULL), INSUFFICIENT_MEMORY);
	assert_int_equal(gpa_space_lookup(&root_partition->space, GPA(other << PAGE_SHIFT)).spa.v, other << PAGE_SHIFT);
	first++;
	assert_status(caller_deposit(HV_PARTITION_ID_SELF, &first, 1, NULL), SUCCESS);
	assert_status(caller_deposit(id, &other, 1, NULL), SUCCESS);
}

/* The hypercall page lies on top of whatever is mapped, deposited or withdrawn below it. */
static void the_overlay_stays_on_top(void **state)
{
	uint64_t id = caller_child(40), source[2], large = 8ull << 20 >> PAGE_SHIFT, old = FAKE_HYPERCALL_GPA >> PAGE_SHIFT;
	struct partition *p = caller_partition_of(id);
	const uint8_t *overlay;
	struct gpa_mapping m;
	unsigned total;

	(void)state;
	source[0] = caller_page();
	source[1] = caller_page();
	assert_status(caller_map(id, 512, HV_MAP_ALL | HV_MAP_GPA_LARGE_PAGE, &large, 1, NULL), SUCCESS);
	partition_guest_os_id_write(p, 1);
	assert_true(partition_hypercall_msr_write(p, (515ull << PAGE_SHIFT) | 1));	/* splits the large page */
	m = gpa_space_lookup(&p->space, GPA(515ull << PAGE_SHIFT));
	assert_int_equal(m.access, ACCESS_READ | ACCESS_EXECUTE);
	overlay = platform_ptr(m.spa);
	assert_int_equal(overlay[7], 0xc3);

	assert_status(caller_map(id, 515, HV_MAP_ALL, source, 1, NULL), SUCCESS);	/* below it */
	assert_ptr_equal(platform_ptr(gpa_space_lookup(&p->space, GPA(515ull << PAGE_SHIFT)).spa), overlay);
	assert_status(caller_map(id, 512, HV_MAP_ALL | HV_MAP_GPA_LARGE_PAGE, &large, 1, NULL), SUCCESS);	/* all around it */
	assert_ptr_equal(platform_ptr(gpa_space_lookup(&p->space, GPA(515ull << PAGE_SHIFT)).spa), overlay);
	assert_true(partition_hypercall_msr_write(p, (700ull << PAGE_SHIFT) | 1));	/* moves */
	assert_int_equal(gpa_space_lookup(&p->space, GPA(515ull << PAGE_SHIFT)).spa.v, (large + 3) << PAGE_SHIFT);
	assert_status(caller_unmap(id, 512, HV_UNMAP_GPA_LARGE_PAGE, 1, NULL), SUCCESS);
	assert_ptr_equal(platform_ptr(gpa_space_lookup(&p->space, GPA(700ull << PAGE_SHIFT)).spa), overlay);
	assert_true(partition_hypercall_msr_write(p, 0));
	assert_int_equal(gpa_space_lookup(&p->space, GPA(700ull << PAGE_SHIFT)).access, 0);
	assert_true(partition_hypercall_msr_write(p, (600ull << PAGE_SHIFT) | 1));
	total = caller_destroy(id);
	assert_int_equal(total, 40);
	assert_status(caller_deposit(HV_PARTITION_ID_SELF, source, 1, NULL), SUCCESS);	/* nothing counts it any more */
	assert_status(caller_deposit(HV_PARTITION_ID_SELF, &large, 1, NULL), SUCCESS);

	/* The parent's own overlay over a page that is deposited and comes back. */
	assert_status(caller_create(0, &id), SUCCESS);
	assert_status(caller_deposit(id, source + 1, 1, NULL), SUCCESS);
	assert_true(partition_hypercall_msr_write(root_partition, source[1] << PAGE_SHIFT | 1));
	assert_int_equal(gpa_space_lookup(&root_partition->space, GPA(old << PAGE_SHIFT)).spa.v, old << PAGE_SHIFT);
	assert_status(caller_withdraw(id, 1, source, NULL), SUCCESS);
	assert_int_equal(gpa_space_lookup(&root_partition->space, GPA(source[1] << PAGE_SHIFT)).spa.v,
			 root_partition->hypercall_page.v);
	assert_true(partition_hypercall_msr_write(root_partition, 0));
	assert_int_equal(gpa_space_lookup(&root_partition->space, GPA(source[1] << PAGE_SHIFT)).spa.v, source[1] << PAGE_SHIFT);
}

static void map_refuses_bad_requests(void **state)
{
	uint64_t id = caller_child(20), page = caller_page(), limit = 1ull << (FAKE_PHYS_BITS - PAGE_SHIFT), large = 1024;
	uint64_t bad_source[] = { FAKE_BLOCK_BASE >> PAGE_SHIFT, 0xfee00, FAKE_RAM_BYTES >> PAGE_SHIFT, 0 };
	uint32_t rw = HV_MAP_GPA_READABLE | HV_MAP_GPA_WRITABLE, lp = HV_MAP_ALL | HV_MAP_GPA_LARGE_PAGE;

	(void)state;
	assert_status(caller_map(id, 1, HV_MAP_GPA_WRITABLE, &page, 1, NULL), INVALID_PARAMETER);
	assert_status(caller_map(id, 1, HV_MAP_GPA_KERNEL_EXECUTABLE | HV_MAP_GPA_USER_EXECUTABLE, &page, 1, NULL), INVALID_PARAMETER);
	assert_status(caller_map(id, 1, rw | HV_MAP_GPA_KERNEL_EXECUTABLE, &page, 1, NULL), INVALID_PARAMETER);
	assert_status(caller_map(id, 1, rw | 0x10, &page, 1, NULL), INVALID_PARAMETER);
	assert_status(caller_map(id, limit, rw, &page, 1, NULL), INVALID_PARAMETER);
	assert_status(caller_map(id, ~0ull, rw, &page, 1, NULL), INVALID_PARAMETER);
	assert_status(caller_map(id, 0xfee00, rw, &page, 1, NULL), INVALID_PARAMETER);
	assert_status(caller_map(id, 0xfee00 & ~511ull, lp, &large, 1, NULL), INVALID_PARAMETER);
	assert_status(caller_map(id, 1, lp, &large, 1, NULL), INVALID_PARAMETER);
	assert_status(caller_map(id, 512, lp, &(uint64_t){ 1025 }, 1, NULL), INVALID_PARAMETER);
	assert_status(caller_map(id, 1, rw, &limit, 1, NULL), INVALID_PARAMETER);
	for (size_t i = 0; i < ARRAY_COUNT(bad_source); i++)
		assert_status(caller_map(id, 1, rw, &bad_source[i], 1, NULL), OPERATION_DENIED);
	assert_status(caller_map(id, limit - 1, rw, &page, 1, NULL), SUCCESS);
	assert_status(caller_unmap(id, limit, 0, 1, NULL), INVALID_PARAMETER);
	assert_status(caller_unmap(id, limit - 1, 0, 2, NULL), INVALID_PARAMETER);
	assert_status(caller_unmap(id, 1, 0x80, 1, NULL), INVALID_PARAMETER);
	assert_status(caller_unmap(id, 1, HV_UNMAP_GPA_LARGE_PAGE, 1, NULL), INVALID_PARAMETER);
	assert_status(caller_unmap(id, 0x1000, 0, 4095, NULL), SUCCESS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_page_has_one_owner, caller_setup, caller_teardown),
		cmocka_unit_test_setup_teardown(a_list_is_done_up_to_the_bad_element, caller_setup, caller_teardown),
		cmocka_unit_test_setup_teardown(pages_that_are_not_plain_ram_are_refused, caller_setup, caller_teardown),
		cmocka_unit_test_setup_teardown(the_parent_may_add_to_its_own_pool_and_take_it_back, caller_setup, caller_teardown),
		cmocka_unit_test_setup_teardown(the_reserve_lets_a_poor_parent_help_itself, caller_setup, caller_teardown),
		cmocka_unit_test_setup_teardown(a_deposit_that_fails_half_way_leaves_the_page, caller_setup, caller_teardown),
		cmocka_unit_test_setup_teardown(the_overlay_stays_on_top, caller_setup, caller_teardown),
		cmocka_unit_test_setup_teardown(map_refuses_bad_requests, caller_setup, caller_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
