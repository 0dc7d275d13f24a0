// SPDX-License-Identifier: Apache-2.0
/* The state machine, every row of it, with real VP threads on the fake backend; and how a machine is built and taken down. */
#include "cmocka_all.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "bench_machine.h"
#include "hv/hv_intercept.h"
#include "worker/platform.h"
#include "worker/worker_msg.h"

static struct bench_machine bench;
static struct failure why;

static int setup(void **state)
{
	memset(&why, 0, sizeof why);
	return bench_machine_init(&bench, 3);
}

static int teardown(void **state)
{
	bench_machine_fini(&bench);
	return 0;
}

/* Brings a fresh worker into a state by legal requests. */
static void enter(enum worker_state state)
{
	if (state >= WORKER_RUNNING && state <= WORKER_PAUSED)
		assert_int_equal(worker_apply(&bench.worker, WORKER_START, &why), 0);
	if (state == WORKER_PAUSED)
		assert_int_equal(worker_apply(&bench.worker, WORKER_PAUSE, &why), 0);
	if (state == WORKER_STOPPED)
		assert_int_equal(worker_apply(&bench.worker, WORKER_TURN_OFF, &why), 0);
	assert_int_equal(bench.worker.state, state);
}

#define NO { WORKER_STATE_COUNT, NULL, 0 }

/* Written down a second time, from worker_msg.h. */
static const struct {
	enum worker_state next;
	const char *reason;
	int exit_status;
} expected[WORKER_STATE_COUNT][WORKER_INPUT_COUNT] = {
	/* created: start, pause, resume, turn off, reset, guest: power off, reset, triple fault, failure */
	{ { WORKER_RUNNING, "started", 0 }, NO, NO, { WORKER_STOPPED, "turned_off", 0 }, NO, NO, NO, NO, NO },
	/* running */
	{ NO, { WORKER_PAUSED, "paused", 0 }, NO, { WORKER_STOPPED, "turned_off", 0 }, { WORKER_RUNNING, "started", 0 },
	  { WORKER_STOPPED, "guest_power_off", 0 }, { WORKER_RUNNING, "guest_reset", 0 }, { WORKER_STOPPED, "triple_fault", 3 },
	  { WORKER_STOPPED, "internal_error", 1 } },
	/* paused */
	{ NO, NO, { WORKER_RUNNING, "resumed", 0 }, { WORKER_STOPPED, "turned_off", 0 }, { WORKER_RUNNING, "started", 0 },
	  { WORKER_STOPPED, "guest_power_off", 0 }, { WORKER_RUNNING, "guest_reset", 0 }, { WORKER_STOPPED, "triple_fault", 3 },
	  { WORKER_STOPPED, "internal_error", 1 } },
	/* stopped */
	{ NO, NO, NO, { WORKER_STOPPED, "turned_off", 0 }, NO, NO, NO, NO, NO },
};

static void check_row(enum worker_state from, enum worker_input input)
{
	const struct worker *w = &bench.worker;
	bool refused = expected[from][input].next == WORKER_STATE_COUNT;
	int r;

	assert_int_equal(bench_machine_init(&bench, 2), 0);
	enter(from);
	r = worker_apply(&bench.worker, input, &why);
	if (r != (refused ? -EBUSY : 0))
		fail_msg("%s, input %u: result %d", worker_state_names[from], input, r);
	if (refused) {
		assert_int_equal(w->state, from);
		assert_non_null(strstr(why.text, worker_state_names[from]));
	} else {
		assert_int_equal(w->state, expected[from][input].next);
		assert_string_equal(w->reason, expected[from][input].reason);
		if (w->state == WORKER_STOPPED) {
			assert_int_equal(w->exit_status, expected[from][input].exit_status);
			assert_true(bench.loop.stopping);
		}
	}
	assert_int_equal(bench.backend.exists, w->state == WORKER_RUNNING || w->state == WORKER_PAUSED);
	assert_int_equal(bench.backend.time_freeze, w->state == WORKER_PAUSED);
	bench_machine_fini(&bench);
}

static void every_row_of_the_state_table(void **state)
{
	for (enum worker_state from = 0; from < WORKER_STATE_COUNT; from++)
		for (enum worker_input input = 0; input < WORKER_INPUT_COUNT; input++)
			check_row(from, input);
}

static void a_machine_is_built_as_the_interface_wants(void **state)
{
	enter(WORKER_RUNNING);
	assert_int_equal(bench.backend.vps, 3);
	assert_int_equal(bench.backend.mapped_bytes, 32u << 20);
	assert_true(bench.backend.msr_intercept);
	assert_true(bench.backend.irqfd[PLATFORM_COM1_GSI] >= 0);
	/* Hv#1 leaves, hypercall and VP index MSRs, direct timers; and nothing that makes the child a root */
	assert_int_equal(bench.backend.features, 0x400bff);
	assert_int_equal(fake_register_low(&bench.backend, 0, HV_REG_RIP), 0x1000200);
	assert_int_equal(fake_register_low(&bench.backend, 1, HV_REG_RIP), 0);	/* waits for its start-up IPI */
}

static void each_failing_step_of_a_start_ends_with_status_2_and_nothing_left(void **state)
{
	static const char *const calls[] = {
		"partition_create", "partition_set_property", "partition_initialize", "install_intercept", "map", "vp_create",
		"registers_set", "irqfd",
	};

	for (unsigned i = 0; i < COUNT(calls); i++) {
		assert_int_equal(bench_machine_init(&bench, 2), 0);
		bench.backend.fail_call = calls[i];
		bench.backend.fail_error = -ENOMEM;
		assert_int_equal(worker_apply(&bench.worker, WORKER_START, &why), -ENOMEM);
		assert_non_null(strstr(why.text, calls[i]));
		assert_int_equal(bench.worker.state, WORKER_STOPPED);
		assert_string_equal(bench.worker.reason, "internal_error");
		assert_int_equal(bench.worker.exit_status, WORKER_EXIT_START_FAILED);
		assert_false(bench.backend.exists);
		bench_machine_fini(&bench);
	}
}

static void a_bad_kernel_file_is_a_failed_start(void **state)
{
	assert_int_equal(ftruncate(bench.kernel_fd, 100), 0);
	assert_int_equal(worker_apply(&bench.worker, WORKER_START, &why), -ENOEXEC);
	assert_non_null(strstr(why.text, "kernel: the file has only 100 bytes"));
	assert_int_equal(bench.backend.partitions, 0);
	assert_int_equal(bench.worker.exit_status, WORKER_EXIT_START_FAILED);
}

static void a_reset_that_fails_ends_with_status_1(void **state)
{
	enter(WORKER_RUNNING);
	assert_int_equal(ftruncate(bench.kernel_fd, 100), 0);
	assert_int_equal(worker_apply(&bench.worker, WORKER_RESET, &why), -ENOEXEC);
	assert_int_equal(bench.worker.state, WORKER_STOPPED);
	assert_int_equal(bench.worker.exit_status, WORKER_EXIT_ERROR);
	assert_false(bench.backend.exists);
}

static void a_pause_that_fails_leaves_it_running(void **state)
{
	enter(WORKER_RUNNING);
	bench.backend.fail_call = "time_freeze";
	bench.backend.fail_error = -EIO;
	assert_int_equal(worker_apply(&bench.worker, WORKER_PAUSE, &why), -EIO);
	assert_int_equal(bench.worker.state, WORKER_RUNNING);
	bench.backend.fail_call = NULL;
	assert_int_equal(worker_apply(&bench.worker, WORKER_PAUSE, &why), 0);
	assert_int_equal(worker_apply(&bench.worker, WORKER_RESUME, &why), 0);
}

static unsigned runs(void)
{
	unsigned count;

	(void)pthread_mutex_lock(&bench.backend.lock);
	count = bench.backend.runs;
	(void)pthread_mutex_unlock(&bench.backend.lock);
	return count;
}

static void while_paused_no_vp_enters_the_driver(void **state)
{
	unsigned before;

	enter(WORKER_PAUSED);
	before = runs();
	(void)usleep(20000);
	assert_int_equal(runs(), before);
	assert_int_equal(worker_apply(&bench.worker, WORKER_RESUME, &why), 0);
	for (unsigned i = 0; i < 1000 && runs() == before; i++)
		(void)usleep(1000);
	assert_true(runs() > before);
}

static void a_hundred_pauses_and_resumes(void **state)
{
	enter(WORKER_RUNNING);
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(worker_apply(&bench.worker, WORKER_PAUSE, &why), 0);
		assert_int_equal(worker_apply(&bench.worker, WORKER_RESUME, &why), 0);
	}
}

static void out_byte(uint16_t port, uint8_t value)
{
	struct hv_io_port_intercept io = {
		.header = { .instruction_length = 1, .access_type = HV_INTERCEPT_WRITE, .execution_state = 0x14,
			    .cs.attributes = 0xa09b },
		.port = port,
		.info = 1,
		.rax = value,
	};

	fake_message(&bench.backend, HV_MESSAGE_IO_PORT, &io, sizeof io);
}

static bool in_state(struct bench_machine *b, void *context)
{
	return b->worker.state == *(enum worker_state *)context;
}

static void expect_end(const char *reason, int exit_status)
{
	enum worker_state stopped = WORKER_STOPPED;

	enter(WORKER_RUNNING);
	assert_true(bench_machine_wait(&bench, in_state, &stopped));
	assert_string_equal(bench.worker.reason, reason);
	assert_int_equal(bench.worker.exit_status, exit_status);
	assert_false(bench.backend.exists);
}

static void a_guest_powers_off(void **state)
{
	out_byte(PLATFORM_SLEEP_CONTROL_PORT, 0x20 | PLATFORM_SLEEP_TYPE_S5 << 2);
	expect_end("guest_power_off", WORKER_EXIT_OK);
}

static void a_guest_triple_faults(void **state)
{
	struct hv_intercept_header header = { .rip = 0x1234 };

	fake_message(&bench.backend, HV_MESSAGE_UNRECOVERABLE_EXCEPTION, &header, sizeof header);
	expect_end("triple_fault", WORKER_EXIT_TRIPLE_FAULT);
}

static void a_message_nobody_knows_ends_the_worker_with_status_1(void **state)
{
	fake_message(&bench.backend, 0x80055555, "", 0);
	expect_end("internal_error", WORKER_EXIT_ERROR);
}

static void a_driver_that_fails_to_run_ends_the_worker_with_status_1(void **state)
{
	bench.backend.fail_call = "run";
	bench.backend.fail_error = -EIO;
	expect_end("internal_error", WORKER_EXIT_ERROR);
}

static bool was_reset(struct bench_machine *b, void *context)
{
	return b->worker.reason && strcmp(b->worker.reason, "guest_reset") == 0;
}

static void a_guest_reset_builds_a_new_partition_with_clean_memory(void **state)
{
	uint8_t *byte;

	enter(WORKER_RUNNING);
	byte = guest_mem_range(&bench.worker.machine.mem, 0x1800000, 1);
	*byte = 0x77;
	assert_int_equal(worker_apply(&bench.worker, WORKER_PAUSE, &why), 0);
	out_byte(PLATFORM_RESET_PORT, PLATFORM_RESET_VALUE);
	assert_int_equal(worker_apply(&bench.worker, WORKER_RESUME, &why), 0);
	assert_true(bench_machine_wait(&bench, was_reset, NULL));
	assert_int_equal(bench.worker.state, WORKER_RUNNING);
	assert_int_equal(bench.backend.partitions, 2);
	byte = guest_mem_range(&bench.worker.machine.mem, 0x1800000, 1);
	assert_int_equal(*byte, 0);
	assert_int_equal(bench.worker.machine.devices.counters[BUS_PORT_WRITES], 0);
}

static void a_halted_vp_can_be_paused_and_stopped(void **state)
{
	struct hv_intercept_header header = { .rip = 0x1234 };

	fake_message(&bench.backend, HV_MESSAGE_HALT, &header, sizeof header);
	enter(WORKER_RUNNING);
	(void)usleep(5000);
	assert_int_equal(worker_apply(&bench.worker, WORKER_PAUSE, &why), 0);
	assert_int_equal(worker_apply(&bench.worker, WORKER_RESUME, &why), 0);
	assert_int_equal(worker_apply(&bench.worker, WORKER_TURN_OFF, &why), 0);
}

static void exits_are_counted_by_kind(void **state)
{
	struct hv_intercept_header header = { .rip = 0x1234 };

	for (unsigned i = 0; i < 10; i++)
		out_byte(0x80, 0);
	fake_message(&bench.backend, HV_MESSAGE_HALT, &header, sizeof header);
	enter(WORKER_RUNNING);
	for (unsigned i = 0; i < 1000 && bench.worker.machine.vps.threads[0].counters[INTERCEPT_KIND_HALT] == 0; i++)
		(void)usleep(1000);
	assert_int_equal(bench.worker.machine.vps.threads[0].counters[INTERCEPT_KIND_IO_PORT], 10);
	assert_int_equal(bench.worker.machine.vps.threads[1].counters[INTERCEPT_KIND_IO_PORT], 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_of_the_state_table),
		TEST(a_machine_is_built_as_the_interface_wants),
		cmocka_unit_test(each_failing_step_of_a_start_ends_with_status_2_and_nothing_left),
		TEST(a_bad_kernel_file_is_a_failed_start),
		TEST(a_reset_that_fails_ends_with_status_1),
		TEST(a_pause_that_fails_leaves_it_running),
		TEST(while_paused_no_vp_enters_the_driver),
		TEST(a_hundred_pauses_and_resumes),
		TEST(a_guest_powers_off),
		TEST(a_guest_triple_faults),
		TEST(a_message_nobody_knows_ends_the_worker_with_status_1),
		TEST(a_driver_that_fails_to_run_ends_the_worker_with_status_1),
		TEST(a_guest_reset_builds_a_new_partition_with_clean_memory),
		TEST(a_halted_vp_can_be_paused_and_stopped),
		TEST(exits_are_counted_by_kind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
