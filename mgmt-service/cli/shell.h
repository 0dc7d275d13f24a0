/* SPDX-License-Identifier: Apache-2.0 */
/* Commands and what they share. A statement is a chain of stages; objects (JSON) flow from one to the next.
 */
#ifndef CLI_SHELL_H
#define CLI_SHELL_H

#include <json-c/json.h>
#include <stdbool.h>

#include "cli/client.h"
#include "cli/format.h"
#include "cli/parameters.h"

struct shell {
	struct client client;
	bool json; /* -Json: the last stage prints JSON lines */
	bool interactive;
	int errors; /* of the running statement */
};

struct stage {
	struct shell *shell;
	const struct verb *verb;
	struct parameters parameters;
	struct json_object *input;  /* array, or NULL for the first stage */
	struct json_object *output; /* array */
};

struct verb {
	const char *name;  /* Verb-Noun */
	const char *alias; /* or NULL */
	const struct parameter *parameters;
	/* Reads the input, adds to the output; prints its errors and counts them. */
	void (*run)(struct stage *stage);
	const struct column *columns; /* default table; NULL: a list */
	/* Set for the formatting stages: prints the input and passes nothing on. */
	bool prints;
};

/* A row without a name ends the table. */
extern const struct verb verbs[];

const struct verb *verb_find(const char *name);
/* Adds 1 to the shell's errors. */
void stage_error(struct stage *stage, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Runs everything in the line. The number of statements that had errors. */
int pipeline_run(struct shell *shell, struct line *line);

/* In vm_verbs.c: the table rows' functions. */
void verb_get_vm(struct stage *stage);
void verb_new_vm(struct stage *stage);
void verb_set_vm(struct stage *stage);
void verb_rename_vm(struct stage *stage);
void verb_remove_vm(struct stage *stage);
void verb_start_vm(struct stage *stage);
void verb_suspend_vm(struct stage *stage);
void verb_resume_vm(struct stage *stage);
void verb_connect_vm(struct stage *stage);
void verb_get_vm_processor(struct stage *stage);
void verb_set_vm_processor(struct stage *stage);
void verb_get_vm_host(struct stage *stage);
void verb_get_cim_instance(struct stage *stage);
/* In device_verbs.c */
void verb_get_vm_scsi_controller(struct stage *stage);
void verb_add_vm_scsi_controller(struct stage *stage);
void verb_remove_vm_scsi_controller(struct stage *stage);
void verb_get_vm_hard_disk_drive(struct stage *stage);
void verb_add_vm_hard_disk_drive(struct stage *stage);
void verb_remove_vm_hard_disk_drive(struct stage *stage);
void verb_get_vm_dvd_drive(struct stage *stage);
void verb_add_vm_dvd_drive(struct stage *stage);
void verb_set_vm_dvd_drive(struct stage *stage);
void verb_remove_vm_dvd_drive(struct stage *stage);
/* In guest_verbs.c */
void verb_stop_vm(struct stage *stage);
void verb_restart_vm(struct stage *stage);
void verb_get_vm_memory(struct stage *stage);
void verb_set_vm_memory(struct stage *stage);
void verb_get_vm_service(struct stage *stage);
void verb_enable_vm_service(struct stage *stage);
void verb_disable_vm_service(struct stage *stage);
void verb_get_vm_kvp_item(struct stage *stage);
void verb_set_vm_kvp_item(struct stage *stage);
void verb_remove_vm_kvp_item(struct stage *stage);
void verb_copy_vm_file(struct stage *stage);
/* In measure_verbs.c */
void verb_measure_vm(struct stage *stage);
/* In vhd_verbs.c */
void verb_new_vhd(struct stage *stage);
void verb_get_vhd(struct stage *stage);
void verb_resize_vhd(struct stage *stage);
void verb_convert_vhd(struct stage *stage);
void verb_merge_vhd(struct stage *stage);
void verb_test_vhd(struct stage *stage);
/* In switch_verbs.c */
void verb_get_vm_switch(struct stage *stage);
void verb_new_vm_switch(struct stage *stage);
void verb_set_vm_switch(struct stage *stage);
void verb_remove_vm_switch(struct stage *stage);
/* In nic_verbs.c */
void verb_get_vm_network_adapter(struct stage *stage);
void verb_add_vm_network_adapter(struct stage *stage);
void verb_set_vm_network_adapter(struct stage *stage);
void verb_remove_vm_network_adapter(struct stage *stage);
void verb_connect_vm_network_adapter(struct stage *stage);
void verb_disconnect_vm_network_adapter(struct stage *stage);
void verb_get_vm_network_adapter_vlan(struct stage *stage);
void verb_set_vm_network_adapter_vlan(struct stage *stage);
void verb_get_vm_network_adapter_acl(struct stage *stage);
void verb_add_vm_network_adapter_acl(struct stage *stage);
void verb_remove_vm_network_adapter_acl(struct stage *stage);
/* In pipeline.c */
void verb_where_object(struct stage *stage);
void verb_select_object(struct stage *stage);
void verb_format_table(struct stage *stage);
void verb_format_list(struct stage *stage);
void verb_get_command(struct stage *stage);

#endif
