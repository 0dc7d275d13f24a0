/* SPDX-License-Identifier: Apache-2.0 */
/* Network adapters of running machines as devices, with what has gone through them. */
#include <string.h>
#include <strings.h>

#include "cim_schema.gen.h"
#include "vmms/instances.h"
#include "vmms/network_adapters.h"
#include "vmms/network_wire.h"

#define STATE_ENABLED  2
#define STATE_DISABLED 3
#define STATUS_OK      2
#define LINK_BPS       UINT64_C(10000000000)

struct traffic {
	uint64_t frames_in, bytes_in, frames_out, bytes_out; /* as the guest sees them */
};

/* What the worker calls it, and what it counts for. */
static void add_counter(struct traffic *traffic, const struct device_counter *counter)
{
	static const char *const kinds[] = {"unicast", "multicast", "broadcast"};
	bool in = strncmp(counter->name, "rx_", 3) == 0;
	const char *what = counter->name + 3;

	if (!in && strncmp(counter->name, "tx_", 3) != 0)
		return;
	if (strcmp(what, "bytes") == 0)
		*(in ? &traffic->bytes_in : &traffic->bytes_out) += counter->value;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(what, kinds[i]) == 0)
			*(in ? &traffic->frames_in : &traffic->frames_out) += counter->value;
}

/* Of all its queues. */
static struct traffic traffic_of(const struct vm *vm, const struct store_nic *nic)
{
	struct traffic traffic = {0};

	for (unsigned i = 0; i < vm->stats.count; i++) {
		const struct device_counters *queue = &vm->stats.devices[i];

		for (unsigned k = 0; strcasecmp(queue->instance, nic->id) == 0 && k < queue->count; k++)
			add_counter(&traffic, &queue->counters[k]);
	}
	return traffic;
}

static const char *device_id(struct arena *arena, const struct vm *vm, const struct store_nic *nic)
{
	return arena_printf(arena, "Microsoft:%s\\%s", vm->record.id, nic->id);
}

struct cim_reference *network_port_reference(struct arena *arena, const struct vm *vm, unsigned nic)
{
	const char *keys[] = {"Msvm_ComputerSystem", vm->record.id, "Msvm_SyntheticEthernetPort",
			      device_id(arena, vm, &vm->network.nics[nic])};

	return cim_reference_make(arena, &cim_class_Msvm_SyntheticEthernetPort, 4, keys);
}

static struct cim_instance *port(struct cim_context *context, const struct vm *vm, const struct store_nic *nic)
{
	struct cim_instance *i = cim_instance_create(context->arena, &cim_class_Msvm_SyntheticEthernetPort);
	struct traffic traffic = traffic_of(vm, nic);
	bool connected = network_switch_of(context->model, nic) != NULL;
	const char *mac = arena_printf(context->arena, "%02X%02X%02X%02X%02X%02X", nic->mac[0], nic->mac[1],
				       nic->mac[2], nic->mac[3], nic->mac[4], nic->mac[5]);
	const char *text = connected ? "OK" : "The network adapter is connected to no virtual switch";
	const uint16_t status[] = {STATUS_OK};

	cim_set_string(i, Msvm_SyntheticEthernetPort_SystemName, vm->record.id);
	cim_set_string(i, Msvm_SyntheticEthernetPort_DeviceID, device_id(context->arena, vm, nic));
	cim_set_string(i, Msvm_SyntheticEthernetPort_ElementName, nic->element_name);
	cim_set_string(i, Msvm_SyntheticEthernetPort_Name, nic->element_name);
	cim_set_uint(i, Msvm_SyntheticEthernetPort_EnabledState, connected ? STATE_ENABLED : STATE_DISABLED);
	cim_set_uints(i, Msvm_SyntheticEthernetPort_OperationalStatus, status, 1);
	cim_set_strings(i, Msvm_SyntheticEthernetPort_StatusDescriptions, &text, 1);
	cim_set_string(i, Msvm_SyntheticEthernetPort_PermanentAddress, mac);
	cim_set_strings(i, Msvm_SyntheticEthernetPort_NetworkAddresses, &mac, 1);
	cim_set_uint(i, Msvm_SyntheticEthernetPort_Speed, connected ? LINK_BPS : 0);
	cim_set_uint(i, Msvm_SyntheticEthernetPort_MaxSpeed, LINK_BPS);
	cim_set_uint(i, Msvm_SyntheticEthernetPort_ActiveMaximumTransmissionUnit, NETWORK_MTU);
	cim_set_uint(i, Msvm_SyntheticEthernetPort_Undercroft_PacketsReceived, traffic.frames_in);
	cim_set_uint(i, Msvm_SyntheticEthernetPort_Undercroft_BytesReceived, traffic.bytes_in);
	cim_set_uint(i, Msvm_SyntheticEthernetPort_Undercroft_PacketsSent, traffic.frames_out);
	cim_set_uint(i, Msvm_SyntheticEthernetPort_Undercroft_BytesSent, traffic.bytes_out);
	return i;
}

static void enumerate(struct cim_context *context, struct cim_list *out)
{
	for (const struct vm *vm = context->model->vms; vm; vm = vm->next)
		for (unsigned n = 0; vm->worker && n < vm->network.nic_count; n++)
			cim_list_add(out, port(context, vm, &vm->network.nics[n]));
}

CIM_PROVIDER(Msvm_SyntheticEthernetPort) = {.enumerate = enumerate};
