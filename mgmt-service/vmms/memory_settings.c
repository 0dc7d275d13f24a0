/* SPDX-License-Identifier: Apache-2.0 */
#include "vmms/memory_settings.h"

#include "cim_schema.gen.h"
#include "vmms/vm.h"

#define STARTUP_DEFAULT_MIB 1024
#define MINIMUM_DEFAULT_MIB 512
#define MAXIMUM_DEFAULT_MIB (UINT64_C(1024) * 1024)
#define BUFFER_DEFAULT      20
#define BUFFER_MIN          5
#define BUFFER_MAX          2000
#define WEIGHT_DEFAULT      5000
#define WEIGHT_MAX          10000

void memory_setting_defaults(struct store_vm *vm)
{
	vm->startup_mib = STARTUP_DEFAULT_MIB;
	vm->dynamic_memory = (struct store_dynamic_memory){.minimum_mib = MINIMUM_DEFAULT_MIB,
							   .maximum_mib = MAXIMUM_DEFAULT_MIB,
							   .buffer_percent = BUFFER_DEFAULT,
							   .weight = WEIGHT_DEFAULT};
}

void memory_setting_fill(struct cim_instance *i, const struct store_vm *vm)
{
	const struct store_dynamic_memory *dynamic = &vm->dynamic_memory;

	cim_set_string(i, Msvm_MemorySettingData_ElementName, "Memory");
	cim_set_uint(i, Msvm_MemorySettingData_VirtualQuantity, vm->startup_mib);
	cim_set_uint(i, Msvm_MemorySettingData_Reservation, dynamic->minimum_mib);
	cim_set_uint(i, Msvm_MemorySettingData_Limit, dynamic->maximum_mib);
	cim_set_boolean(i, Msvm_MemorySettingData_DynamicMemoryEnabled, dynamic->enabled);
	cim_set_uint(i, Msvm_MemorySettingData_TargetMemoryBuffer, dynamic->buffer_percent);
	cim_set_uint(i, Msvm_MemorySettingData_Weight, dynamic->weight);
}

static enum setting_put put_size(struct cim_context *context, const char *name, uint64_t mib, uint64_t *out)
{
	if (mib < VM_MEMORY_MIN_MIB || mib > VM_MEMORY_MAX_MIB || mib % VM_MEMORY_STEP_MIB)
		return setting_put_refuse(context, name, "%s: memory is an even number of MiB from %d on",
					  name, VM_MEMORY_MIN_MIB);
	*out = mib;
	return SETTING_PUT;
}

static enum setting_put put_number(struct cim_context *context, const char *name, uint64_t number,
				   unsigned low, unsigned high, unsigned *out)
{
	if (number < low || number > high)
		return setting_put_refuse(context, name, "%s must be %u to %u", name, low, high);
	*out = (unsigned)number;
	return SETTING_PUT;
}

enum setting_put memory_setting_put(struct cim_context *context, const struct setting_target *target,
				    int property, const struct cim_value *value)
{
	struct store_dynamic_memory *dynamic = &target->vm->dynamic_memory;
	uint64_t number = value->items[0].uint;

	switch (property) {
	case Msvm_MemorySettingData_VirtualQuantity:
		return put_size(context, "VirtualQuantity", number, &target->vm->startup_mib);
	case Msvm_MemorySettingData_Reservation:
		return put_size(context, "Reservation", number, &dynamic->minimum_mib);
	case Msvm_MemorySettingData_Limit:
		return put_size(context, "Limit", number, &dynamic->maximum_mib);
	case Msvm_MemorySettingData_DynamicMemoryEnabled:
		dynamic->enabled = value->items[0].boolean;
		return SETTING_PUT;
	case Msvm_MemorySettingData_TargetMemoryBuffer:
		return put_number(context, "TargetMemoryBuffer", number, BUFFER_MIN, BUFFER_MAX,
				  &dynamic->buffer_percent);
	case Msvm_MemorySettingData_Weight:
		return put_number(context, "Weight", number, 0, WEIGHT_MAX, &dynamic->weight);
	default:
		return SETTING_NOT_BACKED;
	}
}

bool memory_setting_check(struct cim_context *context, const struct store_vm *vm)
{
	const struct store_dynamic_memory *dynamic = &vm->dynamic_memory;

	if (!dynamic->enabled)
		return true;
	if (dynamic->minimum_mib > vm->startup_mib) {
		setting_put_refuse(
			context, "Reservation",
			"Reservation: the minimum of %llu MiB is more than the startup memory of %llu MiB",
			(unsigned long long)dynamic->minimum_mib, (unsigned long long)vm->startup_mib);
		return false;
	}
	if (dynamic->maximum_mib >= vm->startup_mib)
		return true;
	setting_put_refuse(context, "Limit",
			   "Limit: the maximum of %llu MiB is less than the startup memory of %llu MiB",
			   (unsigned long long)dynamic->maximum_mib, (unsigned long long)vm->startup_mib);
	return false;
}
