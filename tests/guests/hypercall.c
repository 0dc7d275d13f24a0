/* SPDX-License-Identifier: Apache-2.0 */
/* The hypercall page and the calls of a child. TLFS web, "Hypercall Interface". */
#include "hv/hv_cpuid.h"
#include "hv/hv_hypercall.h"
#include "hv/hv_msr.h"
#include "hv/hv_status.h"
#include "lib/bootinfo.h"
#include "lib/hypercall.h"
#include "lib/memory.h"
#include "lib/synthetic.h"
#include "lib/trap.h"
#include "lib/verdict.h"
#include "lib/x86.h"

#define ENDBR64       0xfa1e0ff3u
#define OPCODE_AT     4u
#define RET_AT        7u
#define RET           0xc3u
#define VMMCALL       0xd9010fu
#define VMCALL        0xc1010fu
#define VENDOR_AMD    0x68747541u	/* "Auth" */
#define VENDOR_HYGON  0x6f677948u	/* "Hygo" */
#define PAGE_BYTES    4096u
#define OLD_BYTE      0x3c
#define NOBODY        0x00abcdefull	/* a connection id that is nobody's */
#define REP(n)        ((uint64_t)(n) << HC_REP_COUNT_SHIFT)
#define START(n)      ((uint64_t)(n) << HC_REP_START_SHIFT)
#define TRAP_FLAG     0x100ull

/* Layout as hypercall_entry.S has it. */
struct compat_registers {
	uint32_t eax, ebx, ecx, edx, esi, edi;
};
void compat_call(struct compat_registers *registers, const void *page);
extern const uint8_t user_direct[], user_page[], user_page_back[];
extern uint64_t user_target;

static uint8_t input[2 * PAGE_BYTES] __attribute__((aligned(4096)));
static uint8_t output[PAGE_BYTES] __attribute__((aligned(4096)));
static uint8_t user_stack[PAGE_BYTES] __attribute__((aligned(16)));
static uint64_t trap_rip;
static bool stepped_behind_call;

static bool offered(void)
{
	return synthetic_has(HV_PRIV_HYPERCALL_MSRS);
}

static bool is_amd(void)
{
	uint32_t vendor = cpuid(0, 0).ebx;

	return vendor == VENDOR_AMD || vendor == VENDOR_HYGON;
}

static uint64_t call(uint64_t control)
{
	return hypercall(control, (uint64_t)input, (uint64_t)output);
}

static void enabling(void)
{
	uint64_t page = (uint64_t)hypercall_page();

	if (!offered())
		SKIP("no hypercalls");
	memset((void *)page, OLD_BYTE, PAGE_BYTES);
	wrmsr(HV_MSR_GUEST_OS_ID, 0);
	EXPECT_EQ(wrmsr_trap(HV_MSR_HYPERCALL, page | HV_MSR_PAGE_ENABLE), 0, "enabling without an identity");
	EXPECT_EQ(rdmsr(HV_MSR_HYPERCALL), page, "HYPERCALL without an identity");
	EXPECT_EQ(*(const uint8_t *)page, OLD_BYTE, "the page's first byte");
	EXPECT_EQ(hypercall_enable(), page | HV_MSR_PAGE_ENABLE, "HYPERCALL");
	wrmsr(HV_MSR_GUEST_OS_ID, 0);
	EXPECT_EQ(rdmsr(HV_MSR_HYPERCALL), page, "HYPERCALL after the identity was taken back");
	EXPECT_EQ(*(const uint8_t *)page, OLD_BYTE, "the page's first byte then");
	/* The last thing that a kernel does before it starts another one. */
	EXPECT_EQ(wrmsr_trap(HV_MSR_HYPERCALL, page), 0, "writing HYPERCALL without an identity");
}

static void content(void)
{
	const uint8_t *page = hypercall_page();

	if (!offered())
		SKIP("no hypercalls");
	(void)hypercall_enable();
	EXPECT_EQ(load32(page), ENDBR64, "the page's first instruction");
	EXPECT_EQ(load32(page + OPCODE_AT) & 0xffffff, is_amd() ? VMMCALL : VMCALL, "the page's call");
	EXPECT_EQ(page[RET_AT], RET, "the page's return");
}

static void overlay(void)
{
	uint8_t *page = (uint8_t *)hypercall_page();

	if (!offered())
		SKIP("no hypercalls");
	hypercall_disable();
	memset(page, OLD_BYTE, PAGE_BYTES);
	memset(output, OLD_BYTE, PAGE_BYTES);
	(void)hypercall_enable();
	for (unsigned i = 0; i < PAGE_BYTES; i++)
		EXPECT(page[i] != OLD_BYTE, "byte %u of the page is the guest's own", i);
	wrmsr(HV_MSR_HYPERCALL, (uint64_t)output | HV_MSR_PAGE_ENABLE);
	EXPECT_EQ(page[0], OLD_BYTE, "the old place, after the page was moved,");
	EXPECT_EQ(load32(output), ENDBR64, "the new place");
	wrmsr(HV_MSR_HYPERCALL, (uint64_t)output);
	for (unsigned i = 0; i < PAGE_BYTES; i++)
		EXPECT(output[i] == OLD_BYTE && page[i] == OLD_BYTE, "byte %u under the page has changed", i);
	(void)hypercall_enable();
}

static void read_only(void)
{
	uint8_t *page = (uint8_t *)hypercall_page();

	if (!offered())
		SKIP("no hypercalls");
	(void)hypercall_enable();
	EXPECT_EQ(write64_trap(page, 0), TRAP_GP, "writing the page's first bytes");
	EXPECT_EQ(write64_trap(page + PAGE_BYTES - 8, 0), TRAP_GP, "writing the page's last bytes");
	EXPECT_EQ(load32(page), ENDBR64, "the first instruction afterwards");
}

static void place(void)
{
	unsigned bits = cpuid(0x80000008, 0).eax & 0xff;
	uint64_t before;

	if (!offered())
		SKIP("no hypercalls");
	before = hypercall_enable();
	EXPECT_EQ(wrmsr_trap(HV_MSR_HYPERCALL, 1ull << bits | HV_MSR_PAGE_ENABLE), TRAP_GP, "a page beyond all addresses");
	EXPECT_EQ(rdmsr(HV_MSR_HYPERCALL), before, "HYPERCALL after a refusal");
	EXPECT_EQ(call(0), HV_STATUS_INVALID_HYPERCALL_CODE, "a call after a refusal");
}

static void disabled(void)
{
	uint64_t result;

	if (!offered() || !is_amd())
		SKIP("needs hypercalls, and VMMCALL");
	(void)hypercall_enable();
	EXPECT_EQ(vmmcall_trap(0, &result), 0, "VMMCALL while the page is enabled");
	EXPECT_EQ(result, HV_STATUS_INVALID_HYPERCALL_CODE, "its result");
	wrmsr(HV_MSR_HYPERCALL, 0);
	EXPECT_EQ(vmmcall_trap(0, &result), TRAP_UD, "VMMCALL while the page is disabled");
	hypercall_disable();
	EXPECT_EQ(vmmcall_trap(0, &result), TRAP_UD, "VMMCALL without an identity");
	(void)hypercall_enable();
}

static void ud_in_page(struct trap_frame *frame)
{
	trap_rip = frame->rip;
	frame->rip = (uint64_t)user_page_back;
	frame->rsi = TRAPPED | frame->vector;
}

static void ring_3(void)
{
	if (!offered() || !is_amd())
		SKIP("needs hypercalls, and VMMCALL");
	(void)hypercall_enable();
	EXPECT_EQ(user_run(user_direct, user_stack + sizeof user_stack), TRAP_UD, "VMMCALL in ring 3");
	user_target = (uint64_t)hypercall_page();
	trap_set_handler(6, ud_in_page);
	EXPECT_EQ(user_run(user_page, user_stack + sizeof user_stack), TRAP_UD, "the page in ring 3");
	trap_set_handler(6, 0);
	EXPECT_EQ(trap_rip, (uint64_t)hypercall_page() + OPCODE_AT, "where it faulted");
	EXPECT_EQ(call(0), HV_STATUS_INVALID_HYPERCALL_CODE, "a call in ring 0 afterwards");
}

static void unknown_codes(void)
{
	static const uint64_t controls[] = { 0, 0x3f, 0x7fff, 0x8001, 0x8004, 0xffff, 0x10000, 0x1ffff };

	if (!offered())
		SKIP("no hypercalls");
	(void)hypercall_enable();
	for (unsigned i = 0; i < sizeof controls / sizeof controls[0]; i++)
		EXPECT_EQ(call(controls[i]), HV_STATUS_INVALID_HYPERCALL_CODE, "an unknown call");
	/* The code is looked at first: guests probe with all sorts of control words. */
	EXPECT_EQ(call(REP(1) | START(7) | 0x7fff), HV_STATUS_INVALID_HYPERCALL_CODE, "an unknown call with a repeat count");
	EXPECT_EQ(hypercall(0x7fff, 3, 5), HV_STATUS_INVALID_HYPERCALL_CODE, "an unknown call with odd addresses");
}

static void control_words(void)
{
	static const uint64_t wrong[] = {
		REP(1) | HVCALL_POST_MESSAGE, START(1) | HVCALL_POST_MESSAGE, 0x000000000800005cull, 0x000000004000005cull,
		0x000010000000005cull, 0x000080000000005cull, 0x100000000000005cull, 0x800000000000005cull,
		0x000000000002005cull, 0x000000008000005cull, HC_FAST_FLAG | HVCALL_POST_MESSAGE,
		REP(1) | HC_FAST_FLAG | HVCALL_SIGNAL_EVENT, 0x000000000803005dull,
	};

	if (!synthetic_has(HV_PRIV_HYPERCALL_MSRS | HV_PRIV_POST_MESSAGES | HV_PRIV_SIGNAL_EVENTS))
		SKIP("no messages and events");
	(void)hypercall_enable();
	for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		EXPECT(call(wrong[i]) == HV_STATUS_INVALID_HYPERCALL_INPUT, "control word %llx was not refused with status 3",
		       (unsigned long long)wrong[i]);
}

static void addresses(void)
{
	const uint64_t in = (uint64_t)input;

	if (!synthetic_has(HV_PRIV_HYPERCALL_MSRS | HV_PRIV_POST_MESSAGES))
		SKIP("no messages");
	(void)hypercall_enable();
	memset(input, 0, sizeof input);
	for (unsigned shift = 1; shift < 8; shift++)
		EXPECT_EQ(hypercall(HVCALL_POST_MESSAGE, in + shift, 0), HV_STATUS_INVALID_ALIGNMENT, "an unaligned input");
	EXPECT_EQ(hypercall(HVCALL_POST_MESSAGE, in + PAGE_BYTES - 8, 0), HV_STATUS_INVALID_ALIGNMENT,
		  "an input across the end of a page");
	EXPECT_EQ(hypercall(HVCALL_POST_MESSAGE, ~7ull, 0), HV_STATUS_INVALID_ALIGNMENT, "an input beyond all addresses");
	EXPECT_EQ(hypercall(HVCALL_POST_MESSAGE, (bootinfo.ram_end + 0xfff) & ~0xfffull, 0), HV_STATUS_INVALID_ALIGNMENT,
		  "an input behind the RAM");
}

static struct hv_input_post_message *message(void)
{
	struct hv_input_post_message *m = (struct hv_input_post_message *)input;

	memset(input, 0, sizeof input);
	m->connection_id = NOBODY;
	m->message_type = 1;
	m->payload_bytes = 16;
	return m;
}

static void post_message(void)
{
	const uint64_t in = (uint64_t)input;

	if (!synthetic_has(HV_PRIV_HYPERCALL_MSRS | HV_PRIV_POST_MESSAGES))
		SKIP("no messages");
	(void)hypercall_enable();
	(void)message();
	/* There is no output: its address may be anything. */
	EXPECT_EQ(hypercall(HVCALL_POST_MESSAGE, in, 0x1234567), HV_STATUS_INVALID_CONNECTION_ID, "a message to nobody");
	message()->payload_bytes = 241;
	EXPECT_EQ(hypercall(HVCALL_POST_MESSAGE, in, 0), HV_STATUS_INVALID_PARAMETER, "241 bytes of payload");
	message()->payload_bytes = ~0u;
	EXPECT_EQ(hypercall(HVCALL_POST_MESSAGE, in, 0), HV_STATUS_INVALID_PARAMETER, "4 GiB of payload");
	message()->message_type = 0x80000001;
	EXPECT_EQ(hypercall(HVCALL_POST_MESSAGE, in, 0), HV_STATUS_INVALID_PARAMETER, "a message of the hypervisor's type");
	message()->message_type = 0;
	EXPECT_EQ(hypercall(HVCALL_POST_MESSAGE, in, 0), HV_STATUS_INVALID_PARAMETER, "a message of type 0");
}

static void signal_event(void)
{
	struct hv_input_signal_event *event = (struct hv_input_signal_event *)input;

	if (!synthetic_has(HV_PRIV_HYPERCALL_MSRS | HV_PRIV_SIGNAL_EVENTS))
		SKIP("no events");
	(void)hypercall_enable();
	memset(input, 0, sizeof input);
	event->connection_id = NOBODY;
	EXPECT_EQ(hypercall(HVCALL_SIGNAL_EVENT, (uint64_t)input, 1), HV_STATUS_INVALID_CONNECTION_ID, "an event to nobody");
	EXPECT_EQ(hypercall(HC_FAST_FLAG | HVCALL_SIGNAL_EVENT, NOBODY, 0x13579bd), HV_STATUS_INVALID_CONNECTION_ID,
		  "a fast event to nobody");
	EXPECT_EQ(hypercall(HVCALL_SIGNAL_EVENT, (uint64_t)input + 4, 0), HV_STATUS_INVALID_ALIGNMENT, "an unaligned event");
}

static void parents_calls(void)
{
	static const struct {
		uint16_t code;
		bool rep;
	} calls[] = {
		{ HVCALL_CREATE_PARTITION, false }, { HVCALL_INITIALIZE_PARTITION, false }, { HVCALL_FINALIZE_PARTITION, false },
		{ HVCALL_DELETE_PARTITION, false }, { HVCALL_GET_PARTITION_PROPERTY, false },
		{ HVCALL_SET_PARTITION_PROPERTY, false }, { HVCALL_GET_PARTITION_ID, false },
		{ HVCALL_GET_NEXT_CHILD_PARTITION, false }, { HVCALL_DEPOSIT_MEMORY, true }, { HVCALL_WITHDRAW_MEMORY, true },
		{ HVCALL_GET_MEMORY_BALANCE, false }, { HVCALL_MAP_GPA_PAGES, true }, { HVCALL_UNMAP_GPA_PAGES, true },
		{ HVCALL_INSTALL_INTERCEPT, false }, { HVCALL_CREATE_VP, false }, { HVCALL_DELETE_VP, false },
		{ HVCALL_CREATE_PORT, false }, { HVCALL_DELETE_PORT, false }, { HVCALL_CONNECT_PORT, false },
		{ HVCALL_DISCONNECT_PORT, false },
		{ HVCALL_GET_VP_REGISTERS, true }, { HVCALL_SET_VP_REGISTERS, true }, { HVCALL_TRANSLATE_VIRTUAL_ADDRESS, false },
		{ HVCALL_READ_GPA, false }, { HVCALL_WRITE_GPA, false }, { HVCALL_CLEAR_VIRTUAL_INTERRUPT, false },
		{ HVCALL_MAP_STATS_PAGE, false }, { HVCALL_UNMAP_STATS_PAGE, false }, { HVCALL_GET_SYSTEM_PROPERTY, false },
		{ HVCALL_ASSERT_VIRTUAL_INTERRUPT, false }, { HVCALL_SIGNAL_EVENT_DIRECT, false },
		{ HVCALL_POST_MESSAGE_DIRECT, false }, { HVCALL_DISPATCH_VP, false }, { HVCALL_MAP_VP_STATE_PAGE, false },
		{ HVCALL_UNMAP_VP_STATE_PAGE, false }, { HVCALL_GET_VP_STATE, false }, { HVCALL_SET_VP_STATE, false },
	};
	static const uint64_t ids[] = { 0, 1, 2, 3, ~0ull };	/* nobody, the root, this child or another, oneself */

	if (!offered())
		SKIP("no hypercalls");
	(void)hypercall_enable();
	memset(output, OLD_BYTE, sizeof output);
	for (unsigned i = 0; i < sizeof calls / sizeof calls[0]; i++) {
		for (unsigned j = 0; j < sizeof ids / sizeof ids[0]; j++) {
			uint64_t control = calls[i].code | (calls[i].rep ? REP(1) : 0);

			memset(input, 0, sizeof input);
			memcpy(input, &ids[j], sizeof ids[j]);
			EXPECT((call(control) & 0xffff) == HV_STATUS_ACCESS_DENIED, "call %x was not denied for partition %llx",
			       calls[i].code, (unsigned long long)ids[j]);
		}
	}
	for (unsigned i = 0; i < PAGE_BYTES; i++)
		EXPECT(output[i] == OLD_BYTE, "a denied call wrote byte %u of its output", i);
}

static void hinted_calls(void)
{
	uint32_t hints = cpuid(HV_CPUID_ENLIGHTENMENT, 0).eax;

	if (!offered())
		SKIP("no hypercalls");
	(void)hypercall_enable();
	if (hints & 1u << 2)
		EXPECT(call(0x0002) != HV_STATUS_INVALID_HYPERCALL_CODE, "remote flushes are recommended, but there are none");
	if (hints & 1u << 10)
		EXPECT(call(0x000b) != HV_STATUS_INVALID_HYPERCALL_CODE, "cluster IPIs are recommended, but there are none");
}

static void compatibility_mode(void)
{
	const uint32_t in = (uint32_t)(uintptr_t)input;
	struct compat_registers r = { .eax = 0x7fff, .ebx = 0, .ecx = in, .edx = 0, .esi = 0x11, .edi = 0x22 };

	if (!synthetic_has(HV_PRIV_HYPERCALL_MSRS | HV_PRIV_SIGNAL_EVENTS))
		SKIP("no events");
	(void)hypercall_enable();
	compat_call(&r, hypercall_page());
	EXPECT_EQ((uint64_t)r.edx << 32 | r.eax, HV_STATUS_INVALID_HYPERCALL_CODE, "an unknown call from 32-bit code");
	r = (struct compat_registers){ .eax = HC_FAST_FLAG | HVCALL_SIGNAL_EVENT, .ebx = 0, .ecx = NOBODY, .esi = 0x33 };
	compat_call(&r, hypercall_page());
	EXPECT_EQ((uint64_t)r.edx << 32 | r.eax, HV_STATUS_INVALID_CONNECTION_ID, "a fast event from 32-bit code");
	EXPECT_EQ(r.ecx, NOBODY, "ECX afterwards");
	EXPECT_EQ(r.esi, 0x33, "ESI afterwards");
	r = (struct compat_registers){ .eax = HVCALL_SIGNAL_EVENT, .edx = 1, .ecx = in };
	compat_call(&r, hypercall_page());
	EXPECT_EQ((uint64_t)r.edx << 32 | r.eax, HV_STATUS_INVALID_HYPERCALL_INPUT, "a repeat count in EDX");
}

static void step(struct trap_frame *frame)
{
	if (frame->rip == (uint64_t)hypercall_page() + RET_AT)
		stepped_behind_call = true;
}

static void single_step(void)
{
	struct hypercall_registers r = { .rcx = 0x7fff, .rflags = TRAP_FLAG | 2 };

	if (!offered())
		SKIP("no hypercalls");
	(void)hypercall_enable();
	stepped_behind_call = false;
	trap_set_handler(1, step);
	hypercall_enter(&r, hypercall_page());
	__asm__ volatile("pushfq\n\tandq $~0x100, (%%rsp)\n\tpopfq" : : : "memory", "cc");
	trap_set_handler(1, 0);
	EXPECT_EQ(r.rax, HV_STATUS_INVALID_HYPERCALL_CODE, "the result");
	EXPECT(stepped_behind_call, "no single step behind the call");
}

const struct guest_test guest_tests[] = {
	{ "the page needs an identity", enabling },
	{ "the page holds ENDBR64, the vendor's call, RET", content },
	{ "the page lies over the guest's own, which comes back", overlay },
	{ "the page cannot be written", read_only },
	{ "the page cannot lie anywhere", place },
	{ "without a page VMMCALL is an invalid opcode", disabled },
	{ "ring 3 cannot call", ring_3 },
	{ "unknown codes are status 2 before anything else", unknown_codes },
	{ "wrong control words are status 3", control_words },
	{ "wrong addresses are status 4", addresses },
	{ "PostMessage checks its input", post_message },
	{ "SignalEvent checks its input", signal_event },
	{ "a parent's calls are denied to a child", parents_calls },
	{ "what is recommended is there", hinted_calls },
	{ "32-bit code has a convention of its own", compatibility_mode },
	{ "a single step ends behind the call", single_step },
	{ 0 },
};
