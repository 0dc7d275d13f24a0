/* SPDX-License-Identifier: Apache-2.0 */
/* The one query engine under all front ends: filters, selection, association walks. */
#ifndef CIM_QUERY_H
#define CIM_QUERY_H

#include "cim/provider.h"

struct cim_filter;

/*
 * comparison   NAME OPERATOR LITERAL     operators eq ne lt le gt ge, or = <> != < <= > >=
 * expression   comparisons joined by "and", "or", "not", with parentheses; "or" binds weakest
 * literal      'text' or "text" (doubled quote inside), integer, true, false, null
 *
 * Strings compare without case, as keys do. An array matches when any item does. Null equals only null.
 * NULL on error, with the context's error set (field "$filter"). Names are checked against the class.
 */
struct cim_filter *cim_filter_parse(struct cim_context *context, const struct cim_class *class,
				    const char *text);
bool cim_filter_matches(const struct cim_filter *filter, const struct cim_instance *instance);

/* Instances of the class and, unless exact, of its subclasses. */
void cim_enumerate(struct cim_context *context, const struct cim_class *class, bool exact,
		   struct cim_list *out);
/* NULL with error CIM_ERR_NOT_FOUND when there is none. */
struct cim_instance *cim_get(struct cim_context *context, const struct cim_reference *reference);

/* The four filters of ASSOCIATORS OF; each may be NULL. */
struct cim_walk {
	const struct cim_class *association;
	const struct cim_class *result;
	const char *role;
	const char *result_role;
};

/* Association instances that name the instance; with associators, the instances at their other ends instead.
 */
void cim_references(struct cim_context *context, const struct cim_instance *of, const struct cim_walk *walk,
		    bool associators, struct cim_list *out);

#endif
