/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a class needs from the rest of the program. mofc writes one binding per class that has instances, so
 * that a class or method without its code does not link. All functions run with the model locked.
 */
#ifndef CIM_PROVIDER_H
#define CIM_PROVIDER_H

#include "cim/error.h"
#include "cim/object.h"

struct model;

struct cim_context {
	struct arena *arena;
	struct model *model;
	struct cim_error error;
};

struct cim_provider {
	/* Adds every instance of exactly this class. */
	void (*enumerate)(struct cim_context *context, struct cim_list *out);
	/* Puts the writable properties that are set in `changes`. NULL when the class has none. */
	void (*modify)(struct cim_context *context, const struct cim_instance *current,
		       const struct cim_instance *changes);
	/* NULL when instances go only through methods. */
	void (*remove)(struct cim_context *context, const struct cim_instance *current);
};

/*
 * In: parameters are of their declared types, required ones are set. Out: values for Out parameters.
 * Returns 0, 4096, or what cim_error_set() gave.
 */
typedef uint32_t cim_method_function(struct cim_context *context, const struct cim_instance *self,
				     const struct cim_arguments *in, struct cim_arguments *out);

struct cim_binding {
	const struct cim_provider *provider; /* NULL: no instances */
	cim_method_function *const *methods; /* parallel to the class's methods */
};

extern const struct cim_binding cim_bindings[];

#define CIM_METHOD(class, method)                                                                            \
	cim_method_function cim_method_##class##_##method;                                                   \
	uint32_t cim_method_##class##_##method(struct cim_context *context, const struct cim_instance *self, \
					       const struct cim_arguments *in, struct cim_arguments *out)

/* A parameter's index in the generated tables. */
#define CIM_PARAMETER(class, method, parameter) ((int)class##_##method##_##parameter)

#define CIM_PROVIDER(class)                                                                                  \
	extern const struct cim_provider cim_provider_##class;                                               \
	const struct cim_provider cim_provider_##class

#endif
