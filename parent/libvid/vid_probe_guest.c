// SPDX-License-Identifier: Apache-2.0
#include "libvid/vid_probe_guest.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#define RUN_LIMIT_MS 10000u
#define CR0_PE 0x1u
#define SPURIOUS_APIC_ENABLE 0x100u

const char *probe_device;
bool probe_verbose;
static char reason[256];

bool probe_fail(const char *format, ...)
{
	va_list arguments;

	if (reason[0] != '\0')
		return false;
	va_start(arguments, format);
	(void)vsnprintf(reason, sizeof reason, format, arguments); /* cut short if long */
	va_end(arguments);
	return false;
}

const char *probe_reason(void)
{
	return reason;
}

void probe_reset(void)
{
	reason[0] = '\0';
}

bool probe_set(struct probe_guest *guest, uint32_t name, uint64_t value)
{
	PROBE_OK(vid_register_set(guest->partition, 0, name, value));
	return true;
}

bool probe_set_segment(struct probe_guest *guest, uint32_t name, uint64_t base, uint16_t attributes)
{
	struct hv_register_assoc assoc = { .name = name };
	struct hv_segment_register segment = {
		.base = base,
		.limit = attributes & 0x8000 ? 0xffffffff : 0xffff,
		.selector = attributes & 0x8000 ? 8 : (uint16_t)(base >> 4),
		.attributes = attributes,
	};

	memcpy(&assoc.value, &segment, sizeof segment);
	PROBE_OK(vid_registers_set(guest->partition, 0, &assoc, 1));
	return true;
}

static bool set_start_state(struct probe_guest *guest, unsigned flags)
{
	bool flat = flags & PROBE_FLAT_32;
	uint16_t code = flat ? 0xc09b : 0x009b;
	uint16_t data = flat ? 0xc093 : 0x0093;
	uint64_t cr0;

	PROBE_OK(vid_register_get(guest->partition, 0, HV_REG_CR0, &cr0));
	return probe_set(guest, HV_REG_CR0, flat ? cr0 | CR0_PE : cr0 & ~(uint64_t)CR0_PE) &&
	       probe_set_segment(guest, HV_REG_CS, 0, code) && probe_set_segment(guest, HV_REG_DS, 0, data) &&
	       probe_set_segment(guest, HV_REG_ES, 0, data) && probe_set_segment(guest, HV_REG_SS, 0, data) &&
	       probe_set(guest, HV_REG_RIP, PROBE_CODE) && probe_set(guest, HV_REG_RSP, 0x8000) &&
	       probe_set(guest, HV_REG_RFLAGS, 2);
}

static bool build_guest(struct probe_guest *guest)
{
	/* Twice the size, so that an aligned half exists: the driver can then use a large page. */
	uint8_t *area = mmap(NULL, 2 * PROBE_MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t skip;

	if (area == MAP_FAILED)
		return probe_fail("mmap: %s", strerror(errno));
	skip = -(uintptr_t)area % PROBE_MEMORY_BYTES;
	guest->memory = area + skip;
	if (skip > 0)
		(void)munmap(area, skip); /* address space only */
	(void)munmap(guest->memory + PROBE_MEMORY_BYTES, PROBE_MEMORY_BYTES - skip); /* address space only */
	(void)madvise(guest->memory, PROBE_MEMORY_BYTES, MADV_HUGEPAGE); /* small pages do as well */

	guest->device = vid_open(probe_device);
	PROBE_OK(guest->device);
	guest->partition = vid_partition_create(guest->device, 1u << MSHV_PT_BIT_LAPIC);
	PROBE_OK(guest->partition);
	PROBE_OK(vid_partition_initialize(guest->partition));
	PROBE_OK(vid_memory_map(guest->partition, 0, guest->memory, PROBE_MEMORY_BYTES,
				VID_MEMORY_WRITABLE | VID_MEMORY_EXECUTABLE));
	guest->vp = vid_vp_create(guest->partition, 0);
	PROBE_OK(guest->vp);
	return true;
}

bool probe_guest_start(struct probe_guest *guest, unsigned flags, const uint8_t *code, size_t code_bytes)
{
	*guest = (struct probe_guest){ .device = -1, .partition = -1, .vp = -1 };
	if (!build_guest(guest))
		return false;
	memcpy(guest->memory + PROBE_CODE, code, code_bytes);
	return set_start_state(guest, flags);
}

static void close_if_open(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd); /* a destructor has nobody to report to */
	*fd = -1;
}

void probe_guest_stop(struct probe_guest *guest)
{
	close_if_open(&guest->vp);
	close_if_open(&guest->partition);
	close_if_open(&guest->device);
	if (guest->memory)
		(void)munmap(guest->memory, PROBE_MEMORY_BYTES); /* ours, mapped above */
	guest->memory = NULL;
}

static void ignore_alarm(int number)
{
	(void)number;
}

static void set_timer(unsigned first_ms, unsigned interval_ms)
{
	struct itimerval timer = {
		.it_value = { .tv_sec = first_ms / 1000, .tv_usec = first_ms % 1000 * 1000 },
		.it_interval = { .tv_sec = interval_ms / 1000, .tv_usec = interval_ms % 1000 * 1000 },
	};

	(void)setitimer(ITIMER_REAL, &timer, NULL); /* fails for bad values only */
}

/* Repeated, because one signal could come just before the system call. */
void probe_alarm_start(unsigned milliseconds)
{
	struct sigaction action = { .sa_handler = ignore_alarm };

	(void)sigaction(SIGALRM, &action, NULL); /* fails for bad numbers only; no SA_RESTART on purpose */
	set_timer(milliseconds, 100);
}

void probe_alarm_stop(void)
{
	set_timer(0, 0);
}

static void print_message(const struct hv_message *message)
{
	const struct hv_intercept_header *header = (const void *)message->payload;

	if (probe_verbose)
		printf("# exit type 0x%08x rip 0x%llx length %u access %u\n", message->type,
		       (unsigned long long)header->rip, header->instruction_length & 0xf, header->access_type);
}

/* Where a VP that never came back is: the difference between a lost wake-up and a guest that runs astray. */
static bool fail_stuck(struct probe_guest *guest, uint32_t type)
{
	uint64_t rip = 0, activity = 0, suspend = 0;

	if (vid_register_get(guest->partition, 0, HV_REG_RIP, &rip) < 0 ||
	    vid_register_get(guest->partition, 0, HV_REG_INTERNAL_ACTIVITY_STATE, &activity) < 0 ||
	    vid_register_get(guest->partition, 0, HV_REG_INTERCEPT_SUSPEND, &suspend) < 0)
		return probe_fail("no exit within %u s, and its registers cannot be read", RUN_LIMIT_MS / 1000);
	return probe_fail("no exit within %u s, expected type 0x%08x; rip 0x%llx, activity 0x%llx, intercept suspend %llu",
			  RUN_LIMIT_MS / 1000, type, (unsigned long long)rip, (unsigned long long)activity,
			  (unsigned long long)suspend);
}

bool probe_expect(struct probe_guest *guest, uint32_t type, struct hv_message *out)
{
	int result;

	probe_alarm_start(RUN_LIMIT_MS);
	result = vid_vp_run(guest->vp, out);
	probe_alarm_stop();
	if (result == -EINTR)
		return fail_stuck(guest, type);
	PROBE_OK(result);
	print_message(out);
	if (out->type != type)
		return probe_fail("exit of type 0x%08x, expected 0x%08x", out->type, type);
	return true;
}

bool probe_expect_out(struct probe_guest *guest, uint16_t port, uint32_t value, unsigned bytes)
{
	uint64_t mask = bytes == 4 ? 0xffffffff : (1ull << 8 * bytes) - 1;
	struct hv_io_port_intercept io;
	struct hv_message message;

	if (!probe_expect(guest, HV_MESSAGE_IO_PORT, &message))
		return false;
	memcpy(&io, message.payload, sizeof io);
	if (io.header.access_type != HV_INTERCEPT_WRITE || io.port != port ||
	    (io.info & HV_IO_PORT_INFO_SIZE) != bytes || (io.rax & mask) != (value & mask))
		return probe_fail("access %u of port 0x%x, %u bytes, value 0x%llx; expected a write of 0x%x to 0x%x",
				  io.header.access_type, io.port, io.info & HV_IO_PORT_INFO_SIZE,
				  (unsigned long long)(io.rax & mask), value, port);
	if ((io.header.instruction_length & 0xf) == 0)
		return probe_fail("port intercept without instruction length");
	return probe_set(guest, HV_REG_RIP, io.header.rip + (io.header.instruction_length & 0xf));
}

bool probe_enable_apic(struct probe_guest *guest)
{
	struct hv_lapic_state state;

	PROBE_OK(vid_lapic_get(guest->vp, &state));
	state.spurious |= SPURIOUS_APIC_ENABLE;
	PROBE_OK(vid_lapic_set(guest->vp, &state));
	return true;
}
