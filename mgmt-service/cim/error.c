/* SPDX-License-Identifier: Apache-2.0 */
#include "cim/error.h"

static const uint32_t return_values[CIM_STATUS_COUNT] = {
	[CIM_OK] = CIM_RETURN_COMPLETED,
	[CIM_ERR_NOT_FOUND] = CIM_RETURN_INVALID_PARAMETER,
	[CIM_ERR_INVALID_PARAMETER] = CIM_RETURN_INVALID_PARAMETER,
	[CIM_ERR_NOT_SUPPORTED] = CIM_RETURN_NOT_SUPPORTED,
	[CIM_ERR_ACCESS_DENIED] = CIM_RETURN_ACCESS_DENIED,
	[CIM_ERR_INVALID_STATE] = CIM_RETURN_INVALID_STATE,
	[CIM_ERR_BUSY] = CIM_RETURN_IN_USE,
	[CIM_ERR_NOT_ALLOWED] = CIM_RETURN_NOT_SUPPORTED,
	[CIM_ERR_FAILED] = CIM_RETURN_FAILED,
};

uint32_t cim_status_return_value(enum cim_status status)
{
	return return_values[status];
}

uint32_t cim_error_set(struct cim_error *error, struct arena *arena, enum cim_status status,
		       const char *field, const char *format, ...)
{
	va_list arguments;

	if (error->status != CIM_OK)
		return return_values[error->status];
	error->status = status;
	error->field = field ? arena_strdup(arena, field) : NULL;
	va_start(arguments, format);
	error->detail = arena_vprintf(arena, format, arguments);
	va_end(arguments);
	return return_values[status];
}
