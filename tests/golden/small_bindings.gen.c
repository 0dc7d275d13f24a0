/* SPDX-License-Identifier: Apache-2.0 */
/* Made by mofc from schemas/mof. Do not edit. */
#include "cim/provider.h"
#include "cim_schema.gen.h"

extern const struct cim_provider cim_provider_Lamp;
cim_method_function cim_method_Lamp_Switch;
static cim_method_function *const functions_Lamp[] = {
	cim_method_Lamp_Switch,
};
extern const struct cim_provider cim_provider_Wire;

/* One row per class, in the order of cim_classes[]. */
const struct cim_binding cim_bindings[] = {
	{ NULL, NULL },
	{ &cim_provider_Lamp, functions_Lamp },
	{ &cim_provider_Wire, NULL },
};
