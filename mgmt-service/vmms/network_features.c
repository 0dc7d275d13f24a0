/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a machine's port does beyond passing frames: settings below its connection, which change in any state.
 *
 *   Microsoft:<machine>\<adapter>\C\Vlan, \C\Security, \C\Bandwidth     at most one each
 *   Microsoft:<machine>\<adapter>\C\Acl\<entry>                         entries of the access list
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cim_schema.gen.h"
#include "daemon/log.h"
#include "vmms/instances.h"
#include "vmms/network.h"
#include "vmms/network_adapters.h"
#include "vmms/setting_put.h"

#define VLAN(name)                 Msvm_EthernetSwitchPortVlanSettingData_##name
#define SECURITY(name)             Msvm_EthernetSwitchPortSecuritySettingData_##name
#define BANDWIDTH(name)            Msvm_EthernetSwitchPortBandwidthSettingData_##name
#define ACL(name)                  Msvm_EthernetSwitchPortAclSettingData_##name
#define SERVICE(method, parameter) CIM_PARAMETER(Msvm_VirtualSystemManagementService, method, parameter)

#define VLAN_ACCESS       1
#define VLAN_TRUNK        2
#define VLAN_PRIVATE      3
#define PVLAN_ISOLATED    1
#define PVLAN_PROMISCUOUS 3
#define BANDWIDTH_MAX     UINT64_C(1000000000000)
#define TYPE_MAC          1
#define TYPE_IPV4         2

/* ---- VLANs ---- */

static void fill_vlan(struct cim_instance *i, const struct store_nic *nic)
{
	uint16_t ids[4096];
	size_t count = 0;

	for (unsigned id = 0; id < 4096; id++)
		if (nic->trunk[id / 8] >> (id % 8) & 1)
			ids[count++] = (uint16_t)id;
	cim_set_uint(i, VLAN(OperationMode), nic->vlan_mode);
	cim_set_uint(i, VLAN(AccessVlanId), nic->access_vlan);
	cim_set_uint(i, VLAN(NativeVlanId), nic->native_vlan);
	cim_set_uint(i, VLAN(PvlanMode), nic->pvlan_mode);
	cim_set_uint(i, VLAN(PrimaryVlanId), nic->primary_vlan);
	cim_set_uint(i, VLAN(SecondaryVlanId), nic->secondary_vlan);
	cim_set_uints(i, VLAN(TrunkVlanIdArray), ids, count);
}

static enum setting_put put_id(struct cim_context *context, const char *field, uint64_t id, unsigned *out)
{
	if (id > NET_VLAN_MAX)
		return setting_put_refuse(context, field,
					  "%s must be a VLAN from 1 to %d; %d is the switch's own, for "
					  "frames without a tag",
					  field, NET_VLAN_MAX, NET_VLAN_UNTAGGED);
	*out = (unsigned)id;
	return SETTING_PUT;
}

static enum setting_put put_trunk(struct cim_context *context, struct store_nic *nic,
				  const struct cim_value *value)
{
	unsigned id = 0;

	memset(nic->trunk, 0, sizeof(nic->trunk));
	for (size_t i = 0; i < value->count; i++) {
		if (put_id(context, "TrunkVlanIdArray", value->items[i].uint, &id) == SETTING_REFUSED)
			return SETTING_REFUSED;
		nic->trunk[id / 8] |= (unsigned char)(1u << (id % 8));
	}
	return SETTING_PUT;
}

static enum setting_put put_vlan(struct cim_context *context, const struct setting_target *target,
				 int property, const struct cim_value *value)
{
	struct store_nic *nic = target->nic;
	uint64_t number = value->count ? value->items[0].uint : 0;

	switch (property) {
	case VLAN(OperationMode):
		if (number > VLAN_PRIVATE)
			return setting_put_refuse(context, "OperationMode",
						  "OperationMode must be 0 (no VLAN), 1 (access), "
						  "2 (trunk) or 3 (private)");
		nic->vlan_mode = (unsigned)number;
		return SETTING_PUT;
	case VLAN(AccessVlanId):
		return put_id(context, "AccessVlanId", number, &nic->access_vlan);
	case VLAN(NativeVlanId):
		return put_id(context, "NativeVlanId", number, &nic->native_vlan);
	case VLAN(PvlanMode):
		if (number && number != PVLAN_ISOLATED && number != PVLAN_PROMISCUOUS)
			return setting_put_refuse(context, "PvlanMode",
						  "PvlanMode must be 1 (isolated) or 3 (promiscuous)");
		nic->pvlan_mode = (unsigned)number;
		return SETTING_PUT;
	case VLAN(PrimaryVlanId):
		return put_id(context, "PrimaryVlanId", number, &nic->primary_vlan);
	case VLAN(SecondaryVlanId):
		return put_id(context, "SecondaryVlanId", number, &nic->secondary_vlan);
	case VLAN(TrunkVlanIdArray):
		return put_trunk(context, nic, value);
	default:
		return SETTING_NOT_BACKED;
	}
}

static bool check_vlan(struct cim_context *context, const struct store_nic *nic)
{
	if (nic->vlan_mode == VLAN_ACCESS && !nic->access_vlan)
		setting_put_refuse(context, "AccessVlanId", "AccessVlanId is required in access mode");
	else if (nic->vlan_mode == VLAN_PRIVATE && (!nic->primary_vlan || !nic->pvlan_mode))
		setting_put_refuse(context, "PrimaryVlanId",
				   "PrimaryVlanId and PvlanMode are required in private mode");
	else
		return true;
	return false;
}

/* ---- security ---- */

static void fill_security(struct cim_instance *i, const struct store_nic *nic)
{
	cim_set_boolean(i, SECURITY(AllowMacSpoofing), nic->mac_spoofing);
	cim_set_boolean(i, SECURITY(EnableDhcpGuard), nic->dhcp_guard);
	cim_set_boolean(i, SECURITY(EnableRouterGuard), nic->router_guard);
	cim_set_uint(i, SECURITY(MonitorMode), nic->monitor_mode);
	cim_set_uint(i, SECURITY(MonitorSession), nic->monitor_session);
}

static enum setting_put put_security(struct cim_context *context, const struct setting_target *target,
				     int property, const struct cim_value *value)
{
	struct store_nic *nic = target->nic;

	switch (property) {
	case SECURITY(AllowMacSpoofing):
		nic->mac_spoofing = value->items[0].boolean;
		return SETTING_PUT;
	case SECURITY(EnableDhcpGuard):
		nic->dhcp_guard = value->items[0].boolean;
		return SETTING_PUT;
	case SECURITY(EnableRouterGuard):
		nic->router_guard = value->items[0].boolean;
		return SETTING_PUT;
	case SECURITY(MonitorMode):
		if (value->items[0].uint > 2)
			return setting_put_refuse(
				context, "MonitorMode",
				"MonitorMode must be 0 (none), 1 (destination) or 2 (source)");
		nic->monitor_mode = (unsigned)value->items[0].uint;
		return SETTING_PUT;
	case SECURITY(MonitorSession):
		nic->monitor_session = (unsigned)value->items[0].uint;
		return SETTING_PUT;
	default:
		return SETTING_NOT_BACKED;
	}
}

/* ---- bandwidth ---- */

static void fill_bandwidth(struct cim_instance *i, const struct store_nic *nic)
{
	cim_set_uint(i, BANDWIDTH(Reservation), nic->reservation_bps);
	cim_set_uint(i, BANDWIDTH(Limit), nic->limit_bps);
}

static enum setting_put put_bandwidth(struct cim_context *context, const struct setting_target *target,
				      int property, const struct cim_value *value)
{
	const char *field = property == BANDWIDTH(Limit) ? "Limit" : "Reservation";

	if (property != BANDWIDTH(Limit) && property != BANDWIDTH(Reservation))
		return SETTING_NOT_BACKED;
	if (value->items[0].uint > BANDWIDTH_MAX)
		return setting_put_refuse(context, field, "%s is in bits a second, at most 10^12", field);
	*(property == BANDWIDTH(Limit) ? &target->nic->limit_bps : &target->nic->reservation_bps) =
		value->items[0].uint;
	return SETTING_PUT;
}

static bool check_bandwidth(struct cim_context *context, const struct store_nic *nic)
{
	if (!nic->limit_bps || nic->limit_bps >= nic->reservation_bps)
		return true;
	setting_put_refuse(context, "Limit", "Limit is below Reservation");
	return false;
}

static bool check_nothing(struct cim_context *context, const struct store_nic *nic)
{
	return true;
}

/* Of which a port has at most one. */
static const struct feature_kind {
	const struct cim_class *class;
	const char *suffix;
	void (*fill)(struct cim_instance *i, const struct store_nic *nic);
	setting_put_function *put;
	bool (*check)(struct cim_context *context, const struct store_nic *nic);
} kinds[STORE_FEATURE_COUNT] = {
	[STORE_FEATURE_VLAN] = {&cim_class_Msvm_EthernetSwitchPortVlanSettingData, "Vlan", fill_vlan,
				put_vlan, check_vlan},
	[STORE_FEATURE_SECURITY] = {&cim_class_Msvm_EthernetSwitchPortSecuritySettingData, "Security",
				    fill_security, put_security, check_nothing},
	[STORE_FEATURE_BANDWIDTH] = {&cim_class_Msvm_EthernetSwitchPortBandwidthSettingData, "Bandwidth",
				     fill_bandwidth, put_bandwidth, check_bandwidth},
};

/* ---- access lists ---- */

static void fill_acl(struct cim_instance *i, const struct store_acl *acl)
{
	cim_set_string(i, ACL(Name), acl->name);
	cim_set_uint(i, ACL(Direction), acl->direction);
	cim_set_uint(i, ACL(Applicability), acl->applicability);
	cim_set_uint(i, ACL(AclType), acl->type);
	cim_set_uint(i, ACL(Action), acl->action);
	cim_set_string(i, ACL(LocalAddress), acl->local);
	cim_set_uint(i, ACL(LocalAddressPrefixLength), acl->local_prefix);
	cim_set_string(i, ACL(RemoteAddress), acl->remote);
	cim_set_uint(i, ACL(RemoteAddressPrefixLength), acl->remote_prefix);
}

static enum setting_put put_code(struct cim_context *context, const char *field, uint64_t value, unsigned max,
				 const char *meaning, unsigned *out)
{
	if (value < 1 || value > max)
		return setting_put_refuse(context, field, "%s must be %s", field, meaning);
	*out = (unsigned)value;
	return SETTING_PUT;
}

static enum setting_put put_acl_text(struct cim_context *context, const char *field,
				     const struct cim_value *value, char *out, size_t size)
{
	if (!setting_put_check_text(context, field, value->items[0].string, size - 1))
		return SETTING_REFUSED;
	snprintf(out, size, "%s", value->items[0].string);
	return SETTING_PUT;
}

static enum setting_put put_acl(struct cim_context *context, const struct setting_target *target,
				int property, const struct cim_value *value)
{
	struct store_acl *acl = target->acl;

	switch (property) {
	case ACL(Name):
		return put_acl_text(context, "Name", value, acl->name, sizeof(acl->name));
	case ACL(Direction):
		return put_code(context, "Direction", value->items[0].uint, 2, "1 (incoming) or 2 (outgoing)",
				&acl->direction);
	case ACL(Applicability):
		return put_code(context, "Applicability", value->items[0].uint, 2, "1 (local) or 2 (remote)",
				&acl->applicability);
	case ACL(AclType):
		return put_code(context, "AclType", value->items[0].uint, 3, "1 (MAC), 2 (IPv4) or 3 (IPv6)",
				&acl->type);
	case ACL(Action):
		return put_code(context, "Action", value->items[0].uint, 3,
				"1 (allow), 2 (deny) or 3 (meter)", &acl->action);
	case ACL(LocalAddress):
		return put_acl_text(context, "LocalAddress", value, acl->local, sizeof(acl->local));
	case ACL(LocalAddressPrefixLength):
		acl->local_prefix = (unsigned)value->items[0].uint;
		return SETTING_PUT;
	case ACL(RemoteAddress):
		return put_acl_text(context, "RemoteAddress", value, acl->remote, sizeof(acl->remote));
	case ACL(RemoteAddressPrefixLength):
		acl->remote_prefix = (unsigned)value->items[0].uint;
		return SETTING_PUT;
	default:
		return SETTING_NOT_BACKED;
	}
}

/* An address without a prefix of its own is one host. */
static bool check_address(struct cim_context *context, const struct store_acl *acl, const char *field,
			  char *text, unsigned *prefix, bool prefix_given)
{
	static const enum net_address_kind wanted[] = {NET_ADDRESS_ANY, NET_ADDRESS_MAC, NET_ADDRESS_IPV4,
						       NET_ADDRESS_IPV6};
	unsigned bits = acl->type == TYPE_MAC ? 0 : acl->type == TYPE_IPV4 ? 32 : 128;
	char reason[NET_REASON_SIZE] = "";
	struct net_address address;

	if (!text[0] || strcasecmp(text, "any") == 0 || strcmp(text, "*") == 0) {
		text[0] = 0;
		*prefix = 0;
		return true;
	}
	if (net_address_parse(text, &address, reason, sizeof(reason)) || address.kind != wanted[acl->type]) {
		setting_put_refuse(context, field, "%s: \"%s\" is no %s address", field, text,
				   acl->type == TYPE_MAC    ? "MAC"
				   : acl->type == TYPE_IPV4 ? "IPv4"
							    : "IPv6");
		return false;
	}
	if (!prefix_given)
		*prefix = bits;
	if (*prefix > bits) {
		setting_put_refuse(context, field, "%sPrefixLength: at most %u", field, bits);
		return false;
	}
	return true;
}

static bool change_acl(struct cim_context *context, struct store_acl *acl, const struct cim_instance *changes)
{
	const struct setting_target target = {.class = changes->class, .acl = acl};
	struct cim_instance *current = cim_instance_create(context->arena, changes->class);

	fill_acl(current, acl);
	if (!setting_put_all(context, &target, current, changes, put_acl))
		return false;
	if (!acl->direction || !acl->type || !acl->action) {
		setting_put_refuse(context, "Direction", "Direction, AclType and Action are required");
		return false;
	}
	return check_address(context, acl, "LocalAddress", acl->local, &acl->local_prefix,
			     !changes->values[ACL(LocalAddress)].is_set ||
				     changes->values[ACL(LocalAddressPrefixLength)].is_set) &&
	       check_address(context, acl, "RemoteAddress", acl->remote, &acl->remote_prefix,
			     !changes->values[ACL(RemoteAddress)].is_set ||
				     changes->values[ACL(RemoteAddressPrefixLength)].is_set);
}

/* ---- instances ---- */

static const struct feature_kind *kind_of(const struct cim_class *class)
{
	for (int i = 0; i < STORE_FEATURE_COUNT; i++)
		if (kinds[i].class == class)
			return &kinds[i];
	return NULL;
}

static struct cim_reference *feature_reference(struct arena *arena, const char *vm_id,
					       const struct store_nic *nic, const struct feature_kind *kind,
					       const struct store_acl *acl)
{
	const char *keys[] = {arena_printf(arena, "Microsoft:%s\\%s\\C\\%s%s", vm_id, nic->id,
					   kind ? kind->suffix : "Acl\\", kind ? "" : acl->id)};

	return cim_reference_make(
		arena, kind ? kind->class : &cim_class_Msvm_EthernetSwitchPortAclSettingData, 1, keys);
}

static struct cim_instance *feature_instance(struct arena *arena, const char *vm_id,
					     const struct store_nic *nic, const struct feature_kind *kind,
					     const struct store_acl *acl)
{
	const struct cim_reference *self = feature_reference(arena, vm_id, nic, kind, acl);
	struct cim_instance *i = cim_instance_create(arena, self->class);

	cim_set_string(i, CIM_SettingData_InstanceID, self->keys[0].string);
	if (kind)
		kind->fill(i, nic);
	else
		fill_acl(i, acl);
	return i;
}

typedef void visit_feature(struct cim_context *context, const struct vm *vm, unsigned nic,
			   const struct feature_kind *kind, const struct store_acl *acl,
			   struct cim_list *out);

/* Everything there is; class NULL: of every class. */
static void each_feature(struct cim_context *context, const struct cim_class *class, visit_feature *visit,
			 struct cim_list *out)
{
	for (const struct vm *vm = context->model->vms; vm; vm = vm->next)
		for (unsigned n = 0; n < vm->network.nic_count; n++) {
			const struct store_nic *nic = &vm->network.nics[n];

			for (int i = 0; i < STORE_FEATURE_COUNT; i++)
				if (nic->features[i] && (!class || kinds[i].class == class))
					visit(context, vm, n, &kinds[i], NULL, out);
			if (class && class != &cim_class_Msvm_EthernetSwitchPortAclSettingData)
				continue;
			for (unsigned i = 0; i < nic->acl_count; i++)
				visit(context, vm, n, NULL, &nic->acls[i], out);
		}
}

static void add_instance(struct cim_context *context, const struct vm *vm, unsigned nic,
			 const struct feature_kind *kind, const struct store_acl *acl, struct cim_list *out)
{
	cim_list_add(out, feature_instance(context->arena, vm->record.id, &vm->network.nics[nic], kind, acl));
}

static void add_link(struct cim_context *context, const struct vm *vm, unsigned nic,
		     const struct feature_kind *kind, const struct store_acl *acl, struct cim_list *out)
{
	struct cim_instance *i =
		cim_instance_create(context->arena, &cim_class_Msvm_EthernetPortSettingDataComponent);
	struct network_item item = {NETWORK_CONNECTION, nic};

	cim_set_reference(i, Msvm_EthernetPortSettingDataComponent_GroupComponent,
			  network_setting_reference(context->arena, vm->record.id, &vm->network, &item));
	cim_set_reference(
		i, Msvm_EthernetPortSettingDataComponent_PartComponent,
		feature_reference(context->arena, vm->record.id, &vm->network.nics[nic], kind, acl));
	cim_list_add(out, i);
}

static void enumerate_vlans(struct cim_context *context, struct cim_list *out)
{
	each_feature(context, &cim_class_Msvm_EthernetSwitchPortVlanSettingData, add_instance, out);
}

static void enumerate_security(struct cim_context *context, struct cim_list *out)
{
	each_feature(context, &cim_class_Msvm_EthernetSwitchPortSecuritySettingData, add_instance, out);
}

static void enumerate_bandwidth(struct cim_context *context, struct cim_list *out)
{
	each_feature(context, &cim_class_Msvm_EthernetSwitchPortBandwidthSettingData, add_instance, out);
}

static void enumerate_acls(struct cim_context *context, struct cim_list *out)
{
	each_feature(context, &cim_class_Msvm_EthernetSwitchPortAclSettingData, add_instance, out);
}

static void enumerate_links(struct cim_context *context, struct cim_list *out)
{
	each_feature(context, NULL, add_link, out);
}

CIM_PROVIDER(Msvm_EthernetSwitchPortVlanSettingData) = {.enumerate = enumerate_vlans};
CIM_PROVIDER(Msvm_EthernetSwitchPortSecuritySettingData) = {.enumerate = enumerate_security};
CIM_PROVIDER(Msvm_EthernetSwitchPortBandwidthSettingData) = {.enumerate = enumerate_bandwidth};
CIM_PROVIDER(Msvm_EthernetSwitchPortAclSettingData) = {.enumerate = enumerate_acls};
CIM_PROVIDER(Msvm_EthernetPortSettingDataComponent) = {.enumerate = enumerate_links};

/* ---- methods ---- */

/* What a call makes of a machine's adapters, kept only when all of the call is good. */
struct draft {
	struct vm *vm;
	struct store_network network;
	struct draft *next;
};

static struct draft *draft_of(struct cim_context *context, struct draft **drafts, struct vm *vm)
{
	for (; *drafts; drafts = &(*drafts)->next)
		if ((*drafts)->vm == vm)
			return *drafts;
	*drafts = arena_alloc(context->arena, sizeof(**drafts));
	(*drafts)->vm = vm;
	(*drafts)->network = vm->network;
	return *drafts;
}

static uint32_t failed(const struct cim_context *context)
{
	return cim_status_return_value(context->error.status);
}

static bool write_drafts(struct store *store, const struct draft *drafts)
{
	if (store_begin(store))
		return false;
	for (const struct draft *d = drafts; d; d = d->next)
		if (store_network_put(store, d->vm->record.id, &d->network)) {
			store_rollback(store);
			return false;
		}
	return store_commit(store) == 0;
}

static uint32_t commit(struct cim_context *context, struct draft *drafts)
{
	char reason[NET_REASON_SIZE];

	if (!write_drafts(context->model->store, drafts))
		return cim_error_set(&context->error, context->arena, CIM_ERR_FAILED, NULL, "Store: %s",
				     store_error(context->model->store));
	for (struct draft *d = drafts; d; d = d->next) {
		log_notice("vm.features", "vm=%s", d->vm->record.id);
		if (network_take(d->vm, &d->network, reason, sizeof(reason)))
			cim_error_set(&context->error, context->arena, CIM_ERR_FAILED, NULL,
				      "The settings are stored, but not in effect: %s", reason);
	}
	return context->error.status == CIM_OK ? CIM_RETURN_COMPLETED : failed(context);
}

/* What an InstanceID names in a draft: a connection, or one of its features. */
struct found {
	struct draft *draft;
	struct store_nic *nic;
	const char *rest; /* behind "\C" */
};

static bool find(struct cim_context *context, struct draft **drafts, const char *id, struct found *found)
{
	const char *suffix;
	struct vm *vm = id ? instance_setting_owner(context->model, id, &suffix) : NULL;

	if (!vm || strlen(suffix) < STORE_ID_SIZE + 1)
		return false;
	found->draft = draft_of(context, drafts, vm);
	found->rest = suffix + STORE_ID_SIZE + 1;
	for (unsigned i = 0; i < found->draft->network.nic_count; i++) {
		found->nic = &found->draft->network.nics[i];
		if (strncasecmp(suffix, found->nic->id, STORE_ID_SIZE - 1) == 0)
			return strncasecmp(suffix + STORE_ID_SIZE - 1, "\\C", 2) == 0 &&
			       found->nic->connection;
	}
	return false;
}

/* The feature, or the entry of the access list; both NULL: it is not there. */
static bool find_feature(struct cim_context *context, struct draft **drafts, const char *id,
			 struct found *found, const struct feature_kind **kind, struct store_acl **acl)
{
	*kind = NULL;
	*acl = NULL;
	if (!find(context, drafts, id, found))
		return false;
	for (int i = 0; i < STORE_FEATURE_COUNT; i++)
		if (found->nic->features[i] && found->rest[0] == '\\' &&
		    strcasecmp(found->rest + 1, kinds[i].suffix) == 0)
			*kind = &kinds[i];
	for (unsigned i = 0; i < found->nic->acl_count; i++)
		if (strncasecmp(found->rest, "\\Acl\\", 5) == 0 &&
		    strcasecmp(found->rest + 5, found->nic->acls[i].id) == 0)
			*acl = &found->nic->acls[i];
	return *kind || *acl;
}

static bool change(struct cim_context *context, const struct found *found, const struct feature_kind *kind,
		   struct store_acl *acl, const struct cim_instance *changes)
{
	const struct setting_target target = {.class = changes->class, .nic = found->nic};

	if (acl)
		return change_acl(context, acl, changes);
	return setting_put_all(
		       context, &target,
		       feature_instance(context->arena, found->draft->vm->record.id, found->nic, kind, NULL),
		       changes, kind->put) &&
	       kind->check(context, found->nic);
}

static bool add(struct cim_context *context, const struct found *found, const struct cim_instance *setting,
		struct cim_reference **result)
{
	const struct feature_kind *kind = kind_of(setting->class);
	struct store_nic *nic = found->nic;
	struct store_acl *acl = NULL;

	if (kind && nic->features[kind - kinds]) {
		setting_put_refuse(context, "FeatureSettings",
				   "The port has its %s already; change it with ModifyFeatureSettings",
				   setting->class->name);
		return false;
	}
	if (!kind && nic->acl_count == STORE_ACLS_MAX) {
		setting_put_refuse(context, "FeatureSettings",
				   "A port has at most %d entries in its access list", STORE_ACLS_MAX);
		return false;
	}
	if (kind) {
		nic->features[kind - kinds] = true;
	} else {
		acl = &nic->acls[nic->acl_count++];
		memset(acl, 0, sizeof(*acl));
		model_new_id(acl->id);
		acl->applicability = 2;
	}
	*result = feature_reference(context->arena, found->draft->vm->record.id, nic, kind, acl);
	return change(context, found, kind, acl, setting);
}

CIM_METHOD(Msvm_VirtualSystemManagementService, AddFeatureSettings)
{
	const struct cim_reference *affected =
		cim_argument_reference(in, SERVICE(AddFeatureSettings, AffectedConfiguration));
	const struct cim_value *features = &in->values[SERVICE(AddFeatureSettings, FeatureSettings)];
	struct cim_reference **results =
		arena_alloc(context->arena, (features->count + 1) * sizeof(*results));
	struct draft *drafts = NULL;
	struct found found;

	if (!find(context, &drafts, cim_reference_key(affected, "InstanceID"), &found) || found.rest[0])
		return cim_error_set(&context->error, context->arena, CIM_ERR_NOT_FOUND,
				     "AffectedConfiguration",
				     "AffectedConfiguration names no connection of a virtual machine");
	for (size_t i = 0; i < features->count; i++)
		if (!add(context, &found, features->items[i].instance, &results[i]))
			return failed(context);
	if (commit(context, drafts))
		return failed(context);
	cim_argument_set_references(out, SERVICE(AddFeatureSettings, ResultingFeatureSettings), results,
				    features->count);
	return CIM_RETURN_COMPLETED;
}

CIM_METHOD(Msvm_VirtualSystemManagementService, ModifyFeatureSettings)
{
	const struct cim_value *features = &in->values[SERVICE(ModifyFeatureSettings, FeatureSettings)];
	struct cim_reference **results =
		arena_alloc(context->arena, (features->count + 1) * sizeof(*results));
	struct draft *drafts = NULL;

	for (size_t i = 0; i < features->count; i++) {
		const struct cim_instance *changes = features->items[i].instance;
		const struct feature_kind *kind;
		struct store_acl *acl;
		struct found found;

		if (!find_feature(context, &drafts, cim_get_string(changes, CIM_SettingData_InstanceID),
				  &found, &kind, &acl) ||
		    changes->class != (kind ? kind->class : &cim_class_Msvm_EthernetSwitchPortAclSettingData))
			return cim_error_set(
				&context->error, context->arena, CIM_ERR_NOT_FOUND, "FeatureSettings",
				"FeatureSettings: InstanceID must name a present %s", changes->class->name);
		results[i] =
			feature_reference(context->arena, found.draft->vm->record.id, found.nic, kind, acl);
		if (!change(context, &found, kind, acl, changes))
			return failed(context);
	}
	if (commit(context, drafts))
		return failed(context);
	cim_argument_set_references(out, SERVICE(ModifyFeatureSettings, ResultingFeatureSettings), results,
				    features->count);
	return CIM_RETURN_COMPLETED;
}

/* What it said goes with it: one that is added again begins with the defaults. */
static void forget(struct store_nic *nic, const struct feature_kind *kind)
{
	nic->features[kind - kinds] = false;
	switch ((enum store_feature)(kind - kinds)) {
	case STORE_FEATURE_VLAN:
		nic->vlan_mode = nic->access_vlan = nic->native_vlan = nic->pvlan_mode = 0;
		nic->primary_vlan = nic->secondary_vlan = 0;
		memset(nic->trunk, 0, sizeof(nic->trunk));
		break;
	case STORE_FEATURE_SECURITY:
		nic->mac_spoofing = nic->dhcp_guard = nic->router_guard = false;
		nic->monitor_mode = nic->monitor_session = 0;
		break;
	case STORE_FEATURE_BANDWIDTH:
		nic->reservation_bps = nic->limit_bps = 0;
		break;
	case STORE_FEATURE_COUNT:
		break;
	}
}

CIM_METHOD(Msvm_VirtualSystemManagementService, RemoveFeatureSettings)
{
	const struct cim_value *features = &in->values[SERVICE(RemoveFeatureSettings, FeatureSettings)];
	struct draft *drafts = NULL;

	for (size_t i = 0; i < features->count; i++) {
		const struct feature_kind *kind;
		struct store_acl *acl;
		struct found found;

		if (!find_feature(context, &drafts,
				  cim_reference_key(features->items[i].reference, "InstanceID"), &found,
				  &kind, &acl))
			return cim_error_set(&context->error, context->arena, CIM_ERR_NOT_FOUND,
					     "FeatureSettings",
					     "FeatureSettings names a setting that is not there");
		if (kind) {
			forget(found.nic, kind);
			continue;
		}
		found.nic->acl_count--;
		memmove(acl, acl + 1, (size_t)(found.nic->acls + found.nic->acl_count - acl) * sizeof(*acl));
	}
	return commit(context, drafts);
}
