/* SPDX-License-Identifier: Apache-2.0 */
#include "caller.h"

#include <string.h>

enum { RAX, RCX, RDX, R8 = 8 };

static uint64_t next_page;
static uint64_t random_state;

int caller_setup(void **state)
{
	(void)state;
	fake_machine_init(2);
	next_page = CALLER_PAGES;
	return 0;
}

int caller_teardown(void **state)
{
	(void)state;
	fake_machine_fini();
	return 0;
}

struct vp *caller_vp(void)
{
	return platform_cpu()->root_vp;
}

uint64_t caller_input(void)
{
	return CALLER_INPUT + 0x2000ull * platform_cpu()->index;
}

uint64_t caller_output(void)
{
	return CALLER_OUTPUT + 0x2000ull * platform_cpu()->index;
}

uint64_t caller_enter(struct vp *vp, uint64_t control, uint64_t rdx, uint64_t r8)
{
	enum hypercall_outcome outcome;
	uint64_t before[16], start = HC_REP_START(control);

	for (unsigned i = 0; i < 16; i++)
		vp->gpr[i] = 0x1111111111111111ull * i;
	vp->gpr[RCX] = control;
	vp->gpr[RDX] = rdx;
	vp->gpr[R8] = r8;
	memcpy(before, vp->gpr, sizeof before);
	while ((outcome = hypercall_enter(vp)) == HYPERCALL_RETRY) {
		assert_true(HC_REP_START(vp->gpr[RCX]) > start);
		start = HC_REP_START(vp->gpr[RCX]);
		before[RCX] = vp->gpr[RCX];
		assert_memory_equal(before, vp->gpr, sizeof before);
	}
	assert_int_equal(outcome, HYPERCALL_NEXT);
	before[RAX] = vp->gpr[RAX];
	assert_memory_equal(before, vp->gpr, sizeof before);
	return vp->gpr[RAX];
}

enum hv_status caller_rep(uint16_t code, const void *in, size_t in_bytes, uint32_t count, void *out, size_t out_bytes,
			  uint32_t *out_done)
{
	uint64_t result;

	memset(platform_ptr(SPA(caller_input())), 0xa5, PAGE_BYTES);
	memset(platform_ptr(SPA(caller_output())), 0x5a, PAGE_BYTES);
	memcpy(platform_ptr(SPA(caller_input())), in, in_bytes);
	result = caller_enter(caller_vp(), code | (uint64_t)count << HC_REP_COUNT_SHIFT, caller_input(), caller_output());
	assert_int_equal(result & 0xfffff000ffff0000ull, 0);
	if (out)
		memcpy(out, platform_ptr(SPA(caller_output())), out_bytes);
	if (out_done)
		*out_done = HC_RESULT_REPS(result);
	if (count && HC_RESULT_STATUS(result) == HV_STATUS_SUCCESS)
		assert_int_equal(HC_RESULT_REPS(result), count);
	return HC_RESULT_STATUS(result);
}

enum hv_status caller_simple(uint16_t code, const void *in, size_t in_bytes, void *out, size_t out_bytes)
{
	return caller_rep(code, in, in_bytes, 0, out, out_bytes, NULL);
}

enum hv_status caller_partition(uint16_t code, uint64_t id)
{
	return caller_simple(code, &id, sizeof id, NULL, 0);
}

enum hv_status caller_create(uint64_t flags, uint64_t *out_id)
{
	struct hv_input_create_partition in = { .flags = flags };

	return caller_simple(HVCALL_CREATE_PARTITION, &in, sizeof in, out_id, sizeof *out_id);
}

enum hv_status caller_set_property(uint64_t id, uint32_t code, uint64_t value)
{
	struct hv_input_set_partition_property in = { .partition_id = id, .code = code, .pad = ~0u, .value = value };

	return caller_simple(HVCALL_SET_PARTITION_PROPERTY, &in, sizeof in, NULL, 0);
}

enum hv_status caller_get_property(uint64_t id, uint32_t code, uint64_t *out_value)
{
	struct hv_input_get_partition_property in = { .partition_id = id, .code = code, .pad = ~0u };

	return caller_simple(HVCALL_GET_PARTITION_PROPERTY, &in, sizeof in, out_value, sizeof *out_value);
}

enum hv_status caller_deposit(uint64_t id, const uint64_t *gpfn, uint32_t count, uint32_t *out_done)
{
	uint64_t in[512] = { id };

	memcpy(in + 1, gpfn, count * sizeof *gpfn);
	return caller_rep(HVCALL_DEPOSIT_MEMORY, in, 8 + 8 * count, count, NULL, 0, out_done);
}

enum hv_status caller_withdraw(uint64_t id, uint32_t count, uint64_t *out_gpfn, uint32_t *out_done)
{
	struct hv_input_withdraw_memory in = { .partition_id = id };

	return caller_rep(HVCALL_WITHDRAW_MEMORY, &in, sizeof in, count, out_gpfn, 8 * count, out_done);
}

enum hv_status caller_balance(uint64_t id, uint64_t *out_free, uint64_t *out_used)
{
	struct hv_input_withdraw_memory in = { .partition_id = id };
	struct hv_output_get_memory_balance out = { 0, 0 };
	enum hv_status status = caller_simple(HVCALL_GET_MEMORY_BALANCE, &in, sizeof in, &out, sizeof out);

	*out_free = out.pages_available;
	*out_used = out.pages_in_use;
	return status;
}

enum hv_status caller_map(uint64_t id, uint64_t target, uint32_t flags, const uint64_t *source, uint32_t count, uint32_t *out_done)
{
	uint64_t in[512];
	struct hv_input_map_gpa_pages header = { .partition_id = id, .target_gpfn = target, .flags = flags, .pad = ~0u };

	memcpy(in, &header, 24);
	memcpy(in + 3, source, 8 * count);
	return caller_rep(HVCALL_MAP_GPA_PAGES, in, 24 + 8 * count, count, NULL, 0, out_done);
}

enum hv_status caller_unmap(uint64_t id, uint64_t target, uint32_t flags, uint32_t count, uint32_t *out_done)
{
	struct hv_input_unmap_gpa_pages in = { .partition_id = id, .target_gpfn = target, .flags = flags, .pad = ~0u };

	return caller_rep(HVCALL_UNMAP_GPA_PAGES, &in, sizeof in, count, NULL, 0, out_done);
}

enum hv_status caller_create_vp(uint64_t id, uint32_t index)
{
	/* What the driver leaves in the padding must not matter. */
	struct hv_input_create_vp in = { .partition_id = id, .vp_index = index, .pad = { 1, 2, 3 }, .subnode_id = 99 };

	return caller_simple(HVCALL_CREATE_VP, &in, sizeof in, NULL, 0);
}

enum hv_status caller_delete_vp(uint64_t id, uint32_t index)
{
	struct hv_input_delete_vp in = { .partition_id = id, .vp_index = index };

	return caller_simple(HVCALL_DELETE_VP, &in, sizeof in, NULL, 0);
}

enum hv_status caller_get_register(uint64_t id, uint32_t index, uint32_t name, struct hv_u128 *out)
{
	struct {
		struct hv_input_vp_registers header;
		uint32_t name;
	} in = { { .partition_id = id, .vp_index = index }, name };

	return caller_rep(HVCALL_GET_VP_REGISTERS, &in, 20, 1, out, sizeof *out, NULL);
}

enum hv_status caller_set_register(uint64_t id, uint32_t index, uint32_t name, struct hv_u128 value)
{
	struct {
		struct hv_input_vp_registers header;
		struct hv_register_assoc assoc;
	} in = { { .partition_id = id, .vp_index = index }, { .name = name, .value = value } };

	return caller_rep(HVCALL_SET_VP_REGISTERS, &in, sizeof in, 1, NULL, 0, NULL);
}

enum hv_status caller_dispatch(uint64_t id, uint32_t index, uint32_t flags, struct hv_output_dispatch_vp *out)
{
	struct hv_input_dispatch_vp in = { .partition_id = id, .vp_index = index, .flags = flags };

	return caller_simple(HVCALL_DISPATCH_VP, &in, sizeof in, out, sizeof *out);
}

uint64_t caller_page(void)
{
	uint64_t gpfn = next_page >> PAGE_SHIFT;

	next_page += PAGE_BYTES;
	assert_true(next_page <= FAKE_BLOCK_BASE);
	return gpfn;
}

void caller_give(uint64_t id, unsigned count)
{
	uint64_t gpfn;

	while (count--) {
		gpfn = caller_page();
		assert_status(caller_deposit(id, &gpfn, 1, NULL), SUCCESS);
	}
}

uint64_t caller_child(unsigned pages)
{
	uint64_t id;

	assert_status(caller_create(HV_PARTITION_FLAG_LAPIC | HV_PARTITION_FLAG_EXO, &id), SUCCESS);
	caller_give(id, pages);
	assert_status(caller_partition(HVCALL_INITIALIZE_PARTITION, id), SUCCESS);
	return id;
}

uint64_t caller_ram(uint64_t id, uint64_t target, unsigned count)
{
	uint64_t first = 0, gpfn;

	for (unsigned i = 0; i < count; i++) {
		gpfn = caller_page();
		if (i == 0)
			first = gpfn;
		assert_status(caller_map(id, target + i, HV_MAP_ALL, &gpfn, 1, NULL), SUCCESS);
	}
	return first;
}

unsigned caller_destroy(uint64_t id)
{
	uint64_t gpfn[512];
	unsigned total = 0;
	uint32_t done = 0;

	assert_status(caller_partition(HVCALL_FINALIZE_PARTITION, id), SUCCESS);
	do {
		enum hv_status status = caller_withdraw(id, 512, gpfn, &done);

		total += done;
		assert_int_equal(status, done == 512 ? HV_STATUS_SUCCESS : HV_STATUS_NO_RESOURCES);
	} while (done == 512);
	assert_status(caller_partition(HVCALL_DELETE_PARTITION, id), SUCCESS);
	return total;
}

struct partition *caller_partition_of(uint64_t id)
{
	struct partition *p = partition_get(root_partition, id);

	assert_non_null(p);
	partition_put(p);
	return p;
}

struct vp *caller_make_caller(uint64_t id, uint32_t index)
{
	struct partition *p = caller_partition_of(id);
	struct vp *vp = partition_vp(p, index);

	assert_non_null(vp);
	fake_long_mode(vp, 0);
	partition_guest_os_id_write(p, 0x8100000000000000ull);
	assert_true(partition_hypercall_msr_write(p, 0x3001));
	return vp;
}

void caller_seed(uint64_t seed)
{
	print_message("seed %#llx\n", (unsigned long long)seed);
	random_state = seed | 1;
}

/* xorshift64* */
uint64_t caller_random(uint64_t below)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return ((random_state * 0x2545f4914f6cdd1dull) >> 20) % below;
}
