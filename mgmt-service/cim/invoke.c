/* SPDX-License-Identifier: Apache-2.0 */
#include "cim/invoke.h"

static const struct cim_binding *binding_of(const struct cim_class *class)
{
	for (size_t i = 0; i < cim_class_count; i++)
		if (cim_classes[i] == class)
			return &cim_bindings[i];
	return NULL;
}

uint32_t cim_invoke(struct cim_context *context, const struct cim_instance *self, int index,
		    const struct cim_arguments *in, struct cim_arguments *out)
{
	const struct cim_method *method = in->method;

	for (size_t i = 0; i < method->parameter_count; i++)
		if ((method->parameters[i].flags & CIM_PARAMETER_REQUIRED) && !in->values[i].is_set)
			return cim_error_set(&context->error, context->arena, CIM_ERR_INVALID_PARAMETER,
					     method->parameters[i].name, "%s is required",
					     method->parameters[i].name);
	return binding_of(self->class)->methods[index](context, self, in, out);
}

void cim_modify(struct cim_context *context, const struct cim_instance *current,
		const struct cim_instance *changes)
{
	const struct cim_binding *binding = binding_of(current->class);

	for (size_t i = 0; i < current->class->property_count; i++) {
		const struct cim_property *p = &current->class->properties[i];

		if (changes->values[i].is_set && !(p->flags & CIM_PROPERTY_WRITE)) {
			cim_error_set(&context->error, context->arena, CIM_ERR_INVALID_PARAMETER, p->name,
				      "%s cannot be put; settings change through methods", p->name);
			return;
		}
	}
	if (!binding->provider->modify) {
		cim_error_set(&context->error, context->arena, CIM_ERR_NOT_ALLOWED, NULL,
			      "Instances of %s have nothing to put", current->class->name);
		return;
	}
	binding->provider->modify(context, current, changes);
}

void cim_remove(struct cim_context *context, const struct cim_instance *current)
{
	const struct cim_binding *binding = binding_of(current->class);

	if (!binding->provider->remove) {
		cim_error_set(&context->error, context->arena, CIM_ERR_NOT_ALLOWED, NULL,
			      "Instances of %s are removed through methods", current->class->name);
		return;
	}
	binding->provider->remove(context, current);
}
