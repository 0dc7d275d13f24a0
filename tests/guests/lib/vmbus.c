/* SPDX-License-Identifier: Apache-2.0 */
#include "vmbus.h"

#include "bootinfo.h"
#include "clock.h"
#include "hv/hv_cpuid.h"
#include "hv/hv_hypercall.h"
#include "hv/hv_msr.h"
#include "hv/hv_status.h"
#include "hv/hv_synic.h"
#include "hypercall.h"
#include "lapic.h"
#include "memory.h"
#include "synthetic.h"
#include "trap.h"
#include "verdict.h"
#include "x86.h"

#define VECTOR_BUS    0x61u
#define VECTOR_TICK   0x62u
#define TICK          CLOCK_MS
#define POOL_PAGES    1536u
#define FLAG_WORDS    (HV_EVENT_FLAGS_PER_SINT / 64)
#define STATUS_MASK   0xffffu

static struct hv_message slots[HV_SINT_COUNT] __attribute__((aligned(4096)));
static uint64_t flags[HV_SINT_COUNT][FLAG_WORDS] __attribute__((aligned(4096)));
static struct hv_input_post_message input __attribute__((aligned(4096)));
static uint8_t pool[POOL_PAGES][4096] __attribute__((aligned(4096)));
static unsigned pool_used;
static volatile unsigned interrupts;
static uint64_t patience = VMBUS_PATIENCE, wait_began;
static bool is_on;

static void on_bus(struct trap_frame *frame)
{
	interrupts++;
	lapic_eoi();
}

static void on_tick(struct trap_frame *frame)
{
	lapic_eoi();
}

static int post_message(void *context, uint32_t connection, const void *payload, uint32_t bytes)
{
	uint64_t status;

	memset(&input, 0, sizeof input);
	input.connection_id = connection;
	input.message_type = VMBUS_MESSAGE_TYPE;
	input.payload_bytes = bytes;
	if (bytes > sizeof input.payload)
		return VSC_INVALID;
	memcpy(input.payload, payload, bytes);
	status = hypercall(HVCALL_POST_MESSAGE, (uint64_t)&input, 0) & STATUS_MASK;
	if (status == HV_STATUS_INSUFFICIENT_BUFFERS || status == HV_STATUS_INSUFFICIENT_MEMORY)
		return VSC_FULL;
	return status == HV_STATUS_SUCCESS ? VSC_OK : VSC_REFUSED;
}

static void signal_event(void *context, uint32_t connection)
{
	(void)hypercall(HC_FAST_FLAG | HVCALL_SIGNAL_EVENT, connection, 0);
}

static bool take_message(void *context, uint8_t message[VMBUS_MESSAGE_BYTES_MAX])
{
	volatile struct hv_message *slot = &slots[VMBUS_SINT];
	uint8_t bytes = slot->payload_bytes;

	if (slot->type == HV_MESSAGE_NONE)
		return false;
	memset(message, 0, VMBUS_MESSAGE_BYTES_MAX);
	memcpy(message, (const void *)slot->payload, bytes < VMBUS_MESSAGE_BYTES_MAX ? bytes : VMBUS_MESSAGE_BYTES_MAX);
	__atomic_store_n(&slot->type, HV_MESSAGE_NONE, __ATOMIC_SEQ_CST);
	/* Looked at after the slot is free: a message that found it occupied has set this before. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (slot->flags & HV_MESSAGE_FLAG_PENDING)
		wrmsr(HV_MSR_EOM, 0);
	return true;
}

static uint64_t gpa(void *context, const void *memory)
{
	return (uint64_t)memory;
}

/* A flag that stays set interrupts no more. Whoever was flagged is polled after this. */
static void clear_flags(void)
{
	for (unsigned i = 0; i < FLAG_WORDS; i++)
		if (__atomic_load_n(&flags[VMBUS_SINT][i], __ATOMIC_RELAXED))
			(void)__atomic_exchange_n(&flags[VMBUS_SINT][i], 0, __ATOMIC_SEQ_CST);
}

/* Interrupts are off but here. One that comes between the caller's last look and HLT ends it at once. */
static void rest(void)
{
	lapic_timer_start(VECTOR_TICK, 0, TICK);
	halt_once();
	lapic_timer_stop();
	clear_flags();
}

static bool wait(void *context, unsigned round)
{
	if (round == 0)
		wait_began = clock_100ns();
	if (clock_100ns() - wait_began >= patience)
		return false;
	rest();
	return true;
}

static const struct vsc_platform platform = {
	.post_message = post_message, .signal_event = signal_event, .take_message = take_message, .gpa = gpa, .wait = wait,
};

const struct vsc_platform *vmbus_platform(void)
{
	if (!synthetic_has(HV_PRIV_SYNIC | HV_PRIV_HYPERCALL_MSRS | HV_PRIV_POST_MESSAGES | HV_PRIV_SIGNAL_EVENTS))
		return NULL;
	if (is_on)
		return &platform;
	(void)hypercall_enable();
	trap_set_handler(VECTOR_BUS, on_bus);
	trap_set_handler(VECTOR_TICK, on_tick);
	wrmsr(HV_MSR_SIMP, (uint64_t)slots | HV_MSR_PAGE_ENABLE);
	wrmsr(HV_MSR_SIEFP, (uint64_t)flags | HV_MSR_PAGE_ENABLE);
	wrmsr(HV_MSR_SINT0 + VMBUS_SINT, VECTOR_BUS);
	wrmsr(HV_MSR_SCONTROL, 1);
	is_on = true;
	return &platform;
}

void vmbus_set_patience(uint64_t duration_100ns)
{
	patience = duration_100ns ? duration_100ns : VMBUS_PATIENCE;
}

void vmbus_pass_time(uint64_t duration_100ns)
{
	uint64_t began = clock_100ns();

	while (clock_100ns() - began < duration_100ns)
		rest();
}

void *vmbus_pages(unsigned count)
{
	void *pages = pool[pool_used];

	if (count > POOL_PAGES - pool_used)
		verdict_end(VERDICT_ERROR, "%u pages are more than are left", count);
	pool_used += count;
	return pages;
}

uint64_t vmbus_ram_end(void)
{
	return (bootinfo.ram_end + VSC_PAGE - 1) & ~(uint64_t)(VSC_PAGE - 1);
}

unsigned vmbus_interrupts(void)
{
	return interrupts;
}
