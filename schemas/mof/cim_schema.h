/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shape of the tables that mofc makes from the MOF files: data only, constant, valid for the life of the
 * program. Names compare without case, as in CIM. Properties and methods of a class include the inherited
 * ones, base class first, so that an index is the same in a class and in its subclasses; an override changes
 * a row in place.
 *
 * Source: DSP0004 (MOF, meta schema, qualifiers).
 */
#ifndef MOF_CIM_SCHEMA_H
#define MOF_CIM_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cim_type {
	CIM_TYPE_BOOLEAN,
	CIM_TYPE_UINT8,
	CIM_TYPE_UINT16,
	CIM_TYPE_UINT32,
	CIM_TYPE_UINT64,
	CIM_TYPE_SINT8,
	CIM_TYPE_SINT16,
	CIM_TYPE_SINT32,
	CIM_TYPE_SINT64,
	CIM_TYPE_STRING,
	CIM_TYPE_DATETIME,
	CIM_TYPE_REFERENCE,
};

#define CIM_CLASS_ABSTRACT    0x1u
#define CIM_CLASS_ASSOCIATION 0x2u

#define CIM_PROPERTY_KEY      0x1u
#define CIM_PROPERTY_WRITE    0x2u /* a client may put it; settings change through methods as well */
#define CIM_PROPERTY_GAUGE    0x4u /* changes by itself: no part of the entity tag */
#define CIM_PROPERTY_REQUIRED 0x8u

#define CIM_PARAMETER_IN       0x1u
#define CIM_PARAMETER_OUT      0x2u
#define CIM_PARAMETER_REQUIRED 0x4u

#define CIM_METHOD_MAY_RETURN_JOB 0x1u

/* One row of ValueMap and Values: low..high, both ends included. */
struct cim_label {
	int64_t low;
	int64_t high;
	const char *text;
};

/* What a property, a parameter and a method's return value have in common. */
struct cim_value_type {
	enum cim_type type;
	bool is_array;
	const char *target;  /* class of a reference or of an embedded instance, or NULL */
	const char *units;   /* or NULL */
	uint32_t max_length; /* characters of a string; 0: no limit of its own */
	bool has_minimum, has_maximum;
	int64_t minimum, maximum;
	const struct cim_label *labels;
	size_t label_count;
};

struct cim_property {
	const char *name;
	const char *origin;      /* class that introduced it */
	const char *description; /* or NULL */
	unsigned flags;
	struct cim_value_type value;
	const char *const *defaults; /* literals as text; one for a scalar */
	size_t default_count;
};

struct cim_parameter {
	const char *name;
	unsigned flags;
	struct cim_value_type value;
};

struct cim_method {
	const char *name;
	const char *origin;
	unsigned flags;
	struct cim_value_type result;
	const struct cim_parameter *parameters;
	size_t parameter_count;
};

struct cim_class {
	const char *name;
	const char *description; /* or NULL */
	const struct cim_class *superclass;
	unsigned flags;
	const struct cim_property *properties;
	size_t property_count;
	const struct cim_method *methods;
	size_t method_count;
	const uint16_t
		*keys; /* indices of the key properties, in the order in which the text made them keys */
	size_t key_count;
};

/* All classes, ordered by name without case. */
extern const struct cim_class *const cim_classes[];
extern const size_t cim_class_count;

/* The OpenAPI document made from the same tables: UTF-8 JSON, not terminated. */
extern const char cim_openapi_json[];
extern const size_t cim_openapi_json_size;

#endif
