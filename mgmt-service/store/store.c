/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/migrations.h"

enum statement {
	VM_INSERT,
	VM_UPDATE,
	VM_DELETE,
	VM_SELECT,
	PROCESSOR_PUT,
	MEMORY_PUT,
	DIRECT_PUT,
	DIRECT_DELETE,
	INTEGRATION_PUT,
	CONTROLLERS_DELETE,
	CONTROLLER_INSERT,
	CONTROLLER_SELECT,
	DRIVE_INSERT,
	DRIVE_SELECT,
	NICS_DELETE,
	NIC_INSERT,
	NIC_SELECT,
	ACL_INSERT,
	ACL_SELECT,
	SWITCH_PUT,
	SWITCH_DELETE,
	SWITCH_SELECT,
	JOB_INSERT,
	JOB_UPDATE,
	JOB_DELETE,
	JOB_SELECT,
	KVP_PUT,
	KVP_DELETE,
	KVP_SELECT,
	STATEMENT_COUNT,
};

#define NIC_COLUMNS                                                                                              \
	"element_name, mac, static_mac, connection, switch_id, switch_name, enabled, features, vlan_mode, "      \
	"access_vlan, native_vlan, pvlan_mode, primary_vlan, secondary_vlan, trunk, reservation_bps, limit_bps, " \
	"mac_spoofing, dhcp_guard, router_guard, monitor_mode, monitor_session"
#define ACL_COLUMNS \
	"name, direction, applicability, type, action, local, local_prefix, remote, remote_prefix"
#define SWITCH_COLUMNS "element_name, notes, created_ms, external_id, uplink, internal_id, nat_subnet"

static const char *const statement_texts[STATEMENT_COUNT] = {
	[VM_INSERT] =
		"INSERT INTO vm (id, element_name, notes, created_ms, config_changed_ms, state, "
		"state_changed_ms,"
		" requested_state, failed, status_text) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
	[VM_UPDATE] =
		"UPDATE vm SET element_name = ?2, notes = ?3, created_ms = ?4, config_changed_ms = ?5, state "
		"= ?6,"
		" state_changed_ms = ?7, requested_state = ?8, failed = ?9, status_text = ?10 WHERE id = ?1",
	[VM_DELETE] = "DELETE FROM vm WHERE id = ?1",
	[VM_SELECT] =
		"SELECT vm.id, element_name, notes, created_ms, config_changed_ms, state, state_changed_ms,"
		" requested_state, failed, status_text, p.count, m.startup_mib, d.kernel_path, d.initrd_path,"
		" d.command_line, i.heartbeat, i.shutdown, i.timesync, i.kvp, i.vss, i.fcopy,"
		" m.dynamic, m.minimum_mib, m.maximum_mib, m.buffer_percent, m.weight"
		" FROM vm JOIN vm_processor p ON p.vm_id = vm.id JOIN vm_memory m ON m.vm_id = vm.id"
		" JOIN vm_integration i ON i.vm_id = vm.id LEFT JOIN vm_linux_kernel_direct d ON d.vm_id = "
		"vm.id"
		" ORDER BY created_ms, vm.id",
	[PROCESSOR_PUT] = "INSERT INTO vm_processor (vm_id, count) VALUES (?1, ?2)"
			  " ON CONFLICT (vm_id) DO UPDATE SET count = ?2",
	[MEMORY_PUT] = "INSERT OR REPLACE INTO vm_memory (vm_id, startup_mib, dynamic, minimum_mib,"
		       " maximum_mib, buffer_percent, weight) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	[DIRECT_PUT] = "INSERT INTO vm_linux_kernel_direct (vm_id, kernel_path, initrd_path, command_line)"
		       " VALUES (?1, ?2, ?3, ?4) ON CONFLICT (vm_id) DO UPDATE SET kernel_path = ?2, "
		       "initrd_path = ?3,"
		       " command_line = ?4",
	[DIRECT_DELETE] = "DELETE FROM vm_linux_kernel_direct WHERE vm_id = ?1",
	[INTEGRATION_PUT] =
		"INSERT OR REPLACE INTO vm_integration (vm_id, heartbeat, shutdown, timesync, kvp,"
		" vss, fcopy) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	[CONTROLLERS_DELETE] = "DELETE FROM scsi_controller WHERE vm_id = ?1",
	[CONTROLLER_INSERT] = "INSERT INTO scsi_controller (id, vm_id, position) VALUES (?1, ?2, ?3)",
	[CONTROLLER_SELECT] = "SELECT id FROM scsi_controller WHERE vm_id = ?1 ORDER BY position",
	[DRIVE_INSERT] = "INSERT INTO scsi_drive (controller_id, lun, kind, disk_id, path, read_only, direct)"
			 " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	[DRIVE_SELECT] = "SELECT lun, kind, disk_id, path, read_only, direct FROM scsi_drive"
			 " WHERE controller_id = ?1 ORDER BY lun",
	[NICS_DELETE] = "DELETE FROM nic WHERE vm_id = ?1",
	[NIC_INSERT] =
		"INSERT INTO nic (id, vm_id, position, " NIC_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, "
		"?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25)",
	[NIC_SELECT] = "SELECT id, " NIC_COLUMNS " FROM nic WHERE vm_id = ?1 ORDER BY position",
	[ACL_INSERT] = "INSERT INTO nic_acl (id, nic_id, position, " ACL_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, "
		       "?7, ?8, ?9, ?10, ?11, ?12)",
	[ACL_SELECT] = "SELECT id, " ACL_COLUMNS " FROM nic_acl WHERE nic_id = ?1 ORDER BY position",
	[SWITCH_PUT] = "INSERT INTO ethernet_switch (id, " SWITCH_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
		       " ON CONFLICT (id) DO UPDATE SET element_name = ?2, notes = ?3, created_ms = ?4, external_id ="
		       " ?5, uplink = ?6, internal_id = ?7, nat_subnet = ?8",
	[SWITCH_DELETE] = "DELETE FROM ethernet_switch WHERE id = ?1",
	[SWITCH_SELECT] = "SELECT id, " SWITCH_COLUMNS " FROM ethernet_switch ORDER BY created_ms, id",
	[JOB_INSERT] =
		"INSERT INTO job (id, vm_id, type, state, submitted_ms, started_ms, changed_ms, error_code,"
		" error_text) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
	[JOB_UPDATE] = "UPDATE job SET vm_id = ?2, type = ?3, state = ?4, submitted_ms = ?5, started_ms = ?6,"
		       " changed_ms = ?7, error_code = ?8, error_text = ?9 WHERE id = ?1",
	[JOB_DELETE] = "DELETE FROM job WHERE id = ?1",
	[JOB_SELECT] =
		"SELECT id, vm_id, type, state, submitted_ms, started_ms, changed_ms, error_code, error_text"
		" FROM job ORDER BY submitted_ms, id",
	[KVP_PUT] = "INSERT OR REPLACE INTO vm_kvp (vm_id, name, value, host_only) VALUES (?1, ?2, ?3, ?4)",
	[KVP_DELETE] = "DELETE FROM vm_kvp WHERE vm_id = ?1 AND name = ?2",
	[KVP_SELECT] = "SELECT name, value, host_only FROM vm_kvp WHERE vm_id = ?1 ORDER BY name",
};

struct store {
	sqlite3 *database;
	sqlite3_stmt *statements[STATEMENT_COUNT];
	bool in_transaction;
};

const char *store_error(const struct store *store)
{
	return sqlite3_errmsg(store->database);
}

static int run(struct store *store, const char *text)
{
	return sqlite3_exec(store->database, text, NULL, NULL, NULL) == SQLITE_OK ? 0 : -1;
}

static int pragma_int(struct store *store, const char *text)
{
	sqlite3_stmt *statement;
	int value = -1;

	if (sqlite3_prepare_v2(store->database, text, -1, &statement, NULL) != SQLITE_OK)
		return -1;
	if (sqlite3_step(statement) == SQLITE_ROW)
		value = sqlite3_column_int(statement, 0);
	sqlite3_finalize(statement);
	return value;
}

int store_schema_version(struct store *store)
{
	return pragma_int(store, "PRAGMA user_version");
}

static int migrate(struct store *store, char *reason, unsigned reason_size)
{
	int version = store_schema_version(store), known = 0;

	while (store_migrations[known])
		known++;
	if (version < 0 || version > known) {
		snprintf(reason, reason_size, "schema version %d; this program knows up to %d", version,
			 known);
		return -1;
	}
	for (; version < known; version++) {
		char set_version[64];

		/* A pragma takes no bound parameter; the number is ours. */
		snprintf(set_version, sizeof(set_version), "PRAGMA user_version = %d", version + 1);
		if (run(store, "BEGIN IMMEDIATE") || run(store, store_migrations[version]) ||
		    run(store, set_version) || run(store, "COMMIT")) {
			snprintf(reason, reason_size, "migration %d: %s", version + 1, store_error(store));
			run(store, "ROLLBACK");
			return -1;
		}
	}
	return 0;
}

static int prepare_all(struct store *store)
{
	for (int i = 0; i < STATEMENT_COUNT; i++)
		if (sqlite3_prepare_v3(store->database, statement_texts[i], -1, SQLITE_PREPARE_PERSISTENT,
				       &store->statements[i], NULL) != SQLITE_OK)
			return -1;
	return 0;
}

struct store *store_open(const char *path, char *reason, unsigned reason_size)
{
	struct store *store = calloc(1, sizeof(*store));
	/* The file holds names and command lines: nobody else's business. */
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (!store || fd < 0) {
		snprintf(reason, reason_size, "%s: %m", path);
		if (fd >= 0)
			close(fd);
		free(store);
		return NULL;
	}
	close(fd);
	if (sqlite3_open_v2(path, &store->database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW, NULL) !=
	    SQLITE_OK) {
		snprintf(reason, reason_size, "%s: %s", path, store_error(store));
		goto failed;
	}
	sqlite3_busy_timeout(store->database, 5000);
	if (run(store, "PRAGMA journal_mode = WAL") || run(store, "PRAGMA synchronous = FULL") ||
	    run(store, "PRAGMA foreign_keys = ON")) {
		snprintf(reason, reason_size, "%s: %s", path, store_error(store));
		goto failed;
	}
	if (migrate(store, reason, reason_size))
		goto failed;
	if (prepare_all(store)) {
		snprintf(reason, reason_size, "%s: %s", path, store_error(store));
		goto failed;
	}
	return store;
failed:
	store_close(store);
	return NULL;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	for (int i = 0; i < STATEMENT_COUNT; i++)
		sqlite3_finalize(store->statements[i]);
	sqlite3_close(store->database);
	free(store);
}

int store_begin(struct store *store)
{
	if (run(store, "BEGIN IMMEDIATE"))
		return -1;
	store->in_transaction = true;
	return 0;
}

int store_commit(struct store *store)
{
	if (run(store, "COMMIT")) {
		store_rollback(store);
		return -1;
	}
	store->in_transaction = false;
	return 0;
}

void store_rollback(struct store *store)
{
	/* SQLite may have rolled back by itself after some errors; then this one fails, harmlessly. */
	run(store, "ROLLBACK");
	store->in_transaction = false;
}

static void bind_text(sqlite3_stmt *statement, int index, const char *text)
{
	/* A bind fails only without memory; then the step fails on the NOT NULL constraint. */
	sqlite3_bind_text(statement, index, text, -1, SQLITE_TRANSIENT);
}

static int finish(sqlite3_stmt *statement)
{
	int result = sqlite3_step(statement);

	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	return result == SQLITE_DONE ? 0 : -1;
}

static int put_vm_row(struct store *store, enum statement which, const struct store_vm *vm)
{
	sqlite3_stmt *statement = store->statements[which];

	bind_text(statement, 1, vm->id);
	bind_text(statement, 2, vm->element_name);
	bind_text(statement, 3, vm->notes);
	sqlite3_bind_int64(statement, 4, vm->created_ms);
	sqlite3_bind_int64(statement, 5, vm->config_changed_ms);
	sqlite3_bind_int(statement, 6, vm->state);
	sqlite3_bind_int64(statement, 7, vm->state_changed_ms);
	sqlite3_bind_int(statement, 8, vm->requested_state);
	sqlite3_bind_int(statement, 9, vm->failed);
	bind_text(statement, 10, vm->status_text);
	return finish(statement);
}

static int put_settings(struct store *store, const struct store_vm *vm)
{
	sqlite3_stmt *statement = store->statements[PROCESSOR_PUT];

	bind_text(statement, 1, vm->id);
	sqlite3_bind_int64(statement, 2, vm->processor_count);
	if (finish(statement))
		return -1;
	statement = store->statements[MEMORY_PUT];
	bind_text(statement, 1, vm->id);
	sqlite3_bind_int64(statement, 2, (int64_t)vm->startup_mib);
	sqlite3_bind_int(statement, 3, vm->dynamic_memory.enabled);
	sqlite3_bind_int64(statement, 4, (int64_t)vm->dynamic_memory.minimum_mib);
	sqlite3_bind_int64(statement, 5, (int64_t)vm->dynamic_memory.maximum_mib);
	sqlite3_bind_int64(statement, 6, vm->dynamic_memory.buffer_percent);
	sqlite3_bind_int64(statement, 7, vm->dynamic_memory.weight);
	if (finish(statement))
		return -1;
	statement = store->statements[vm->has_linux_direct ? DIRECT_PUT : DIRECT_DELETE];
	bind_text(statement, 1, vm->id);
	if (vm->has_linux_direct) {
		bind_text(statement, 2, vm->kernel_path);
		bind_text(statement, 3, vm->initrd_path);
		bind_text(statement, 4, vm->command_line);
	}
	if (finish(statement))
		return -1;
	statement = store->statements[INTEGRATION_PUT];
	bind_text(statement, 1, vm->id);
	for (int i = 0; i < STORE_COMPONENT_COUNT; i++)
		sqlite3_bind_int(statement, 2 + i, vm->components[i]);
	return finish(statement);
}

static int put_vm(struct store *store, enum statement which, const struct store_vm *vm)
{
	bool own = !store->in_transaction;

	if (own && store_begin(store))
		return -1;
	if (put_vm_row(store, which, vm) || put_settings(store, vm)) {
		if (own)
			store_rollback(store);
		return -1;
	}
	return own ? store_commit(store) : 0;
}

int store_vm_insert(struct store *store, const struct store_vm *vm)
{
	return put_vm(store, VM_INSERT, vm);
}

int store_vm_update(struct store *store, const struct store_vm *vm)
{
	return put_vm(store, VM_UPDATE, vm);
}

int store_vm_delete(struct store *store, const char *id)
{
	bind_text(store->statements[VM_DELETE], 1, id);
	return finish(store->statements[VM_DELETE]);
}

static void column_text(sqlite3_stmt *statement, int column, char *out, size_t size)
{
	const unsigned char *text = sqlite3_column_text(statement, column);

	snprintf(out, size, "%s", text ? (const char *)text : "");
}

static void read_vm(sqlite3_stmt *statement, struct store_vm *vm)
{
	memset(vm, 0, sizeof(*vm));
	column_text(statement, 0, vm->id, sizeof(vm->id));
	column_text(statement, 1, vm->element_name, sizeof(vm->element_name));
	column_text(statement, 2, vm->notes, sizeof(vm->notes));
	vm->created_ms = sqlite3_column_int64(statement, 3);
	vm->config_changed_ms = sqlite3_column_int64(statement, 4);
	vm->state = sqlite3_column_int(statement, 5);
	vm->state_changed_ms = sqlite3_column_int64(statement, 6);
	vm->requested_state = sqlite3_column_int(statement, 7);
	vm->failed = sqlite3_column_int(statement, 8) != 0;
	column_text(statement, 9, vm->status_text, sizeof(vm->status_text));
	vm->processor_count = (unsigned)sqlite3_column_int(statement, 10);
	vm->startup_mib = (uint64_t)sqlite3_column_int64(statement, 11);
	vm->has_linux_direct = sqlite3_column_type(statement, 12) != SQLITE_NULL;
	column_text(statement, 12, vm->kernel_path, sizeof(vm->kernel_path));
	column_text(statement, 13, vm->initrd_path, sizeof(vm->initrd_path));
	column_text(statement, 14, vm->command_line, sizeof(vm->command_line));
	for (int i = 0; i < STORE_COMPONENT_COUNT; i++)
		vm->components[i] = sqlite3_column_int(statement, 15 + i) != 0;
	vm->dynamic_memory.enabled = sqlite3_column_int(statement, 21) != 0;
	vm->dynamic_memory.minimum_mib = (uint64_t)sqlite3_column_int64(statement, 22);
	vm->dynamic_memory.maximum_mib = (uint64_t)sqlite3_column_int64(statement, 23);
	vm->dynamic_memory.buffer_percent = (unsigned)sqlite3_column_int(statement, 24);
	vm->dynamic_memory.weight = (unsigned)sqlite3_column_int(statement, 25);
}

int store_vm_each(struct store *store, int (*visit)(void *context, const struct store_vm *vm), void *context)
{
	sqlite3_stmt *statement = store->statements[VM_SELECT];
	struct store_vm *vm = malloc(sizeof(*vm));
	int result, stop = 0;

	if (!vm)
		return -1;
	while ((result = sqlite3_step(statement)) == SQLITE_ROW && !stop) {
		read_vm(statement, vm);
		stop = visit(context, vm);
	}
	sqlite3_reset(statement);
	free(vm);
	return result == SQLITE_DONE && !stop ? 0 : -1;
}

static int put_drive(struct store *store, const char *controller_id, const struct store_drive *drive)
{
	sqlite3_stmt *statement = store->statements[DRIVE_INSERT];

	bind_text(statement, 1, controller_id);
	sqlite3_bind_int64(statement, 2, drive->lun);
	sqlite3_bind_int(statement, 3, drive->kind);
	bind_text(statement, 4, drive->disk_id);
	/* NULL has a meaning here: a bind that failed must not pass for it. */
	if (drive->path && sqlite3_bind_text(statement, 5, drive->path, -1, SQLITE_TRANSIENT) != SQLITE_OK) {
		sqlite3_clear_bindings(statement);
		return -1;
	}
	sqlite3_bind_int(statement, 6, drive->read_only);
	sqlite3_bind_int(statement, 7, drive->direct);
	return finish(statement);
}

static int put_storage(struct store *store, const char *vm_id, const struct store_storage *storage)
{
	sqlite3_stmt *statement = store->statements[CONTROLLERS_DELETE];

	bind_text(statement, 1, vm_id);
	if (finish(statement))
		return -1;
	statement = store->statements[CONTROLLER_INSERT];
	for (unsigned i = 0; i < storage->controller_count; i++) {
		bind_text(statement, 1, storage->controllers[i]);
		bind_text(statement, 2, vm_id);
		sqlite3_bind_int64(statement, 3, i);
		if (finish(statement))
			return -1;
	}
	for (unsigned i = 0; i < storage->drive_count; i++)
		if (put_drive(store, storage->controllers[storage->drives[i].controller],
			      &storage->drives[i]))
			return -1;
	return 0;
}

int store_storage_put(struct store *store, const char *vm_id, const struct store_storage *storage)
{
	bool own = !store->in_transaction;

	if (own && store_begin(store))
		return -1;
	if (put_storage(store, vm_id, storage)) {
		if (own)
			store_rollback(store);
		return -1;
	}
	return own ? store_commit(store) : 0;
}

static int get_drive(sqlite3_stmt *statement, struct store_storage *storage, unsigned controller)
{
	struct store_drive *drive = &storage->drives[storage->drive_count];

	drive->controller = controller;
	drive->lun = (unsigned)sqlite3_column_int(statement, 0);
	drive->kind = (enum store_drive_kind)sqlite3_column_int(statement, 1);
	column_text(statement, 2, drive->disk_id, sizeof(drive->disk_id));
	drive->read_only = sqlite3_column_int(statement, 4) != 0;
	drive->direct = sqlite3_column_int(statement, 5) != 0;
	drive->path = NULL;
	if (sqlite3_column_type(statement, 3) != SQLITE_NULL) {
		drive->path = strdup((const char *)sqlite3_column_text(statement, 3));
		if (!drive->path)
			return -1;
	}
	storage->drive_count++;
	return 0;
}

/* The schema bounds positions and LUNs, so that the arrays have room for all rows. */
static int get_storage(struct store *store, const char *vm_id, struct store_storage *storage)
{
	sqlite3_stmt *statement = store->statements[CONTROLLER_SELECT];
	int result;

	bind_text(statement, 1, vm_id);
	while ((result = sqlite3_step(statement)) == SQLITE_ROW)
		column_text(statement, 0, storage->controllers[storage->controller_count++], STORE_ID_SIZE);
	sqlite3_reset(statement);
	statement = store->statements[DRIVE_SELECT];
	for (unsigned i = 0; result == SQLITE_DONE && i < storage->controller_count; i++) {
		bind_text(statement, 1, storage->controllers[i]);
		while ((result = sqlite3_step(statement)) == SQLITE_ROW)
			if (get_drive(statement, storage, i))
				break;
		sqlite3_reset(statement);
	}
	return result == SQLITE_DONE ? 0 : -1;
}

int store_storage_get(struct store *store, const char *vm_id, struct store_storage *storage)
{
	memset(storage, 0, sizeof(*storage));
	if (get_storage(store, vm_id, storage) == 0)
		return 0;
	store_storage_clear(storage);
	return -1;
}

void store_storage_clear(struct store_storage *storage)
{
	for (unsigned i = 0; i < storage->drive_count; i++)
		free(storage->drives[i].path);
	memset(storage, 0, sizeof(*storage));
}

static void bind_blob(sqlite3_stmt *statement, int index, const void *bytes, size_t size)
{
	/* As for text: without memory the NOT NULL constraint refuses the row. */
	sqlite3_bind_blob(statement, index, bytes, (int)size, SQLITE_TRANSIENT);
}

static void column_blob(sqlite3_stmt *statement, int column, void *out, size_t size)
{
	const void *bytes = sqlite3_column_blob(statement, column);

	/* The schema holds it to its size. */
	if (bytes && sqlite3_column_bytes(statement, column) == (int)size)
		memcpy(out, bytes, size);
}

static unsigned column_unsigned(sqlite3_stmt *statement, int column)
{
	return (unsigned)sqlite3_column_int(statement, column);
}

static int put_acl(struct store *store, const char *nic_id, unsigned position, const struct store_acl *acl)
{
	sqlite3_stmt *statement = store->statements[ACL_INSERT];

	bind_text(statement, 1, acl->id);
	bind_text(statement, 2, nic_id);
	sqlite3_bind_int64(statement, 3, position);
	bind_text(statement, 4, acl->name);
	sqlite3_bind_int64(statement, 5, acl->direction);
	sqlite3_bind_int64(statement, 6, acl->applicability);
	sqlite3_bind_int64(statement, 7, acl->type);
	sqlite3_bind_int64(statement, 8, acl->action);
	bind_text(statement, 9, acl->local);
	sqlite3_bind_int64(statement, 10, acl->local_prefix);
	bind_text(statement, 11, acl->remote);
	sqlite3_bind_int64(statement, 12, acl->remote_prefix);
	return finish(statement);
}

static int put_nic(struct store *store, const char *vm_id, unsigned position, const struct store_nic *nic)
{
	sqlite3_stmt *statement = store->statements[NIC_INSERT];
	int features = 0, at = 12;

	for (int i = 0; i < STORE_FEATURE_COUNT; i++)
		features |= nic->features[i] ? 1 << i : 0;
	bind_text(statement, 1, nic->id);
	bind_text(statement, 2, vm_id);
	sqlite3_bind_int64(statement, 3, position);
	bind_text(statement, 4, nic->element_name);
	bind_blob(statement, 5, nic->mac, sizeof(nic->mac));
	sqlite3_bind_int(statement, 6, nic->static_mac);
	sqlite3_bind_int(statement, 7, nic->connection);
	bind_text(statement, 8, nic->switch_id);
	bind_text(statement, 9, nic->switch_name);
	sqlite3_bind_int(statement, 10, nic->enabled);
	sqlite3_bind_int(statement, 11, features);
	sqlite3_bind_int64(statement, at++, nic->vlan_mode);
	sqlite3_bind_int64(statement, at++, nic->access_vlan);
	sqlite3_bind_int64(statement, at++, nic->native_vlan);
	sqlite3_bind_int64(statement, at++, nic->pvlan_mode);
	sqlite3_bind_int64(statement, at++, nic->primary_vlan);
	sqlite3_bind_int64(statement, at++, nic->secondary_vlan);
	bind_blob(statement, at++, nic->trunk, sizeof(nic->trunk));
	sqlite3_bind_int64(statement, at++, (int64_t)nic->reservation_bps);
	sqlite3_bind_int64(statement, at++, (int64_t)nic->limit_bps);
	sqlite3_bind_int(statement, at++, nic->mac_spoofing);
	sqlite3_bind_int(statement, at++, nic->dhcp_guard);
	sqlite3_bind_int(statement, at++, nic->router_guard);
	sqlite3_bind_int64(statement, at++, nic->monitor_mode);
	sqlite3_bind_int64(statement, at++, nic->monitor_session);
	if (finish(statement))
		return -1;
	for (unsigned i = 0; i < nic->acl_count; i++)
		if (put_acl(store, nic->id, i, &nic->acls[i]))
			return -1;
	return 0;
}

static int put_network(struct store *store, const char *vm_id, const struct store_network *network)
{
	bind_text(store->statements[NICS_DELETE], 1, vm_id);
	if (finish(store->statements[NICS_DELETE]))
		return -1;
	for (unsigned i = 0; i < network->nic_count; i++)
		if (put_nic(store, vm_id, i, &network->nics[i]))
			return -1;
	return 0;
}

int store_network_put(struct store *store, const char *vm_id, const struct store_network *network)
{
	bool own = !store->in_transaction;

	if (own && store_begin(store))
		return -1;
	if (put_network(store, vm_id, network)) {
		if (own)
			store_rollback(store);
		return -1;
	}
	return own ? store_commit(store) : 0;
}

static void read_nic(sqlite3_stmt *statement, struct store_nic *nic)
{
	int features = sqlite3_column_int(statement, 8), at = 9;

	memset(nic, 0, sizeof(*nic));
	column_text(statement, 0, nic->id, sizeof(nic->id));
	column_text(statement, 1, nic->element_name, sizeof(nic->element_name));
	column_blob(statement, 2, nic->mac, sizeof(nic->mac));
	nic->static_mac = sqlite3_column_int(statement, 3) != 0;
	nic->connection = sqlite3_column_int(statement, 4) != 0;
	column_text(statement, 5, nic->switch_id, sizeof(nic->switch_id));
	column_text(statement, 6, nic->switch_name, sizeof(nic->switch_name));
	nic->enabled = sqlite3_column_int(statement, 7) != 0;
	for (int i = 0; i < STORE_FEATURE_COUNT; i++)
		nic->features[i] = features >> i & 1;
	nic->vlan_mode = column_unsigned(statement, at++);
	nic->access_vlan = column_unsigned(statement, at++);
	nic->native_vlan = column_unsigned(statement, at++);
	nic->pvlan_mode = column_unsigned(statement, at++);
	nic->primary_vlan = column_unsigned(statement, at++);
	nic->secondary_vlan = column_unsigned(statement, at++);
	column_blob(statement, at++, nic->trunk, sizeof(nic->trunk));
	nic->reservation_bps = (uint64_t)sqlite3_column_int64(statement, at++);
	nic->limit_bps = (uint64_t)sqlite3_column_int64(statement, at++);
	nic->mac_spoofing = sqlite3_column_int(statement, at++) != 0;
	nic->dhcp_guard = sqlite3_column_int(statement, at++) != 0;
	nic->router_guard = sqlite3_column_int(statement, at++) != 0;
	nic->monitor_mode = column_unsigned(statement, at++);
	nic->monitor_session = column_unsigned(statement, at++);
}

static void read_acl(sqlite3_stmt *statement, struct store_acl *acl)
{
	memset(acl, 0, sizeof(*acl));
	column_text(statement, 0, acl->id, sizeof(acl->id));
	column_text(statement, 1, acl->name, sizeof(acl->name));
	acl->direction = column_unsigned(statement, 2);
	acl->applicability = column_unsigned(statement, 3);
	acl->type = column_unsigned(statement, 4);
	acl->action = column_unsigned(statement, 5);
	column_text(statement, 6, acl->local, sizeof(acl->local));
	acl->local_prefix = column_unsigned(statement, 7);
	column_text(statement, 8, acl->remote, sizeof(acl->remote));
	acl->remote_prefix = column_unsigned(statement, 9);
}

/* The schema bounds positions, so that the arrays have room for all rows. */
int store_network_get(struct store *store, const char *vm_id, struct store_network *network)
{
	sqlite3_stmt *statement = store->statements[NIC_SELECT];
	int result;

	network->nic_count = 0;
	bind_text(statement, 1, vm_id);
	while ((result = sqlite3_step(statement)) == SQLITE_ROW && network->nic_count < STORE_NICS_MAX)
		read_nic(statement, &network->nics[network->nic_count++]);
	sqlite3_reset(statement);
	statement = store->statements[ACL_SELECT];
	for (unsigned i = 0; result == SQLITE_DONE && i < network->nic_count; i++) {
		struct store_nic *nic = &network->nics[i];

		bind_text(statement, 1, nic->id);
		while ((result = sqlite3_step(statement)) == SQLITE_ROW && nic->acl_count < STORE_ACLS_MAX)
			read_acl(statement, &nic->acls[nic->acl_count++]);
		sqlite3_reset(statement);
	}
	return result == SQLITE_DONE ? 0 : -1;
}

int store_switch_put(struct store *store, const struct store_switch *record)
{
	sqlite3_stmt *statement = store->statements[SWITCH_PUT];

	bind_text(statement, 1, record->id);
	bind_text(statement, 2, record->element_name);
	bind_text(statement, 3, record->notes);
	sqlite3_bind_int64(statement, 4, record->created_ms);
	bind_text(statement, 5, record->external_id);
	bind_text(statement, 6, record->uplink);
	bind_text(statement, 7, record->internal_id);
	bind_text(statement, 8, record->nat_subnet);
	return finish(statement);
}

int store_switch_delete(struct store *store, const char *id)
{
	bind_text(store->statements[SWITCH_DELETE], 1, id);
	return finish(store->statements[SWITCH_DELETE]);
}

int store_switch_each(struct store *store, int (*visit)(void *context, const struct store_switch *record),
		      void *context)
{
	sqlite3_stmt *statement = store->statements[SWITCH_SELECT];
	struct store_switch record;
	int result, stop = 0;

	while ((result = sqlite3_step(statement)) == SQLITE_ROW && !stop) {
		memset(&record, 0, sizeof(record));
		column_text(statement, 0, record.id, sizeof(record.id));
		column_text(statement, 1, record.element_name, sizeof(record.element_name));
		column_text(statement, 2, record.notes, sizeof(record.notes));
		record.created_ms = sqlite3_column_int64(statement, 3);
		column_text(statement, 4, record.external_id, sizeof(record.external_id));
		column_text(statement, 5, record.uplink, sizeof(record.uplink));
		column_text(statement, 6, record.internal_id, sizeof(record.internal_id));
		column_text(statement, 7, record.nat_subnet, sizeof(record.nat_subnet));
		stop = visit(context, &record);
	}
	sqlite3_reset(statement);
	return result == SQLITE_DONE && !stop ? 0 : -1;
}

static int put_job(struct store *store, enum statement which, const struct store_job *job)
{
	sqlite3_stmt *statement = store->statements[which];

	bind_text(statement, 1, job->id);
	bind_text(statement, 2, job->vm_id);
	sqlite3_bind_int(statement, 3, job->type);
	sqlite3_bind_int(statement, 4, job->state);
	sqlite3_bind_int64(statement, 5, job->submitted_ms);
	sqlite3_bind_int64(statement, 6, job->started_ms);
	sqlite3_bind_int64(statement, 7, job->changed_ms);
	sqlite3_bind_int(statement, 8, job->error_code);
	bind_text(statement, 9, job->error_text);
	return finish(statement);
}

int store_job_insert(struct store *store, const struct store_job *job)
{
	return put_job(store, JOB_INSERT, job);
}

int store_job_update(struct store *store, const struct store_job *job)
{
	return put_job(store, JOB_UPDATE, job);
}

int store_job_delete(struct store *store, const char *id)
{
	bind_text(store->statements[JOB_DELETE], 1, id);
	return finish(store->statements[JOB_DELETE]);
}

int store_job_each(struct store *store, int (*visit)(void *context, const struct store_job *job),
		   void *context)
{
	sqlite3_stmt *statement = store->statements[JOB_SELECT];
	struct store_job job;
	int result, stop = 0;

	while ((result = sqlite3_step(statement)) == SQLITE_ROW && !stop) {
		memset(&job, 0, sizeof(job));
		column_text(statement, 0, job.id, sizeof(job.id));
		column_text(statement, 1, job.vm_id, sizeof(job.vm_id));
		job.type = sqlite3_column_int(statement, 2);
		job.state = sqlite3_column_int(statement, 3);
		job.submitted_ms = sqlite3_column_int64(statement, 4);
		job.started_ms = sqlite3_column_int64(statement, 5);
		job.changed_ms = sqlite3_column_int64(statement, 6);
		job.error_code = sqlite3_column_int(statement, 7);
		column_text(statement, 8, job.error_text, sizeof(job.error_text));
		stop = visit(context, &job);
	}
	sqlite3_reset(statement);
	return result == SQLITE_DONE && !stop ? 0 : -1;
}

int store_kvp_put(struct store *store, const char *vm_id, const char *name, const char *value, bool host_only)
{
	sqlite3_stmt *statement = store->statements[KVP_PUT];

	bind_text(statement, 1, vm_id);
	bind_text(statement, 2, name);
	bind_text(statement, 3, value);
	sqlite3_bind_int(statement, 4, host_only);
	return finish(statement);
}

int store_kvp_delete(struct store *store, const char *vm_id, const char *name)
{
	sqlite3_stmt *statement = store->statements[KVP_DELETE];

	bind_text(statement, 1, vm_id);
	bind_text(statement, 2, name);
	return finish(statement);
}

int store_kvp_each(struct store *store, const char *vm_id,
		   int (*visit)(void *context, const char *name, const char *value, bool host_only),
		   void *context)
{
	sqlite3_stmt *statement = store->statements[KVP_SELECT];
	int result, stop = 0;

	bind_text(statement, 1, vm_id);
	while ((result = sqlite3_step(statement)) == SQLITE_ROW && !stop) {
		const unsigned char *name = sqlite3_column_text(statement, 0),
				    *value = sqlite3_column_text(statement, 1);

		stop = !name || !value ||
		       visit(context, (const char *)name, (const char *)value,
			     sqlite3_column_int(statement, 2) != 0);
	}
	sqlite3_reset(statement);
	return result == SQLITE_DONE && !stop ? 0 : -1;
}
