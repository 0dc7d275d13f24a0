/* SPDX-License-Identifier: Apache-2.0 */
#include "vmms/setting_put.h"

#include <stdarg.h>
#include <string.h>

#include "cim_schema.gen.h"

enum setting_put setting_put_refuse(struct cim_context *context, const char *field, const char *format, ...)
{
	va_list arguments;
	const char *text;

	va_start(arguments, format);
	text = arena_vprintf(context->arena, format, arguments);
	va_end(arguments);
	cim_error_set(&context->error, context->arena, CIM_ERR_INVALID_PARAMETER, field, "%s", text);
	return SETTING_REFUSED;
}

bool setting_put_check_text(struct cim_context *context, const char *field, const char *text, size_t max)
{
	for (const char *c = text; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f) {
			setting_put_refuse(context, field, "%s must not contain control characters", field);
			return false;
		}
	if (strlen(text) > max) {
		setting_put_refuse(context, field, "%s is longer than %zu bytes", field, max);
		return false;
	}
	return true;
}

bool setting_put_all(struct cim_context *context, const struct setting_target *target,
		     const struct cim_instance *current, const struct cim_instance *changes,
		     setting_put_function *put)
{
	for (size_t i = 0; i < changes->class->property_count; i++) {
		const char *name = changes->class->properties[i].name;

		if (!changes->values[i].is_set || i == (size_t)CIM_SettingData_InstanceID)
			continue;
		switch (put(context, target, (int)i, &changes->values[i])) {
		case SETTING_PUT:
			break;
		case SETTING_REFUSED:
			return false;
		case SETTING_NOT_BACKED:
			if (cim_value_equal(changes->class->properties[i].value.type, &changes->values[i],
					    &current->values[i]))
				break;
			cim_error_set(&context->error, context->arena, CIM_ERR_NOT_SUPPORTED, name,
				      "%s of %s cannot be changed", name, changes->class->name);
			return false;
		}
	}
	return true;
}
