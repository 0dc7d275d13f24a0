/* SPDX-License-Identifier: Apache-2.0 */
#include "vmms/integration.h"

#include <stdlib.h>

#include "cim_schema.gen.h"

const struct integration_component integration_components[STORE_COMPONENT_COUNT] = {
	[STORE_HEARTBEAT] = {&cim_class_Msvm_HeartbeatComponentSettingData, "heartbeat",
			     "FD149E91-82E0-4A7D-AFA6-2A4166CBD7C0"},
	[STORE_SHUTDOWN] = {&cim_class_Msvm_ShutdownComponentSettingData, "shutdown",
			    "B6650FF7-33BC-4840-8048-E0676786F393"},
	[STORE_TIMESYNC] = {&cim_class_Msvm_TimeSyncComponentSettingData, "timesync",
			    "2DD1CE17-079E-403C-B352-A1921EE207EE"},
	[STORE_KVP] = {&cim_class_Msvm_KvpExchangeComponentSettingData, "kvp",
		       "242FF919-07DB-4180-9C2E-B86CB68C8C55"},
	[STORE_VSS] = {&cim_class_Msvm_VssComponentSettingData, "vss",
		       "2450EE40-33BF-4FBD-892E-9FB06E9214CF"},
	[STORE_FCOPY] = {&cim_class_Msvm_GuestServiceInterfaceComponentSettingData, "fcopy",
			 "EB765408-105F-49B6-B4AA-C123B64D17D4"},
};

enum store_component integration_component_of(const struct cim_class *class)
{
	for (unsigned i = 0; i < STORE_COMPONENT_COUNT; i++)
		if (integration_components[i].class == class)
			return (enum store_component)i;
	abort();
}
