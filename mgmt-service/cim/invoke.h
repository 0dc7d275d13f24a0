/* SPDX-License-Identifier: Apache-2.0 */
/* Method calls and changes of instances, checked against the tables and handed to the bindings. */
#ifndef CIM_INVOKE_H
#define CIM_INVOKE_H

#include "cim/provider.h"

/* Calls method `index` of the instance's class. The result is the method's return value. */
uint32_t cim_invoke(struct cim_context *context, const struct cim_instance *self, int index,
		    const struct cim_arguments *in, struct cim_arguments *out);
/* `changes`: blank instance of the same class with the properties to put. */
void cim_modify(struct cim_context *context, const struct cim_instance *current,
		const struct cim_instance *changes);
void cim_remove(struct cim_context *context, const struct cim_instance *current);

#endif
