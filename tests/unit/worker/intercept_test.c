// SPDX-License-Identifier: Apache-2.0
/* Intercept messages in, registers and verdicts out. Every test runs with registers by hypercall and by register page. */
#include "cmocka_all.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fake_backend.h"
#include "worker/intercept.h"
#include "worker/msr_policy.h"
#include "worker/platform.h"

#define RIP 0x8000u				/* in RAM: code can be fetched there */

static struct fake_backend backend;
static struct guest_mem mem;
static struct loop loop;
static struct console console;
static struct devices devices;
static struct vp_context vp;
static int pair[2];
static struct failure why;

static int setup_common(bool use_page)
{
	fake_backend_init(&backend);
	memset(&why, 0, sizeof why);
	if (guest_mem_init(&mem, 4 << 20, &why) || loop_init(&loop, &why) || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) ||
	    console_init(&console, &loop, pair[0], NULL, NULL, &why) ||
	    devices_init(&devices, &backend.base, &console, &why))
		return -1;
	vp = (struct vp_context){ .backend = &backend.base, .mem = &mem, .devices = &devices };
	if (use_page) {
		backend.page.version = 1;
		backend.page.is_valid = 1;
		vp.page = &backend.page;
	}
	return 0;
}

static int setup(void **state)
{
	return setup_common(false);
}

static int setup_page(void **state)
{
	return setup_common(true);
}

static int teardown(void **state)
{
	devices_fini(&devices);
	console_fini(&console);
	loop_fini(&loop);
	(void)close(pair[0]);
	(void)close(pair[1]);
	guest_mem_fini(&mem);
	fake_backend_fini(&backend);
	return 0;
}

/* Registers where the VP's are: in the page or in the backend. */
static void put(uint32_t name, uint64_t value)
{
	if (vp.page && name == HV_REG_RIP)
		vp.page->rip = value;
	else if (vp.page && name == HV_REG_RFLAGS)
		vp.page->rflags = value;
	else if (vp.page && name >= HV_REG_RAX && name <= HV_REG_R15)
		vp.page->gpr[name - HV_REG_RAX] = value;
	else
		fake_register_set(&backend, 0, name, value, 0);
}

static uint64_t get(uint32_t name)
{
	if (vp.page && name == HV_REG_RIP)
		return vp.page->rip;
	if (vp.page && name >= HV_REG_RAX && name <= HV_REG_R15)
		return vp.page->gpr[name - HV_REG_RAX];
	return fake_register_low(&backend, 0, name);
}

static struct hv_intercept_header header_64(uint8_t length, uint8_t access)
{
	return (struct hv_intercept_header){
		.instruction_length = length,
		.access_type = access,
		.execution_state = 0x14,
		.cs = { .attributes = 0xa09b, .selector = 0x10 },
		.rip = RIP,
	};
}

static enum intercept_verdict handle(uint32_t type, const void *payload, size_t bytes)
{
	struct hv_message message = { .type = type, .payload_bytes = (uint8_t)bytes };
	enum intercept_kind kind;

	memcpy(message.payload, payload, bytes);
	return intercept_handle(&vp, &message, &kind, &why);
}

static enum intercept_verdict port_io(uint16_t port, unsigned size, bool in, uint8_t length, uint64_t rax)
{
	struct hv_io_port_intercept io = {
		.header = header_64(length, in ? HV_INTERCEPT_READ : HV_INTERCEPT_WRITE),
		.port = port,
		.info = (uint8_t)size,
		.rax = rax,
	};

	put(HV_REG_RAX, rax);
	put(HV_REG_RIP, RIP);
	return handle(HV_MESSAGE_IO_PORT, &io, sizeof io);
}

static void in_merges_into_rax_by_its_size(void **state)
{
	devices_port_write(&devices, 0x3ff, 1, 0x5a);
	assert_int_equal(port_io(0x3ff, 1, true, 2, 0x1122334455667788), INTERCEPT_RESUME);
	assert_int_equal(get(HV_REG_RAX), 0x112233445566775a);
	assert_int_equal(get(HV_REG_RIP), RIP + 2);
	assert_int_equal(port_io(0x3ff, 2, true, 2, 0x1122334455667788), INTERCEPT_RESUME);
	assert_int_equal(get(HV_REG_RAX), 0x112233445566ff5a);
	assert_int_equal(port_io(0x3ff, 4, true, 1, 0x1122334455667788), INTERCEPT_RESUME);
	assert_int_equal(get(HV_REG_RAX), 0xffffff5a);
	assert_int_equal(get(HV_REG_RIP), RIP + 1);
}

static void out_reaches_the_device_and_steps_on(void **state)
{
	assert_int_equal(port_io(0x3ff, 1, false, 1, 0xffffffa5), INTERCEPT_RESUME);
	assert_int_equal(devices_port_read(&devices, 0x3ff, 1), 0xa5);
	assert_int_equal(get(HV_REG_RIP), RIP + 1);
}

static void a_missing_length_is_found_in_the_code(void **state)
{
	static const uint8_t in_imm[] = { 0xe4, 0x71 };

	assert_true(guest_mem_write(&mem, RIP, in_imm, sizeof in_imm));
	assert_int_equal(port_io(0x71, 1, true, 0, 0), INTERCEPT_RESUME);
	assert_int_equal(get(HV_REG_RIP), RIP + 2);
	assert_true(guest_mem_write(&mem, RIP, "\x89\x03", 2));
	assert_int_equal(port_io(0x71, 1, true, 0, 0), INTERCEPT_FAILED);
	assert_non_null(strstr(why.text, "port 0x71: no IN or OUT"));
}

static void a_size_that_cannot_be_is_refused(void **state)
{
	assert_int_equal(port_io(0x80, 3, true, 1, 0), INTERCEPT_FAILED);
	assert_int_equal(port_io(0x80, 0, false, 1, 0), INTERCEPT_FAILED);
}

static void power_requests_become_verdicts(void **state)
{
	assert_int_equal(port_io(PLATFORM_SLEEP_CONTROL_PORT, 1, false, 1, 0x20 | PLATFORM_SLEEP_TYPE_S5 << 2), INTERCEPT_POWER_OFF);
	assert_int_equal(port_io(PLATFORM_RESET_PORT, 1, false, 1, PLATFORM_RESET_VALUE), INTERCEPT_RESET);
	assert_int_equal(port_io(PLATFORM_KBD_PORT, 1, false, 2, 0xfe), INTERCEPT_RESET);
	assert_int_equal(get(HV_REG_RIP), RIP + 2);
}

static enum intercept_verdict string_out(const uint8_t *bytes, unsigned count, bool in, unsigned size)
{
	struct hv_io_port_intercept io = {
		.header = header_64(0, in ? HV_INTERCEPT_READ : HV_INTERCEPT_WRITE),
		.port = 0x3f8,
		.info = (uint8_t)(size | HV_IO_PORT_INFO_STRING),
		.instruction_byte_count = (uint8_t)count,
	};

	memcpy(io.instruction_bytes, bytes, count);
	return handle(HV_MESSAGE_IO_PORT, &io, sizeof io);
}

static const uint8_t rep_outsb[] = { 0xf3, 0x6e }, rep_insb[] = { 0xf3, 0x6c }, outsb[] = { 0x6e };

static void rep_outs_runs_in_bounded_steps(void **state)
{
	char text[100];

	memset(text, 'q', sizeof text);
	assert_true(guest_mem_write(&mem, 0x4000 - 50, text, sizeof text));	/* over a page boundary */
	put(HV_REG_RIP, RIP);
	put(HV_REG_RSI, 0x4000 - 50);
	put(HV_REG_RCX, 100);
	assert_int_equal(string_out(rep_outsb, 2, false, 1), INTERCEPT_RESUME);
	assert_int_equal(get(HV_REG_RCX), 36);
	assert_int_equal(get(HV_REG_RIP), RIP);
	assert_int_equal(string_out(rep_outsb, 2, false, 1), INTERCEPT_RESUME);
	assert_int_equal(get(HV_REG_RCX), 0);
	assert_int_equal(get(HV_REG_RSI), 0x4000 + 50);
	assert_int_equal(get(HV_REG_RIP), RIP + 2);
	assert_int_equal(devices.com1.counters[UART_TX_BYTES], 100);
}

static void a_count_of_zero_does_nothing(void **state)
{
	put(HV_REG_RIP, RIP);
	put(HV_REG_RCX, 0);
	assert_int_equal(string_out(rep_outsb, 2, false, 1), INTERCEPT_RESUME);
	assert_int_equal(get(HV_REG_RIP), RIP + 2);
	assert_int_equal(devices.com1.counters[UART_TX_BYTES], 0);
}

static void the_direction_flag_counts_down(void **state)
{
	put(HV_REG_RIP, RIP);
	put(HV_REG_RFLAGS, 0x402);
	put(HV_REG_RSI, 0x5000);
	assert_int_equal(string_out(outsb, 1, false, 1), INTERCEPT_RESUME);
	assert_int_equal(get(HV_REG_RSI), 0x4fff);
	assert_int_equal(get(HV_REG_RIP), RIP + 1);
}

static void ins_writes_guest_memory(void **state)
{
	uint8_t bytes[4] = { 0 };

	put(HV_REG_RIP, RIP);
	put(HV_REG_RDI, 0x5000);
	put(HV_REG_RCX, 2);
	devices_port_write(&devices, 0x3fb, 1, 0x83);	/* DLAB: the data register reads as the divisor, 12 */
	assert_int_equal(string_out(rep_insb, 2, true, 1), INTERCEPT_RESUME);
	assert_true(guest_mem_read(&mem, 0x5000, bytes, sizeof bytes));
	assert_memory_equal(bytes, "\x0c\x0c\x00\x00", 4);
	assert_int_equal(get(HV_REG_RDI), 0x5002);
}

static void a_page_that_is_absent_is_the_guests_page_fault(void **state)
{
	put(HV_REG_RIP, RIP);
	put(HV_REG_RSI, 0x4ffe);
	put(HV_REG_RCX, 5);
	backend.absent_page = 5;
	assert_int_equal(string_out(rep_outsb, 2, false, 1), INTERCEPT_RESUME);
	assert_int_equal(get(HV_REG_RCX), 3);		/* the two before the fault are done */
	assert_int_equal(get(HV_REG_RIP), RIP);
	assert_int_equal(fake_register_low(&backend, 0, HV_REG_CR2), 0x5000);
	assert_int_equal(fake_register_low(&backend, 0, HV_REG_PENDING_INTERRUPTION), 1 | 3 << 1 | 0x10 | 14 << 16);
	put(HV_REG_RDI, 0x5000);
	assert_int_equal(string_out(rep_insb, 2, true, 1), INTERCEPT_RESUME);
	assert_int_equal(fake_register_low(&backend, 0, HV_REG_PENDING_INTERRUPTION) >> 32, 2);	/* a write */
}

static void string_io_outside_ram_stops_the_vp(void **state)
{
	put(HV_REG_RSI, 0xfec00000);
	put(HV_REG_RCX, 1);
	assert_int_equal(string_out(rep_outsb, 2, false, 1), INTERCEPT_FAILED);
	assert_non_null(strstr(why.text, "port 0x3f8: address 0xfec00000 is not in RAM"));
}

static void string_io_that_is_not_stops_the_vp(void **state)
{
	assert_int_equal(string_out(rep_outsb, 2, true, 1), INTERCEPT_FAILED);	/* message says IN */
	assert_int_equal(string_out(rep_outsb, 2, false, 4), INTERCEPT_FAILED);	/* message says 4 bytes */
	assert_int_equal(string_out((const uint8_t *)"\x90", 1, false, 1), INTERCEPT_FAILED);
}

static enum intercept_verdict mmio(const uint8_t *bytes, unsigned count, uint64_t gpa, uint8_t access)
{
	struct hv_memory_intercept memory = {
		.header = header_64(0, access),
		.instruction_byte_count = (uint8_t)count,
		.gpa = gpa,
	};

	memcpy(memory.instruction_bytes, bytes, count);
	put(HV_REG_RIP, RIP);
	return handle(HV_MESSAGE_GPA_UNMAPPED, &memory, sizeof memory);
}

static const uint8_t store_rbx[] = { 0x89, 0x03 }, load_rbx[] = { 0x8b, 0x03 };

static void the_ioapic_is_reached_by_mov(void **state)
{
	put(HV_REG_RBX, 0xffffc900fec00000);
	put(HV_REG_RAX, 0x01);
	assert_int_equal(mmio(store_rbx, 2, 0xfec00000, HV_INTERCEPT_WRITE), INTERCEPT_RESUME);
	assert_int_equal(get(HV_REG_RIP), RIP + 2);
	put(HV_REG_RBX, 0xffffc900fec00010);
	assert_int_equal(mmio(load_rbx, 2, 0xfec00010, HV_INTERCEPT_READ), INTERCEPT_RESUME);
	assert_int_equal(get(HV_REG_RAX), 0x170020);
}

static void bytes_come_from_guest_memory_when_the_message_has_none(void **state)
{
	assert_true(guest_mem_write(&mem, RIP, load_rbx, sizeof load_rbx));
	put(HV_REG_RBX, 0xfed00000);
	assert_int_equal(mmio(load_rbx, 0, 0xfed00000, HV_INTERCEPT_READ), INTERCEPT_RESUME);
	assert_int_equal(get(HV_REG_RAX), 0xffffffff);
	put(HV_REG_RAX, 0);
	assert_int_equal(mmio(load_rbx, 1, 0xfed00000, HV_INTERCEPT_READ), INTERCEPT_RESUME);	/* too few */
	assert_int_equal(get(HV_REG_RAX), 0xffffffff);
}

static void code_that_does_not_fit_the_access_stops_the_vp(void **state)
{
	put(HV_REG_RBX, 0xfec00004);
	assert_int_equal(mmio(store_rbx, 2, 0xfec00000, HV_INTERCEPT_WRITE), INTERCEPT_FAILED);
	assert_non_null(strstr(why.text, "the access was to 0xfec00000"));
}

static void an_unknown_instruction_stops_the_vp_with_its_bytes(void **state)
{
	assert_int_equal(mmio((const uint8_t *)"\x0f\x0b", 2, 0xfec00000, HV_INTERCEPT_WRITE), INTERCEPT_FAILED);
	assert_non_null(strstr(why.text, "vp 0: access to 0xfec00000 at rip 0x8000: unknown instruction 0f 0b"));
}

static void code_outside_ram_stops_the_vp(void **state)
{
	assert_int_equal(mmio(store_rbx, 2, 0xfed00000, HV_INTERCEPT_EXECUTE), INTERCEPT_FAILED);
	assert_non_null(strstr(why.text, "runs at 0xfed00000"));
}

static enum intercept_verdict msr(uint32_t index, bool write)
{
	struct hv_msr_intercept m = {
		.header = header_64(2, write ? HV_INTERCEPT_WRITE : HV_INTERCEPT_READ),
		.msr = index,
	};

	put(HV_REG_RIP, RIP);
	put(HV_REG_RAX, UINT64_MAX);
	put(HV_REG_RDX, UINT64_MAX);
	return handle(HV_MESSAGE_MSR, &m, sizeof m);
}

static void every_msr_of_the_table_reads_its_value_and_takes_writes(void **state)
{
	for (unsigned i = 0; i < msr_policy_count; i++) {
		const struct msr_policy *row = &msr_policies[i];

		assert_true(row->first <= row->last);
		if (i)
			assert_true(row->first > msr_policies[i - 1].last);
		for (uint32_t index = row->first; index <= row->last; index++) {
			assert_int_equal(msr(index, false), INTERCEPT_RESUME);
			assert_int_equal(get(HV_REG_RAX), row->value & 0xffffffff);
			assert_int_equal(get(HV_REG_RDX), row->value >> 32);
			assert_int_equal(get(HV_REG_RIP), RIP + 2);
			assert_int_equal(msr(index, true), INTERCEPT_RESUME);
			assert_int_equal(get(HV_REG_RAX), UINT64_MAX);
			assert_int_equal(get(HV_REG_RIP), RIP + 2);
		}
	}
	assert_int_equal(fake_register_low(&backend, 0, HV_REG_PENDING_INTERRUPTION), 0);
}

static void any_other_msr_is_a_general_protection_fault(void **state)
{
	assert_int_equal(msr(0xc0010131, false), INTERCEPT_RESUME);
	assert_int_equal(get(HV_REG_RIP), RIP);
	assert_int_equal(fake_register_low(&backend, 0, HV_REG_PENDING_INTERRUPTION), 1 | 3 << 1 | 0x10 | 13 << 16);
}

static void cpuid_gets_the_hypervisors_own_answer(void **state)
{
	struct hv_cpuid_intercept cpuid = {
		.header = header_64(2, HV_INTERCEPT_EXECUTE),
		.default_rax = 1, .default_rcx = 2, .default_rdx = 3, .default_rbx = 4,
	};

	put(HV_REG_RIP, RIP);
	assert_int_equal(handle(HV_MESSAGE_CPUID, &cpuid, sizeof cpuid), INTERCEPT_RESUME);
	assert_int_equal(get(HV_REG_RAX), 1);
	assert_int_equal(get(HV_REG_RCX), 2);
	assert_int_equal(get(HV_REG_RDX), 3);
	assert_int_equal(get(HV_REG_RBX), 4);
	assert_int_equal(get(HV_REG_RIP), RIP + 2);
}

static void an_eoi_lets_a_level_interrupt_come_again(void **state)
{
	const uint32_t eoi[2] = { 0, 0x42 };

	devices_mmio_write(&devices, PLATFORM_IOAPIC_GPA, 4, 0x18);
	devices_mmio_write(&devices, PLATFORM_IOAPIC_GPA + 0x10, 4, 0x8042);
	devices_port_write(&devices, 0x3fc, 1, 0x08);
	devices_port_write(&devices, 0x3f9, 1, 0x02);
	assert_int_equal(devices.ioapic.counters[IOAPIC_INTERRUPTS], 1);
	assert_int_equal(handle(HV_MESSAGE_APIC_EOI, eoi, sizeof eoi), INTERCEPT_RESUME);
	assert_int_equal(devices.ioapic.counters[IOAPIC_INTERRUPTS], 2);
}

static void other_messages_have_their_verdict(void **state)
{
	struct hv_intercept_header header = header_64(0, HV_INTERCEPT_EXECUTE);
	const struct { uint32_t type; enum intercept_verdict verdict; const char *text; } rows[] = {
		{ HV_MESSAGE_NONE, INTERCEPT_RESUME, "" },
		{ HV_MESSAGE_HALT, INTERCEPT_HALT, "" },
		{ HV_MESSAGE_UNRECOVERABLE_EXCEPTION, INTERCEPT_TRIPLE_FAULT, "triple fault at rip 0x8000" },
		{ HV_MESSAGE_UNSUPPORTED_FEATURE, INTERCEPT_FAILED, "unsupported feature" },
		{ HV_MESSAGE_INVALID_VP_REGISTER, INTERCEPT_FAILED, "invalid register" },
		{ HV_MESSAGE_EXCEPTION, INTERCEPT_FAILED, "exception" },
		{ 0x80012345, INTERCEPT_FAILED, "unknown type 0x80012345" },
		{ 1, INTERCEPT_FAILED, "unknown type 0x1" },
	};

	for (unsigned i = 0; i < COUNT(rows); i++) {
		memset(&why, 0, sizeof why);
		assert_int_equal(handle(rows[i].type, &header, sizeof header), rows[i].verdict);
		assert_non_null(strstr(why.text, rows[i].text));
	}
}

static void a_hypercall_that_fails_is_told(void **state)
{
	backend.fail_call = "registers_set";
	backend.fail_error = -EIO;
	assert_int_equal(msr(0xc0010131, false), INTERCEPT_FAILED);
	assert_string_equal(why.text, "fake: registers_set fails");
}

static void every_route_has_a_handler_and_a_name(void **state)
{
	for (unsigned i = 0; i < intercept_route_count; i++) {
		assert_non_null(intercept_routes[i].handle);
		for (unsigned k = 0; k < i; k++)
			assert_int_not_equal(intercept_routes[i].message_type, intercept_routes[k].message_type);
	}
	for (unsigned i = 0; i < INTERCEPT_KIND_COUNT; i++)
		assert_non_null(intercept_kind_names[i]);
}

#define BOTH(f) \
	{ #f, f, setup, teardown, NULL }, { #f " (register page)", f, setup_page, teardown, NULL }

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(in_merges_into_rax_by_its_size),
		BOTH(out_reaches_the_device_and_steps_on),
		BOTH(a_missing_length_is_found_in_the_code),
		BOTH(a_size_that_cannot_be_is_refused),
		BOTH(power_requests_become_verdicts),
		BOTH(rep_outs_runs_in_bounded_steps),
		BOTH(a_count_of_zero_does_nothing),
		BOTH(the_direction_flag_counts_down),
		BOTH(ins_writes_guest_memory),
		BOTH(a_page_that_is_absent_is_the_guests_page_fault),
		BOTH(string_io_outside_ram_stops_the_vp),
		BOTH(string_io_that_is_not_stops_the_vp),
		BOTH(the_ioapic_is_reached_by_mov),
		BOTH(bytes_come_from_guest_memory_when_the_message_has_none),
		BOTH(code_that_does_not_fit_the_access_stops_the_vp),
		BOTH(an_unknown_instruction_stops_the_vp_with_its_bytes),
		BOTH(code_outside_ram_stops_the_vp),
		BOTH(every_msr_of_the_table_reads_its_value_and_takes_writes),
		BOTH(any_other_msr_is_a_general_protection_fault),
		BOTH(cpuid_gets_the_hypervisors_own_answer),
		BOTH(an_eoi_lets_a_level_interrupt_come_again),
		BOTH(other_messages_have_their_verdict),
		BOTH(a_hypercall_that_fails_is_told),
		BOTH(every_route_has_a_handler_and_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
