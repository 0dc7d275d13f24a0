/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What survives: virtual machines, settings, jobs, in one SQLite file (WAL, foreign keys on, one writer).
 * Each change is one transaction that is on disk when the call returns. The only user of SQLite.
 *
 * Calls return 0, or -1 with the reason in store_error(). Not thread-safe: the caller holds the model's lock.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#define STORE_ID_SIZE     37 /* GUID text, upper case, no braces, with its end */
#define STORE_NAME_MAX    255
#define STORE_NOTES_MAX   4095
#define STORE_PATH_MAX    4095
#define STORE_CMDLINE_MAX 2047
#define STORE_STATUS_MAX  511

/* What is in a machine, as the worker's contract bounds it. */
#define STORE_CONTROLLERS_MAX 4
#define STORE_LUNS_MAX        64
#define STORE_DRIVES_MAX      (STORE_CONTROLLERS_MAX * STORE_LUNS_MAX)

#define STORE_NICS_MAX        8
#define STORE_ACLS_MAX        64 /* of a network adapter */
#define STORE_ADDRESS_MAX     45
#define STORE_DEVICE_MAX      15

enum store_component {
	STORE_HEARTBEAT,
	STORE_SHUTDOWN,
	STORE_TIMESYNC,
	STORE_KVP,
	STORE_VSS,
	STORE_FCOPY,
	STORE_COMPONENT_COUNT
};
enum store_drive_kind { STORE_DISK_DRIVE, STORE_DVD_DRIVE };

struct store;

struct store_drive {
	unsigned controller; /* index */
	unsigned lun;
	enum store_drive_kind kind;
	char disk_id[STORE_ID_SIZE]; /* names the disk to the guest */
	char *path;                  /* of the image; NULL: none */
	bool read_only;
	bool direct; /* around the host's page cache */
	bool again;  /* not kept: the medium of a DVD drive was named again, as the guest may have ejected it */
};

struct store_storage {
	unsigned controller_count;
	char controllers[STORE_CONTROLLERS_MAX][STORE_ID_SIZE];
	unsigned drive_count;
	struct store_drive drives[STORE_DRIVES_MAX]; /* by controller and LUN */
};

struct store_vm {
	char id[STORE_ID_SIZE];
	char element_name[STORE_NAME_MAX + 1];
	char notes[STORE_NOTES_MAX + 1];
	int64_t created_ms;
	int64_t config_changed_ms;
	int state;
	int64_t state_changed_ms;
	int requested_state;
	bool failed;
	char status_text[STORE_STATUS_MAX + 1];
	unsigned processor_count;
	uint64_t startup_mib;
	struct store_dynamic_memory {
		bool enabled;
		uint64_t minimum_mib, maximum_mib;
		unsigned buffer_percent; /* above what the guest demands */
		unsigned weight;         /* 0 to 10000 */
	} dynamic_memory;
	bool has_linux_direct;
	char kernel_path[STORE_PATH_MAX + 1];
	char initrd_path[STORE_PATH_MAX + 1];
	char command_line[STORE_CMDLINE_MAX + 1];
	bool components[STORE_COMPONENT_COUNT]; /* enabled */
};

/* What a port does beyond passing frames; each is a setting that is there or not. */
enum store_feature { STORE_FEATURE_VLAN, STORE_FEATURE_SECURITY, STORE_FEATURE_BANDWIDTH, STORE_FEATURE_COUNT };

/* Codes are those of Msvm_EthernetSwitchPortAclSettingData. */
struct store_acl {
	char id[STORE_ID_SIZE];
	char name[STORE_NAME_MAX + 1];
	unsigned direction, applicability, type, action;
	char local[STORE_ADDRESS_MAX + 1], remote[STORE_ADDRESS_MAX + 1]; /* empty: any */
	unsigned local_prefix, remote_prefix;
};

/* Codes are those of the Msvm_EthernetSwitchPort*SettingData. */
struct store_nic {
	char id[STORE_ID_SIZE]; /* VMBus instance */
	char element_name[STORE_NAME_MAX + 1];
	unsigned char mac[6];
	bool static_mac;
	bool connection;                   /* it has a port */
	char switch_id[STORE_ID_SIZE];     /* empty: the port is in no switch */
	char switch_name[STORE_NAME_MAX + 1]; /* as last known */
	bool enabled;
	bool features[STORE_FEATURE_COUNT];
	unsigned vlan_mode, access_vlan, native_vlan, pvlan_mode, primary_vlan, secondary_vlan;
	unsigned char trunk[512];
	uint64_t reservation_bps, limit_bps;
	bool mac_spoofing, dhcp_guard, router_guard;
	unsigned monitor_mode, monitor_session;
	unsigned acl_count;
	struct store_acl acls[STORE_ACLS_MAX];
};

struct store_network {
	unsigned nic_count;
	struct store_nic nics[STORE_NICS_MAX];
};

struct store_switch {
	char id[STORE_ID_SIZE];
	char element_name[STORE_NAME_MAX + 1];
	char notes[STORE_NOTES_MAX + 1];
	int64_t created_ms;
	char external_id[STORE_ID_SIZE]; /* empty: no port to an adapter of the host */
	char uplink[STORE_DEVICE_MAX + 1];
	char internal_id[STORE_ID_SIZE]; /* empty: no port to the host */
	char nat_subnet[20];             /* empty: no translation */
};

struct store_job {
	char id[STORE_ID_SIZE];
	char vm_id[STORE_ID_SIZE];
	int type;
	int state;
	int64_t submitted_ms;
	int64_t started_ms;
	int64_t changed_ms;
	int error_code;
	char error_text[STORE_STATUS_MAX + 1];
};

/* Creates the file when it is missing and brings its schema up to date. NULL with the reason in `reason`. */
struct store *store_open(const char *path, char *reason, unsigned reason_size);
void store_close(struct store *store);
const char *store_error(const struct store *store);
int store_schema_version(struct store *store);

int store_vm_insert(struct store *store, const struct store_vm *vm);
/* Settings and state. */
int store_vm_update(struct store *store, const struct store_vm *vm);
int store_vm_delete(struct store *store, const char *id);
int store_vm_each(struct store *store, int (*visit)(void *context, const struct store_vm *vm), void *context);

/* Replaces all controllers and drives of the machine. */
int store_storage_put(struct store *store, const char *vm_id, const struct store_storage *storage);
/* The paths are allocated; store_storage_clear() frees them. */
int store_storage_get(struct store *store, const char *vm_id, struct store_storage *storage);
void store_storage_clear(struct store_storage *storage);

/* Replaces all network adapters of the machine. */
int store_network_put(struct store *store, const char *vm_id, const struct store_network *network);
int store_network_get(struct store *store, const char *vm_id, struct store_network *network);

/* Inserts or replaces. */
int store_switch_put(struct store *store, const struct store_switch *record);
int store_switch_delete(struct store *store, const char *id);
int store_switch_each(struct store *store, int (*visit)(void *context, const struct store_switch *record),
		      void *context);

int store_job_insert(struct store *store, const struct store_job *job);
int store_job_update(struct store *store, const struct store_job *job);
int store_job_delete(struct store *store, const char *id);
int store_job_each(struct store *store, int (*visit)(void *context, const struct store_job *job),
		   void *context);

/* Key-value items of the host. */
int store_kvp_put(struct store *store, const char *vm_id, const char *name, const char *value,
		  bool host_only);
int store_kvp_delete(struct store *store, const char *vm_id, const char *name);
int store_kvp_each(struct store *store, const char *vm_id,
		   int (*visit)(void *context, const char *name, const char *value, bool host_only),
		   void *context);

/* All or nothing of what is called between them. */
int store_begin(struct store *store);
int store_commit(struct store *store);
void store_rollback(struct store *store);

#endif
