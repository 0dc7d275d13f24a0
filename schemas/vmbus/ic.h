/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Integration components: heartbeat, shutdown, time synchronization, key-value pairs, VSS, file copy. The host asks,
 * the guest answers in the same packet: in-band, pipe header, component header, body. Little endian.
 */
#ifndef SCHEMAS_VMBUS_IC_H
#define SCHEMAS_VMBUS_IC_H

#include "hv/hv_types.h"
#include "vmbus/vmbus.h"

struct ic_version {
	uint16_t major, minor;
};
WIRE_SIZE(struct ic_version, 4);

enum ic_message_type {
	IC_MESSAGE_NEGOTIATE = 0,
	IC_MESSAGE_HEARTBEAT = 1,
	IC_MESSAGE_KVP       = 2,
	IC_MESSAGE_SHUTDOWN  = 3,
	IC_MESSAGE_TIMESYNC  = 4,
	IC_MESSAGE_VSS       = 5,
	IC_MESSAGE_FCOPY     = 7,
};

#define IC_PIPE_DATA        1u
#define IC_FLAG_TRANSACTION 1u
#define IC_FLAG_REQUEST     2u
#define IC_FLAG_RESPONSE    4u

struct ic_header {
	uint32_t pipe_type;		/* IC_PIPE_DATA */
	uint32_t pipe_bytes;		/* what follows this field */
	struct ic_version framework;
	uint16_t message_type;
	struct ic_version message;
	uint16_t body_bytes;
	uint32_t status;		/* HRESULT */
	uint8_t transaction;
	uint8_t flags;
	uint16_t rsvd;
};
WIRE_SIZE(struct ic_header, 28);
WIRE_OFFSET(struct ic_header, framework, 8);
WIRE_OFFSET(struct ic_header, message_type, 12);
WIRE_OFFSET(struct ic_header, message, 14);
WIRE_OFFSET(struct ic_header, body_bytes, 18);
WIRE_OFFSET(struct ic_header, status, 20);
WIRE_OFFSET(struct ic_header, transaction, 24);
#define IC_PIPE_HEADER_BYTES 8u

/* Then the framework versions, then the message versions. An answer holds one of each, or none when nothing fits. */
struct ic_negotiate {
	uint16_t framework_count;
	uint16_t message_count;
	uint32_t rsvd;
};
WIRE_SIZE(struct ic_negotiate, 8);

/* HRESULTs that guests answer with */
#define IC_STATUS_OK             0x00000000u
#define IC_STATUS_FAIL           0x80004005u
#define IC_STATUS_GUID_NOT_FOUND 0x80041002u
#define IC_STATUS_FILE_NOT_FOUND 0x80070002u
#define IC_STATUS_NOT_SUPPORTED  0x80070032u
#define IC_STATUS_EXISTS         0x80070050u
#define IC_STATUS_INVALID        0x80070057u
#define IC_STATUS_DISK_FULL      0x80070070u
#define IC_STATUS_NO_MORE_ITEMS  0x80070103u
#define IC_STATUS_NOT_CONNECTED  0x8007048fu

/* Heartbeat. The answer's sequence is the request's plus one. */
enum ic_application_state {
	IC_APPLICATION_UNKNOWN  = 0,
	IC_APPLICATION_HEALTHY  = 1,
	IC_APPLICATION_CRITICAL = 2,
	IC_APPLICATION_STOPPED  = 3,
};

struct ic_heartbeat {
	uint64_t sequence;
	uint32_t application_state;	/* from message version 3.0 on */
	uint32_t rsvd[7];
};
WIRE_SIZE(struct ic_heartbeat, 40);

/* Shutdown: one of the three actions, and FORCE. Restart needs message version 3.1, hibernate 3.2. */
#define IC_SHUTDOWN_POWER_OFF      0u
#define IC_SHUTDOWN_FORCE          1u
#define IC_SHUTDOWN_RESTART        2u
#define IC_SHUTDOWN_HIBERNATE      4u
#define IC_SHUTDOWN_REASON_PLANNED 0x80000000u
#define IC_SHUTDOWN_TEXT_BYTES     2048

struct ic_shutdown {
	uint32_t reason;
	uint32_t timeout_seconds;
	uint32_t flags;
	char text[IC_SHUTDOWN_TEXT_BYTES];
};
WIRE_SIZE(struct ic_shutdown, 2060);

/* Time synchronization; times in 100 ns, wall clock since 1601-01-01 UTC. */
#define IC_TIMESYNC_PROBE  0u
#define IC_TIMESYNC_SYNC   1u	/* the guest sets its clock */
#define IC_TIMESYNC_SAMPLE 2u

struct ic_timesync {			/* message version 4.0 */
	uint64_t wall_time;
	uint64_t reference_time;	/* the partition's reference counter at the same instant */
	uint8_t flags;
	uint8_t leap;
	uint8_t stratum;
	uint8_t rsvd[5];
};
WIRE_SIZE(struct ic_timesync, 24);

struct ic_timesync_v1 {			/* up to message version 3.0 */
	uint64_t wall_time;
	uint64_t guest_time;
	uint64_t round_trip;
	uint8_t flags;
	uint8_t rsvd[3];
} __attribute__((packed));		/* no padding at the end on the wire */
WIRE_SIZE(struct ic_timesync_v1, 28);
WIRE_OFFSET(struct ic_timesync_v1, flags, 24);

/* Key-value pairs. Texts are UTF-16; sizes are in bytes and count the terminating zero. */
enum ic_kvp_operation {
	IC_KVP_GET         = 0,
	IC_KVP_SET         = 1,
	IC_KVP_DELETE      = 2,
	IC_KVP_ENUMERATE   = 3,
	IC_KVP_GET_IP_INFO = 4,
	IC_KVP_SET_IP_INFO = 5,
};

enum ic_kvp_pool {
	IC_KVP_POOL_EXTERNAL      = 0,	/* host to guest */
	IC_KVP_POOL_GUEST         = 1,	/* guest to host */
	IC_KVP_POOL_AUTO          = 2,	/* the guest about itself */
	IC_KVP_POOL_AUTO_EXTERNAL = 3,	/* the host about itself */
};

enum ic_kvp_value_type {
	IC_KVP_TEXT     = 1,
	IC_KVP_U32      = 4,
	IC_KVP_U64      = 8,
	IC_KVP_QWORD    = 11,		/* as the Windows registry numbers it */
};

#define IC_KVP_KEY_UNITS   256
#define IC_KVP_VALUE_BYTES 2048

struct ic_kvp_record {
	uint32_t value_type;
	uint32_t key_bytes;
	uint32_t value_bytes;
	uint16_t key[IC_KVP_KEY_UNITS];
	uint8_t value[IC_KVP_VALUE_BYTES];
};
WIRE_SIZE(struct ic_kvp_record, 2572);
WIRE_OFFSET(struct ic_kvp_record, key, 12);
WIRE_OFFSET(struct ic_kvp_record, value, 524);

struct ic_kvp_delete {
	uint32_t key_bytes;
	uint16_t key[IC_KVP_KEY_UNITS];
};
WIRE_SIZE(struct ic_kvp_delete, 516);

struct ic_kvp_enumerate {
	uint32_t index;
	struct ic_kvp_record record;
};
WIRE_SIZE(struct ic_kvp_enumerate, 2576);

/* Operations 0..3: all of one size, as the answer lies where the request was. */
struct ic_kvp {
	uint8_t operation;
	uint8_t pool;
	uint16_t rsvd;
	union {
		struct ic_kvp_record record;
		struct ic_kvp_delete deletion;
		struct ic_kvp_enumerate enumeration;
	} u;
};
WIRE_SIZE(struct ic_kvp, 2580);
WIRE_OFFSET(struct ic_kvp, u, 4);

#define IC_KVP_FAMILY_IPV4 1u
#define IC_KVP_FAMILY_IPV6 2u

/* Operations 4 and 5, from message version 4.0 on; lists are separated by semicolons. */
struct ic_kvp_ip {
	uint8_t operation;
	uint8_t pool;
	uint16_t adapter_id[128];
	uint8_t family;
	uint8_t dhcp;
	uint16_t addresses[1024];
	uint16_t subnets[1024];
	uint16_t gateways[512];
	uint16_t dns_servers[1024];
};
WIRE_SIZE(struct ic_kvp_ip, 7428);
WIRE_OFFSET(struct ic_kvp_ip, family, 2 + 256);
WIRE_OFFSET(struct ic_kvp_ip, addresses, 2 + 258);
WIRE_OFFSET(struct ic_kvp_ip, subnets, 2 + 2306);
WIRE_OFFSET(struct ic_kvp_ip, gateways, 2 + 4354);
WIRE_OFFSET(struct ic_kvp_ip, dns_servers, 2 + 5378);

/* VSS */
enum ic_vss_operation {
	IC_VSS_CREATE          = 0,
	IC_VSS_DELETE          = 1,
	IC_VSS_HOT_BACKUP      = 2,
	IC_VSS_GET_DM_INFO     = 3,
	IC_VSS_BACKUP_COMPLETE = 4,
	IC_VSS_FREEZE          = 5,
	IC_VSS_THAW            = 6,
	IC_VSS_AUTO_RECOVER    = 7,
};
#define IC_VSS_HOT_BACKUP_SUPPORTED 1u
#define IC_VSS_NO_AUTO_RECOVERY     4u

struct ic_vss {
	uint8_t operation;
	uint8_t rsvd[7];
	uint32_t flags;			/* of the answer to HOT_BACKUP */
};
WIRE_SIZE(struct ic_vss, 12);
WIRE_OFFSET(struct ic_vss, flags, 8);

/* File copy, host to guest */
enum ic_fcopy_operation {
	IC_FCOPY_START    = 0,
	IC_FCOPY_WRITE    = 1,
	IC_FCOPY_COMPLETE = 2,
	IC_FCOPY_CANCEL   = 3,
};
#define IC_FCOPY_OVERWRITE   1u
#define IC_FCOPY_CREATE_PATH 2u
#define IC_FCOPY_PATH_UNITS  260
#define IC_FCOPY_DATA_BYTES  6144

struct ic_fcopy_header {
	uint32_t operation;
	struct vmbus_guid service[2];
};
WIRE_SIZE(struct ic_fcopy_header, 36);

struct ic_fcopy_start {
	struct ic_fcopy_header header;
	uint16_t file_name[IC_FCOPY_PATH_UNITS];
	uint16_t path_name[IC_FCOPY_PATH_UNITS];
	uint32_t flags;
	uint64_t file_bytes;
};
WIRE_SIZE(struct ic_fcopy_start, 1088);
WIRE_OFFSET(struct ic_fcopy_start, flags, 1076);
WIRE_OFFSET(struct ic_fcopy_start, file_bytes, 1080);

struct ic_fcopy_write {
	struct ic_fcopy_header header;
	uint32_t rsvd;
	uint64_t offset;
	uint32_t bytes;
	uint8_t data[IC_FCOPY_DATA_BYTES];
} __attribute__((packed));		/* no padding at the end on the wire */
WIRE_SIZE(struct ic_fcopy_write, 6196);
WIRE_OFFSET(struct ic_fcopy_write, offset, 40);
WIRE_OFFSET(struct ic_fcopy_write, bytes, 48);
WIRE_OFFSET(struct ic_fcopy_write, data, 52);

#endif
