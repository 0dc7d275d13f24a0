/* SPDX-License-Identifier: Apache-2.0 */
/* Names of classes and properties, made by mofc: for completion and for the order of properties in lists. */
#ifndef CLI_CLI_SCHEMA_H
#define CLI_CLI_SCHEMA_H

#include <stddef.h>

struct cli_class {
	const char *name;
	const char *const *properties; /* NULL ends the list */
};

/* A row without a name ends the table. */
extern const struct cli_class cli_classes[];

#endif
