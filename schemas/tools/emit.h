/* SPDX-License-Identifier: Apache-2.0 */
/* Writers of mofc: each takes a resolved schema and writes one file. False when a write failed. */
#ifndef TOOLS_EMIT_H
#define TOOLS_EMIT_H

#include <stdio.h>

#include "mof_model.h"

/* Indices of properties and parameters, as enumerations. */
bool emit_header(FILE *out, const struct mof_schema *schema);
/* The tables of mof/cim_schema.h. */
bool emit_tables(FILE *out, const struct mof_schema *schema);
/* For each class its provider and its method functions, by name: the link fails where one is missing. */
bool emit_bindings(FILE *out, const struct mof_schema *schema);
/* The OpenAPI document as JSON, or as a C array. */
bool emit_openapi_json(FILE *out, const struct mof_schema *schema);
bool emit_openapi_c(FILE *out, const struct mof_schema *schema);
/* Property names by class for the shell. */
bool emit_cli_properties(FILE *out, const struct mof_schema *schema);

/* A class with keys that is not abstract has instances; one without keys is only ever embedded. */
bool emit_class_has_instances(const struct mof_class *class);

#endif
