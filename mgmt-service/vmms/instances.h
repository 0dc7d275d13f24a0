/* SPDX-License-Identifier: Apache-2.0 */
/* CIM instances of what the model holds. */
#ifndef VMMS_INSTANCES_H
#define VMMS_INSTANCES_H

#include "cim/provider.h"
#include "vmms/vm.h"

struct cim_reference *instance_system_reference(struct arena *arena, const char *name);
struct cim_reference *instance_job_reference(struct arena *arena, const struct job *job);
struct cim_reference *instance_vssd_reference(struct arena *arena, const char *vm_id);
struct cim_instance *instance_vssd(struct arena *arena, const struct store_vm *vm);
struct cim_instance *instance_error(struct arena *arena, const struct job *job);

/* Device settings: one row per class that may hang on a system setting. */
enum setting_put { SETTING_PUT, SETTING_NOT_BACKED, SETTING_REFUSED };

struct setting_kind {
	const struct cim_class *class;
	const char *suffix; /* InstanceID is Microsoft:<vm>\<suffix> */
	bool removable;
	bool (*present)(const struct store_vm *vm);
	void (*fill)(struct cim_instance *instance, const struct store_vm *vm);
	/* Takes one property that the client set; refusals go to the context's error. */
	enum setting_put (*put)(struct cim_context *context, struct store_vm *vm, int property,
				const struct cim_value *value);
};

extern const struct setting_kind setting_kinds[];
extern const size_t setting_kind_count;

struct cim_instance *instance_setting(struct arena *arena, const struct setting_kind *kind,
				      const struct store_vm *vm);
/* Splits "Microsoft:<GUID>[\suffix]"; the kind is NULL for the system setting itself. NULL: no such machine
 * or kind. */
struct vm *instance_setting_owner(struct model *model, const char *instance_id,
				  const struct setting_kind **kind);

#endif
