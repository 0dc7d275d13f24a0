/* SPDX-License-Identifier: Apache-2.0 */
/* What a parent does with a VP of its child: pages it sees, state as a whole, memory through its eyes, interrupts, running. */
#include "caller.h"

#include <string.h>

#include "core/gpa_access.h"
#include "hv/hv_synic.h"

static uint64_t id;
static struct vp *vp;
static struct partition *p;

static int setup(void **state)
{
	caller_setup(state);
	id = caller_child(60);
	assert_status(caller_create_vp(id, 0), SUCCESS);
	caller_ram(id, 0, 16);
	p = caller_partition_of(id);
	vp = partition_vp(p, 0);
	return 0;
}

/* --- Pages that the parent sees ------------------------------------------------------------------------------------- */

static enum hv_status state_page(uint16_t code, uint32_t type, uint64_t *out)
{
	struct hv_input_vp_state_page in = { .partition_id = id, .type = type };

	return caller_simple(code, &in, sizeof in, out, 8);
}

static struct gpa_mapping root_view(uint64_t gpfn)
{
	return gpa_space_lookup(&root_partition->space, GPA(gpfn << PAGE_SHIFT));
}

static void state_pages_come_and_go(void **state)
{
	uint64_t registers, message, again, used = p->pool.used_count;

	(void)state;
	assert_int_equal(vp->register_page.v, 0);
	assert_status(state_page(HVCALL_MAP_VP_STATE_PAGE, HV_VP_STATE_PAGE_REGISTERS, &registers), SUCCESS);
	assert_int_equal(vp->register_page.v, registers << PAGE_SHIFT);
	assert_status(state_page(HVCALL_MAP_VP_STATE_PAGE, HV_VP_STATE_PAGE_INTERCEPT_MESSAGE, &message), SUCCESS);
	assert_int_equal(vp->message_page.v, message << PAGE_SHIFT);
	assert_int_equal(root_view(registers).spa.v, registers << PAGE_SHIFT);
	assert_int_equal(root_view(message).spa.v, message << PAGE_SHIFT);
	assert_status(state_page(HVCALL_MAP_VP_STATE_PAGE, HV_VP_STATE_PAGE_REGISTERS, &again), SUCCESS);
	assert_int_equal(again, registers);
	assert_status(state_page(HVCALL_MAP_VP_STATE_PAGE, 2, &again), INVALID_PARAMETER);
	assert_status(state_page(HVCALL_MAP_VP_STATE_PAGE, 0x10000, &again), INVALID_PARAMETER);
	assert_status(state_page(HVCALL_UNMAP_VP_STATE_PAGE, HV_VP_STATE_PAGE_REGISTERS, NULL), SUCCESS);
	assert_status(state_page(HVCALL_UNMAP_VP_STATE_PAGE, HV_VP_STATE_PAGE_REGISTERS, NULL), INVALID_PARAMETER);
	assert_status(state_page(HVCALL_UNMAP_VP_STATE_PAGE, HV_VP_STATE_PAGE_INTERCEPT_MESSAGE, NULL), SUCCESS);
	assert_status(state_page(HVCALL_UNMAP_VP_STATE_PAGE, HV_VP_STATE_PAGE_INTERCEPT_MESSAGE, NULL), INVALID_PARAMETER);
	assert_int_equal(root_view(registers).spa.v, partition_dummy_page().v);
	assert_int_equal(root_view(message).spa.v, partition_dummy_page().v);
	assert_int_equal(p->pool.used_count, used);
}

/* --- State as a whole ----------------------------------------------------------------------------------------------- */

static uint8_t blob[PAGE_BYTES];

/* bytes 0: by list of one page. */
static enum hv_status state_get(uint32_t type, uint64_t gpfn, size_t bytes)
{
	struct {
		struct hv_input_vp_state header;
		uint64_t gpfn;
	} in = { .header = { .partition_id = id, .type = type } };
	uint64_t control = HVCALL_GET_VP_STATE | (gpfn ? 1ull << 17 : 0);

	in.gpfn = gpfn;
	memcpy(platform_ptr(SPA(caller_input())), &in, 48);
	memset(platform_ptr(SPA(caller_output())), 0x5a, PAGE_BYTES);
	control = caller_enter(caller_vp(), control, caller_input(), caller_output());
	memcpy(blob, platform_ptr(SPA(caller_output())), bytes);
	return (enum hv_status)control;
}

static enum hv_status state_set(uint32_t type, const void *data, size_t bytes, uint32_t words)
{
	struct hv_input_vp_state header = { .partition_id = id, .type = type };
	uint8_t *in = platform_ptr(SPA(caller_input()));

	memset(in, 0, PAGE_BYTES);
	memcpy(in, &header, sizeof header);
	memcpy(in + 40, data, bytes);
	return (enum hv_status)caller_enter(caller_vp(), HVCALL_SET_VP_STATE | (uint64_t)words << 17, caller_input(), 0);
}

static void lapic_state_goes_round(void **state)
{
	struct hv_lapic_state before, after;
	uint64_t page = caller_page();

	(void)state;
	lapic_write(vp, 0xf0, 0x1ff);
	lapic_post(vp, 0x51, false);
	assert_status(state_get(HV_VP_STATE_LAPIC, 0, sizeof before), SUCCESS);
	memcpy(&before, blob, sizeof before);
	assert_int_equal(blob[sizeof before - 1], ((uint8_t *)&before)[sizeof before - 1]);
	assert_int_equal(before.irr[2], 1u << 17);
	lapic_reset(vp);
	assert_int_equal(lapic_pending(vp), -1);
	assert_status(state_set(HV_VP_STATE_LAPIC, &before, sizeof before, 22), SUCCESS);	/* inline, its length told */
	assert_int_equal(lapic_pending(vp), 0x51);
	lapic_reset(vp);
	assert_status(state_set(HV_VP_STATE_LAPIC, &before, sizeof before, 0), SUCCESS);	/* inline, not told */
	assert_int_equal(lapic_pending(vp), 0x51);
	assert_status(state_get(HV_VP_STATE_LAPIC, page, 8), SUCCESS);
	memcpy(&after, platform_ptr(SPA(page << PAGE_SHIFT)), sizeof after);
	assert_memory_equal(&before, &after, sizeof before);
	assert_int_equal(blob[0], 0x5a);							/* the output page stays */
	lapic_reset(vp);
	assert_status(state_set(HV_VP_STATE_LAPIC, &page, 8, 1), SUCCESS);
	assert_int_equal(lapic_pending(vp), 0x51);
	assert_status(state_set(HV_VP_STATE_LAPIC, &before, sizeof before, 5), INVALID_PARAMETER);
	before.lvt_timer |= 0xffff0000;
	before.id ^= 0xff000000;
	assert_status(state_set(HV_VP_STATE_LAPIC, &before, sizeof before, 22), INVALID_PARAMETER);
}

static void state_lists_are_checked(void **state)
{
	uint64_t far = ~0ull, hidden = FAKE_RAM_BYTES >> PAGE_SHIFT, overlay = FAKE_HYPERCALL_GPA >> PAGE_SHIFT;

	(void)state;
	assert_status(state_get(HV_VP_STATE_LAPIC, far, 0), INVALID_PARAMETER);
	assert_status(state_get(HV_VP_STATE_LAPIC, hidden, 0), INVALID_PARAMETER);
	assert_status(state_get(HV_VP_STATE_LAPIC, overlay, 0), INVALID_PARAMETER);		/* not writable */
	assert_status(state_set(HV_VP_STATE_LAPIC, &far, 8, 1), INVALID_PARAMETER);
	assert_status(state_get(0x80000002, 0, 0), INVALID_PARAMETER);
	assert_status(state_set(0, &far, 8, 0), INVALID_PARAMETER);
	assert_int_equal(vp->owned, VP_FREE);
}

static void timers_state_goes_round(void **state)
{
	struct hv_stimers_state timers;

	(void)state;
	assert_status(state_get(HV_VP_STATE_SYNTHETIC_TIMERS, 0, sizeof timers), SUCCESS);
	memcpy(&timers, blob, sizeof timers);
	timers.timer[1].config = 0x30000;
	timers.timer[1].count = 77;
	assert_status(state_set(HV_VP_STATE_SYNTHETIC_TIMERS, &timers, sizeof timers, 25), SUCCESS);
	assert_int_equal(vp->stimer[1].count, 77);
	assert_status(state_get(HV_VP_STATE_SYNTHETIC_TIMERS, 0, sizeof timers), SUCCESS);
	assert_memory_equal(blob, &timers, sizeof timers);
}

/* The hypervisor itself executes XRSTOR on this: no image may pass that makes it fault. */
static void fpu_images_are_checked(void **state)
{
	static uint8_t image[832];
	uint64_t page = caller_page(), *states = (uint64_t *)(image + 512);
	uint32_t *mxcsr = (uint32_t *)(image + 24);
	size_t bytes;
	uint8_t *now = arch->fpu_image(vp, &bytes);

	(void)state;
	*mxcsr = 0x1f80;
	*states = 7;
	image[600] = 0x42;
	assert_status(state_set(HV_VP_STATE_XSAVE, image, sizeof image, 104), SUCCESS);
	assert_memory_equal(now, image, sizeof image);
	assert_status(state_get(HV_VP_STATE_XSAVE, 0, sizeof image), SUCCESS);
	assert_memory_equal(blob, image, sizeof image);
	memcpy(platform_ptr(SPA(page << PAGE_SHIFT)), image, sizeof image);
	memset(now, 0, bytes);
	assert_status(state_set(HV_VP_STATE_XSAVE, &page, 8, 1), SUCCESS);
	assert_memory_equal(now, image, sizeof image);

	*mxcsr = 0x10000;
	assert_status(state_set(HV_VP_STATE_XSAVE, image, sizeof image, 104), INVALID_PARAMETER);
	*mxcsr = 0x1f80;
	*states = 8;
	assert_status(state_set(HV_VP_STATE_XSAVE, image, sizeof image, 104), INVALID_PARAMETER);
	*states = 7;
	for (unsigned i = 520; i < 576; i += 5) {
		image[i] = 1;
		assert_status(state_set(HV_VP_STATE_XSAVE, image, sizeof image, 104), INVALID_PARAMETER);
		image[i] = 0;
	}
	assert_int_equal(now[600], 0x42);
}

/* --- Memory through the VP's eyes ----------------------------------------------------------------------------------- */

static void translate_call(void **state)
{
	struct hv_input_translate_virtual_address in = { .partition_id = id, .control_flags = HV_TRANSLATE_VALIDATE_READ, .gva_page = 3 };
	struct hv_output_translate_virtual_address out;

	(void)state;
	assert_status(caller_simple(HVCALL_TRANSLATE_VIRTUAL_ADDRESS, &in, sizeof in, &out, sizeof out), SUCCESS);
	assert_int_equal(out.result_code, HV_TRANSLATE_SUCCESS);
	assert_int_equal(out.gpa_page, 3);
	in.gva_page = 0x77;
	assert_status(caller_simple(HVCALL_TRANSLATE_VIRTUAL_ADDRESS, &in, sizeof in, &out, sizeof out), SUCCESS);
	assert_int_equal(out.result_code, HV_TRANSLATE_GPA_UNMAPPED);
	in.control_flags = HV_TRANSLATE_PRIVILEGE_EXEMPT;
	assert_status(caller_simple(HVCALL_TRANSLATE_VIRTUAL_ADDRESS, &in, sizeof in, &out, sizeof out), INVALID_PARAMETER);
	in.control_flags = HV_TRANSLATE_VALIDATE_READ;
	in.gva_page = 1ull << 60;
	assert_status(caller_simple(HVCALL_TRANSLATE_VIRTUAL_ADDRESS, &in, sizeof in, &out, sizeof out), INVALID_PARAMETER);
	in.vp_index = 1;
	assert_status(caller_simple(HVCALL_TRANSLATE_VIRTUAL_ADDRESS, &in, sizeof in, &out, sizeof out), INVALID_VP_INDEX);
}

static void privilege_of_the_translation(void **state)
{
	struct hv_input_translate_virtual_address in = { .partition_id = id, .control_flags = HV_TRANSLATE_VALIDATE_READ };
	struct hv_output_translate_virtual_address out;
	uint64_t supervisor = 0x1003, large = 0x83;
	static const struct { unsigned cpl; uint64_t flags; uint32_t result; } rows[] = {
		{ 0, 0, HV_TRANSLATE_SUCCESS }, { 3, 0, HV_TRANSLATE_PRIVILEGE_VIOLATION },
		{ 3, HV_TRANSLATE_PRIVILEGE_EXEMPT, HV_TRANSLATE_SUCCESS }, { 3, 0x40, HV_TRANSLATE_SUCCESS },
		{ 0, 0x80, HV_TRANSLATE_PRIVILEGE_VIOLATION },
	};

	(void)state;
	assert_status(vp_register_set(vp, HV_REG_CR3, &(struct hv_u128){ 0x2000, 0 }), SUCCESS);
	assert_int_equal(gpa_write(p, GPA(0x2000), &supervisor, 8), GPA_DONE);
	assert_int_equal(gpa_write(p, GPA(0x1000), &large, 8), GPA_DONE);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		fake_long_mode(vp, rows[i].cpl);
		in.control_flags = HV_TRANSLATE_VALIDATE_READ | rows[i].flags;
		assert_status(caller_simple(HVCALL_TRANSLATE_VIRTUAL_ADDRESS, &in, sizeof in, &out, sizeof out), SUCCESS);
		assert_int_equal(out.result_code, rows[i].result);
	}
}

static void small_accesses(void **state)
{
	struct hv_input_write_gpa w = { .partition_id = id, .byte_count = 5, .gpa = 0x2ffb, .data = "hello" };
	struct hv_input_read_gpa r = { .partition_id = id, .byte_count = 5, .gpa = 0x2ffb };
	struct hv_output_read_gpa out;

	(void)state;
	assert_status(caller_simple(HVCALL_WRITE_GPA, &w, sizeof w, &out, 8), SUCCESS);
	assert_int_equal(out.result_code, 0);
	assert_status(caller_simple(HVCALL_READ_GPA, &r, sizeof r, &out, sizeof out), SUCCESS);
	assert_int_equal(out.result_code, 0);
	assert_memory_equal(out.data, "hello\0", 6);
	r.byte_count = 6;
	assert_status(caller_simple(HVCALL_READ_GPA, &r, sizeof r, &out, sizeof out), INVALID_PARAMETER);
	r.byte_count = 17;
	r.gpa = 0;
	assert_status(caller_simple(HVCALL_READ_GPA, &r, sizeof r, &out, sizeof out), INVALID_PARAMETER);
	r.byte_count = 0;
	assert_status(caller_simple(HVCALL_READ_GPA, &r, sizeof r, &out, sizeof out), INVALID_PARAMETER);
	r.byte_count = 8;
	r.gpa = 1ull << FAKE_PHYS_BITS;
	assert_status(caller_simple(HVCALL_READ_GPA, &r, sizeof r, &out, sizeof out), INVALID_PARAMETER);
	r.gpa = 0x100000;
	assert_status(caller_simple(HVCALL_READ_GPA, &r, sizeof r, &out, sizeof out), SUCCESS);
	assert_int_equal(out.result_code, 1);
	assert_status(caller_map(id, 4, HV_MAP_GPA_READABLE, &(uint64_t){ caller_page() }, 1, NULL), SUCCESS);
	w.gpa = 0x4000;
	assert_status(caller_simple(HVCALL_WRITE_GPA, &w, sizeof w, &out, 8), SUCCESS);
	assert_int_equal(out.result_code, 3);
	r.vp_index = 7;
	assert_status(caller_simple(HVCALL_READ_GPA, &r, sizeof r, &out, sizeof out), INVALID_VP_INDEX);
}

/* --- Interrupts, messages, events ----------------------------------------------------------------------------------- */

static enum hv_status assert_interrupt(uint64_t control, uint64_t destination, uint32_t vector)
{
	struct hv_input_assert_virtual_interrupt in = { .partition_id = id, .control = control, .destination = destination, .vector = vector };

	return caller_simple(HVCALL_ASSERT_VIRTUAL_INTERRUPT, &in, sizeof in, NULL, 0);
}

static void interrupts_are_asserted(void **state)
{
	(void)state;
	lapic_write(vp, 0xf0, 0x1ff);
	assert_status(assert_interrupt(HV_INTERRUPT_FIXED, 0, 0x61), SUCCESS);
	assert_int_equal(lapic_pending(vp), 0x61);
	assert_status(assert_interrupt(HV_INTERRUPT_FIXED | HV_INTERRUPT_CONTROL_LEVEL, 0, 0x91), SUCCESS);
	assert_int_equal(lapic_pending(vp), 0x91);
	assert_status(assert_interrupt(HV_INTERRUPT_NMI, 0, 0), SUCCESS);
	assert_int_equal(vp->nmi_pending, 1);
	assert_status(assert_interrupt(HV_INTERRUPT_SIPI, 0, 0x9a), SUCCESS);
	assert_int_equal(vp->sipi_pending, 0x19a);
	assert_status(assert_interrupt(HV_INTERRUPT_INIT, 0, 0), SUCCESS);
	assert_int_equal(vp->init_pending, 1);
	assert_status(assert_interrupt(HV_INTERRUPT_FIXED, 9, 0x61), INVALID_VP_INDEX);
	assert_status(assert_interrupt(HV_INTERRUPT_FIXED, 1ull << 32, 0x61), INVALID_VP_INDEX);
	assert_status(assert_interrupt(HV_INTERRUPT_FIXED, 0, 256), INVALID_PARAMETER);
	assert_status(assert_interrupt(HV_INTERRUPT_NMI, 0, 2), INVALID_PARAMETER);
	assert_status(assert_interrupt(HV_INTERRUPT_SMI, 0, 0), INVALID_PARAMETER);
	assert_status(assert_interrupt(9, 0, 0), INVALID_PARAMETER);
	assert_status(assert_interrupt(1ull << 34, 0, 0x61), INVALID_PARAMETER);
	assert_status(caller_partition(HVCALL_CLEAR_VIRTUAL_INTERRUPT, id), NOT_ACKNOWLEDGED);
}

static void synic_on(void)
{
	struct hv_u128 on = { 1, 0 }, simp = { 0x5001, 0 }, siefp = { 0x6001, 0 }, sint = { 0x51, 0 };

	assert_status(caller_set_register(id, 0, HV_REG_SCONTROL, on), SUCCESS);
	assert_status(caller_set_register(id, 0, HV_REG_SIMP, simp), SUCCESS);
	assert_status(caller_set_register(id, 0, HV_REG_SIEFP, siefp), SUCCESS);
	assert_status(caller_set_register(id, 0, HV_REG_SINT0 + 2, sint), SUCCESS);
	lapic_write(vp, 0xf0, 0x1ff);
}

static void messages_are_posted_directly(void **state)
{
	struct hv_input_post_message_direct in = { .partition_id = id, .sint = 2 };
	struct hv_message message = { .type = 1, .payload_bytes = 4, .sender = 9, .payload = "abc" }, got;

	(void)state;
	memcpy(in.message, &message, sizeof message);
	assert_status(caller_simple(HVCALL_POST_MESSAGE_DIRECT, &in, sizeof in, NULL, 0), INVALID_SYNIC_STATE);
	synic_on();
	assert_status(caller_simple(HVCALL_POST_MESSAGE_DIRECT, &in, sizeof in, NULL, 0), SUCCESS);
	assert_int_equal(gpa_read(p, GPA(0x5200), &got, sizeof got), GPA_DONE);
	assert_int_equal(got.type, 1);
	assert_string_equal((char *)got.payload, "abc");
	assert_int_equal(lapic_pending(vp), 0x51);
	for (unsigned i = 0; i < SYNIC_QUEUE_MAX; i++)
		assert_status(caller_simple(HVCALL_POST_MESSAGE_DIRECT, &in, sizeof in, NULL, 0), SUCCESS);
	assert_status(caller_simple(HVCALL_POST_MESSAGE_DIRECT, &in, sizeof in, NULL, 0), INSUFFICIENT_BUFFERS);
	in.sint = 16;
	assert_status(caller_simple(HVCALL_POST_MESSAGE_DIRECT, &in, sizeof in, NULL, 0), INVALID_PARAMETER);
	in.sint = 2;
	in.vtl = 1;
	assert_status(caller_simple(HVCALL_POST_MESSAGE_DIRECT, &in, sizeof in, NULL, 0), INVALID_PARAMETER);
	in.vtl = 0;
	in.message[4] = 241;
	assert_status(caller_simple(HVCALL_POST_MESSAGE_DIRECT, &in, sizeof in, NULL, 0), INVALID_PARAMETER);
	in.message[4] = 4;
	in.message[0] = 0;
	assert_status(caller_simple(HVCALL_POST_MESSAGE_DIRECT, &in, sizeof in, NULL, 0), INVALID_PARAMETER);
	in.vp_index = 1;
	assert_status(caller_simple(HVCALL_POST_MESSAGE_DIRECT, &in, sizeof in, NULL, 0), INVALID_VP_INDEX);
}

static void events_are_signalled_directly(void **state)
{
	struct hv_input_signal_event_direct in = { .partition_id = id, .sint = 2, .flag = 100 };
	struct hv_output_signal_event_direct out;
	uint64_t flags[32];

	(void)state;
	assert_status(caller_simple(HVCALL_SIGNAL_EVENT_DIRECT, &in, sizeof in, &out, sizeof out), INVALID_SYNIC_STATE);
	synic_on();
	assert_status(caller_simple(HVCALL_SIGNAL_EVENT_DIRECT, &in, sizeof in, &out, sizeof out), SUCCESS);
	assert_int_equal(out.newly_signaled, 1);
	assert_status(caller_simple(HVCALL_SIGNAL_EVENT_DIRECT, &in, sizeof in, &out, sizeof out), SUCCESS);
	assert_int_equal(out.newly_signaled, 0);
	assert_int_equal(gpa_read(p, GPA(0x6000 + 2 * 256), flags, sizeof flags), GPA_DONE);
	assert_int_equal(flags[1], 1ull << 36);
	in.flag = 2048;
	assert_status(caller_simple(HVCALL_SIGNAL_EVENT_DIRECT, &in, sizeof in, &out, sizeof out), INVALID_PARAMETER);
	in.flag = 0;
	in.sint = 16;
	assert_status(caller_simple(HVCALL_SIGNAL_EVENT_DIRECT, &in, sizeof in, &out, sizeof out), INVALID_PARAMETER);
}

/* --- Running -------------------------------------------------------------------------------------------------------- */

static unsigned entries;

/* Asks for its own id until the parent has given it the privilege, then halts. */
static void guest_calls_then_halts(struct vp *v, struct vp_exit *out_exit)
{
	out_exit->insn_len = 3;
	if (entries++ && v->gpr[0] == 0) {
		out_exit->kind = EXIT_HALT;
		out_exit->insn_len = 1;
		return;
	}
	v->gpr[1] = HVCALL_GET_PARTITION_ID;
	v->gpr[2] = 0;
	v->gpr[8] = 0x1000;
	out_exit->kind = EXIT_HYPERCALL;
}

static void guest_reads_a_port(struct vp *v, struct vp_exit *out_exit)
{
	(void)v;
	out_exit->kind = EXIT_IO;
	out_exit->insn_len = 1;
	out_exit->io.port = 0x3f8;
	out_exit->io.size = 1;
	out_exit->io.in = true;
}

static void dispatch_runs_until_something_happens(void **state)
{
	struct hv_output_dispatch_vp out;
	uint64_t own = 0, page;
	const struct hv_message *message;

	(void)state;
	assert_status(caller_dispatch(id, 0, 0, &out), SUCCESS);
	assert_int_equal(out.dispatch_event, HV_DISPATCH_EVENT_SUSPEND);	/* a new VP is suspended */
	caller_make_caller(id, 0);
	p->privileges |= HV_PRIV_PARTITION_ID;
	assert_status(caller_set_register(id, 0, HV_REG_EXPLICIT_SUSPEND, (struct hv_u128){ 0, 0 }), SUCCESS);
	entries = 0;
	fake_set_guest(guest_calls_then_halts);
	vp->rip = 0x100;
	assert_status(caller_dispatch(id, 0, 0, &out), SUCCESS);
	assert_int_equal(out.dispatch_state, HV_DISPATCH_STATE_BLOCKED);
	assert_int_equal(out.dispatch_event, HV_DISPATCH_EVENT_NONE);
	assert_int_equal(entries, 2);
	assert_int_equal(vp->rip, 0x104);
	/* A child's call inside its parent's: each had its own private pages. */
	assert_int_equal(gpa_read(p, GPA(0x1000), &own, 8), GPA_DONE);
	assert_int_equal(own, id);

	assert_status(state_page(HVCALL_MAP_VP_STATE_PAGE, HV_VP_STATE_PAGE_INTERCEPT_MESSAGE, &page), SUCCESS);
	message = platform_ptr(SPA(page << PAGE_SHIFT));
	fake_set_guest(guest_reads_a_port);
	vp->activity = VP_ACTIVE;
	assert_status(caller_dispatch(id, 0, 0, &out), SUCCESS);
	assert_int_equal(out.dispatch_event, HV_DISPATCH_EVENT_INTERCEPT);
	assert_int_equal(message->type, HV_MESSAGE_IO_PORT);
	assert_int_equal(vp->intercept_suspend, 1);
	assert_int_equal(vp->stats[HV_STATS_VP_INTERCEPTS], 1);
	assert_status(caller_dispatch(id, 0, 0x80, &out), INVALID_PARAMETER);
	assert_status(caller_dispatch(id, 1, 0, &out), INVALID_VP_INDEX);
	assert_int_equal(vp->owned, VP_FREE);
}

static void suspension_is_seen_by_who_dispatches(void **state)
{
	struct hv_output_dispatch_vp out;

	(void)state;
	assert_status(caller_set_register(id, 0, HV_REG_EXPLICIT_SUSPEND, (struct hv_u128){ 0, 0 }), SUCCESS);
	assert_status(caller_set_property(id, HV_PROPERTY_SUSPEND, 1), SUCCESS);
	assert_status(caller_dispatch(id, 0, 0, &out), SUCCESS);
	assert_int_equal(out.dispatch_event, HV_DISPATCH_EVENT_SUSPEND);
	assert_status(caller_set_property(id, HV_PROPERTY_SUSPEND, 0), SUCCESS);
	assert_int_equal(vp->root_signal_count, 1);		/* it can go on, and the parent is told */
	fake_set_guest(guest_reads_a_port);
	assert_status(caller_dispatch(id, 0, 0, &out), SUCCESS);
	assert_int_equal(out.dispatch_event, HV_DISPATCH_EVENT_INTERCEPT);
	assert_status(caller_dispatch(id, 0, 0, &out), SUCCESS);
	assert_int_equal(out.dispatch_event, HV_DISPATCH_EVENT_INTERCEPT);	/* still */
	assert_status(caller_set_register(id, 0, HV_REG_EXPLICIT_SUSPEND, (struct hv_u128){ 1, 0 }), SUCCESS);
	assert_status(caller_dispatch(id, 0, HV_DISPATCH_FLAG_CLEAR_INTERCEPT_SUSPEND, &out), SUCCESS);
	assert_int_equal(out.dispatch_event, HV_DISPATCH_EVENT_SUSPEND);
	assert_int_equal(vp->intercept_suspend, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, caller_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(state_pages_come_and_go),
		TEST(lapic_state_goes_round),
		TEST(state_lists_are_checked),
		TEST(timers_state_goes_round),
		TEST(fpu_images_are_checked),
		TEST(translate_call),
		TEST(privilege_of_the_translation),
		TEST(small_accesses),
		TEST(interrupts_are_asserted),
		TEST(messages_are_posted_directly),
		TEST(events_are_signalled_directly),
		TEST(dispatch_runs_until_something_happens),
		TEST(suspension_is_seen_by_who_dispatches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
