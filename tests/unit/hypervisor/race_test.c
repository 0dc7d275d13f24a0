/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile parent with two CPUs: both create, feed, run, change, finalize and delete the same partitions at once, in any
 * order. Statuses may be anything; what must hold is that nothing hangs, that nothing is lost, and that in the end every page
 * is the parent's again.
 */
#include "caller.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "core/gpa_access.h"

#define SLOTS       3u
#define FRAME_FIRST 1024u
#define FRAMES      400u
#define ROUNDS      15000u

static uint64_t slots[SLOTS];		/* ids, atomic */
static unsigned statuses[256], finalized, deleted, dispatched;

static void guest_runs_until_kicked(struct vp *vp, struct vp_exit *out_exit)
{
	unsigned cpu = platform_cpu()->index;
	uint8_t byte;

	for (unsigned i = 0; i < 3000 && !fake_take_kick(cpu); i++)
		platform_pause();
	fake_set_tsc(platform_tsc() + 100);
	/* What a guest may do to its own world meanwhile. */
	if (gpa_read(vp->partition, GPA(0x1000), &byte, 1) == GPA_DONE &&
	    !partition_hypercall_msr_write(vp->partition, (uint64_t)(vp->index + 3) << PAGE_SHIFT | 1))
		__atomic_fetch_add(&statuses[255], 1, __ATOMIC_RELAXED);
	lapic_deliver(vp->partition, HV_INTERRUPT_FIXED, 0x40, false, false, 0xff);
	out_exit->kind = EXIT_INTERRUPT;
}

struct thread {
	unsigned cpu;
	uint64_t random;
};

static uint64_t pick(struct thread *t, uint64_t below)
{
	t->random = t->random * 6364136223846793005ull + 1442695040888963407ull;
	return (t->random >> 33) % below;
}

static void note(enum hv_status status)
{
	__atomic_fetch_add(&statuses[(unsigned)status & 255], 1, __ATOMIC_RELAXED);
}

static void new_partition(struct thread *t, unsigned slot)
{
	uint64_t id, expected = 0;

	(void)t;
	if (caller_create(HV_PARTITION_FLAG_LAPIC | HV_PARTITION_FLAG_EXO, &id) != HV_STATUS_SUCCESS)
		return;
	if (!__atomic_compare_exchange_n(&slots[slot], &expected, id, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		assert_status(caller_partition(HVCALL_DELETE_PARTITION, id), SUCCESS);	/* nobody else knows it */
}

static void feed(struct thread *t, uint64_t id)
{
	uint64_t gpfn[40];

	for (unsigned i = 0; i < 40; i++)
		gpfn[i] = FRAME_FIRST + pick(t, FRAMES);
	note(caller_deposit(id, gpfn, 1 + (uint32_t)pick(t, 40), NULL));
}

static void drain(struct thread *t, uint64_t id)
{
	uint64_t gpfn[64];
	uint32_t done;

	note(caller_withdraw(id, 1 + (uint32_t)pick(t, 64), gpfn, &done));
	for (uint32_t i = 0; i < done; i++)
		assert_in_range(gpfn[i], FRAME_FIRST, FRAME_FIRST + FRAMES - 1);
}

static void change_map(struct thread *t, uint64_t id)
{
	uint64_t source = FRAME_FIRST + pick(t, FRAMES), target = pick(t, 16);

	if (pick(t, 2))
		note(caller_map(id, target, HV_MAP_ALL, &source, 1, NULL));
	else
		note(caller_unmap(id, target, 0, 4, NULL));
}

static void run(struct thread *t, uint64_t id)
{
	uint32_t index = (uint32_t)pick(t, 2);
	struct hv_output_dispatch_vp out;
	struct hv_input_dispatch_vp in = { .partition_id = id, .vp_index = index, .time_slice = 1 };

	caller_set_register(id, index, HV_REG_EXPLICIT_SUSPEND, (struct hv_u128){ 0, 0 });
	caller_set_register(id, index, HV_REG_GUEST_OS_ID, (struct hv_u128){ 1, 0 });
	fake_set_tsc(platform_tsc() + 1000);
	if (caller_simple(HVCALL_DISPATCH_VP, &in, sizeof in, &out, sizeof out) == HV_STATUS_SUCCESS)
		__atomic_fetch_add(&dispatched, 1, __ATOMIC_RELAXED);
}

static void state_page(struct thread *t, uint64_t id)
{
	struct hv_input_vp_state_page in = { .partition_id = id, .vp_index = (uint32_t)pick(t, 2), .type = (uint32_t)pick(t, 2) };

	note(caller_simple(pick(t, 2) ? HVCALL_MAP_VP_STATE_PAGE : HVCALL_UNMAP_VP_STATE_PAGE, &in, sizeof in, NULL, 0));
}

static void end(struct thread *t, unsigned slot, uint64_t id)
{
	enum hv_status status;

	if (pick(t, 4) == 0 && caller_partition(HVCALL_FINALIZE_PARTITION, id) == HV_STATUS_SUCCESS)
		__atomic_fetch_add(&finalized, 1, __ATOMIC_RELAXED);
	status = caller_partition(HVCALL_DELETE_PARTITION, id);
	note(status);
	if (status == HV_STATUS_SUCCESS) {
		__atomic_compare_exchange_n(&slots[slot], &id, 0, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
		__atomic_fetch_add(&deleted, 1, __ATOMIC_RELAXED);
	}
}

static void one_step(struct thread *t)
{
	unsigned slot = (unsigned)pick(t, SLOTS);
	uint64_t id = __atomic_load_n(&slots[slot], __ATOMIC_SEQ_CST);
	struct hv_u128 value;

	if (!id) {
		new_partition(t, slot);
		return;
	}
	switch (pick(t, 20)) {
	case 0 ... 2:
		feed(t, id);
		break;
	case 3 ... 4:
		note(caller_partition(HVCALL_INITIALIZE_PARTITION, id));
		break;
	case 5 ... 6:
		note(caller_create_vp(id, (uint32_t)pick(t, 2)));
		break;
	case 7:
		note(caller_delete_vp(id, (uint32_t)pick(t, 2)));
		break;
	case 8 ... 10:
		run(t, id);
		break;
	case 11:
		note(caller_get_register(id, (uint32_t)pick(t, 2), HV_REG_RIP, &value));
		break;
	case 12 ... 13:
		change_map(t, id);
		break;
	case 14:
		state_page(t, id);
		break;
	case 15 ... 16:
		drain(t, id);
		break;
	case 17:
		end(t, slot, id);
		break;
	case 18:
		note(caller_set_property(id, HV_PROPERTY_SUSPEND, pick(t, 2)));
		break;
	case 19:
		for (unsigned i = 0; i < 10; i++)
			drain(t, id);
		break;
	}
}

static void *thread_main(void *arg)
{
	struct thread *t = arg;

	fake_set_cpu(t->cpu);
	for (unsigned i = 0; i < ROUNDS; i++)
		one_step(t);
	return NULL;
}

static void finish_off(uint64_t id)
{
	uint64_t gpfn[512];

	caller_partition(HVCALL_FINALIZE_PARTITION, id);
	caller_withdraw(id, 512, gpfn, NULL);
	assert_status(caller_partition(HVCALL_DELETE_PARTITION, id), SUCCESS);
}

static void two_cpus_against_each_other(void **state)
{
	struct thread threads[2] = { { 0, 42 }, { 1, 4711 } };
	struct partition_totals totals;
	pthread_t other;

	(void)state;
	print_message("seeds %llu %llu\n", (unsigned long long)threads[0].random, (unsigned long long)threads[1].random);
	fake_set_guest(guest_runs_until_kicked);
	assert_int_equal(pthread_create(&other, NULL, thread_main, &threads[1]), 0);
	thread_main(&threads[0]);
	pthread_join(other, NULL);
	fake_set_cpu(0);
	print_message("%u dispatched, %u finalized, %u deleted\n", dispatched, finalized, deleted);
	assert_true(dispatched > 50 && finalized > 5 && deleted > 5 && statuses[HV_STATUS_SUCCESS] > 1000);
	for (unsigned i = 0; i < SLOTS; i++)
		if (slots[i])
			finish_off(slots[i]);
	partition_totals(&totals);
	assert_int_equal(totals.partitions, 1);
	assert_int_equal(root_partition->references, 0);
	for (unsigned i = 0; i < FRAMES; i++) {
		uint64_t at = (uint64_t)(FRAME_FIRST + i) << PAGE_SHIFT;

		assert_int_equal(gpa_space_lookup(&root_partition->space, GPA(at)).spa.v, at);
		assert_status(caller_deposit(HV_PARTITION_ID_SELF, &(uint64_t){ FRAME_FIRST + i }, 1, NULL), SUCCESS);
	}
}

static uint64_t ending;
static enum hv_status ended;

static void *finalizer(void *arg)
{
	(void)arg;
	fake_set_cpu(1);
	ended = caller_partition(HVCALL_FINALIZE_PARTITION, ending);
	return NULL;
}

/* Whoever found the partition before it began to end may work on it until he lets go. */
static void finalize_waits_for_calls_in_flight(void **state)
{
	struct partition *p;
	pthread_t other;

	(void)state;
	ending = caller_child(60);
	assert_status(caller_create_vp(ending, 0), SUCCESS);
	caller_ram(ending, 0, 4);
	p = partition_get(root_partition, ending);
	assert_int_equal(pthread_create(&other, NULL, finalizer, NULL), 0);
	while (__atomic_load_n(&p->state, __ATOMIC_SEQ_CST) != PARTITION_FINALIZING)
		platform_pause();
	usleep(50000);
	assert_int_equal(p->state, PARTITION_FINALIZING);
	assert_int_equal(gpa_space_lookup(&p->space, GPA(0x1000)).access, ACCESS_ALL);
	assert_non_null(partition_vp(p, 0));
	assert_status(caller_create_vp(ending, 1), INVALID_PARTITION_STATE);
	assert_status(caller_partition(HVCALL_FINALIZE_PARTITION, ending), INVALID_PARTITION_STATE);
	partition_put(p);
	pthread_join(other, NULL);
	assert_int_equal(ended, HV_STATUS_SUCCESS);
	assert_int_equal(p->state, PARTITION_FINALIZED);
	assert_int_equal(p->pool.used_count, 0);
}

static unsigned guest_entries;

static void guest_spins(struct vp *vp, struct vp_exit *out_exit)
{
	(void)vp;
	__atomic_fetch_add(&guest_entries, 1, __ATOMIC_SEQ_CST);
	while (!fake_take_kick(1))
		platform_pause();
	out_exit->kind = EXIT_INTERRUPT;
}

static struct hv_output_dispatch_vp outcome;

static void *dispatcher(void *arg)
{
	(void)arg;
	fake_set_cpu(1);
	ended = caller_dispatch(ending, 0, 0, &outcome);
	return NULL;
}

static void start_running(pthread_t *out_thread)
{
	ending = caller_child(60);
	assert_status(caller_create_vp(ending, 0), SUCCESS);
	assert_status(caller_set_register(ending, 0, HV_REG_EXPLICIT_SUSPEND, (struct hv_u128){ 0, 0 }), SUCCESS);
	fake_set_guest(guest_spins);
	guest_entries = 0;
	fake_take_kick(1);
	assert_int_equal(pthread_create(out_thread, NULL, dispatcher, NULL), 0);
	while (!__atomic_load_n(&guest_entries, __ATOMIC_SEQ_CST))
		platform_pause();
}

static void a_running_vp_is_read_suspended_and_removed(void **state)
{
	struct hv_u128 value;
	pthread_t other;

	(void)state;
	start_running(&other);
	assert_status(caller_get_register(ending, 0, HV_REG_RIP, &value), SUCCESS);
	pthread_join(other, NULL);
	assert_int_equal(ended, HV_STATUS_SUCCESS);
	assert_int_equal(outcome.dispatch_state, HV_DISPATCH_STATE_READY);	/* it was only looked at */
	assert_int_equal(outcome.dispatch_event, HV_DISPATCH_EVENT_NONE);

	start_running(&other);
	assert_status(caller_set_register(ending, 0, HV_REG_EXPLICIT_SUSPEND, (struct hv_u128){ 1, 0 }), SUCCESS);
	pthread_join(other, NULL);
	assert_int_equal(outcome.dispatch_event, HV_DISPATCH_EVENT_SUSPEND);

	start_running(&other);
	assert_status(caller_delete_vp(ending, 0), SUCCESS);
	pthread_join(other, NULL);
	assert_int_equal(ended, HV_STATUS_SUCCESS);

	start_running(&other);
	assert_int_equal(caller_destroy(ending), 60);
	pthread_join(other, NULL);
}

/* A page leaves a child that runs only when the child has forgotten it. */
static void unmap_waits_for_the_guest(void **state)
{
	struct vp *vp;
	pthread_t other;
	unsigned before;

	(void)state;
	start_running(&other);
	caller_ram(ending, 0, 4);
	vp = partition_vp(caller_partition_of(ending), 0);
	before = fake_kicks(1);
	assert_status(caller_unmap(ending, 0, 0, 4, NULL), SUCCESS);
	assert_true(fake_kicks(1) > before);
	assert_true(vp->gpa_generation == vp->partition->space.generation || !cpus[1]->in_guest);
	assert_int_equal(caller_destroy(ending), 60);
	pthread_join(other, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(finalize_waits_for_calls_in_flight, caller_setup, caller_teardown),
		cmocka_unit_test_setup_teardown(a_running_vp_is_read_suspended_and_removed, caller_setup, caller_teardown),
		cmocka_unit_test_setup_teardown(unmap_waits_for_the_guest, caller_setup, caller_teardown),
		cmocka_unit_test_setup_teardown(two_cpus_against_each_other, caller_setup, caller_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
