/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key-value pairs: what the guest tells about itself (IC_KVP_POOL_AUTO) and its users say (IC_KVP_POOL_GUEST), what
 * the host tells the guest (IC_KVP_POOL_EXTERNAL, IC_KVP_POOL_AUTO_EXTERNAL), and the guest's IP configuration. One
 * operation at a time. A guest without the daemon never even negotiates: then every operation says -ENOTCONN.
 */
#ifndef VSP_IC_KVP_H
#define VSP_IC_KVP_H

#include "ic/ic.h"
#include "unicode/utf16.h"

#define KVP_KEY_BYTES   UTF16_UTF8_BYTES(IC_KVP_KEY_UNITS)
#define KVP_VALUE_BYTES UTF16_UTF8_BYTES(IC_KVP_VALUE_BYTES / 2)
#define KVP_ITEMS_MAX   1024		/* of one enumeration */
/* Guests give up on their own daemon after 30 s and answer so. */
#define KVP_TIMEOUT_NS  (35 * IC_SECOND_NS)

/* UTF-8; numbers are written in decimal. */
struct kvp_item {
	char key[KVP_KEY_BYTES];
	char value[KVP_VALUE_BYTES];
};

/* Lists are separated by semicolons. */
struct kvp_ip_info {
	char adapter_id[UTF16_UTF8_BYTES(128)];
	uint8_t family;			/* IC_KVP_FAMILY_... */
	bool dhcp;
	char addresses[UTF16_UTF8_BYTES(1024)];
	char subnets[UTF16_UTF8_BYTES(1024)];
	char gateways[UTF16_UTF8_BYTES(512)];
	char dns_servers[UTF16_UTF8_BYTES(1024)];
};

struct kvp_result {
	enum ic_kvp_operation operation;
	/* 0; -EREMOTEIO the guest said no: status; -ETIMEDOUT; -ECONNRESET the channel closed; -EPROTO the answer
	 * is malformed; -E2BIG an enumeration has no end; or what ic_request said to a later step. */
	int error;
	uint32_t status;
	unsigned malformed;		/* items of an enumeration that were left out */
};

/* Never called from within the call that starts an operation. */
struct kvp_events {
	/* Of get and enumerate. */
	void (*item)(void *context, enum ic_kvp_pool pool, const struct kvp_item *item);
	void (*ip_info)(void *context, const struct kvp_ip_info *info);
	void (*done)(void *context, const struct kvp_result *result);	/* once; a new operation may be started */
	void (*ready)(void *context, bool ready);	/* the guest's daemon answers now, or no longer. May be NULL */
};

struct kvp_state {
	struct ic_state ic;
	bool busy;
	uint8_t operation;		/* enum ic_kvp_operation */
	uint8_t pool;			/* enum ic_kvp_pool */
	uint32_t index, malformed;	/* of an enumeration */
};

struct kvp {
	struct ic ic;
	struct kvp_state state;		/* its `ic` is filled by get only */
	const struct kvp_events *events;
	void *context;
};

void kvp_init(struct kvp *kvp, const struct kvp_events *events, void *context);

/* Operations. 0: `done` is called later. -EBUSY one is under way; -EINVAL not for this pool, or an empty key;
 * -E2BIG longer than the guest takes (255 units of UTF-16 a key, 1023 a value); -EILSEQ no UTF-8; else as
 * ic_request. */
int kvp_get(struct kvp *kvp, enum ic_kvp_pool pool, const char *key);
int kvp_enumerate(struct kvp *kvp, enum ic_kvp_pool pool);
/* Host-to-guest pools only. */
int kvp_set(struct kvp *kvp, enum ic_kvp_pool pool, const char *key, const char *value);
int kvp_delete(struct kvp *kvp, enum ic_kvp_pool pool, const char *key);
/* -EOPNOTSUPP the guest's version has no IP configuration. The adapter is named as the guest knows it. */
int kvp_get_ip_info(struct kvp *kvp, const char *adapter_id, uint8_t family);
int kvp_set_ip_info(struct kvp *kvp, const struct kvp_ip_info *info);

/* As heartbeat_get_state and heartbeat_set_state. */
void kvp_get_state(const struct kvp *kvp, struct kvp_state *out);
int kvp_set_state(struct kvp *kvp, const struct kvp_state *state);

#endif
