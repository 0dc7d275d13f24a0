// SPDX-License-Identifier: Apache-2.0
/*
 * A controller with a thread for each channel: the worker's bus with its real threads on one side, a guest with a thread for
 * each channel on the other. What the disks hold afterwards is compared with what each thread wrote, while units come and
 * go, and while the machine is paused, reset and switched off.
 */
#include "unit/vsp/cmocka_all.h"

#include <json-c/json.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "block/vhdx.h"
#include "scsi_client.h"
#include "unit/worker/fake_backend.h"
#include "worker/config.h"
#include "worker/vmbus.h"

#define RAM_BYTES    (64ull << 20)
#define CHANNELS     4u
#define RING_PAGES   4u
#define OFFERS       16u
#define DISKS        2u			/* LUN 0 raw, LUN 1 VHDX */
#define DISK_BYTES   (64u << 20)
#define PART_BYTES   (DISK_BYTES / CHANNELS)	/* each thread its own part of each disk */
#define BLOCK        512u
#define DEPTH        16u
#define BLOCKS_MAX   24u
#define SLOT_PAGES   4u
#define IO_COUNT     3000u
#define CONTROLLER   "11111111-2222-3333-4444-555555555555"
#define LUN(lun, format, digit) \
	"{\"lun\": " #lun ", \"kind\": \"disk\", \"fd\": %d, \"format\": \"" format "\", " \
	"\"id\": \"" digit "1111111-2222-3333-4444-555555555555\"}"

struct io {
	bool busy, write;
	unsigned lun;
	uint32_t block, count;
};

/* A thread of the guest and its channel. */
struct user {
	struct vsc_scsi scsi;
	pthread_t thread;
	unsigned index;
	uint32_t random;
	uint8_t *slots;			/* guest memory: DEPTH * SLOT_PAGES */
	uint8_t *model[DISKS];		/* of its parts */
	struct io ios[DEPTH];
	uint64_t finished;
	const char *wrong;
	bool gone;			/* the machine may go away meanwhile */
};

static struct fake_backend backend;
static struct guest_mem ram;
static struct config config;
static struct loop loop;
static struct node_events events;
static struct vmbus *bus;
static struct failure why;
static struct vsc_platform platform;
static struct vsc_bus lives[2], *guest;	/* of the guest, one after the other */
static struct vsc_offer offers[OFFERS];
static struct user users[CHANNELS];
static uint64_t ram_used;
static unsigned messages_taken;
static int files[DISKS];
static bool stop;			/* the threads */

/* ---- the guest's machine */

static int post_message(void *context, uint32_t connection, const void *payload, uint32_t bytes)
{
	fake_guest_posts(&backend, payload, bytes);
	return VSC_OK;
}

static void signal_event(void *context, uint32_t connection)
{
	fake_guest_signals(&backend, connection);
}

static bool take_message(void *context, uint8_t message[VMBUS_MESSAGE_BYTES_MAX])
{
	struct hv_message next;

	if (!fake_posted(&backend, messages_taken, &next))
		return false;
	messages_taken++;
	memset(message, 0, VMBUS_MESSAGE_BYTES_MAX);
	memcpy(message, next.payload, next.payload_bytes);
	return true;
}

static uint64_t gpa(void *context, const void *memory)
{
	return (uint64_t)((const uint8_t *)memory - ram.slot[0].host);
}

static void rest(void)
{
	(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){ .tv_nsec = 200000 }, NULL);
}

static bool wait(void *context, unsigned round)
{
	rest();
	return round < 100000;
}

static void *pages(unsigned count)
{
	uint8_t *memory = ram.slot[0].host + ram_used;

	ram_used += (uint64_t)count * VSC_PAGE;
	assert_true(ram_used <= RAM_BYTES);
	return memory;
}

/* ---- setting up */

static void begin_life(unsigned life)
{
	guest = &lives[life];
	vsc_bus_init(guest, &platform, pages(sizeof(struct vsc_bus_pages) / VSC_PAGE), offers, OFFERS);
}

static int parse(void)
{
	static const char format[] =
		"{\"version\": 1, \"id\": \"01234567-89ab-cdef-0123-456789abcdef\", \"name\": \"lanes\", "
		"\"processors\": {\"count\": 4}, \"memory\": {\"startup_mib\": 64}, "
		"\"boot\": {\"kind\": \"linux\", \"command_line\": \"\"}, "
		"\"devices\": [{\"type\": \"scsi\", \"instance\": \"" CONTROLLER "\", \"luns\": ["
		LUN(0, "raw", "a") ", " LUN(1, "vhdx", "b") "]}]}";
	char text[1024];
	int bytes = snprintf(text, sizeof text, format, files[0], files[1]);

	return config_parse(text, (size_t)bytes, &config, &why);
}

static int setup(void **state)
{
	const struct vhdx_create_options options = { .type = VHDX_DYNAMIC, .bytes = DISK_BYTES, .block_bytes = 1 << 20 };
	const struct vmbus_owner owner = { .events = &events };
	struct block_failure failure;

	fake_backend_init(&backend);
	ram_used = VSC_PAGE;
	messages_taken = 0;
	stop = false;
	for (unsigned i = 0; i < DISKS; i++)
		files[i] = memfd_create("disk", MFD_CLOEXEC);
	if (ftruncate(files[0], DISK_BYTES) || vhdx_create(files[1], &options, &failure) || parse() ||
	    guest_mem_init(&ram, RAM_BYTES, &why) || loop_init(&loop, &why) ||
	    node_events_init(&events, &loop, &why) ||
	    vmbus_start(&bus, &config, &backend.base, &ram, &owner, &why)) {
		(void)fprintf(stderr, "%s\n", why.text);
		return -1;
	}
	platform = (struct vsc_platform){ NULL, post_message, signal_event, take_message, gpa, wait };
	begin_life(0);
	return 0;
}

static void forget_users(void)
{
	for (unsigned i = 0; i < CHANNELS; i++)
		for (unsigned disk = 0; disk < DISKS; disk++)
			free(users[i].model[disk]);
	memset(users, 0, sizeof users);
}

static int teardown(void **state)
{
	if (bus)
		vmbus_stop(bus);
	bus = NULL;
	config_fini(&config);
	node_events_fini(&events);
	loop_fini(&loop);
	guest_mem_fini(&ram);
	fake_backend_fini(&backend);
	forget_users();
	return 0;
}

static const struct vsc_offer *sub_offer(unsigned index)
{
	const struct vsc_offer *offer;

	for (unsigned round = 0; !(offer = vsc_bus_find(guest, &vsc_scsi_interface, index)); round++) {
		assert_true(wait(NULL, round));
		vsc_bus_poll(guest);
	}
	return offer;
}

static void open_channels(void)
{
	assert_int_equal(vsc_bus_connect(guest, VMBUS_VERSION_WIN10_V5_3, 0), VSC_OK);
	for (unsigned i = 0; i < CHANNELS; i++) {
		struct user *user = &users[i];
		void *rings = pages(2 * RING_PAGES);

		user->index = i;
		user->random = i + 1;
		user->slots = pages(DEPTH * SLOT_PAGES);
		for (unsigned disk = 0; disk < DISKS; disk++)
			user->model[disk] = calloc(1, PART_BYTES);
		if (i == 0) {
			assert_int_equal(vsc_scsi_open(&user->scsi, guest, sub_offer(0), rings, RING_PAGES), VSC_OK);
			assert_int_equal(user->scsi.sub_channels_max, CHANNELS - 1);
			assert_int_equal(vsc_scsi_ask_sub_channels(&user->scsi, CHANNELS - 1), VSC_OK);
		} else {
			assert_int_equal(vsc_scsi_open_sub_channel(&user->scsi, &users[0].scsi, sub_offer(i), rings, RING_PAGES),
					 VSC_OK);
		}
	}
}

/* A new unit says once that it is there. */
static void greet_units(void)
{
	uint8_t *scratch = pages(1);
	struct vsc_disk disk;

	for (unsigned lun = 0; lun < DISKS; lun++) {
		assert_int_equal(vsc_disk_open(&disk, &users[0].scsi, (uint8_t)lun, scratch), VSC_OK);
		assert_int_equal(disk.blocks, DISK_BYTES / BLOCK);
	}
}

/* ---- a thread of the guest */

static uint32_t chance(struct user *user, uint32_t below)
{
	user->random = user->random * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)user->random * below >> 32);
}

static bool overlaps(const struct user *user, const struct io *io)
{
	for (unsigned i = 0; i < DEPTH; i++) {
		const struct io *other = &user->ios[i];

		if (other->busy && other->lun == io->lun && io->block < other->block + other->count &&
		    other->block < io->block + io->count)
			return true;
	}
	return false;
}

static uint8_t *model_of(const struct user *user, const struct io *io)
{
	return user->model[io->lun] + (size_t)io->block * BLOCK;
}

static void start_io(struct user *user, unsigned slot)
{
	uint8_t *memory = user->slots + (size_t)slot * SLOT_PAGES * VSC_PAGE;
	const struct vsc_disk disk = { .block_bytes = BLOCK };
	struct vsc_scsi_command command;
	struct io io = { .busy = true, .write = chance(user, 2), .lun = chance(user, DISKS) };

	do {
		io.count = 1 + chance(user, BLOCKS_MAX);
		io.block = chance(user, PART_BYTES / BLOCK - io.count);
	} while (overlaps(user, &io));
	if (io.write)
		for (uint32_t i = 0; i < io.count * BLOCK; i += 4)
			memcpy(memory + i, &(uint32_t){ chance(user, UINT32_MAX) }, 4);
	vsc_disk_command(&disk, io.write, io.block + user->index * (PART_BYTES / BLOCK), io.count, memory, &command);
	command.lun = (uint8_t)io.lun;
	command.transaction = slot;
	if (vsc_scsi_submit(&user->scsi, &command) != VSC_OK)
		return;
	user->ios[slot] = io;
	if (io.write)
		memcpy(model_of(user, &io), memory, (size_t)io.count * BLOCK);
}

static const char *finish_io(struct user *user, const struct vsc_scsi_result *result)
{
	struct io *io;

	if (result->transaction >= DEPTH || !user->ios[result->transaction].busy)
		return "an answer to a question that nobody asked";
	io = &user->ios[result->transaction];
	io->busy = false;
	__atomic_store_n(&user->finished, user->finished + 1, __ATOMIC_RELAXED);
	if (result->scsi_status || result->srb_status != SRB_STATUS_SUCCESS || result->moved != io->count * BLOCK)
		return "a command failed";
	if (!io->write && memcmp(user->slots + result->transaction * SLOT_PAGES * VSC_PAGE, model_of(user, io), io->count * BLOCK))
		return "a block holds something else than was written there";
	return NULL;
}

/* Until enough was done or it is told to stop; then until nothing is under way. */
static void *use_disks(void *context)
{
	struct user *user = context;
	struct vsc_scsi_result result;
	unsigned idle = 0, busy = 0;

	while (!user->wrong && idle++ < 50000) {
		const bool more = user->finished < IO_COUNT && !__atomic_load_n(&stop, __ATOMIC_RELAXED);

		if (!more && (busy == 0 || user->gone))
			return NULL;
		for (unsigned slot = 0; more && slot < DEPTH; slot++)
			if (!user->ios[slot].busy && chance(user, 2)) {
				start_io(user, slot);
				busy += user->ios[slot].busy;
			}
		while (!user->wrong && vsc_scsi_reap(&user->scsi, &result) == 1) {
			user->wrong = finish_io(user, &result);
			busy--;
			idle = 0;
		}
		rest();
	}
	if (!user->wrong)
		user->wrong = "no answer";
	return NULL;
}

static void start_users(void)
{
	for (unsigned i = 0; i < CHANNELS; i++)
		assert_int_equal(pthread_create(&users[i].thread, NULL, use_disks, &users[i]), 0);
}

static void join_users(void)
{
	for (unsigned i = 0; i < CHANNELS; i++) {
		assert_int_equal(pthread_join(users[i].thread, NULL), 0);
		if (users[i].wrong)
			fail_msg("channel %u, after %llu: %s", i, (unsigned long long)users[i].finished, users[i].wrong);
	}
}

/* ---- what the worker is asked for meanwhile */

static int call(const char *name, const char *params, int fd)
{
	struct node_fds fds = { .fd = &fd, .count = fd >= 0 };
	struct json_object *object = json_tokener_parse(params);
	int r;

	assert_non_null(object);
	(void)json_object_object_add(object, "instance", json_object_new_string(CONTROLLER));
	(void)json_object_object_add(object, "call", json_object_new_string(name));
	r = vmbus_call(bus, config.nodes, name, object, &fds, &why);
	json_object_put(object);
	if (r)
		(void)fprintf(stderr, "%s: %s\n", name, why.text);
	return r;
}

static void change_units(void)
{
	int fd = memfd_create("third", MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	assert_int_equal(call("add_lun", "{\"lun\": {\"lun\": 7, \"kind\": \"disk\", \"fd\": 0, \"format\": \"raw\", "
					 "\"id\": \"c1111111-2222-3333-4444-555555555555\"}}", fd), 0);
	assert_int_equal(call("refresh", "{\"lun\": 7}", -1), 0);
	assert_int_equal(call("remove_lun", "{\"lun\": 7}", -1), 0);
}

static void drop(struct counter_sink *sink, const struct counter_source *source)
{
}

static void drop_counter(struct counter_sink *sink, const char *name, uint64_t value)
{
}

static void drop_histogram(struct counter_sink *sink, const char *name, const uint64_t *buckets, unsigned count)
{
}

static bool users_at_work(void)
{
	uint64_t finished = 0;

	for (unsigned i = 0; i < CHANNELS; i++)
		finished += __atomic_load_n(&users[i].finished, __ATOMIC_RELAXED);
	return finished < (uint64_t)IO_COUNT * CHANNELS * 3 / 4;
}

/* ---- the cases */

static void compare(const struct user *user, unsigned lun)
{
	const uint32_t step = DEPTH * SLOT_PAGES * VSC_PAGE;
	struct vsc_disk disk = { .scsi = &users[user->index].scsi, .lun = (uint8_t)lun, .block_bytes = BLOCK,
				 .blocks = DISK_BYTES / BLOCK };

	for (uint32_t at = 0; at < PART_BYTES; at += step) {
		assert_int_equal(vsc_disk_read(&disk, (user->index * PART_BYTES + at) / BLOCK, step / BLOCK, user->slots), VSC_OK);
		assert_memory_equal(user->slots, user->model[lun] + at, step);
	}
}

static void test_channels_work_side_by_side(void **state)
{
	struct counter_sink sink = { .source = drop, .counter = drop_counter, .histogram = drop_histogram };

	open_channels();
	greet_units();
	start_users();
	while (users_at_work()) {
		change_units();
		vmbus_counters(bus, &sink);
		vmbus_pause(bus);
		rest();
		vmbus_resume(bus);
		rest();
	}
	join_users();
	for (unsigned i = 0; i < CHANNELS; i++) {
		assert_true(users[i].finished >= IO_COUNT);
		for (unsigned disk = 0; disk < DISKS; disk++)
			compare(&users[i], disk);
	}
	for (unsigned i = CHANNELS; i--;)
		assert_int_equal(vsc_scsi_close(&users[i].scsi), VSC_OK);
	assert_int_equal(vsc_bus_unload(guest), VSC_OK);
}

static void test_a_machine_goes_away_under_load(void **state)
{
	open_channels();
	greet_units();
	for (unsigned i = 0; i < CHANNELS; i++)
		users[i].gone = true;
	start_users();
	while (users_at_work())
		rest();
	vmbus_stop(bus);
	bus = NULL;
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	join_users();
}

static void test_a_guest_starts_anew_under_load(void **state)
{
	open_channels();
	greet_units();
	for (unsigned i = 0; i < CHANNELS; i++)
		users[i].gone = true;
	start_users();
	while (users_at_work())
		rest();
	/* As a kernel that was started by another: it contacts without a word of farewell. */
	begin_life(1);
	assert_int_equal(vsc_bus_contact(guest, VMBUS_VERSION_WIN10_V5_3, 0), VSC_OK);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	join_users();
	forget_users();
	open_channels();
	greet_units();
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_channels_work_side_by_side),
		CASE(test_a_machine_goes_away_under_load),
		CASE(test_a_guest_starts_anew_under_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
