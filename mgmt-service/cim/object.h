/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instances, references and values of the object layer, independent of any wire format. All memory is the
 * arena's. A property or parameter is named by its index in the generated tables
 * (Msvm_ComputerSystem_EnabledState).
 */
#ifndef CIM_OBJECT_H
#define CIM_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cim/arena.h"
#include "mof/cim_schema.h"

#define CIM_KEYS_MAX 4

struct cim_instance;
struct cim_reference;

/* Which member holds: boolean, unsigned (uint*), integer (sint*), instance (EmbeddedInstance), reference,
 * else string. */
union cim_scalar {
	bool boolean;
	uint64_t uint;
	int64_t sint;
	const char *string;
	struct cim_instance *instance;
	struct cim_reference *reference;
};

struct cim_value {
	bool is_set;  /* false: null, or not given */
	size_t count; /* 1 for a scalar */
	union cim_scalar *items;
};

struct cim_instance {
	const struct cim_class *class;
	struct arena *arena;
	struct cim_value *values; /* one per property */
};

/* Names an instance: the key properties' values in schema order. A key that is a reference has its own
 * reference. */
struct cim_reference {
	const struct cim_class *class;
	size_t key_count;
	union cim_scalar keys[CIM_KEYS_MAX];
};

struct cim_list {
	struct arena *arena;
	struct cim_instance **items;
	size_t count, room;
};

struct cim_arguments {
	const struct cim_method *method;
	struct arena *arena;
	struct cim_value *values; /* one per parameter */
};

/* NULL when there is no such class. Names compare without case. */
const struct cim_class *cim_class_find(const char *name);
bool cim_class_is_a(const struct cim_class *class, const struct cim_class *ancestor);
/* Index, or -1. */
int cim_property_find(const struct cim_class *class, const char *name);
int cim_method_find(const struct cim_class *class, const char *name);
int cim_parameter_find(const struct cim_method *method, const char *name);
/* The n-th key property's index. */
int cim_class_key(const struct cim_class *class, size_t n);
bool cim_type_is_unsigned(enum cim_type type);
bool cim_type_is_signed(enum cim_type type);
/* Range of an integer type; uint64 reaches to UINT64_MAX. */
uint64_t cim_type_maximum(enum cim_type type);
int64_t cim_type_minimum(enum cim_type type);

/* With the schema's defaults; blank: all null. */
struct cim_instance *cim_instance_create(struct arena *arena, const struct cim_class *class);
struct cim_instance *cim_instance_blank(struct arena *arena, const struct cim_class *class);

/* The index must be of the instance's class or of a base class, the type must fit; anything else is a bug and
 * aborts. */
void cim_set_string(struct cim_instance *instance, int property, const char *text);
void cim_set_uint(struct cim_instance *instance, int property, uint64_t value);
void cim_set_sint(struct cim_instance *instance, int property, int64_t value);
void cim_set_boolean(struct cim_instance *instance, int property, bool value);
void cim_set_time(struct cim_instance *instance, int property, int64_t unix_ms);
void cim_set_interval(struct cim_instance *instance, int property, int64_t ms);
void cim_set_reference(struct cim_instance *instance, int property, struct cim_reference *reference);
void cim_set_strings(struct cim_instance *instance, int property, const char *const *texts, size_t count);
void cim_set_instances(struct cim_instance *instance, int property, struct cim_instance *const *items,
		       size_t count);
void cim_set_uints(struct cim_instance *instance, int property, const uint16_t *values, size_t count);
void cim_set_uint64s(struct cim_instance *instance, int property, const uint64_t *values, size_t count);

/* NULL when null. */
const char *cim_get_string(const struct cim_instance *instance, int property);
bool cim_get_uint(const struct cim_instance *instance, int property, uint64_t *value);

/* Equal items in the same order, or both null; strings compare exactly. */
bool cim_value_equal(enum cim_type type, const struct cim_value *a, const struct cim_value *b);

struct cim_arguments *cim_arguments_create(struct arena *arena, const struct cim_method *method);
void cim_argument_set_reference(struct cim_arguments *arguments, int parameter,
				struct cim_reference *reference);
void cim_argument_set_references(struct cim_arguments *arguments, int parameter,
				 struct cim_reference **references, size_t count);
void cim_argument_set_instances(struct cim_arguments *arguments, int parameter,
				struct cim_instance **instances, size_t count);
/* Typed reads; the value must be set. */
uint64_t cim_argument_uint(const struct cim_arguments *arguments, int parameter);
struct cim_reference *cim_argument_reference(const struct cim_arguments *arguments, int parameter);
struct cim_instance *cim_argument_instance(const struct cim_arguments *arguments, int parameter);

struct cim_reference *cim_reference_of(const struct cim_instance *instance);
/* Of the given class with string keys. */
struct cim_reference *cim_reference_make(struct arena *arena, const struct cim_class *class, size_t count,
					 const char *const *keys);
/* Same instance? A reference through a base class is the same; keys compare without case. */
bool cim_reference_equal(const struct cim_reference *a, const struct cim_reference *b);
/* NULL when the class has no property of that name, or it is no string key. */
const char *cim_reference_key(const struct cim_reference *reference, const char *property);

void cim_list_init(struct cim_list *list, struct arena *arena);
void cim_list_add(struct cim_list *list, struct cim_instance *instance);

#endif
