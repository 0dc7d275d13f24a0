/* SPDX-License-Identifier: Apache-2.0 */
/* CIM instances of what the model holds. */
#ifndef VMMS_INSTANCES_H
#define VMMS_INSTANCES_H

#include "cim/provider.h"
#include "vmms/setting_put.h"
#include "vmms/vm.h"

struct cim_reference *instance_system_reference(struct arena *arena, const char *name);
struct cim_reference *instance_job_reference(struct arena *arena, const struct job *job);
struct cim_reference *instance_vssd_reference(struct arena *arena, const char *vm_id);
struct cim_instance *instance_vssd(struct arena *arena, const struct store_vm *vm);
/* In network_switches.c */
struct cim_instance *instance_switch_service(struct cim_context *context);
struct cim_instance *instance_error(struct arena *arena, const struct job *job);
/* What jobs of all classes have. */
void instance_fill_job(struct cim_instance *instance, const struct job *job);
void instance_remove_job(struct cim_context *context, const struct cim_instance *current);
/* The job's error, if it has one: that is no failure of the method. */
void instance_set_job_errors(struct cim_context *context, const struct cim_instance *self,
			     struct cim_arguments *out, int parameter);

/* In guest_components.c: what the guest adds to its machine's summary. */
void instance_summarize_guest(struct cim_instance *summary, const struct vm *vm);
/* In guest_network.c: the same of its addresses. */
void instance_summarize_addresses(struct cim_instance *summary, const struct vm *vm);

/* Device settings of which a machine has at most one. */
struct setting_kind {
	const struct cim_class *class;
	const char *suffix; /* InstanceID is Microsoft:<vm>\<suffix> */
	bool removable;
	bool (*present)(const struct store_vm *vm);
	void (*fill)(struct cim_instance *instance, const struct store_vm *vm);
	setting_put_function *put;
	/* What must hold of several properties together, after all are put. NULL: nothing. False with the
	 * error. */
	bool (*check)(struct cim_context *context, const struct store_vm *vm);
};

extern const struct setting_kind setting_kinds[];
extern const size_t setting_kind_count;

struct cim_instance *instance_setting(struct arena *arena, const struct setting_kind *kind,
				      const struct store_vm *vm);
/* Of every machine that has one. */
void instance_settings(struct cim_context *context, const struct cim_class *class, struct cim_list *out);
/* Splits "Microsoft:<GUID>[\suffix]"; the suffix is empty for the system setting itself. NULL: no such
 * machine. */
struct vm *instance_setting_owner(struct model *model, const char *instance_id, const char **suffix);
/* NULL: the suffix means none of these. */
const struct setting_kind *instance_setting_kind(const char *suffix);

#endif
