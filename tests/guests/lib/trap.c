/* SPDX-License-Identifier: Apache-2.0 */
#include "trap.h"

#include "layout.h"
#include "memory.h"
#include "verdict.h"
#include "x86.h"

#define GATE_INTERRUPT 0x8e00u
#define GATE_USER      0x6000u			/* DPL 3 */
#define TSS_AVAILABLE  0x890000000000ull
#define TRAP_BYTES     16u
#define PIC1_MASK      0x21u
#define PIC2_MASK      0xa1u

struct gate {
	uint16_t offset_low, selector, attributes, offset_middle;
	uint32_t offset_high, rsvd;
};

struct tss {
	uint32_t rsvd;
	uint32_t rsp0[2];
	uint32_t other[22];
	uint16_t rsvd2, io_map;
};
_Static_assert(sizeof(struct tss) == 104, "size of the task state segment");

struct fixup {
	uint64_t from, to;
};

extern const struct fixup _fixups[], _fixups_end[];
extern const uint8_t trap_stubs[];
extern uint64_t boot_gdt[];
void user_return(void);
void trap_dispatch(struct trap_frame *frame);

static struct gate idt[256];
static struct tss tss;
static uint8_t user_trap_stack[STACK_BYTES] __attribute__((aligned(16)));
static trap_handler handlers[256];

static void gate_set(unsigned vector, const void *handler, uint16_t attributes)
{
	uint64_t offset = (uint64_t)handler;

	idt[vector] = (struct gate){
		.offset_low = (uint16_t)offset, .selector = SELECTOR_CODE_64, .attributes = attributes,
		.offset_middle = (uint16_t)(offset >> 16), .offset_high = (uint32_t)(offset >> 32),
	};
}

static void tss_load(void)
{
	uint64_t base = (uint64_t)&tss, stack = (uint64_t)(user_trap_stack + sizeof user_trap_stack);
	uint64_t *descriptor = &boot_gdt[SELECTOR_TSS / 8];

	tss.rsp0[0] = (uint32_t)stack;
	tss.rsp0[1] = (uint32_t)(stack >> 32);
	tss.io_map = sizeof tss;		/* no port is open to ring 3 */
	descriptor[0] = (sizeof tss - 1) | (base & 0xffffff) << 16 | TSS_AVAILABLE | (base >> 24 & 0xff) << 56;
	descriptor[1] = base >> 32;
	__asm__ volatile("ltr %w0" : : "r"(SELECTOR_TSS) : "memory");
}

void trap_init_ap(void)
{
	const struct table_pointer pointer = { sizeof idt - 1, (uint64_t)idt };

	load_idt(&pointer);
}

void trap_init(void)
{
	for (unsigned vector = 0; vector < 256; vector++)
		gate_set(vector, trap_stubs + TRAP_BYTES * vector, GATE_INTERRUPT);
	gate_set(VECTOR_USER_RETURN, (const void *)user_return, GATE_INTERRUPT | GATE_USER);
	trap_init_ap();
	tss_load();
	/* A plain machine's 8259s would interrupt on the vectors of exceptions. */
	out8(PIC1_MASK, 0xff);
	out8(PIC2_MASK, 0xff);
}

void trap_set_handler(uint8_t vector, trap_handler handler)
{
	__atomic_store_n(&handlers[vector], handler, __ATOMIC_RELEASE);
}

static bool fix_up(struct trap_frame *frame)
{
	for (const struct fixup *f = _fixups; f < _fixups_end; f++) {
		if (f->from != frame->rip)
			continue;
		frame->rip = f->to;
		frame->rsi = TRAPPED | frame->vector | frame->error << 32;
		return true;
	}
	return false;
}

void trap_dispatch(struct trap_frame *frame)
{
	trap_handler handler = __atomic_load_n(&handlers[frame->vector & 0xff], __ATOMIC_ACQUIRE);
	uint64_t cr2;

	if (frame->vector < 32 && fix_up(frame))
		return;
	if (handler) {
		handler(frame);
		return;
	}
	__asm__ volatile("movq %%cr2, %0" : "=r"(cr2));
	if (frame->vector < 32)
		verdict_end(VERDICT_FAIL, "%s: exception %llu, error code %llx, at %llx, cr2 %llx", verdict_test(),
			    (unsigned long long)frame->vector, (unsigned long long)frame->error,
			    (unsigned long long)frame->rip, (unsigned long long)cr2);
	verdict_end(VERDICT_FAIL, "%s: nobody asked for the interrupt on vector %llx", verdict_test(),
		    (unsigned long long)frame->vector);
}
