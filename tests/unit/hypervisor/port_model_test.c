/* SPDX-License-Identifier: Apache-2.0 */
/* Random operations on ports against a plain model; and two CPUs against each other. */
#include "port_rig.h"

#include <pthread.h>
#include <string.h>

#include "hv/hv_msr.h"

/* --- Random operations against a plain model ------------------------------------------------------------------------ */

#define PORTS       12u
#define CONNECTIONS 12u
#define ROUNDS      60000u

static struct {
	bool exists, event, held;
	uint32_t vp;			/* target */
	uint32_t tag;			/* this life of the id */
	uint32_t posted, taken, slotted;	/* numbers of the next message: from the child, to us, into the slot */
} model_port[PORTS];
static struct {
	bool exists;
	uint32_t port, tag;
} model_connection[CONNECTIONS];
static uint32_t tags;

/* The slots tell what has left the queues. */
static void model_look(void)
{
	for (uint32_t vp = 0; vp < 2; vp++) {
		const struct hv_message *m = slot(vp);
		uint32_t number, port = (uint32_t)m->sender;

		if (m->type == HV_MESSAGE_NONE)
			continue;
		memcpy(&number, m->payload, sizeof number);
		if (model_port[port].exists && model_port[port].tag == number >> 16) {
			assert_int_equal(model_port[port].vp, vp);
			assert_int_equal((uint16_t)number, (uint16_t)model_port[port].taken);
			model_port[port].slotted = model_port[port].taken + 1;
		}
	}
}

/* Whoever waits does so behind an occupied slot. */
static void model_check(void)
{
	model_look();
	for (uint32_t i = 0; i < PORTS; i++) {
		if (!model_port[i].exists || model_port[i].event)
			continue;
		assert_true(model_port[i].posted - model_port[i].slotted <= HV_PORT_MESSAGES);
		if (!model_port[i].held && empty(model_port[i].vp))
			assert_int_equal(model_port[i].posted, model_port[i].slotted);
	}
}

static void model_create(uint32_t i)
{
	bool event = caller_random(4) == 0;
	uint32_t vp = (uint32_t)caller_random(2);
	struct hv_port_info info = event ? event_info(vp, (uint16_t)i, 1) : message_info(vp);
	enum hv_status status = create_port(HV_PARTITION_ID_SELF, i, child, info);

	if (model_port[i].exists) {
		assert_status(status, INVALID_PORT_ID);
		return;
	}
	assert_status(status, SUCCESS);
	memset(&model_port[i], 0, sizeof model_port[i]);
	model_port[i].exists = true;
	model_port[i].event = event;
	model_port[i].vp = vp;
	model_port[i].tag = ++tags & 0xffff;
}

static void model_connect(uint32_t i)
{
	uint32_t port = (uint32_t)caller_random(PORTS);
	enum hv_status status = connect(child, i, HV_PARTITION_ID_SELF, port, model_port[port].event ? HV_PORT_EVENT : HV_PORT_MESSAGE);

	if (!model_port[port].exists) {
		assert_status(status, INVALID_PORT_ID);
	} else if (model_connection[i].exists) {
		assert_status(status, INVALID_CONNECTION_ID);
	} else {
		assert_status(status, SUCCESS);
		model_connection[i].exists = true;
		model_connection[i].port = port;
		model_connection[i].tag = model_port[port].tag;
	}
}

static void model_send(uint32_t i)
{
	uint32_t port = model_connection[i].port, number = model_port[port].tag << 16 | (uint16_t)model_port[port].posted;
	bool event = caller_random(5) == 0;
	enum hv_status status = event ? signal_fast(i, 0) : post(i, number);

	if (!model_connection[i].exists) {
		assert_status(status, INVALID_CONNECTION_ID);
	} else if (!model_port[port].exists || model_port[port].tag != model_connection[i].tag || model_port[port].event != event) {
		assert_status(status, INVALID_PORT_ID);
	} else if (event) {
		assert_status(status, SUCCESS);
		assert_true(flag_is_set(model_port[port].vp, port));
	} else if (model_port[port].posted - model_port[port].slotted == HV_PORT_MESSAGES) {
		assert_status(status, INSUFFICIENT_BUFFERS);
	} else {
		assert_status(status, SUCCESS);
		model_port[port].posted++;
	}
}

static void model_take(uint32_t vp)
{
	struct hv_message *m = slot(vp);
	uint32_t number, port = (uint32_t)m->sender;

	if (m->type == HV_MESSAGE_NONE)
		return;
	number = take(vp, port);
	if (model_port[port].exists && model_port[port].tag == number >> 16)
		model_port[port].taken++;
}

static void model_hold(uint32_t i)
{
	bool held = caller_random(2) != 0;
	enum hv_status status = hold(i, held);

	if (!model_port[i].exists || model_port[i].event) {
		assert_status(status, INVALID_PORT_ID);
		return;
	}
	assert_status(status, SUCCESS);
	model_port[i].held = held;
}

static void model_step(void)
{
	uint32_t port = (uint32_t)caller_random(PORTS), connection = (uint32_t)caller_random(CONNECTIONS);

	switch (caller_random(40)) {
	case 0:
		model_create(port);
		break;
	case 1:
		assert_int_equal(delete_port(HV_PARTITION_ID_SELF, port), model_port[port].exists ? 0 : HV_STATUS_INVALID_PORT_ID);
		model_port[port].exists = false;
		break;
	case 2 ... 4:
		model_connect(connection);
		break;
	case 5:
		assert_int_equal(disconnect(child, connection),
				 model_connection[connection].exists ? 0 : HV_STATUS_INVALID_CONNECTION_ID);
		model_connection[connection].exists = false;
		break;
	case 6:
		model_hold(port);
		break;
	case 7 ... 20:
		model_take((uint32_t)caller_random(2));
		break;
	default:
		model_send(connection);
	}
}

static void random_operations_follow_the_model(void **state)
{
	uint64_t root_before, child_before = child_used();

	(void)state;
	caller_seed(0x9087);
	assert_status(post(1, 0), INVALID_CONNECTION_ID);
	root_before = root_used();
	memset(model_port, 0, sizeof model_port);
	memset(model_connection, 0, sizeof model_connection);
	for (unsigned i = 0; i < ROUNDS; i++) {
		model_step();
		model_check();
	}
	for (uint32_t i = 0; i < PORTS; i++)
		if (model_port[i].exists)
			assert_status(delete_port(HV_PARTITION_ID_SELF, i), SUCCESS);
	assert_int_equal(root_used(), root_before);
	for (uint32_t i = 0; i < CONNECTIONS; i++)
		if (model_connection[i].exists)
			assert_status(disconnect(child, i), SUCCESS);
	assert_int_equal(child_used(), child_before);
}

/* --- Two CPUs ------------------------------------------------------------------------------------------------------- */

#define RACE_IDS    4u
#define RACE_ROUNDS 20000u

static uint32_t race_over, sent;
static uint64_t target;			/* atomic: id of the child that receives, 0 none */

static bool race_goes_on(void)
{
	return !__atomic_load_n(&race_over, __ATOMIC_SEQ_CST);
}

/* The child's VP on CPU 1, as a dispatch would keep it: with a reference to its partition. */
static void *child_sends(void *arg)
{
	struct partition *p = arg;

	fake_set_cpu(1);
	for (uint32_t i = 0; race_goes_on(); i++) {
		if (post(i % RACE_IDS, i) == HV_STATUS_SUCCESS)
			__atomic_fetch_add(&sent, 1, __ATOMIC_SEQ_CST);
		signal_fast(RACE_IDS + i % RACE_IDS, 0);
	}
	partition_put(p);
	return NULL;
}

static void race_step(void)
{
	uint32_t id = (uint32_t)caller_random(RACE_IDS), vp = caller_random(3) ? HV_ANY_VP : (uint32_t)caller_random(2);

	switch (caller_random(10)) {
	case 0:
		create_port(HV_PARTITION_ID_SELF, id, child, message_info(vp));
		connect(child, id, HV_PARTITION_ID_SELF, id, HV_PORT_MESSAGE);
		break;
	case 1:
		create_port(HV_PARTITION_ID_SELF, RACE_IDS + id, child, event_info(vp, (uint16_t)id, 1));
		connect(child, RACE_IDS + id, HV_PARTITION_ID_SELF, RACE_IDS + id, HV_PORT_EVENT);
		break;
	case 2:
		delete_port(HV_PARTITION_ID_SELF, (uint32_t)caller_random(2 * RACE_IDS));
		break;
	case 3:
		disconnect(child, (uint32_t)caller_random(2 * RACE_IDS));
		break;
	case 4:
		hold(id, caller_random(2));
		break;
	case 5:
		mask(root_vp((uint32_t)caller_random(2)), caller_random(2) != 0);
		break;
	default:
		for (uint32_t i = 0; i < 2; i++) {
			__atomic_store_n(&slot(i)->type, HV_MESSAGE_NONE, __ATOMIC_SEQ_CST);
			assert_true(synic_msr_write(root_vp(i), HV_MSR_EOM, 0));
		}
	}
}

static void senders_against_a_parent_that_tears_down(void **state)
{
	struct partition *p = partition_get(root_partition, child);
	uint64_t root_before = root_used(), child_before = child_used();
	pthread_t other;

	(void)state;
	caller_seed(0x7ace);
	race_over = sent = 0;
	assert_int_equal(pthread_create(&other, NULL, child_sends, p), 0);
	for (unsigned i = 0; i < RACE_ROUNDS || !__atomic_load_n(&sent, __ATOMIC_SEQ_CST); i++)
		race_step();
	__atomic_store_n(&race_over, 1, __ATOMIC_SEQ_CST);
	pthread_join(other, NULL);
	for (uint32_t id = 0; id < 2 * RACE_IDS; id++) {
		delete_port(HV_PARTITION_ID_SELF, id);
		disconnect(child, id);
	}
	assert_int_equal(root_partition->ports.count, 0);
	assert_int_equal(child_used(), child_before);
	assert_int_equal(root_used(), root_before + 2);		/* the private pages of CPU 1 */
	assert_int_equal(caller_destroy(child), 80);
}

/* The root's VP on CPU 1 sends to whatever child there is, and connects with it anew all the time. */
static void *root_sends(void *arg)
{
	(void)arg;
	fake_set_cpu(1);
	for (uint32_t i = 0; race_goes_on(); i++) {
		uint64_t id = __atomic_load_n(&target, __ATOMIC_SEQ_CST);

		if (i % 64 == 0) {
			disconnect(HV_PARTITION_ID_SELF, 1);
			disconnect(HV_PARTITION_ID_SELF, 2);
			connect(HV_PARTITION_ID_SELF, 1, id, 5, HV_PORT_MESSAGE);
			connect(HV_PARTITION_ID_SELF, 2, id, 6, HV_PORT_EVENT);
		}
		if (root_post(1) == HV_STATUS_SUCCESS)
			__atomic_fetch_add(&sent, 1, __ATOMIC_SEQ_CST);
		caller_enter(caller_vp(), HVCALL_SIGNAL_EVENT | HC_FAST_FLAG, 2, 0);
	}
	return NULL;
}

static void receive_for_a_while(struct vp *vp, uint64_t ram)
{
	struct hv_message *m = (struct hv_message *)platform_ptr(SPA((ram << PAGE_SHIFT) + CHILD_SIM)) + SINT;

	for (unsigned i = 0; i < 50; i++) {
		__atomic_store_n(&m->type, HV_MESSAGE_NONE, __ATOMIC_SEQ_CST);
		assert_true(synic_msr_write(vp, HV_MSR_EOM, 0));
	}
}

/* The same RAM for each of the children. */
static uint64_t receiver_make(const uint64_t *deposit, unsigned pages, const uint64_t *ram)
{
	uint64_t id;

	assert_status(caller_create(HV_PARTITION_FLAG_LAPIC | HV_PARTITION_FLAG_EXO, &id), SUCCESS);
	assert_status(caller_deposit(id, deposit, pages, NULL), SUCCESS);
	assert_status(caller_partition(HVCALL_INITIALIZE_PARTITION, id), SUCCESS);
	assert_status(caller_map(id, 0, HV_MAP_ALL, ram, 8, NULL), SUCCESS);
	assert_status(caller_create_vp(id, 0), SUCCESS);
	assert_status(create_port(id, 5, HV_PARTITION_ID_SELF, message_info(HV_ANY_VP)), SUCCESS);
	assert_status(create_port(id, 6, HV_PARTITION_ID_SELF, event_info(0, 0, 1)), SUCCESS);
	return id;
}

static void receiver_end(uint64_t id, uint64_t *gpfn, unsigned pages)
{
	enum hv_status status;

	assert_status(caller_partition(HVCALL_FINALIZE_PARTITION, id), SUCCESS);
	assert_status(caller_withdraw(id, pages, gpfn, NULL), SUCCESS);
	/* The sender may be looking at what is left of it. */
	while ((status = caller_partition(HVCALL_DELETE_PARTITION, id)) == HV_STATUS_OBJECT_IN_USE)
		platform_pause();
	assert_status(status, SUCCESS);
}

static void a_receiver_that_is_finalized_under_fire(void **state)
{
	enum { PAGES = 60 };
	uint64_t gpfn[PAGES], ram[8], id;
	pthread_t other;
	struct vp *vp;

	(void)state;
	for (unsigned i = 0; i < PAGES; i++)
		gpfn[i] = caller_page();
	for (unsigned i = 0; i < 8; i++)
		ram[i] = i ? ram[0] + i : caller_page();
	for (unsigned i = 1; i < 8; i++)
		assert_int_equal(caller_page(), ram[i]);
	race_over = sent = 0;
	target = 0;
	assert_int_equal(pthread_create(&other, NULL, root_sends, NULL), 0);
	for (unsigned round = 0; round < 300 || !__atomic_load_n(&sent, __ATOMIC_SEQ_CST); round++) {
		id = receiver_make(gpfn, PAGES, ram);
		for (unsigned life = 0; life < 3; life++) {
			vp = partition_vp(caller_partition_of(id), 0);
			synic_on(vp, CHILD_SIM, CHILD_SIEF);
			__atomic_store_n(&target, id, __ATOMIC_SEQ_CST);
			receive_for_a_while(vp, ram[0]);
			assert_status(caller_delete_vp(id, 0), SUCCESS);
			assert_status(caller_create_vp(id, 0), SUCCESS);
		}
		receiver_end(id, gpfn, PAGES);
	}
	__atomic_store_n(&race_over, 1, __ATOMIC_SEQ_CST);
	pthread_join(other, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, port_setup, caller_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(random_operations_follow_the_model),
		TEST(senders_against_a_parent_that_tears_down),
		TEST(a_receiver_that_is_finalized_under_fire),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
