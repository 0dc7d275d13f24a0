/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands share: members of JSON objects, and the service's instances and methods. */
#ifndef CLI_OBJECTS_H
#define CLI_OBJECTS_H

#include <stdarg.h>

#include "cli/shell.h"

typedef struct json_object json;

#define OBJECT_CLASSES "/api/v2/classes/"
#define OBJECT_SERVICE OBJECT_CLASSES "Msvm_VirtualSystemManagementService/instances/vmms"

/* NULL, "" and 0 for what is not there. 64-bit integers come as strings. */
json *object_member(json *o, const char *name);
const char *object_text(json *o, const char *name);
int64_t object_number(json *o, const char *name);
void object_put(json *o, const char *name, json *value);
void object_put_text(json *o, const char *name, const char *text);
/* Allocated; the shell ends without memory. */
char *object_format(const char *form, ...) __attribute__((format(printf, 1, 2)));

/* A new array with each instance's "properties" and, in it, its path as "self"; NULL after an error. */
json *object_list(struct stage *stage, const char *path);
/* The same of a class's instances whose property has the value. */
json *object_list_where(struct stage *stage, const char *class, const char *property, const char *value);
/* An embedded instance; suffix NULL: of the system setting. An empty id leaves the InstanceID out. */
json *object_setting(const char *class, const char *id, const char *suffix);
/* The path of such an instance, to be freed. */
char *object_setting_path(const char *class, const char *id, const char *suffix);
/* The answer, or NULL with the error counted; puts the body. */
json *object_invoke(struct stage *stage, const char *instance, const char *method, json *body);
bool object_call(struct stage *stage, const char *instance, const char *method, json *body);
/* Methods of the service that take settings; put the embedded instances, or the array of them, or of paths.
 * The first gives the answer, or NULL. */
json *object_add_settings(struct stage *stage, const char *vm_id, json *settings);
bool object_modify_setting(struct stage *stage, json *setting);
bool object_remove_settings(struct stage *stage, json *paths);

/* In vm_verbs.c: the machines a command is for, by that parameter, else from the pipeline. A new array. */
json *vm_chosen(struct stage *stage, const char *parameter);
void vm_each(struct stage *stage, void (*visit)(struct stage *stage, json *vm));
/* One device setting's properties, to be put; NULL after an error. */
json *vm_setting(struct stage *stage, const char *class, const char *id, const char *suffix);
/* A size in bytes that has to be whole MiB; 0 when it is not given. False after a message. */
bool vm_mebibytes(struct stage *stage, const char *name, uint64_t *mib);
/* The path of a machine, to be freed. */
char *vm_path(json *vm);
/* With -Passthru, the machine as it is now. */
void vm_pass_through(struct stage *stage, json *vm);
/* Asks on a terminal; without one only -Force will do. */
bool vm_confirmed(struct stage *stage, const char *what, const char *name);
/* RequestStateChange of the machines of -Name; `confirm` NULL: nobody is asked. */
void vm_request_state(struct stage *stage, int requested, const char *confirm);

/* In guest_verbs.c: what a summary says of the guest. */
void guest_describe(json *vm, json *summary);

/* Parameters that set memory, by their names; NULL: the command has none. `dynamic` is a value: "true",
 * "$false". */
struct guest_memory_names {
	const char *startup, *minimum, *maximum, *buffer, *priority, *dynamic;
};

/* Those of them that are given. False after a message. */
bool guest_set_memory(struct stage *stage, const char *vm_id, const struct guest_memory_names *names);

/* In device_verbs.c: a machine's settings of a class, as object_list(). */
json *object_components(struct stage *stage, json *vm, const char *class);
/* What a Remove or Set command is for: objects of the pipeline, unless machines are named. */
bool object_is_piped(struct stage *stage);
/* The machine that a piped object belongs to. */
json *object_machine(json *object);
/* Of a piped object of one of these commands. NULL after a message. */
const char *object_piped_id(struct stage *stage, size_t index, const char *what);

/* In device_verbs.c: adds to the settings of DefineSystem or AddResourceSettings what New-VM -VHDPath asks
 * for. */
void device_describe_disk(json *settings, const char *path);

/* In vhd_verbs.c: what New-VM -NewVHDPath asks for. False: an error was counted. */
bool vhd_create_dynamic(struct stage *stage, const char *path, uint64_t bytes);
/* In nic_verbs.c: adds an adapter of that name (NULL: any) and its connection. False after a message: there is no such
 * switch. */
bool nic_describe(struct stage *stage, json *settings, const char *name, const char *switch_name);
/* In switch_verbs.c: the settings of the switches with that name, which may have wildcards; NULL after a message. */
json *switch_find(struct stage *stage, const char *name);
/* The path of the switch itself, to be freed. */
char *switch_path(json *setting);

#endif
