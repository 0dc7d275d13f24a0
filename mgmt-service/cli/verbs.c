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
#define END                 { NULL, NULL, PARAMETER_SWITCH, 0, false }

static const struct parameter get_vm[] = {
	{ "Name", "VMName", PARAMETER_STRINGS, 1, PARAMETER_OPTIONAL },
	{ "Id", NULL, PARAMETER_STRINGS, PARAMETER_NAMED, PARAMETER_OPTIONAL }, END };
static const struct parameter new_vm[] = {
	{ "Name", "VMName", PARAMETER_STRING, 1, PARAMETER_OPTIONAL },
	{ "MemoryStartupBytes", NULL, PARAMETER_BYTES, 2, PARAMETER_OPTIONAL },
	NUMBER("ProcessorCount"), STRING("KernelPath"), STRING("InitialRamdiskPath"), STRING("CommandLine"), END };
static const struct parameter set_vm[] = {
	VM_NAME(1), STRING("NewVMName"), STRING("Notes"), NUMBER("ProcessorCount"), BYTES("MemoryStartupBytes"),
	STRING("KernelPath"), STRING("InitialRamdiskPath"), STRING("CommandLine"), SWITCH("Passthru"), END };
static const struct parameter rename_vm[] = {
	VM_NAME(1), { "NewName", NULL, PARAMETER_STRING, 2, PARAMETER_MANDATORY }, SWITCH("Passthru"), END };
static const struct parameter act_on_vm[] = { VM_NAME(1), SWITCH("Passthru"), END };
static const struct parameter force_vm[] = { VM_NAME(1), SWITCH("Force"), SWITCH("Passthru"), END };
static const struct parameter stop_vm[] = {
	VM_NAME(1), SWITCH("TurnOff"), SWITCH("Save"), SWITCH("Force"), SWITCH("Passthru"), END };
static const struct parameter connect_vm[] = { { "VMName", "Name", PARAMETER_STRING, 1, PARAMETER_MANDATORY }, END };
static const struct parameter of_vm[] = { OF_VM(1), END };
static const struct parameter set_processor[] = { OF_VM(1), NUMBER("Count"), SWITCH("Passthru"), END };
static const struct parameter set_memory[] = { OF_VM(1), BYTES("StartupBytes"), SWITCH("Passthru"), END };
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
	{ "Status", "Status", CELL_PLAIN }, { "Version", "Version", CELL_PLAIN }, { NULL, NULL, CELL_PLAIN } };
static const struct column processor_columns[] = {
	{ "VMName", "VMName", CELL_PLAIN }, { "Count", "Count", CELL_PLAIN }, { NULL, NULL, CELL_PLAIN } };
static const struct column memory_columns[] = {
	{ "VMName", "VMName", CELL_PLAIN }, { "DynamicMemoryEnabled", "DynamicMemoryEnabled", CELL_PLAIN },
	{ "Startup(M)", "Startup", CELL_MIB }, { NULL, NULL, CELL_PLAIN } };
static const struct column command_columns[] = {
	{ "Name", "Name", CELL_PLAIN }, { "Parameters", "Parameters", CELL_PLAIN }, { NULL, NULL, CELL_PLAIN } };

const struct verb verbs[] = {
	/* name             alias     parameters     function               table              prints */
	{ "Get-VM",          "gvm",    get_vm,        verb_get_vm,           vm_columns,        false },
	{ "New-VM",          NULL,     new_vm,        verb_new_vm,           vm_columns,        false },
	{ "Set-VM",          NULL,     set_vm,        verb_set_vm,           vm_columns,        false },
	{ "Rename-VM",       NULL,     rename_vm,     verb_rename_vm,        vm_columns,        false },
	{ "Remove-VM",       NULL,     force_vm,      verb_remove_vm,        vm_columns,        false },
	{ "Start-VM",        "savm",   act_on_vm,     verb_start_vm,         vm_columns,        false },
	{ "Stop-VM",         "spvm",   stop_vm,       verb_stop_vm,          vm_columns,        false },
	{ "Suspend-VM",      NULL,     act_on_vm,     verb_suspend_vm,       vm_columns,        false },
	{ "Resume-VM",       NULL,     act_on_vm,     verb_resume_vm,        vm_columns,        false },
	{ "Restart-VM",      NULL,     force_vm,      verb_restart_vm,       vm_columns,        false },
	{ "Connect-VM",      NULL,     connect_vm,    verb_connect_vm,       NULL,              false },
	{ "Get-VMProcessor", NULL,     of_vm,         verb_get_vm_processor, processor_columns, false },
	{ "Set-VMProcessor", NULL,     set_processor, verb_set_vm_processor, processor_columns, false },
	{ "Get-VMMemory",    NULL,     of_vm,         verb_get_vm_memory,    memory_columns,    false },
	{ "Set-VMMemory",    NULL,     set_memory,    verb_set_vm_memory,    memory_columns,    false },
	{ "Get-VMHost",      NULL,     none,          verb_get_vm_host,      NULL,              false },
	{ "Get-CimInstance", "gcim",   cim_instance,  verb_get_cim_instance, NULL,              false },
	{ "Get-Command",     "gcm",    none,          verb_get_command,      command_columns,   false },
	{ "Where-Object",    "Where",  where_object,  verb_where_object,     NULL,              false },
	{ "Select-Object",   "Select", property_list, verb_select_object,    NULL,              false },
	{ "Format-Table",    "ft",     property_list, verb_format_table,     NULL,              true  },
	{ "Format-List",     "fl",     property_list, verb_format_list,      NULL,              true  },
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
