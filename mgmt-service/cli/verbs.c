/* SPDX-License-Identifier: Apache-2.0 */
/* The table of commands: names and parameters as in the Hyper-V module of PowerShell, as far as they are
 * backed. */
#include <string.h>
#include <strings.h>

#include "cli/shell.h"

/* clang-format off */
#define VM_NAME(position)   { "Name", "VMName", PARAMETER_STRINGS, position, PARAMETER_MANDATORY }
#define OF_VM(position)     { "VMName", "Name", PARAMETER_STRINGS, position, PARAMETER_MANDATORY }
#define SWITCH(name)        { name, NULL, PARAMETER_SWITCH, PARAMETER_NAMED, PARAMETER_OPTIONAL }
#define STRING(name)        { name, NULL, PARAMETER_STRING, PARAMETER_NAMED, PARAMETER_OPTIONAL }
#define BYTES(name)         { name, NULL, PARAMETER_BYTES, PARAMETER_NAMED, PARAMETER_OPTIONAL }
#define NUMBER(name)        { name, NULL, PARAMETER_NUMBER, PARAMETER_NAMED, PARAMETER_OPTIONAL }
/* Positions count from 1; NEEDED is mandatory. */
#define NUMBER_AT(name, position) { name, NULL, PARAMETER_NUMBER, position, PARAMETER_OPTIONAL }
#define NUMBER_NEEDED(name, position) { name, NULL, PARAMETER_NUMBER, position, PARAMETER_MANDATORY }
#define STRING_AT(name, position) { name, NULL, PARAMETER_STRING, position, PARAMETER_OPTIONAL }
#define END                 { NULL, NULL, PARAMETER_SWITCH, 0, false }

static const struct parameter get_vm[] = {
	{ "Name", "VMName", PARAMETER_STRINGS, 1, PARAMETER_OPTIONAL },
	{ "Id", NULL, PARAMETER_STRINGS, PARAMETER_NAMED, PARAMETER_OPTIONAL }, END };
static const struct parameter new_vm[] = {
	{ "Name", "VMName", PARAMETER_STRING, 1, PARAMETER_OPTIONAL },
	{ "MemoryStartupBytes", NULL, PARAMETER_BYTES, 2, PARAMETER_OPTIONAL },
	NUMBER("ProcessorCount"), STRING("KernelPath"), STRING("InitialRamdiskPath"), STRING("CommandLine"),
	STRING("VHDPath"), STRING("NewVHDPath"), BYTES("NewVHDSizeBytes"), STRING("SwitchName"), END };
static const struct parameter set_vm[] = {
	VM_NAME(1), STRING("NewVMName"), STRING("Notes"), NUMBER("ProcessorCount"), BYTES("MemoryStartupBytes"),
	BYTES("MemoryMinimumBytes"), BYTES("MemoryMaximumBytes"), SWITCH("DynamicMemory"), SWITCH("StaticMemory"),
	STRING("KernelPath"), STRING("InitialRamdiskPath"), STRING("CommandLine"), SWITCH("Passthru"), END };
static const struct parameter rename_vm[] = {
	VM_NAME(1), { "NewName", NULL, PARAMETER_STRING, 2, PARAMETER_MANDATORY }, SWITCH("Passthru"), END };
static const struct parameter act_on_vm[] = { VM_NAME(1), SWITCH("Passthru"), END };
static const struct parameter force_vm[] = { VM_NAME(1), SWITCH("Force"), SWITCH("Passthru"), END };
static const struct parameter restart_vm[] = {
	VM_NAME(1), STRING("Type"), SWITCH("Force"), SWITCH("Passthru"), END };
static const struct parameter stop_vm[] = {
	VM_NAME(1), SWITCH("TurnOff"), SWITCH("Save"), SWITCH("Force"), SWITCH("Passthru"), END };
static const struct parameter connect_vm[] = { { "VMName", "Name", PARAMETER_STRING, 1, PARAMETER_MANDATORY }, END };
static const struct parameter of_vm[] = { OF_VM(1), END };
static const struct parameter set_processor[] = { OF_VM(1), NUMBER("Count"), SWITCH("Passthru"), END };
static const struct parameter set_memory[] = {
	OF_VM(1), BYTES("StartupBytes"), BYTES("MinimumBytes"), BYTES("MaximumBytes"), STRING("DynamicMemoryEnabled"),
	NUMBER("Buffer"), NUMBER("Priority"), SWITCH("Passthru"), END };
static const struct parameter get_kvp[] = {
	{ "VMName", NULL, PARAMETER_STRINGS, 1, PARAMETER_MANDATORY },
	{ "Name", NULL, PARAMETER_STRINGS, 2, PARAMETER_OPTIONAL }, END };
static const struct parameter set_kvp[] = {
	{ "VMName", NULL, PARAMETER_STRINGS, 1, PARAMETER_MANDATORY },
	{ "Name", NULL, PARAMETER_STRING, 2, PARAMETER_MANDATORY },
	{ "Data", NULL, PARAMETER_STRING, 3, PARAMETER_OPTIONAL }, SWITCH("HostOnly"), END };
static const struct parameter remove_kvp[] = {
	{ "VMName", NULL, PARAMETER_STRINGS, 1, PARAMETER_MANDATORY },
	{ "Name", NULL, PARAMETER_STRING, 2, PARAMETER_MANDATORY }, END };
static const struct parameter copy_file[] = {
	VM_NAME(1), { "SourcePath", NULL, PARAMETER_STRING, 2, PARAMETER_MANDATORY },
	{ "DestinationPath", NULL, PARAMETER_STRING, 3, PARAMETER_MANDATORY },
	{ "FileSource", NULL, PARAMETER_STRING, PARAMETER_NAMED, PARAMETER_MANDATORY },
	SWITCH("CreateFullPath"), SWITCH("Force"), END };
static const struct parameter get_scsi[] = { OF_VM(1), NUMBER_AT("ControllerNumber", 2), END };
static const struct parameter add_scsi[] = { OF_VM(1), SWITCH("Passthru"), END };
static const struct parameter remove_scsi[] = { OF_VM(1), NUMBER_NEEDED("ControllerNumber", 2), END };
static const struct parameter get_disk[] = {
	OF_VM(1), STRING("ControllerType"), NUMBER("ControllerNumber"), NUMBER("ControllerLocation"), END };
static const struct parameter add_disk[] = {
	OF_VM(1), STRING_AT("ControllerType", 2), NUMBER_AT("ControllerNumber", 3), NUMBER_AT("ControllerLocation", 4),
	STRING_AT("Path", 5), SWITCH("ReadOnly"), SWITCH("Passthru"), END };
static const struct parameter remove_disk[] = {
	OF_VM(1), { "ControllerType", NULL, PARAMETER_STRING, 2, PARAMETER_MANDATORY },
	NUMBER_NEEDED("ControllerNumber", 3), NUMBER_NEEDED("ControllerLocation", 4), END };
static const struct parameter get_dvd[] = {
	OF_VM(1), NUMBER("ControllerNumber"), NUMBER("ControllerLocation"), END };
static const struct parameter add_dvd[] = {
	OF_VM(1), NUMBER_AT("ControllerNumber", 2), NUMBER_AT("ControllerLocation", 3), STRING_AT("Path", 4),
	SWITCH("Passthru"), END };
static const struct parameter remove_dvd[] = {
	OF_VM(1), NUMBER_NEEDED("ControllerNumber", 2), NUMBER_NEEDED("ControllerLocation", 3), END };
static const struct parameter get_service[] = {
	{ "VMName", NULL, PARAMETER_STRINGS, 1, PARAMETER_MANDATORY },
	{ "Name", NULL, PARAMETER_STRINGS, 2, PARAMETER_OPTIONAL }, END };
static const struct parameter switch_service[] = {
	{ "Name", NULL, PARAMETER_STRINGS, 1, PARAMETER_MANDATORY },
	{ "VMName", NULL, PARAMETER_STRINGS, 2, PARAMETER_MANDATORY }, SWITCH("Passthru"), END };
static const struct parameter new_vhd[] = {
	{ "Path", "FullName", PARAMETER_STRINGS, 1, PARAMETER_MANDATORY }, { "SizeBytes", NULL, PARAMETER_BYTES, 2, PARAMETER_OPTIONAL },
	SWITCH("Fixed"), SWITCH("Dynamic"), SWITCH("Differencing"), STRING("ParentPath"), BYTES("BlockSizeBytes"),
	BYTES("LogicalSectorSizeBytes"), BYTES("PhysicalSectorSizeBytes"), END };
static const struct parameter act_on_vm_only[] = { VM_NAME(1), END };
/* Paths come through the pipeline too. */
static const struct parameter get_vhd[] = {
	{ "Path", "FullName", PARAMETER_STRINGS, 1, PARAMETER_OPTIONAL }, END };
static const struct parameter resize_vhd[] = {
	{ "Path", "FullName", PARAMETER_STRINGS, 1, PARAMETER_OPTIONAL },
	{ "SizeBytes", NULL, PARAMETER_BYTES, 2, PARAMETER_MANDATORY }, SWITCH("Passthru"), END };
static const struct parameter convert_vhd[] = {
	{ "Path", "FullName", PARAMETER_STRINGS, 1, PARAMETER_OPTIONAL },
	{ "DestinationPath", NULL, PARAMETER_STRING, 2, PARAMETER_MANDATORY }, STRING("VHDType"), BYTES("BlockSizeBytes"),
	SWITCH("Passthru"), END };
static const struct parameter get_switch[] = {
	{ "Name", "SwitchName", PARAMETER_STRINGS, 1, PARAMETER_OPTIONAL }, STRING("SwitchType"), END };
static const struct parameter new_switch[] = {
	{ "Name", "SwitchName", PARAMETER_STRING, 1, PARAMETER_MANDATORY }, STRING("SwitchType"), STRING("NetAdapterName"),
	STRING("AllowManagementOS"), STRING("NATSubnetAddress"), STRING("Notes"), END };
static const struct parameter set_switch[] = {
	{ "Name", "SwitchName", PARAMETER_STRINGS, 1, PARAMETER_MANDATORY }, STRING("NetAdapterName"),
	STRING("AllowManagementOS"), STRING("Notes"), SWITCH("Passthru"), END };
static const struct parameter remove_switch[] = {
	{ "Name", "SwitchName", PARAMETER_STRINGS, 1, PARAMETER_MANDATORY }, SWITCH("Force"), END };
#define ADAPTERS_OF_VM \
	{ "VMName", NULL, PARAMETER_STRINGS, 1, PARAMETER_MANDATORY }, \
	{ "Name", "VMNetworkAdapterName", PARAMETER_STRINGS, 2, PARAMETER_OPTIONAL }
static const struct parameter of_nic[] = { ADAPTERS_OF_VM, END };
static const struct parameter add_nic[] = {
	{ "VMName", NULL, PARAMETER_STRINGS, 1, PARAMETER_MANDATORY }, STRING("Name"), STRING("SwitchName"),
	STRING("StaticMacAddress"), SWITCH("Passthru"), END };
static const struct parameter connect_nic[] = {
	ADAPTERS_OF_VM, { "SwitchName", NULL, PARAMETER_STRING, 3, PARAMETER_MANDATORY }, SWITCH("Passthru"), END };
static const struct parameter disconnect_nic[] = { ADAPTERS_OF_VM, SWITCH("Passthru"), END };
static const struct parameter set_nic[] = {
	ADAPTERS_OF_VM, SWITCH("DynamicMacAddress"), STRING("StaticMacAddress"), STRING("MacAddressSpoofing"),
	STRING("DhcpGuard"), STRING("RouterGuard"), STRING("PortMirroring"), BYTES("MaximumBandwidth"),
	BYTES("MinimumBandwidthAbsolute"), SWITCH("Passthru"), END };
static const struct parameter set_vlan[] = {
	ADAPTERS_OF_VM, SWITCH("Untagged"), SWITCH("Access"), SWITCH("Trunk"), SWITCH("Isolated"), SWITCH("Promiscuous"),
	NUMBER("VlanId"), NUMBER("NativeVlanId"), NUMBER("PrimaryVlanId"), NUMBER("SecondaryVlanId"),
	{ "AllowedVlanIdList", NULL, PARAMETER_STRINGS, PARAMETER_NAMED, PARAMETER_OPTIONAL }, SWITCH("Passthru"), END };
#define STRINGS(name)       { name, NULL, PARAMETER_STRINGS, PARAMETER_NAMED, PARAMETER_OPTIONAL }
static const struct parameter change_acl[] = {
	ADAPTERS_OF_VM, { "Action", NULL, PARAMETER_STRING, PARAMETER_NAMED, PARAMETER_MANDATORY },
	{ "Direction", NULL, PARAMETER_STRING, PARAMETER_NAMED, PARAMETER_MANDATORY }, STRINGS("LocalIPAddress"),
	STRINGS("LocalMacAddress"), STRINGS("RemoteIPAddress"), STRINGS("RemoteMacAddress"), SWITCH("Passthru"), END };
static const struct parameter merge_vhd[] = {
	{ "Path", "FullName", PARAMETER_STRINGS, 1, PARAMETER_OPTIONAL },
	{ "DestinationPath", NULL, PARAMETER_STRING, 2, PARAMETER_MANDATORY }, SWITCH("Passthru"), END };
static const struct parameter cim_instance[] = {
	{ "ClassName", NULL, PARAMETER_STRING, 1, PARAMETER_MANDATORY }, STRING("Filter"), END };
static const struct parameter where_object[] = {
	{ "Property", NULL, PARAMETER_STRING, 1, PARAMETER_MANDATORY },
	{ "Value", NULL, PARAMETER_STRING, 2, PARAMETER_OPTIONAL },
	SWITCH("EQ"), SWITCH("NE"), SWITCH("GT"), SWITCH("GE"), SWITCH("LT"), SWITCH("LE"), SWITCH("Like"),
	SWITCH("NotLike"), END };
static const struct parameter property_list[] = {
	{ "Property", NULL, PARAMETER_STRINGS, 1, PARAMETER_OPTIONAL }, END };
static const struct parameter none[] = { END };

static const struct column vm_columns[] = {
	{ "Name", "Name", CELL_PLAIN }, { "State", "State", CELL_PLAIN }, { "CPUUsage(%)", "CPUUsage", CELL_PLAIN },
	{ "MemoryAssigned(M)", "MemoryAssigned", CELL_MIB }, { "Uptime", "Uptime", CELL_PLAIN },
	{ "Status", "Status", CELL_PLAIN }, { "Heartbeat", "Heartbeat", CELL_PLAIN },
	{ "IPAddresses", "IPAddresses", CELL_PLAIN }, { "Version", "Version", CELL_PLAIN }, { NULL, NULL, CELL_PLAIN } };
static const struct column processor_columns[] = {
	{ "VMName", "VMName", CELL_PLAIN }, { "Count", "Count", CELL_PLAIN }, { NULL, NULL, CELL_PLAIN } };
static const struct column memory_columns[] = {
	{ "VMName", "VMName", CELL_PLAIN }, { "DynamicMemoryEnabled", "DynamicMemoryEnabled", CELL_PLAIN },
	{ "Minimum(M)", "Minimum", CELL_MIB }, { "Startup(M)", "Startup", CELL_MIB },
	{ "Maximum(M)", "Maximum", CELL_MIB }, { NULL, NULL, CELL_PLAIN } };
static const struct column scsi_columns[] = {
	{ "VMName", "VMName", CELL_PLAIN }, { "ControllerNumber", "ControllerNumber", CELL_PLAIN },
	{ "Drives", "Drives", CELL_PLAIN }, { NULL, NULL, CELL_PLAIN } };
#define PLACE_COLUMNS \
	{ "VMName", "VMName", CELL_PLAIN }, { "ControllerType", "ControllerType", CELL_PLAIN }, \
	{ "ControllerNumber", "ControllerNumber", CELL_PLAIN }, { "ControllerLocation", "ControllerLocation", CELL_PLAIN }
static const struct column disk_columns[] = {
	PLACE_COLUMNS, { "DiskNumber", "DiskNumber", CELL_PLAIN }, { "Path", "Path", CELL_PLAIN },
	{ NULL, NULL, CELL_PLAIN } };
static const struct column dvd_columns[] = {
	PLACE_COLUMNS, { "DvdMediaType", "DvdMediaType", CELL_PLAIN }, { "Path", "Path", CELL_PLAIN },
	{ NULL, NULL, CELL_PLAIN } };
static const struct column service_columns[] = {
	{ "VMName", "VMName", CELL_PLAIN }, { "Name", "Name", CELL_PLAIN }, { "Enabled", "Enabled", CELL_PLAIN },
	{ "PrimaryStatusDescription", "PrimaryStatusDescription", CELL_PLAIN },
	{ "SecondaryStatusDescription", "SecondaryStatusDescription", CELL_PLAIN }, { NULL, NULL, CELL_PLAIN } };
static const struct column measure_columns[] = {
	{ "VMName", "VMName", CELL_PLAIN }, { "DiskRead(M)", "AggregatedDiskDataRead", CELL_MIB },
	{ "DiskWritten(M)", "AggregatedDiskDataWritten", CELL_MIB }, { "DiskRequests", "AggregatedIOCount", CELL_PLAIN },
	{ "DiskErrors", "AggregatedIOErrors", CELL_PLAIN }, { "Median(us)", "DiskLatencyMedian", CELL_PLAIN },
	{ "99%(us)", "DiskLatency99", CELL_PLAIN }, { NULL, NULL, CELL_PLAIN } };
static const struct column test_columns[] = {
	{ "Path", "Path", CELL_PLAIN }, { "Result", "Result", CELL_PLAIN }, { NULL, NULL, CELL_PLAIN } };
static const struct column kvp_columns[] = {
	{ "VMName", "VMName", CELL_PLAIN }, { "Source", "Source", CELL_PLAIN }, { "Name", "Name", CELL_PLAIN },
	{ "Data", "Data", CELL_PLAIN }, { NULL, NULL, CELL_PLAIN } };
static const struct column switch_columns[] = {
	{ "Name", "Name", CELL_PLAIN }, { "SwitchType", "SwitchType", CELL_PLAIN },
	{ "NetAdapterInterfaceDescription", "NetAdapterInterfaceDescription", CELL_PLAIN }, { NULL, NULL, CELL_PLAIN } };
static const struct column nic_columns[] = {
	{ "Name", "Name", CELL_PLAIN }, { "IsManagementOs", "IsManagementOs", CELL_PLAIN },
	{ "VMName", "VMName", CELL_PLAIN }, { "SwitchName", "SwitchName", CELL_PLAIN },
	{ "MacAddress", "MacAddress", CELL_PLAIN }, { "Status", "Status", CELL_PLAIN },
	{ "IPAddresses", "IPAddresses", CELL_PLAIN }, { NULL, NULL, CELL_PLAIN } };
static const struct column vlan_columns[] = {
	{ "VMName", "VMName", CELL_PLAIN }, { "VMNetworkAdapterName", "VMNetworkAdapterName", CELL_PLAIN },
	{ "Mode", "Mode", CELL_PLAIN }, { "VlanList", "VlanList", CELL_PLAIN }, { NULL, NULL, CELL_PLAIN } };
static const struct column acl_columns[] = {
	{ "VMName", "VMName", CELL_PLAIN }, { "VMNetworkAdapterName", "VMNetworkAdapterName", CELL_PLAIN },
	{ "Direction", "Direction", CELL_PLAIN }, { "LocalAddress", "LocalAddress", CELL_PLAIN },
	{ "RemoteAddress", "RemoteAddress", CELL_PLAIN }, { "Action", "Action", CELL_PLAIN }, { NULL, NULL, CELL_PLAIN } };
static const struct column command_columns[] = {
	{ "Name", "Name", CELL_PLAIN }, { "Parameters", "Parameters", CELL_PLAIN }, { NULL, NULL, CELL_PLAIN } };

const struct verb verbs[] = {
	/* name                           alias     parameters      function                        table              prints */
	{ "Get-VM",                       "gvm",    get_vm,         verb_get_vm,                    vm_columns,        false },
	{ "New-VM",                       NULL,     new_vm,         verb_new_vm,                    vm_columns,        false },
	{ "Set-VM",                       NULL,     set_vm,         verb_set_vm,                    vm_columns,        false },
	{ "Rename-VM",                    NULL,     rename_vm,      verb_rename_vm,                 vm_columns,        false },
	{ "Remove-VM",                    NULL,     force_vm,       verb_remove_vm,                 vm_columns,        false },
	{ "Start-VM",                     "savm",   act_on_vm,      verb_start_vm,                  vm_columns,        false },
	{ "Stop-VM",                      "spvm",   stop_vm,        verb_stop_vm,                   vm_columns,        false },
	{ "Suspend-VM",                   NULL,     act_on_vm,      verb_suspend_vm,                vm_columns,        false },
	{ "Resume-VM",                    NULL,     act_on_vm,      verb_resume_vm,                 vm_columns,        false },
	{ "Restart-VM",                   NULL,     restart_vm,     verb_restart_vm,                vm_columns,        false },
	{ "Connect-VM",                   NULL,     connect_vm,     verb_connect_vm,                NULL,              false },
	{ "Get-VMProcessor",              NULL,     of_vm,          verb_get_vm_processor,          processor_columns, false },
	{ "Set-VMProcessor",              NULL,     set_processor,  verb_set_vm_processor,          processor_columns, false },
	{ "Get-VMMemory",                 NULL,     of_vm,          verb_get_vm_memory,             memory_columns,    false },
	{ "Set-VMMemory",                 NULL,     set_memory,     verb_set_vm_memory,             memory_columns,    false },
	{ "Get-VMScsiController",         NULL,     get_scsi,       verb_get_vm_scsi_controller,    scsi_columns,      false },
	{ "Add-VMScsiController",         NULL,     add_scsi,       verb_add_vm_scsi_controller,    scsi_columns,      false },
	{ "Remove-VMScsiController",      NULL,     remove_scsi,    verb_remove_vm_scsi_controller, scsi_columns,      false },
	{ "Get-VMHardDiskDrive",          NULL,     get_disk,       verb_get_vm_hard_disk_drive,    disk_columns,      false },
	{ "Add-VMHardDiskDrive",          NULL,     add_disk,       verb_add_vm_hard_disk_drive,    disk_columns,      false },
	{ "Remove-VMHardDiskDrive",       NULL,     remove_disk,    verb_remove_vm_hard_disk_drive, disk_columns,      false },
	{ "Get-VMDvdDrive",               NULL,     get_dvd,        verb_get_vm_dvd_drive,          dvd_columns,       false },
	{ "Add-VMDvdDrive",               NULL,     add_dvd,        verb_add_vm_dvd_drive,          dvd_columns,       false },
	{ "Set-VMDvdDrive",               NULL,     add_dvd,        verb_set_vm_dvd_drive,          dvd_columns,       false },
	{ "Remove-VMDvdDrive",            NULL,     remove_dvd,     verb_remove_vm_dvd_drive,       dvd_columns,       false },
	{ "Get-VMIntegrationService",     NULL,     get_service,    verb_get_vm_service,            service_columns,   false },
	{ "Enable-VMIntegrationService",  NULL,     switch_service, verb_enable_vm_service,         service_columns,   false },
	{ "Disable-VMIntegrationService", NULL,     switch_service, verb_disable_vm_service,        service_columns,   false },
	{ "Measure-VM",                   NULL,     act_on_vm_only, verb_measure_vm,                measure_columns,   false },
	{ "New-VHD",                      NULL,     new_vhd,        verb_new_vhd,                   NULL,              false },
	{ "Get-VHD",                      NULL,     get_vhd,        verb_get_vhd,                   NULL,              false },
	{ "Resize-VHD",                   NULL,     resize_vhd,     verb_resize_vhd,                NULL,              false },
	{ "Convert-VHD",                  NULL,     convert_vhd,    verb_convert_vhd,               NULL,              false },
	{ "Merge-VHD",                    NULL,     merge_vhd,      verb_merge_vhd,                 NULL,              false },
	{ "Test-VHD",                     NULL,     get_vhd,        verb_test_vhd,                  test_columns,      false },
	{ "Get-VMKvpItem",                NULL,     get_kvp,        verb_get_vm_kvp_item,           kvp_columns,       false },
	{ "Set-VMKvpItem",                NULL,     set_kvp,        verb_set_vm_kvp_item,           kvp_columns,       false },
	{ "Remove-VMKvpItem",             NULL,     remove_kvp,     verb_remove_vm_kvp_item,        kvp_columns,       false },
	{ "Copy-VMFile",                  NULL,     copy_file,      verb_copy_vm_file,              NULL,              false },
	{ "Get-VMSwitch",                  NULL,     get_switch,     verb_get_vm_switch,                 switch_columns,    false },
	{ "New-VMSwitch",                  NULL,     new_switch,     verb_new_vm_switch,                 switch_columns,    false },
	{ "Set-VMSwitch",                  NULL,     set_switch,     verb_set_vm_switch,                 switch_columns,    false },
	{ "Remove-VMSwitch",               NULL,     remove_switch,  verb_remove_vm_switch,              switch_columns,    false },
	{ "Get-VMNetworkAdapter",          NULL,     of_nic,         verb_get_vm_network_adapter,        nic_columns,       false },
	{ "Add-VMNetworkAdapter",          NULL,     add_nic,        verb_add_vm_network_adapter,        nic_columns,       false },
	{ "Set-VMNetworkAdapter",          NULL,     set_nic,        verb_set_vm_network_adapter,        nic_columns,       false },
	{ "Remove-VMNetworkAdapter",       NULL,     of_nic,         verb_remove_vm_network_adapter,     nic_columns,       false },
	{ "Connect-VMNetworkAdapter",      NULL,     connect_nic,    verb_connect_vm_network_adapter,    nic_columns,       false },
	{ "Disconnect-VMNetworkAdapter",   NULL,     disconnect_nic, verb_disconnect_vm_network_adapter, nic_columns,       false },
	{ "Get-VMNetworkAdapterVlan",      NULL,     of_nic,         verb_get_vm_network_adapter_vlan,   vlan_columns,      false },
	{ "Set-VMNetworkAdapterVlan",      NULL,     set_vlan,       verb_set_vm_network_adapter_vlan,   vlan_columns,      false },
	{ "Get-VMNetworkAdapterAcl",       NULL,     of_nic,         verb_get_vm_network_adapter_acl,    acl_columns,       false },
	{ "Add-VMNetworkAdapterAcl",       NULL,     change_acl,     verb_add_vm_network_adapter_acl,    acl_columns,       false },
	{ "Remove-VMNetworkAdapterAcl",    NULL,     change_acl,     verb_remove_vm_network_adapter_acl, acl_columns,       false },
	{ "Get-VMHost",                   NULL,     none,           verb_get_vm_host,               NULL,              false },
	{ "Get-CimInstance",              "gcim",   cim_instance,   verb_get_cim_instance,          NULL,              false },
	{ "Get-Command",                  "gcm",    none,           verb_get_command,               command_columns,   false },
	{ "Where-Object",                 "Where",  where_object,   verb_where_object,              NULL,              false },
	{ "Select-Object",                "Select", property_list,  verb_select_object,             NULL,              false },
	{ "Format-Table",                 "ft",     property_list,  verb_format_table,              NULL,              true },
	{ "Format-List",                  "fl",     property_list,  verb_format_list,               NULL,              true },
	{ NULL, NULL, NULL, NULL, NULL, false },
};
/* clang-format on */

const struct verb *verb_find(const char *name)
{
	for (const struct verb *v = verbs; v->name; v++)
		if (strcasecmp(v->name, name) == 0 || (v->alias && strcasecmp(v->alias, name) == 0))
			return v;
	return NULL;
}
