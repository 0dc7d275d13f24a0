/* SPDX-License-Identifier: Apache-2.0 */
/* Storage as settings: controllers and drives are Msvm_ResourceAllocationSettingData, images in the drives
 * Msvm_StorageAllocationSettingData. */
#ifndef VMMS_STORAGE_SETTINGS_H
#define VMMS_STORAGE_SETTINGS_H

#include "cim/provider.h"
#include "vmms/storage.h"

/* What a call adds can be the Parent of what it adds later, by the InstanceID that the client made up for it.
 */
struct storage_label {
	const char *instance_id; /* or NULL */
	struct storage_item item;
};

struct storage_adding {
	const char *vm_id;
	struct store_storage *storage;
	struct storage_label *labels; /* room for one per added setting */
	size_t count;
};

/* Settings of this class are storage. */
bool storage_setting_class(const struct cim_class *class);
struct cim_reference *storage_setting_reference(struct arena *arena, const char *vm_id,
						const struct store_storage *storage,
						const struct storage_item *item);
struct cim_instance *storage_setting_instance(struct cim_context *context, const char *vm_id,
					      const struct store_storage *storage,
					      const struct storage_item *item);
/* Adds what the setting describes, and its label. False with the context's error. */
bool storage_setting_add(struct cim_context *context, struct storage_adding *adding,
			 const struct cim_instance *setting);
/* Of a setting that names a virtual hard disk file: is it one, with all its parents? The model is unlocked meanwhile.
 * Anything else is fine here. False with the context's error. */
bool storage_setting_check_image(struct cim_context *context, const struct cim_instance *setting);
bool storage_setting_modify(struct cim_context *context, const char *vm_id, struct store_storage *storage,
			    const struct storage_item *item, const struct cim_instance *changes);

#endif
