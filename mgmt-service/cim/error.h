/* SPDX-License-Identifier: Apache-2.0 */
/* Why an operation of the object layer was refused. The front ends turn it into their own form. */
#ifndef CIM_ERROR_H
#define CIM_ERROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cim/arena.h"

enum cim_status {
	CIM_OK,
	CIM_ERR_NOT_FOUND,         /* no such class, instance or method */
	CIM_ERR_INVALID_PARAMETER, /* malformed, unknown name, wrong type, out of range */
	CIM_ERR_NOT_SUPPORTED,
	CIM_ERR_ACCESS_DENIED,
	CIM_ERR_INVALID_STATE,
	CIM_ERR_BUSY,        /* the same request may do later */
	CIM_ERR_NOT_ALLOWED, /* this kind of resource has no such operation */
	CIM_ERR_FAILED,
	CIM_STATUS_COUNT,
};

/* Return values of methods, both families (model of root/virtualization/v2). */
#define CIM_RETURN_COMPLETED         0u
#define CIM_RETURN_JOB_STARTED       4096u
#define CIM_RETURN_FAILED            32768u
#define CIM_RETURN_ACCESS_DENIED     32769u
#define CIM_RETURN_NOT_SUPPORTED     32770u
#define CIM_RETURN_TIMEOUT           32772u
#define CIM_RETURN_INVALID_PARAMETER 32773u
#define CIM_RETURN_IN_USE            32774u
#define CIM_RETURN_INVALID_STATE     32775u
#define CIM_RETURN_WRONG_TYPE        32776u

#define CIM_STATES_MAX 8

struct cim_error {
	enum cim_status status;
	uint32_t return_value; /* 0: the operation was no method call */
	const char *detail;    /* one sentence for a person */
	const char *field;     /* property, parameter or option at fault, or NULL */
	bool has_state;
	uint16_t current_state; /* EnabledState */
	uint16_t available[CIM_STATES_MAX];
	size_t available_count;
};

/* Of each status: the return value that a method gives when nothing better is known. */
uint32_t cim_status_return_value(enum cim_status status);
/* Records the first error only and returns its return value. */
uint32_t cim_error_set(struct cim_error *error, struct arena *arena, enum cim_status status,
		       const char *field, const char *format, ...) __attribute__((format(printf, 5, 6)));

#endif
