/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses inside guests, as instances. */
#include <string.h>

#include "cim_schema.gen.h"
#include "vmms/guest_addresses.h"
#include "vmms/instances.h"
#include "vmms/network_adapters.h"

#define FAMILY_UNKNOWN 0
#define FAMILY_IPV4    4096
#define FAMILY_IPV6    4097
#define FAMILY_BOTH    4098

static void set_list(struct cim_instance *instance, int property, const struct guest_list *list)
{
	const char *texts[GUEST_ADDRESSES_MAX];

	for (unsigned i = 0; i < list->count; i++)
		texts[i] = list->items[i];
	cim_set_strings(instance, property, texts, list->count);
}

static unsigned family_of(const struct guest_list *addresses)
{
	bool ipv4 = false, ipv6 = false;

	for (unsigned i = 0; i < addresses->count; i++)
		*(strchr(addresses->items[i], ':') ? &ipv6 : &ipv4) = true;
	return ipv4 && ipv6 ? FAMILY_BOTH : ipv4 ? FAMILY_IPV4 : ipv6 ? FAMILY_IPV6 : FAMILY_UNKNOWN;
}

static const char *configuration_id(struct arena *arena, const struct vm *vm, const struct store_nic *nic)
{
	return arena_printf(arena, "Microsoft:GuestNetwork\\%s\\%s", vm->record.id, nic->id);
}

static struct cim_instance *configuration(struct cim_context *context, const struct vm *vm,
					  const struct store_nic *nic)
{
	struct cim_instance *i =
		cim_instance_create(context->arena, &cim_class_Msvm_GuestNetworkAdapterConfiguration);
	struct guest_adapter adapter;

	guest_addresses_of(vm, nic, &adapter);
	cim_set_string(i, Msvm_GuestNetworkAdapterConfiguration_InstanceID,
		       configuration_id(context->arena, vm, nic));
	cim_set_uint(i, Msvm_GuestNetworkAdapterConfiguration_ProtocolIFType, family_of(&adapter.addresses));
	cim_set_boolean(i, Msvm_GuestNetworkAdapterConfiguration_DHCPEnabled, adapter.dhcp);
	set_list(i, Msvm_GuestNetworkAdapterConfiguration_IPAddresses, &adapter.addresses);
	set_list(i, Msvm_GuestNetworkAdapterConfiguration_Subnets, &adapter.subnets);
	set_list(i, Msvm_GuestNetworkAdapterConfiguration_DefaultGateways, &adapter.gateways);
	set_list(i, Msvm_GuestNetworkAdapterConfiguration_DNSServers, &adapter.dns_servers);
	return i;
}

static void enumerate_configurations(struct cim_context *context, struct cim_list *out)
{
	for (const struct vm *vm = context->model->vms; vm; vm = vm->next)
		for (unsigned n = 0; n < vm->network.nic_count; n++)
			cim_list_add(out, configuration(context, vm, &vm->network.nics[n]));
}

CIM_PROVIDER(Msvm_GuestNetworkAdapterConfiguration) = {.enumerate = enumerate_configurations};

static void enumerate_links(struct cim_context *context, struct cim_list *out)
{
	for (const struct vm *vm = context->model->vms; vm; vm = vm->next)
		for (unsigned n = 0; n < vm->network.nic_count; n++) {
			struct cim_instance *i =
				cim_instance_create(context->arena, &cim_class_Msvm_SettingDataComponent);
			const char *keys[] = {configuration_id(context->arena, vm, &vm->network.nics[n])};

			cim_set_reference(i, Msvm_SettingDataComponent_GroupComponent,
					  network_setting_reference(
						  context->arena, vm->record.id, &vm->network,
						  &(struct network_item){NETWORK_ADAPTER, n}));
			cim_set_reference(
				i, Msvm_SettingDataComponent_PartComponent,
				cim_reference_make(context->arena,
						   &cim_class_Msvm_GuestNetworkAdapterConfiguration, 1,
						   keys));
			cim_list_add(out, i);
		}
}

CIM_PROVIDER(Msvm_SettingDataComponent) = {.enumerate = enumerate_links};

void instance_summarize_addresses(struct cim_instance *summary, const struct vm *vm)
{
	struct guest_list addresses;

	guest_addresses_all(vm, &addresses);
	set_list(summary, Msvm_SummaryInformation_Undercroft_IPAddresses, &addresses);
}
