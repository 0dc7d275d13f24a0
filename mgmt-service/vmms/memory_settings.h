/* SPDX-License-Identifier: Apache-2.0 */
/* Msvm_MemorySettingData: startup memory, and the bounds within which dynamic memory moves. */
#ifndef VMMS_MEMORY_SETTINGS_H
#define VMMS_MEMORY_SETTINGS_H

#include "vmms/setting_put.h"

void memory_setting_defaults(struct store_vm *vm);
void memory_setting_fill(struct cim_instance *instance, const struct store_vm *vm);
setting_put_function memory_setting_put;
/* minimum <= startup <= maximum, once memory is dynamic. */
bool memory_setting_check(struct cim_context *context, const struct store_vm *vm);

#endif
