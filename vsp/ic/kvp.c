// SPDX-License-Identifier: Apache-2.0
#include "ic/kvp.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define UNITS(field) (sizeof(field) / sizeof((field)[0]))

static const struct ic_version frameworks[] = { { 1, 0 }, { 3, 0 } };
static const struct ic_version messages[] = { { 1, 0 }, { 3, 0 }, { 4, 0 } };

static void finish(struct kvp *kvp, int error, uint32_t status)
{
	const struct kvp_result result = {
		.operation = (enum ic_kvp_operation)kvp->state.operation,
		.error = error,
		.status = status,
		.malformed = kvp->state.malformed,
	};

	kvp->state.busy = false;
	kvp->events->done(kvp->context, &result);
}

static int start(struct kvp *kvp, uint8_t operation, uint8_t pool, const void *body, size_t bytes)
{
	int r = ic_request(&kvp->ic, body, bytes, KVP_TIMEOUT_NS);

	if (r)
		return r;
	kvp->state.busy = true;
	kvp->state.operation = operation;
	kvp->state.pool = pool;
	kvp->state.index = 0;
	kvp->state.malformed = 0;
	return 0;
}

static int key_put(const char *key, uint16_t *out_units, uint32_t *out_bytes)
{
	size_t units;
	int r = utf16_from_utf8(key, out_units, IC_KVP_KEY_UNITS, &units);

	if (r)
		return r;
	*out_bytes = (uint32_t)(units * sizeof *out_units);
	return units > 1 ? 0 : -EINVAL;
}

static int enumerate_next(struct kvp *kvp)
{
	struct ic_kvp body = { .operation = IC_KVP_ENUMERATE, .pool = kvp->state.pool };

	body.u.enumeration.index = kvp->state.index;
	return ic_request(&kvp->ic, &body, sizeof body, KVP_TIMEOUT_NS);
}

/* Text up to its zero, if the guest wrote one. */
static int text_get(const void *units, uint32_t bytes, char *out, size_t out_bytes)
{
	if (bytes % sizeof(uint16_t))
		return -EPROTO;
	return utf16_to_utf8(units, bytes / sizeof(uint16_t), out, out_bytes) ? -EPROTO : 0;
}

static int number_get(const uint8_t *value, uint32_t bytes, uint32_t wanted, char *out, size_t out_bytes)
{
	uint64_t number = 0;

	if (bytes < wanted)
		return -EPROTO;
	memcpy(&number, value, wanted);
	(void)snprintf(out, out_bytes, "%" PRIu64, number);
	return 0;
}

static int item_get(const struct ic_kvp_record *record, struct kvp_item *out)
{
	uint16_t value[IC_KVP_VALUE_BYTES / sizeof(uint16_t)];

	if (record->key_bytes == 0 || record->key_bytes > sizeof record->key ||
	    record->value_bytes > sizeof record->value ||
	    text_get(record->key, record->key_bytes, out->key, sizeof out->key) || out->key[0] == 0)
		return -EPROTO;
	switch (record->value_type) {
	case IC_KVP_TEXT:
		memcpy(value, record->value, sizeof value);
		return text_get(value, record->value_bytes, out->value, sizeof out->value);
	case IC_KVP_U32:
		return number_get(record->value, record->value_bytes, 4, out->value, sizeof out->value);
	case IC_KVP_U64:
	case IC_KVP_QWORD:
		return number_get(record->value, record->value_bytes, 8, out->value, sizeof out->value);
	default:
		return -EPROTO;
	}
}

static void enumerate_answer(struct kvp *kvp, const struct ic_answer *answer)
{
	struct ic_kvp body;
	struct kvp_item item;
	int r;

	if (answer->status == IC_STATUS_NO_MORE_ITEMS) {
		finish(kvp, 0, IC_STATUS_OK);
		return;
	}
	if (answer->status != IC_STATUS_OK) {
		finish(kvp, -EREMOTEIO, answer->status);
		return;
	}
	if (answer->body_bytes < sizeof body) {
		finish(kvp, -EPROTO, 0);
		return;
	}
	memcpy(&body, answer->body, sizeof body);
	if (item_get(&body.u.enumeration.record, &item))
		kvp->state.malformed++;
	else
		kvp->events->item(kvp->context, (enum ic_kvp_pool)kvp->state.pool, &item);
	if (++kvp->state.index == KVP_ITEMS_MAX) {
		finish(kvp, -E2BIG, 0);
		return;
	}
	r = enumerate_next(kvp);
	/* A ring that broke has ended the operation on its way. */
	if (r && kvp->state.busy)
		finish(kvp, r, 0);
}

static void get_answer(struct kvp *kvp, const struct ic_answer *answer)
{
	struct ic_kvp body;
	struct kvp_item item;

	if (answer->body_bytes < sizeof body) {
		finish(kvp, -EPROTO, 0);
		return;
	}
	memcpy(&body, answer->body, sizeof body);
	if (item_get(&body.u.record, &item)) {
		finish(kvp, -EPROTO, 0);
		return;
	}
	kvp->events->item(kvp->context, (enum ic_kvp_pool)kvp->state.pool, &item);
	finish(kvp, 0, IC_STATUS_OK);
}

static void ip_answer(struct kvp *kvp, const struct ic_answer *answer)
{
	struct ic_kvp_ip body;
	struct kvp_ip_info info;

	if (answer->body_bytes < sizeof body) {
		finish(kvp, -EPROTO, 0);
		return;
	}
	memcpy(&body, answer->body, sizeof body);
	info.family = body.family;
	info.dhcp = body.dhcp != 0;
	if (utf16_to_utf8(body.adapter_id, UNITS(body.adapter_id), info.adapter_id, sizeof info.adapter_id) ||
	    utf16_to_utf8(body.addresses, UNITS(body.addresses), info.addresses, sizeof info.addresses) ||
	    utf16_to_utf8(body.subnets, UNITS(body.subnets), info.subnets, sizeof info.subnets) ||
	    utf16_to_utf8(body.gateways, UNITS(body.gateways), info.gateways, sizeof info.gateways) ||
	    utf16_to_utf8(body.dns_servers, UNITS(body.dns_servers), info.dns_servers, sizeof info.dns_servers)) {
		finish(kvp, -EPROTO, 0);
		return;
	}
	kvp->events->ip_info(kvp->context, &info);
	finish(kvp, 0, IC_STATUS_OK);
}

static void answered(struct ic *ic, const struct ic_answer *answer)
{
	struct kvp *kvp = (struct kvp *)ic;

	if (!kvp->state.busy)
		return;
	if (answer->error)
		finish(kvp, answer->error, 0);
	else if (kvp->state.operation == IC_KVP_ENUMERATE)
		enumerate_answer(kvp, answer);
	else if (answer->status != IC_STATUS_OK)
		finish(kvp, -EREMOTEIO, answer->status);
	else if (kvp->state.operation == IC_KVP_GET)
		get_answer(kvp, answer);
	else if (kvp->state.operation == IC_KVP_GET_IP_INFO)
		ip_answer(kvp, answer);
	else
		finish(kvp, 0, IC_STATUS_OK);
}

static void tell_ready(struct kvp *kvp, bool ready)
{
	if (kvp->events->ready)
		kvp->events->ready(kvp->context, ready);
}

static void negotiated(struct ic *ic)
{
	tell_ready((struct kvp *)ic, true);
}

static void closed(struct ic *ic)
{
	struct kvp *kvp = (struct kvp *)ic;

	if (kvp->state.busy)
		finish(kvp, -ECONNRESET, 0);
	tell_ready(kvp, false);
}

static const struct ic_kind kind = {
	.interface = { 0xa9a0f4e7, 0x5a45, 0x4d96, { 0xb8, 0x27, 0x8a, 0x84, 0x1e, 0x8c, 0x03, 0xe6 } },
	.instance = { 0x242ff919, 0x07db, 0x4180, { 0x9c, 0x2e, 0xb8, 0x6c, 0xb6, 0x8c, 0x8c, 0x55 } },
	.message_type = IC_MESSAGE_KVP,
	.packet_bytes_max = 16384,
	.frameworks = frameworks,
	.messages = messages,
	.framework_count = UNITS(frameworks),
	.message_count = UNITS(messages),
	.negotiated = negotiated,
	.answered = answered,
	.closed = closed,
};

void kvp_init(struct kvp *kvp, const struct kvp_events *events, void *context)
{
	memset(kvp, 0, sizeof *kvp);
	ic_init(&kvp->ic, &kind);
	kvp->events = events;
	kvp->context = context;
}

/* Whether an operation may begin; `writes` are for the host's own pools alone. */
static int check(const struct kvp *kvp, unsigned pool, bool writes)
{
	bool is_ours = pool == IC_KVP_POOL_EXTERNAL || pool == IC_KVP_POOL_AUTO_EXTERNAL;

	if (pool > IC_KVP_POOL_AUTO_EXTERNAL || (writes && !is_ours))
		return -EINVAL;
	if (!ic_is_ready(&kvp->ic))
		return -ENOTCONN;
	return kvp->state.busy ? -EBUSY : 0;
}

int kvp_get(struct kvp *kvp, enum ic_kvp_pool pool, const char *key)
{
	struct ic_kvp body = { .operation = IC_KVP_GET, .pool = (uint8_t)pool };
	int r = check(kvp, pool, false);

	if (r == 0)
		r = key_put(key, body.u.record.key, &body.u.record.key_bytes);
	return r ? r : start(kvp, body.operation, body.pool, &body, sizeof body);
}

int kvp_enumerate(struct kvp *kvp, enum ic_kvp_pool pool)
{
	const struct ic_kvp body = { .operation = IC_KVP_ENUMERATE, .pool = (uint8_t)pool };
	int r = check(kvp, pool, false);

	return r ? r : start(kvp, body.operation, body.pool, &body, sizeof body);
}

int kvp_set(struct kvp *kvp, enum ic_kvp_pool pool, const char *key, const char *value)
{
	struct ic_kvp body = { .operation = IC_KVP_SET, .pool = (uint8_t)pool };
	uint16_t text[IC_KVP_VALUE_BYTES / sizeof(uint16_t)];
	size_t units;
	int r = check(kvp, pool, true);

	if (r == 0)
		r = key_put(key, body.u.record.key, &body.u.record.key_bytes);
	if (r == 0)
		r = utf16_from_utf8(value, text, UNITS(text), &units);
	if (r)
		return r;
	body.u.record.value_type = IC_KVP_TEXT;
	body.u.record.value_bytes = (uint32_t)(units * sizeof text[0]);
	memcpy(body.u.record.value, text, body.u.record.value_bytes);
	return start(kvp, body.operation, body.pool, &body, sizeof body);
}

int kvp_delete(struct kvp *kvp, enum ic_kvp_pool pool, const char *key)
{
	struct ic_kvp body = { .operation = IC_KVP_DELETE, .pool = (uint8_t)pool };
	int r = check(kvp, pool, true);

	if (r == 0)
		r = key_put(key, body.u.deletion.key, &body.u.deletion.key_bytes);
	return r ? r : start(kvp, body.operation, body.pool, &body, sizeof body);
}

static int check_ip(const struct kvp *kvp)
{
	int r = check(kvp, IC_KVP_POOL_EXTERNAL, false);

	return r == 0 && !ic_speaks(&kvp->ic, 4, 0) ? -EOPNOTSUPP : r;
}

static int text_put(const char *text, uint16_t *out, size_t units_max)
{
	size_t units;

	return utf16_from_utf8(text, out, units_max, &units);
}

int kvp_get_ip_info(struct kvp *kvp, const char *adapter_id, uint8_t family)
{
	struct ic_kvp_ip body = { .operation = IC_KVP_GET_IP_INFO, .family = family };
	int r = check_ip(kvp);

	if (r == 0)
		r = text_put(adapter_id, body.adapter_id, UNITS(body.adapter_id));
	return r ? r : start(kvp, body.operation, body.pool, &body, sizeof body);
}

int kvp_set_ip_info(struct kvp *kvp, const struct kvp_ip_info *info)
{
	struct ic_kvp_ip body = { .operation = IC_KVP_SET_IP_INFO, .family = info->family, .dhcp = info->dhcp };
	int r = check_ip(kvp);

	if (r == 0)
		r = text_put(info->adapter_id, body.adapter_id, UNITS(body.adapter_id));
	if (r == 0)
		r = text_put(info->addresses, body.addresses, UNITS(body.addresses));
	if (r == 0)
		r = text_put(info->subnets, body.subnets, UNITS(body.subnets));
	if (r == 0)
		r = text_put(info->gateways, body.gateways, UNITS(body.gateways));
	if (r == 0)
		r = text_put(info->dns_servers, body.dns_servers, UNITS(body.dns_servers));
	return r ? r : start(kvp, body.operation, body.pool, &body, sizeof body);
}

void kvp_get_state(const struct kvp *kvp, struct kvp_state *out)
{
	*out = kvp->state;
	out->ic = kvp->ic.state;
}

int kvp_set_state(struct kvp *kvp, const struct kvp_state *state)
{
	int r;

	if (state->operation > IC_KVP_SET_IP_INFO || state->pool > IC_KVP_POOL_AUTO_EXTERNAL ||
	    state->index >= KVP_ITEMS_MAX)
		return -EINVAL;
	r = ic_set_state(&kvp->ic, &state->ic);
	if (r == 0)
		kvp->state = *state;
	return r;
}
