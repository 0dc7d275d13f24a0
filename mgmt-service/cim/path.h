/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Object paths: references as text, in the properties that hold them as strings (Parent, for one).
 *
 *   \\HOST\Root\Virtualization\V2:CLASS.KEY="VALUE"[,KEY="VALUE"]     backslash and quote are escaped in
 * VALUE
 *
 * Read in this form or without host and namespace; those are not compared, there is one of each.
 */
#ifndef CIM_PATH_H
#define CIM_PATH_H

#include "cim/object.h"

/* NULL when a key is itself a reference. */
char *cim_path_of(struct arena *arena, const char *host, const struct cim_reference *reference);
/* NULL: it is none, or of an unknown class, or keys are missing. */
struct cim_reference *cim_path_parse(struct arena *arena, const char *text);
/* The property of an instance of the class is a string, or strings, that hold object paths. */
bool cim_path_property(const struct cim_class *class, const struct cim_property *property);

#endif
