/* SPDX-License-Identifier: Apache-2.0 */
/* The store: what was committed is there after any end of the process, what was not is not. */
#include "case.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/store.h"

#define ID_A "0A000000-0000-4000-8000-00000000000A"
#define ID_B "0B000000-0000-4000-8000-00000000000B"

static char directory[64], path[96];

static int make_directory(void **state)
{
	strcpy(directory, "/tmp/uc-store-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/vmms.db", directory);
	return 0;
}

static int remove_directory(void **state)
{
	static const char *const suffixes[] = {"", "-wal", "-shm"};
	char name[128];

	for (size_t i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
		unlink(name);
	}
	return rmdir(directory);
}

static struct store *open_store(void)
{
	char reason[256] = "";
	struct store *store = store_open(path, reason, sizeof(reason));

	if (!store)
		fail_msg("%s", reason);
	return store;
}

static struct store_vm machine(const char *id, const char *name)
{
	struct store_vm vm = {.created_ms = 1000,
			      .config_changed_ms = 1001,
			      .state = 2,
			      .state_changed_ms = 1002,
			      .requested_state = 12,
			      .processor_count = 4,
			      .startup_mib = 512,
			      .dynamic_memory = {true, 256, 1024, 30, 7000},
			      .has_linux_direct = true};

	strcpy(vm.id, id);
	strcpy(vm.element_name, name);
	strcpy(vm.notes, "one\ntwo");
	strcpy(vm.kernel_path, "/boot/vmlinuz");
	strcpy(vm.command_line, "console=ttyS0 'quoted'; DROP TABLE vm; --");
	vm.components[STORE_HEARTBEAT] = vm.components[STORE_KVP] = true;
	return vm;
}

struct seen {
	int count;
	struct store_vm last;
	struct store_job job;
};

static int see_vm(void *context, const struct store_vm *vm)
{
	struct seen *seen = context;

	seen->count++;
	seen->last = *vm;
	return 0;
}

static int see_job(void *context, const struct store_job *job)
{
	struct seen *seen = context;

	seen->count++;
	seen->job = *job;
	return 0;
}

static struct seen vms_of(struct store *store)
{
	struct seen seen = {0};

	assert_int_equal(store_vm_each(store, see_vm, &seen), 0);
	return seen;
}

static void what_goes_in_comes_out(void **state)
{
	struct store *store = open_store();
	struct store_vm vm = machine(ID_A, "näme \"1\"");
	struct seen seen;

	assert_int_equal(store_schema_version(store), 4);
	assert_int_equal(store_vm_insert(store, &vm), 0);
	seen = vms_of(store);
	assert_int_equal(seen.count, 1);
	assert_memory_equal(&seen.last, &vm, sizeof(vm));

	vm.has_linux_direct = false;
	memset(vm.kernel_path, 0, sizeof(vm.kernel_path));
	memset(vm.command_line, 0, sizeof(vm.command_line));
	vm.processor_count = 64;
	vm.components[STORE_KVP] = false;
	vm.components[STORE_TIMESYNC] = true;
	vm.failed = true;
	strcpy(vm.status_text, "why");
	assert_int_equal(store_vm_update(store, &vm), 0);
	store_close(store);

	store = open_store();
	seen = vms_of(store);
	assert_memory_equal(&seen.last, &vm, sizeof(vm));
	store_close(store);
}

static void the_schema_refuses_what_may_not_be(void **state)
{
	struct store *store = open_store();
	struct store_vm vm = machine(ID_A, "a");

	vm.processor_count = 0;
	assert_int_equal(store_vm_insert(store, &vm), -1);
	vm.processor_count = 65;
	assert_int_equal(store_vm_insert(store, &vm), -1);
	vm.processor_count = 1;
	assert_int_equal(vms_of(store).count, 0); /* nothing half done was left */
	assert_int_equal(store_vm_insert(store, &vm), 0);
	assert_int_equal(store_vm_insert(store, &vm), -1);
	assert_true(strlen(store_error(store)) > 0);
	assert_int_equal(vms_of(store).count, 1);
	store_close(store);
}

static void settings_go_with_their_machine(void **state)
{
	struct store *store = open_store();
	struct store_vm vm = machine(ID_A, "a");

	assert_int_equal(store_vm_insert(store, &vm), 0);
	assert_int_equal(store_vm_delete(store, ID_A), 0);
	/* A setting left behind would keep the new row's insert from being the only one. */
	assert_int_equal(store_vm_insert(store, &vm), 0);
	assert_int_equal(vms_of(store).count, 1);
	store_close(store);
}

static struct store_drive drive(unsigned controller, unsigned lun, enum store_drive_kind kind, const char *id,
				const char *image)
{
	struct store_drive made = {.controller = controller, .lun = lun, .kind = kind, .path = (char *)image};

	strcpy(made.disk_id, id);
	return made;
}

static struct store_storage two_controllers(void)
{
	struct store_storage storage = {.controller_count = 2, .drive_count = 3};

	/* Not in the order of their identifiers. */
	strcpy(storage.controllers[0], ID_B);
	strcpy(storage.controllers[1], ID_A);
	storage.drives[0] = drive(0, 0, STORE_DISK_DRIVE, ID_A, "/disks/a'.img");
	storage.drives[0].direct = true;
	storage.drives[1] = drive(0, 63, STORE_DISK_DRIVE, ID_B, "/disks/b.img");
	storage.drives[1].read_only = true;
	storage.drives[2] = drive(1, 5, STORE_DVD_DRIVE, ID_A, NULL);
	return storage;
}

static void check_storage(const struct store_storage *a, const struct store_storage *b)
{
	assert_int_equal(a->controller_count, b->controller_count);
	assert_memory_equal(a->controllers, b->controllers, sizeof(a->controllers));
	assert_int_equal(a->drive_count, b->drive_count);
	for (unsigned i = 0; i < a->drive_count; i++) {
		const struct store_drive *x = &a->drives[i], *y = &b->drives[i];

		assert_int_equal(x->controller, y->controller);
		assert_int_equal(x->lun, y->lun);
		assert_int_equal(x->kind, y->kind);
		assert_string_equal(x->disk_id, y->disk_id);
		assert_int_equal(x->read_only, y->read_only);
		assert_int_equal(x->direct, y->direct);
		assert_int_equal(x->path == NULL, y->path == NULL);
		if (x->path)
			assert_string_equal(x->path, y->path);
	}
}

static void storage_comes_back_in_order(void **state)
{
	struct store_storage put = two_controllers(), got;
	struct store_vm vm = machine(ID_A, "a"), other = machine(ID_B, "b");
	struct store *store = open_store();

	assert_int_equal(store_vm_insert(store, &vm), 0);
	assert_int_equal(store_vm_insert(store, &other), 0);
	assert_int_equal(store_storage_put(store, ID_A, &put), 0);
	store_close(store);
	store = open_store();
	assert_int_equal(store_storage_get(store, ID_A, &got), 0);
	check_storage(&got, &put);
	store_storage_clear(&got);
	assert_int_equal(got.drive_count, 0);
	assert_int_equal(store_storage_get(store, ID_B, &got), 0);
	assert_int_equal(got.controller_count, 0);

	/* What is put replaces all that was. */
	put.drive_count = 1;
	put.drives[0].path = NULL;
	assert_int_equal(store_storage_put(store, ID_A, &put), 0);
	assert_int_equal(store_storage_get(store, ID_A, &got), 0);
	check_storage(&got, &put);
	store_storage_clear(&got);
	store_close(store);
}

static void storage_that_may_not_be_is_refused(void **state)
{
	struct store_storage good = two_controllers(), bad = good, got;
	struct store_vm vm = machine(ID_A, "a");
	struct store *store = open_store();

	assert_int_equal(store_storage_put(store, ID_A, &good), -1); /* there is no such machine */
	assert_int_equal(store_vm_insert(store, &vm), 0);
	assert_int_equal(store_storage_put(store, ID_A, &good), 0);
	bad.drives[1].lun = 64;
	assert_int_equal(store_storage_put(store, ID_A, &bad), -1);
	bad.drives[1].lun = 0;
	assert_int_equal(store_storage_put(store, ID_A, &bad), -1);
	assert_int_equal(store_storage_get(store, ID_A, &got), 0);
	check_storage(&got, &good); /* nothing of the bad one was kept */
	store_storage_clear(&got);
	assert_int_equal(store_vm_delete(store, ID_A), 0);
	assert_int_equal(store_storage_get(store, ID_A, &got), 0);
	assert_int_equal(got.controller_count, 0);
	store_close(store);
}

static void network_comes_back_in_order(void **state)
{
	struct store *store = open_store();
	struct store_network *network = calloc(1, sizeof(*network)), *back = calloc(1, sizeof(*back));
	struct store_vm vm = machine(ID_A, "a");

	assert_non_null(network);
	assert_non_null(back);
	network->nic_count = 2;
	network->nics[0] = (struct store_nic){.id = "00000000-0000-4000-8000-0000000000F1",
					      .element_name = "front",
					      .mac = {0, 0x15, 0x5d, 1, 2, 3},
					      .connection = true,
					      .switch_id = "00000000-0000-4000-8000-0000000000E1",
					      .switch_name = "lab",
					      .enabled = true,
					      .features = {true, false, true},
					      .vlan_mode = 2,
					      .native_vlan = 3,
					      .trunk = {0x22, [511] = 0x40},
					      .reservation_bps = 1,
					      .limit_bps = UINT64_C(100000000000),
					      .dhcp_guard = true,
					      .monitor_mode = 2,
					      .monitor_session = 255,
					      .acl_count = 2};
	network->nics[0].acls[0] = (struct store_acl){.id = "00000000-0000-4000-8000-0000000000D1",
						      .name = "n",
						      .direction = 1,
						      .applicability = 2,
						      .type = 3,
						      .action = 2,
						      .remote = "fe80::",
						      .remote_prefix = 10};
	network->nics[0].acls[1] = network->nics[0].acls[0];
	network->nics[0].acls[1].id[35] = '2';
	network->nics[1] = (struct store_nic){
		.id = "00000000-0000-4000-8000-0000000000F2", .element_name = "back", .static_mac = true};
	assert_int_equal(store_vm_insert(store, &vm), 0);
	assert_int_equal(store_network_put(store, ID_A, network), 0);
	/* Again, as a change does. */
	assert_int_equal(store_network_put(store, ID_A, network), 0);
	store_close(store);
	store = open_store();
	assert_int_equal(store_network_get(store, ID_A, back), 0);
	assert_memory_equal(network, back, sizeof(*back));
	/* An adapter of one machine is not another's; what cannot be is refused whole. */
	network->nics[0].monitor_mode = 9;
	assert_int_equal(store_network_put(store, ID_A, network), -1);
	assert_int_equal(store_network_get(store, ID_A, back), 0);
	assert_int_equal(back->nic_count, 2);
	assert_int_equal(store_vm_delete(store, ID_A), 0);
	assert_int_equal(store_network_get(store, ID_A, back), 0);
	assert_int_equal(back->nic_count, 0);
	store_close(store);
	free(network);
	free(back);
}

static int see_switch(void *context, const struct store_switch *record)
{
	struct store_switch *seen = context;

	*seen = *record;
	return 0;
}

static void switches_come_back(void **state)
{
	struct store *store = open_store();
	struct store_switch record = {.id = "00000000-0000-4000-8000-0000000000E1",
				      .element_name = "lab",
				      .notes = "a\nb",
				      .created_ms = 5,
				      .internal_id = "00000000-0000-4000-8000-0000000000E2",
				      .nat_subnet = "192.168.77.0/24"},
			    seen = {0};

	assert_int_equal(store_switch_put(store, &record), 0);
	strcpy(record.element_name, "office");
	assert_int_equal(store_switch_put(store, &record), 0);
	assert_int_equal(store_switch_each(store, see_switch, &seen), 0);
	assert_memory_equal(&seen, &record, sizeof(record));
	/* An uplink without its port, translation without the host. */
	strcpy(record.uplink, "eth0");
	assert_int_equal(store_switch_put(store, &record), -1);
	record.uplink[0] = record.internal_id[0] = 0;
	assert_int_equal(store_switch_put(store, &record), -1);
	assert_int_equal(store_switch_delete(store, record.id), 0);
	seen.id[0] = 0;
	assert_int_equal(store_switch_each(store, see_switch, &seen), 0);
	assert_string_equal(seen.id, "");
	store_close(store);
}

static void jobs_come_back_in_order(void **state)
{
	struct store *store = open_store();
	struct store_job job = {
		.id = ID_A, .vm_id = ID_B, .type = 12, .state = 2, .submitted_ms = 5, .changed_ms = 5};
	struct seen seen = {0};

	assert_int_equal(store_job_insert(store, &job), 0);
	strcpy(job.id, ID_B);
	job.submitted_ms = 4;
	assert_int_equal(store_job_insert(store, &job), 0);
	job.state = 10;
	job.error_code = 32768;
	strcpy(job.error_text, "it did not");
	strcpy(job.id, ID_A);
	job.submitted_ms = 6;
	assert_int_equal(store_job_update(store, &job), 0);
	assert_int_equal(store_job_each(store, see_job, &seen), 0);
	assert_int_equal(seen.count, 2);
	assert_memory_equal(&seen.job, &job, sizeof(job));
	assert_int_equal(store_job_delete(store, ID_A), 0);
	memset(&seen, 0, sizeof(seen));
	assert_int_equal(store_job_each(store, see_job, &seen), 0);
	assert_int_equal(seen.count, 1);
	store_close(store);
}

/* The child commits one machine, opens a transaction with another, and is killed. */
static void a_kill_loses_only_what_was_not_committed(void **state)
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		struct store *store = open_store();
		struct store_vm a = machine(ID_A, "committed"), b = machine(ID_B, "not committed");

		if (store_vm_insert(store, &a) || store_begin(store) || store_vm_insert(store, &b))
			_exit(1);
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));

	struct store *store = open_store();
	struct seen seen = vms_of(store);

	assert_int_equal(seen.count, 1);
	assert_string_equal(seen.last.element_name, "committed");
	store_close(store);
}

static void a_rollback_leaves_nothing(void **state)
{
	struct store *store = open_store();
	struct store_vm vm = machine(ID_A, "a");

	assert_int_equal(store_begin(store), 0);
	assert_int_equal(store_vm_insert(store, &vm), 0);
	store_rollback(store);
	assert_int_equal(vms_of(store).count, 0);
	assert_int_equal(store_vm_insert(store, &vm), 0);
	store_close(store);
}

static void nobody_else_may_read_the_file(void **state)
{
	struct stat st;

	store_close(open_store());
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void what_is_no_store_is_refused(void **state)
{
	char reason[256] = "";
	FILE *out = fopen(path, "w");

	assert_non_null(out);
	for (int i = 0; i < 200; i++)
		fputs("this is no database\n", out);
	fclose(out);
	assert_null(store_open(path, reason, sizeof(reason)));
	assert_non_null(strstr(reason, "not a database"));
	assert_null(store_open("/nonexistent/x.db", reason, sizeof(reason)));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, make_directory, remove_directory)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(what_goes_in_comes_out),
		CASE(the_schema_refuses_what_may_not_be),
		CASE(settings_go_with_their_machine),
		CASE(storage_comes_back_in_order),
		CASE(storage_that_may_not_be_is_refused),
		CASE(network_comes_back_in_order),
		CASE(switches_come_back),
		CASE(jobs_come_back_in_order),
		CASE(a_kill_loses_only_what_was_not_committed),
		CASE(a_rollback_leaves_nothing),
		CASE(nobody_else_may_read_the_file),
		CASE(what_is_no_store_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
