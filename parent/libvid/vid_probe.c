// SPDX-License-Identifier: Apache-2.0
/*
 * vid-probe: tries the driver and the hypervisor under it with children of a few bytes of code.
 *
 *   vid-probe [-v] [-d DEVICE] [-l] [TEST...]
 *
 * Prints "ok NAME" or "not ok NAME: reason" for each test (all, if none is named), exits 0 if all are ok. Where debugfs can
 * be read, each test must also leave the driver's counts of held things as it found them.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libvid/vid_probe_guest.h"
#include "libvid/vid_probe_port.h"

#define LIVE_PATH "/sys/kernel/debug/undercroft/live"
#define LIVE_BYTES 1024
#define SETTLE_TRIES 50
#define SETTLE_PAUSE_US 100000
#define VECTOR 0x40
#define CODE(...) ((const uint8_t[]){ __VA_ARGS__ }), sizeof((const uint8_t[]){ __VA_ARGS__ })

/* mov dx, port; out dx, al; and so on: real-mode code unless it says 32. */
#define MOV_DX(port)  0xba, (port) & 0xff, (port) >> 8
#define MOV_AL(value) 0xb0, (value)
#define OUT_DX_AL     0xee
#define IN_AL_DX      0xec
#define STI           0xfb
#define CLI           0xfa
#define HLT           0xf4
#define JUMP_SELF     0xeb, 0xfe

/* ---- exits ---- */

static bool test_port(struct probe_guest *guest)
{
	struct hv_io_port_intercept io;
	struct hv_message message;

	if (!probe_guest_start(guest, 0, CODE(MOV_DX(0x3f8), MOV_AL('U'), OUT_DX_AL, IN_AL_DX, OUT_DX_AL, HLT)))
		return false;
	if (!probe_expect_out(guest, 0x3f8, 'U', 1) || !probe_expect(guest, HV_MESSAGE_IO_PORT, &message))
		return false;
	memcpy(&io, message.payload, sizeof io);
	PROBE_CHECK(io.header.access_type == HV_INTERCEPT_READ && io.port == 0x3f8);
	PROBE_CHECK(io.header.vp_index == 0 && io.header.rip == PROBE_CODE + 6);
	if (!probe_set(guest, HV_REG_RAX, 0x5a) || !probe_set(guest, HV_REG_RIP, io.header.rip + 1))
		return false;
	return probe_expect_out(guest, 0x3f8, 0x5a, 1);
}

/* Without any progress in RIP the guest must come back with the same exit. */
static bool test_port_repeat(struct probe_guest *guest)
{
	struct hv_message message;

	if (!probe_guest_start(guest, 0, CODE(MOV_AL(7), 0xe6, 0x80, HLT)))
		return false;
	return probe_expect(guest, HV_MESSAGE_IO_PORT, &message) && probe_expect(guest, HV_MESSAGE_IO_PORT, &message) &&
	       probe_expect_out(guest, 0x80, 7, 1);
}

static bool test_memory_unmapped(struct probe_guest *guest)
{
	struct hv_memory_intercept memory;
	struct hv_message message;

	/* mov [0x10], al; mov al, [0x20] */
	if (!probe_guest_start(guest, 0, CODE(MOV_AL(1), 0xa2, 0x10, 0x00, 0xa0, 0x20, 0x00, HLT)) ||
	    !probe_set_segment(guest, HV_REG_DS, PROBE_UNMAPPED, 0x93) ||
	    !probe_expect(guest, HV_MESSAGE_GPA_UNMAPPED, &message))
		return false;
	memcpy(&memory, message.payload, sizeof memory);
	PROBE_CHECK(memory.gpa == PROBE_UNMAPPED + 0x10);
	PROBE_CHECK(memory.header.access_type == HV_INTERCEPT_WRITE);
	if (!probe_set(guest, HV_REG_RIP, memory.header.rip + 3) ||
	    !probe_expect(guest, HV_MESSAGE_GPA_UNMAPPED, &message))
		return false;
	memcpy(&memory, message.payload, sizeof memory);
	PROBE_CHECK(memory.gpa == PROBE_UNMAPPED + 0x20);
	PROBE_CHECK(memory.header.access_type == HV_INTERCEPT_READ);
	return true;
}

static bool test_memory_read_only(struct probe_guest *guest)
{
	uint8_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct hv_memory_intercept memory;
	struct hv_message message;
	uint64_t rax;

	PROBE_CHECK(page != MAP_FAILED);
	page[0] = 0x77;
	/* mov al, [0]; mov [0], al */
	if (!probe_guest_start(guest, 0, CODE(0xa0, 0x00, 0x00, 0xa2, 0x00, 0x00, HLT)))
		return false;
	PROBE_OK(vid_memory_map(guest->partition, PROBE_UNMAPPED, page, 4096, 0));
	(void)munmap(page, 4096); /* pinned: the guest keeps it */
	if (!probe_set_segment(guest, HV_REG_DS, PROBE_UNMAPPED, 0x93) ||
	    !probe_expect(guest, HV_MESSAGE_GPA_INTERCEPT, &message))
		return false;
	memcpy(&memory, message.payload, sizeof memory);
	PROBE_CHECK(memory.gpa == PROBE_UNMAPPED && memory.header.access_type == HV_INTERCEPT_WRITE);
	PROBE_OK(vid_register_get(guest->partition, 0, HV_REG_RAX, &rax));
	PROBE_CHECK((rax & 0xff) == 0x77);
	PROBE_OK(vid_memory_unmap(guest->partition, PROBE_UNMAPPED, 4096));
	return probe_expect(guest, HV_MESSAGE_GPA_UNMAPPED, &message);
}

/* A page in the middle of the guest's memory, then all of it: away, thrown away, back with other contents. */
static bool test_memory_released(struct probe_guest *guest)
{
	const uint64_t page = 0x3000;
	uint8_t code[16];
	struct hv_memory_intercept memory;
	struct hv_message message;

	/* mov al, [0x3000]; out 0x80, al; mov al, [0x3001]; out 0x81, al */
	if (!probe_guest_start(guest, 0, CODE(0xa0, 0x00, 0x30, 0xe6, 0x80, 0xa0, 0x01, 0x30, 0xe6, 0x81, HLT)))
		return false;
	guest->memory[page] = 0x11;
	guest->memory[page + 4096] = 0x33;
	PROBE_OK(vid_memory_release(guest->partition, page, 4096));
	PROBE_OK(vid_memory_release(guest->partition, page, 4096)); /* it is already */
	PROBE_OK(madvise(guest->memory + page, 4096, MADV_DONTNEED) ? -errno : 0);
	if (!probe_expect(guest, HV_MESSAGE_GPA_UNMAPPED, &message))
		return false;
	memcpy(&memory, message.payload, sizeof memory);
	PROBE_CHECK(memory.gpa == page && memory.header.access_type == HV_INTERCEPT_READ);
	PROBE_CHECK(guest->memory[page] == 0 && guest->memory[page + 4096] == 0x33);
	guest->memory[page] = 0x55;
	PROBE_OK(vid_memory_restore(guest->partition, page, 4096));
	PROBE_OK(vid_memory_restore(guest->partition, 0, PROBE_MEMORY_BYTES));
	if (!probe_expect_out(guest, 0x80, 0x55, 1))
		return false;

	memcpy(code, guest->memory + PROBE_CODE, sizeof code);
	PROBE_OK(vid_memory_release(guest->partition, 0, PROBE_MEMORY_BYTES));
	PROBE_OK(madvise(guest->memory, PROBE_MEMORY_BYTES, MADV_DONTNEED) ? -errno : 0);
	memcpy(guest->memory + PROBE_CODE, code, sizeof code);
	guest->memory[page + 1] = 0x66;
	PROBE_OK(vid_memory_restore(guest->partition, 0, PROBE_MEMORY_BYTES / 2));
	PROBE_OK(vid_memory_restore(guest->partition, PROBE_MEMORY_BYTES / 2, PROBE_MEMORY_BYTES / 2));
	if (!probe_expect_out(guest, 0x81, 0x66, 1))
		return false;
	PROBE_ERRNO(vid_memory_release(guest->partition, PROBE_UNMAPPED, 4096), ENOENT);
	PROBE_ERRNO(vid_memory_restore(guest->partition, PROBE_MEMORY_BYTES - 4096, 8192), ENOENT);
	PROBE_ERRNO(vid_memory_release(guest->partition, page + 1, 4096), EINVAL);
	PROBE_ERRNO(vid_memory_release(guest->partition, page, 0), EINVAL);
	PROBE_ERRNO(vid_memory_release(guest->partition, ~0xfffull, 8192), EINVAL);
	/* A region with pages missing can be taken back all the same. */
	PROBE_OK(vid_memory_release(guest->partition, page, 4096));
	PROBE_OK(vid_memory_unmap(guest->partition, 0, PROBE_MEMORY_BYTES));
	return true;
}

/* What the guest writes is what we read, and the other way round. */
static bool test_memory_shared(struct probe_guest *guest)
{
	/* mov al, [0x100]; inc al; mov [0x200], al; out 0x80, al */
	if (!probe_guest_start(guest, 0, CODE(0xa0, 0x00, 0x01, 0xfe, 0xc0, 0xa2, 0x00, 0x02, 0xe6, 0x80, HLT)))
		return false;
	guest->memory[0x100] = 0x41;
	if (!probe_expect_out(guest, 0x80, 0x42, 1))
		return false;
	PROBE_CHECK(guest->memory[0x200] == 0x42);
	return true;
}

static bool test_triple_fault(struct probe_guest *guest)
{
	struct hv_message message;
	struct hv_register_assoc idtr = { .name = HV_REG_IDTR };

	/* int3 with an IDT of no entries */
	if (!probe_guest_start(guest, PROBE_FLAT_32, CODE(0xcc, HLT)))
		return false;
	PROBE_OK(vid_registers_set(guest->partition, 0, &idtr, 1));
	return probe_expect(guest, HV_MESSAGE_UNRECOVERABLE_EXCEPTION, &message);
}

static bool test_pages(struct probe_guest *guest)
{
	struct hv_register_page *registers;
	const struct hv_message *page;
	struct hv_message message;
	uint64_t rip = 0;
	bool same, valid;

	if (!probe_guest_start(guest, 0, CODE(MOV_AL(9), 0xe6, 0x80, HLT)))
		return false;
	PROBE_OK(vid_vp_map_message(guest->vp, &page));
	PROBE_OK(vid_vp_map_registers(guest->vp, &registers));
	if (!probe_expect(guest, HV_MESSAGE_IO_PORT, &message))
		return false;
	same = memcmp(page, &message, sizeof message) == 0;
	valid = registers->is_valid != 0;
	rip = registers->rip;
	vid_vp_unmap(page);
	vid_vp_unmap(registers);
	PROBE_CHECK(same);
	PROBE_CHECK(!valid || rip == PROBE_CODE + 2);
	PROBE_CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, guest->vp, 4096) == MAP_FAILED);
	PROBE_CHECK(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, guest->vp, 0) == MAP_FAILED);
	PROBE_CHECK(mmap(NULL, 8192, PROT_READ, MAP_SHARED, guest->vp, 0) == MAP_FAILED);
	PROBE_CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, guest->vp, 4 * 4096) == MAP_FAILED);
	return true;
}

static bool test_state(struct probe_guest *guest)
{
	struct hv_lapic_state apic = { .spurious = 0 }, again = { .spurious = 0 };
	struct hv_stimers_state timers;
	uint64_t xsave_bytes;
	uint32_t bytes = 4096;
	void *area;

	if (!probe_guest_start(guest, 0, CODE(HLT)))
		return false;
	PROBE_OK(vid_lapic_get(guest->vp, &apic));
	apic.spurious = 0x1ff;
	PROBE_OK(vid_lapic_set(guest->vp, &apic));
	PROBE_OK(vid_lapic_get(guest->vp, &again));
	PROBE_CHECK(again.spurious == 0x1ff && again.id == apic.id);
	PROBE_OK(vid_stimers_get(guest->vp, &timers));
	PROBE_OK(vid_stimers_set(guest->vp, &timers));

	PROBE_OK(vid_property_get(guest->partition, HV_PROPERTY_MAX_XSAVE_DATA_SIZE, &xsave_bytes));
	PROBE_CHECK(xsave_bytes >= 512 && xsave_bytes < 65536);
	bytes = (uint32_t)(xsave_bytes + 4095) & ~4095u;
	area = aligned_alloc(4096, bytes);
	PROBE_CHECK(area != NULL);
	PROBE_OK(vid_vp_state_get(guest->vp, MSHV_VP_STATE_XSAVE, area, &bytes));
	PROBE_OK(vid_vp_state_set(guest->vp, MSHV_VP_STATE_XSAVE, area, &bytes));
	free(area);
	bytes = 0;
	PROBE_ERRNO(vid_vp_state_get(guest->vp, MSHV_VP_STATE_LAPIC, NULL, &bytes), EINVAL);
	PROBE_CHECK(bytes == 4096);
	return true;
}

/* ---- halt and wake ---- */

static bool test_halt_signal(struct probe_guest *guest)
{
	struct hv_message message;

	if (!probe_guest_start(guest, 0, CODE(CLI, HLT)))
		return false;
	probe_alarm_start(200);
	PROBE_ERRNO(vid_vp_run(guest->vp, &message), EINTR);
	PROBE_ERRNO(vid_vp_run(guest->vp, &message), EINTR);
	probe_alarm_stop();
	return true;
}

static bool test_spin_signal(struct probe_guest *guest)
{
	struct hv_message message;

	if (!probe_guest_start(guest, 0, CODE(JUMP_SELF)))
		return false;
	probe_alarm_start(200);
	PROBE_ERRNO(vid_vp_run(guest->vp, &message), EINTR);
	probe_alarm_stop();
	return true;
}

/* Code that waits for VECTOR; its handler writes to port 0x99 and returns to the halt. */
static bool start_sleeper(struct probe_guest *guest)
{
	/* handler: mov al, 0x33; out 0x99, al; iret. EOI is not needed for one interrupt. */
	static const uint8_t handler[] = { MOV_AL(0x33), 0xe6, 0x99, 0xcf };
	static const uint16_t entry[2] = { 0x2000, 0 };

	if (!probe_guest_start(guest, 0, CODE(STI, HLT, 0xeb, 0xfd)))
		return false;
	memcpy(guest->memory + 0x2000, handler, sizeof handler);
	memcpy(guest->memory + VECTOR * sizeof entry, entry, sizeof entry);
	return probe_enable_apic(guest);
}

struct runner {
	struct probe_guest *guest;
	pthread_t thread;
	struct hv_message message;
	int result;
};

static void *runner_main(void *argument)
{
	struct runner *runner = argument;

	runner->result = vid_vp_run(runner->guest->vp, &runner->message);
	return NULL;
}

/* Runs the VP in a thread of its own and gives it time to halt. */
static bool runner_start(struct runner *runner, struct probe_guest *guest)
{
	struct sigaction action = { .sa_handler = SIG_DFL };

	(void)sigaction(SIGALRM, &action, NULL); /* fails for bad numbers only */
	*runner = (struct runner){ .guest = guest };
	PROBE_OK(-pthread_create(&runner->thread, NULL, runner_main, runner));
	usleep(300000);
	(void)alarm(20); /* ends the program if the thread never comes back */
	return true;
}

static void runner_join(struct runner *runner)
{
	(void)pthread_join(runner->thread, NULL); /* created above */
	(void)alarm(0);
}

static bool check_woken(const struct runner *runner)
{
	struct hv_io_port_intercept io;

	PROBE_OK(runner->result);
	memcpy(&io, runner->message.payload, sizeof io);
	PROBE_CHECK(runner->message.type == HV_MESSAGE_IO_PORT && io.port == 0x99 && (io.rax & 0xff) == 0x33);
	return true;
}

static bool test_halt_interrupt(struct probe_guest *guest)
{
	struct runner runner;
	int result;

	if (!start_sleeper(guest) || !runner_start(&runner, guest))
		return false;
	result = vid_interrupt_assert(guest->partition, HV_INTERRUPT_FIXED, 0, VECTOR);
	runner_join(&runner);
	PROBE_OK(result);
	return check_woken(&runner);
}

static bool test_halt_irqfd(struct probe_guest *guest)
{
	const struct mshv_user_irq_entry route = { .gsi = 5, .address_lo = 0xfee00000, .data = VECTOR };
	int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct runner runner;
	int result;

	PROBE_CHECK(event >= 0);
	if (!start_sleeper(guest))
		return false;
	PROBE_OK(vid_routes_set(guest->partition, &route, 1));
	PROBE_OK(vid_irqfd_assign(guest->partition, event, -1, 5));
	PROBE_ERRNO(vid_irqfd_assign(guest->partition, event, -1, 6), EBUSY);
	if (!runner_start(&runner, guest))
		return false;
	result = eventfd_write(event, 1);
	runner_join(&runner);
	PROBE_CHECK(result == 0);
	if (!check_woken(&runner))
		return false;
	PROBE_OK(vid_irqfd_deassign(guest->partition, event, 5));
	PROBE_ERRNO(vid_irqfd_deassign(guest->partition, event, 5), ENOENT);
	PROBE_OK(vid_irqfd_assign(guest->partition, event, -1, 5));
	PROBE_OK(close(event)); /* takes the irqfd with it */
	return true;
}

/* ---- doorbells ---- */

static bool check_rung(int event, uint64_t times)
{
	eventfd_t count = 0;

	PROBE_CHECK(eventfd_read(event, &count) == 0 || times == 0);
	PROBE_CHECK(count == times);
	return true;
}

static bool test_doorbell_port(struct probe_guest *guest)
{
	const struct vid_ioevent event = { .address = 0x510, .bytes = 1, .is_port = true, .has_match = true, .match = 3 };
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	PROBE_CHECK(fd >= 0);
	/* 3 rings, 4 does not match */
	if (!probe_guest_start(guest, 0, CODE(MOV_DX(0x510), MOV_AL(3), OUT_DX_AL, OUT_DX_AL, MOV_AL(4), OUT_DX_AL, HLT)))
		return false;
	PROBE_OK(vid_ioevent_assign(guest->partition, fd, &event));
	PROBE_ERRNO(vid_ioevent_assign(guest->partition, fd, &event), EEXIST);
	if (!probe_expect_out(guest, 0x510, 4, 1) || !check_rung(fd, 2))
		return false;
	PROBE_OK(vid_ioevent_deassign(guest->partition, fd, &event));
	PROBE_ERRNO(vid_ioevent_deassign(guest->partition, fd, &event), ENOENT);
	if (!probe_set(guest, HV_REG_RIP, PROBE_CODE) || !probe_expect_out(guest, 0x510, 3, 1))
		return false;
	PROBE_OK(close(fd));
	return true;
}

static bool test_doorbell_memory(struct probe_guest *guest)
{
	const struct vid_ioevent event = { .address = PROBE_UNMAPPED, .bytes = 4 };
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	PROBE_CHECK(fd >= 0);
	/* 32-bit: mov dword [PROBE_UNMAPPED], 0x12345678; mov [PROBE_UNMAPPED], ecx; out 0x80, al */
	if (!probe_guest_start(guest, PROBE_FLAT_32,
			       CODE(0xc7, 0x05, 0x00, 0x00, 0x60, 0x00, 0x78, 0x56, 0x34, 0x12,
				    0x89, 0x0d, 0x00, 0x00, 0x60, 0x00, 0xe6, 0x80, HLT)) ||
	    !probe_set(guest, HV_REG_RAX, 0x21))
		return false;
	PROBE_OK(vid_ioevent_assign(guest->partition, fd, &event));
	if (!probe_expect_out(guest, 0x80, 0x21, 1) || !check_rung(fd, 2))
		return false;
	PROBE_OK(close(fd));
	return true;
}

/* ---- lifetimes ---- */

static bool test_close_order(struct probe_guest *guest)
{
	int order;

	for (order = 0; order < 4; order++) {
		if (!probe_guest_start(guest, 0, CODE(MOV_AL(1), 0xe6, 0x80, HLT)))
			return false;
		if (order & 1) {
			PROBE_OK(close(guest->device));
			guest->device = -1;
		}
		if (order & 2) {
			struct hv_message message;

			/* The VP keeps its partition, and what it needs of it. */
			PROBE_OK(close(guest->partition));
			guest->partition = -1;
			PROBE_OK(vid_vp_run(guest->vp, &message));
			PROBE_CHECK(message.type == HV_MESSAGE_IO_PORT);
		} else {
			PROBE_OK(close(guest->vp));
			guest->vp = vid_vp_create(guest->partition, 0);
			PROBE_OK(guest->vp);
		}
		probe_guest_stop(guest);
	}
	return true;
}

/* A mapped page holds the VP: its index is free only when the mapping is gone. */
static bool test_close_mapped(struct probe_guest *guest)
{
	const struct hv_message *page;

	if (!probe_guest_start(guest, 0, CODE(HLT)))
		return false;
	PROBE_OK(vid_vp_map_message(guest->vp, &page));
	PROBE_OK(close(guest->vp));
	guest->vp = -1;
	PROBE_ERRNO(vid_vp_create(guest->partition, 0), EEXIST);
	vid_vp_unmap(page);
	guest->vp = vid_vp_create(guest->partition, 0);
	PROBE_OK(guest->vp);
	return true;
}

static bool test_close_running(struct probe_guest *guest)
{
	struct runner runner;

	if (!probe_guest_start(guest, 0, CODE(CLI, HLT)) || !runner_start(&runner, guest))
		return false;
	(void)close(guest->partition); /* its VP still holds it */
	(void)close(guest->vp); /* wakes the thread */
	runner_join(&runner);
	guest->partition = guest->vp = -1;
	PROBE_ERRNO(runner.result, EINTR);
	return true;
}

static bool test_busy(struct probe_guest *guest)
{
	struct hv_message message;
	struct runner runner;
	int result, asserted;

	if (!start_sleeper(guest) || !runner_start(&runner, guest))
		return false;
	result = vid_vp_run(guest->vp, &message);
	asserted = vid_interrupt_assert(guest->partition, HV_INTERRUPT_FIXED, 0, VECTOR);
	runner_join(&runner);
	PROBE_ERRNO(result, EBUSY);
	PROBE_OK(asserted);
	return check_woken(&runner);
}

static bool run_and_kill(const uint8_t *code, size_t code_bytes)
{
	struct probe_guest guest;
	struct hv_message message;
	pid_t child = fork();
	int status;

	PROBE_CHECK(child >= 0);
	if (child == 0) {
		if (!probe_guest_start(&guest, 0, code, code_bytes))
			_exit(1);
		_exit(vid_vp_run(guest.vp, &message) == 0 ? 2 : 3); /* never gets there: it is killed while it runs */
	}
	usleep(700000);
	PROBE_OK(kill(child, SIGKILL));
	PROBE_CHECK(waitpid(child, &status, 0) == child);
	PROBE_CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	return true;
}

static bool test_kill_halted(struct probe_guest *guest)
{
	(void)guest;
	return run_and_kill(CODE(CLI, HLT));
}

static bool test_kill_spinning(struct probe_guest *guest)
{
	(void)guest;
	return run_and_kill(CODE(JUMP_SELF));
}

/* ---- refusals ---- */

static bool test_bad_device_calls(struct probe_guest *guest)
{
	struct mshv_create_partition isolated = { .pt_isolation = 1 };
	uint64_t value;

	guest->device = vid_open(probe_device);
	PROBE_OK(guest->device);
	PROBE_ERRNO(vid_partition_create(guest->device, 1ull << 63), EINVAL);
	PROBE_CHECK(ioctl(guest->device, MSHV_CREATE_PARTITION, &isolated) == -1 && errno == EINVAL);
	PROBE_CHECK(ioctl(guest->device, MSHV_RUN_VP, NULL) == -1 && errno == ENOTTY);
	PROBE_OK(vid_property_get(guest->device, HV_PROPERTY_PROCESSOR_VENDOR, &value));
	PROBE_ERRNO(vid_property_set(guest->device, HV_PROPERTY_TIME_FREEZE, 1), EINVAL);
	guest->partition = vid_partition_create(guest->device, 1u << MSHV_PT_BIT_LAPIC);
	PROBE_OK(guest->partition);
	PROBE_ERRNO(vid_vp_create(guest->partition, 0), EINVAL);
	PROBE_OK(vid_partition_initialize(guest->partition));
	PROBE_ERRNO(vid_partition_initialize(guest->partition), EINVAL);
	PROBE_ERRNO(vid_vp_create(guest->partition, 256), EINVAL);
	return true;
}

static bool test_bad_memory(struct probe_guest *guest)
{
	struct mshv_user_mem_region region = { .size = 4096, .guest_pfn = PROBE_UNMAPPED >> 12, .rsvd = { 1 } };

	if (!probe_guest_start(guest, 0, CODE(HLT)))
		return false;
	PROBE_ERRNO(vid_memory_map(guest->partition, 0x1000, guest->memory, 4096, 0), EEXIST);
	PROBE_ERRNO(vid_memory_map(guest->partition, PROBE_UNMAPPED, guest->memory + 1, 4096, 0), EINVAL);
	PROBE_ERRNO(vid_memory_map(guest->partition, PROBE_UNMAPPED, guest->memory, 4095, 0), EINVAL);
	PROBE_ERRNO(vid_memory_map(guest->partition, PROBE_UNMAPPED, guest->memory, 0, 0), EINVAL);
	PROBE_ERRNO(vid_memory_map(guest->partition, ~0xfffull, guest->memory, 8192, 0), EINVAL);
	PROBE_ERRNO(vid_memory_map(guest->partition, PROBE_UNMAPPED, (void *)4096, 4096, 0), EFAULT);
	PROBE_ERRNO(vid_memory_unmap(guest->partition, 0, 4096), EINVAL);
	PROBE_ERRNO(vid_memory_unmap(guest->partition, PROBE_UNMAPPED, 4096), ENOENT);
	region.userspace_addr = (uintptr_t)guest->memory;
	PROBE_CHECK(ioctl(guest->partition, MSHV_SET_GUEST_MEMORY, &region) == -1 && errno == EINVAL);
	PROBE_ERRNO(vid_vp_create(guest->partition, 0), EEXIST);
	return true;
}

static bool test_bad_hypercalls(struct probe_guest *guest)
{
	struct hv_input_vp_registers registers = { .vp_index = 9 };
	uint8_t input[64] = { 0 };
	struct hv_u128 value;
	uint16_t status;
	uint32_t name = HV_REG_RIP;

	if (!probe_guest_start(guest, 0, CODE(HLT)))
		return false;
	PROBE_ERRNO(vid_hypercall(guest->partition, HVCALL_DEPOSIT_MEMORY, 1, input, 16, NULL, 0, NULL, NULL), EINVAL);
	PROBE_ERRNO(vid_hypercall(guest->partition, HVCALL_CREATE_PARTITION, 0, input, 56, input, 8, NULL, NULL), EINVAL);
	PROBE_ERRNO(vid_hypercall(guest->partition, HVCALL_GET_VP_REGISTERS, 0, input, 20, &value, 16, NULL, NULL), EINVAL);
	PROBE_ERRNO(vid_hypercall(guest->partition, HVCALL_SET_VP_REGISTERS, 2, input, 48, NULL, 0, NULL, NULL), EINVAL);
	PROBE_ERRNO(vid_hypercall(guest->vp, HVCALL_SET_PARTITION_PROPERTY, 0, input, 24, NULL, 0, NULL, NULL), EINVAL);
	memcpy(input, &registers, sizeof registers);
	memcpy(input + sizeof registers, &name, sizeof name);
	PROBE_ERRNO(vid_hypercall(guest->partition, HVCALL_GET_VP_REGISTERS, 1, input, 20, &value, 16, &status, NULL),
		    EINVAL);
	PROBE_CHECK(status == HV_STATUS_INVALID_VP_INDEX);
	return true;
}

/* ---- the program ---- */

static const struct probe_test {
	const char *name;
	bool (*run)(struct probe_guest *guest);
} tests[] = {
	{ "port", test_port },
	{ "port-repeat", test_port_repeat },
	{ "memory-shared", test_memory_shared },
	{ "memory-unmapped", test_memory_unmapped },
	{ "memory-read-only", test_memory_read_only },
	{ "memory-released", test_memory_released },
	{ "triple-fault", test_triple_fault },
	{ "pages", test_pages },
	{ "state", test_state },
	{ "halt-signal", test_halt_signal },
	{ "spin-signal", test_spin_signal },
	{ "halt-interrupt", test_halt_interrupt },
	{ "halt-irqfd", test_halt_irqfd },
	{ "doorbell-port", test_doorbell_port },
	{ "doorbell-memory", test_doorbell_memory },
	{ "event-port", test_event_port },
	{ "message-port", test_message_port },
	{ "message-port-full", test_message_port_full },
	{ "port-lifetimes", test_port_lifetimes },
	{ "port-kill", test_port_kill },
	{ "close-order", test_close_order },
	{ "close-mapped", test_close_mapped },
	{ "close-running", test_close_running },
	{ "busy", test_busy },
	{ "kill-halted", test_kill_halted },
	{ "kill-spinning", test_kill_spinning },
	{ "bad-device-calls", test_bad_device_calls },
	{ "bad-memory", test_bad_memory },
	{ "bad-hypercalls", test_bad_hypercalls },
	{ "bad-ports", test_bad_ports },
};
#define TEST_COUNT (sizeof tests / sizeof tests[0])

static bool read_live(char *out)
{
	FILE *file = fopen(LIVE_PATH, "re");
	size_t length;

	if (!file)
		return false;
	length = fread(out, 1, LIVE_BYTES - 1, file);
	(void)fclose(file); /* only read from */
	out[length] = '\0';
	return true;
}

/* The end of a killed process is not the moment of waitpid() for all of it; a few seconds are. */
static bool check_live(const char *before)
{
	char now[LIVE_BYTES];
	int try;

	for (try = 0; try < SETTLE_TRIES; try++) {
		if (!read_live(now) || strcmp(now, before) == 0)
			return true;
		usleep(SETTLE_PAUSE_US);
	}
	for (char *c = now; *c; c++)
		*c = *c == '\n' ? ',' : *c;
	return probe_fail("left behind: %s", now);
}

static bool run_test(const struct probe_test *test)
{
	struct probe_guest guest = { .device = -1, .partition = -1, .vp = -1 };
	char before[LIVE_BYTES];
	bool have_live = read_live(before);
	bool ok;

	probe_reset();
	ok = test->run(&guest);
	probe_alarm_stop();
	probe_guest_stop(&guest);
	if (have_live)
		ok = check_live(before) && ok;
	if (ok)
		printf("ok %s\n", test->name);
	else
		printf("not ok %s: %s\n", test->name, probe_reason());
	(void)fflush(stdout); /* a later test may take the machine down */
	return ok;
}

static const struct probe_test *find_test(const char *name)
{
	for (size_t i = 0; i < TEST_COUNT; i++) {
		if (strcmp(tests[i].name, name) == 0)
			return &tests[i];
	}
	return NULL;
}

static bool run_named(char **names)
{
	bool ok = true;

	for (; *names; names++) {
		const struct probe_test *test = find_test(*names);

		if (!test) {
			fprintf(stderr, "vid-probe: no test named '%s'; -l lists them\n", *names);
			return false;
		}
		ok = run_test(test) && ok;
	}
	return ok;
}

static bool run_all(void)
{
	bool ok = true;

	for (size_t i = 0; i < TEST_COUNT; i++)
		ok = run_test(&tests[i]) && ok;
	return ok;
}

int main(int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "vld:")) != -1) {
		switch (option) {
		case 'v':
			probe_verbose = true;
			break;
		case 'd':
			probe_device = optarg;
			break;
		case 'l':
			for (size_t i = 0; i < TEST_COUNT; i++)
				puts(tests[i].name);
			return 0;
		default:
			fprintf(stderr, "usage: vid-probe [-v] [-d DEVICE] [-l] [TEST...]\n");
			return 2;
		}
	}
	return (argv[optind] ? run_named(argv + optind) : run_all()) ? 0 : 1;
}
