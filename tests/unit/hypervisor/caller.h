/* SPDX-License-Identifier: Apache-2.0 */
/* The parent's side of hypercalls on the fake machine: registers, input and output pages, and short-cuts for what tests need. */
#ifndef CALLER_H
#define CALLER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/hypercall.h"
#include "core/mem.h"
#include "fake/fake.h"
#include "hv/hv_cpuid.h"

#define CALLER_INPUT  0x20000ull	/* + 0x2000 * CPU */
#define CALLER_OUTPUT 0x21000ull
#define CALLER_PAGES  0x100000ull	/* from here on caller_page hands out RAM of the parent */

/* cmocka set-up and tear-down: a machine of two CPUs. */
int caller_setup(void **state);
int caller_teardown(void **state);

struct vp *caller_vp(void);		/* the root VP of the calling CPU */
uint64_t caller_input(void);
uint64_t caller_output(void);

/* One instruction, again while it continues; returns RAX. Everything but RAX, and RCX of calls that continue, must stay. */
uint64_t caller_enter(struct vp *vp, uint64_t control, uint64_t rdx, uint64_t r8);

/* Memory form. `out` gets out_bytes of the output page. */
enum hv_status caller_simple(uint16_t code, const void *in, size_t in_bytes, void *out, size_t out_bytes);
enum hv_status caller_rep(uint16_t code, const void *in, size_t in_bytes, uint32_t count, void *out, size_t out_bytes,
			  uint32_t *out_done);

/* Statuses of the plain calls. */
enum hv_status caller_partition(uint16_t code, uint64_t id);		/* 0x41, 0x42, 0x43, 0x56 */
enum hv_status caller_create(uint64_t flags, uint64_t *out_id);
enum hv_status caller_set_property(uint64_t id, uint32_t code, uint64_t value);
enum hv_status caller_get_property(uint64_t id, uint32_t code, uint64_t *out_value);
enum hv_status caller_deposit(uint64_t id, const uint64_t *gpfn, uint32_t count, uint32_t *out_done);
enum hv_status caller_withdraw(uint64_t id, uint32_t count, uint64_t *out_gpfn, uint32_t *out_done);
enum hv_status caller_balance(uint64_t id, uint64_t *out_free, uint64_t *out_used);
enum hv_status caller_map(uint64_t id, uint64_t target, uint32_t flags, const uint64_t *source, uint32_t count, uint32_t *out_done);
enum hv_status caller_unmap(uint64_t id, uint64_t target, uint32_t flags, uint32_t count, uint32_t *out_done);
enum hv_status caller_create_vp(uint64_t id, uint32_t index);
enum hv_status caller_delete_vp(uint64_t id, uint32_t index);
enum hv_status caller_get_register(uint64_t id, uint32_t index, uint32_t name, struct hv_u128 *out);
enum hv_status caller_set_register(uint64_t id, uint32_t index, uint32_t name, struct hv_u128 value);
enum hv_status caller_dispatch(uint64_t id, uint32_t index, uint32_t flags, struct hv_output_dispatch_vp *out);

/* A page of the parent's RAM that nobody has used yet. */
uint64_t caller_page(void);
/* Deposits `count` fresh pages; must succeed. */
void caller_give(uint64_t id, unsigned count);
/* An active partition with `pages` in its pool. */
uint64_t caller_child(unsigned pages);
/* Maps `count` fresh pages at target, all rights; returns the first frame. */
uint64_t caller_ram(uint64_t id, uint64_t target, unsigned count);
/* Finalizes, withdraws all, deletes; returns how many pages came back. */
unsigned caller_destroy(uint64_t id);
/* Gives VP `index` long mode, an OS id and an enabled hypercall page, and returns it: it can call. Needs RAM at target 0. */
struct vp *caller_make_caller(uint64_t id, uint32_t index);
struct partition *caller_partition_of(uint64_t id);	/* without reference */

#define HV_MAP_ALL (HV_MAP_GPA_READABLE | HV_MAP_GPA_WRITABLE | HV_MAP_GPA_KERNEL_EXECUTABLE | HV_MAP_GPA_USER_EXECUTABLE | \
		    HV_MAP_GPA_ADJUSTABLE)
#define assert_status(call, status) assert_int_equal(call, HV_STATUS_##status)

/* Small, repeatable, its seed printed at the start of a test. */
void caller_seed(uint64_t seed);
uint64_t caller_random(uint64_t below);

#endif
