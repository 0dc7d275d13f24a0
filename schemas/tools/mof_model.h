/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What mofc keeps of the MOF text between reading and writing. Everything is allocated once and lives until
 * the program ends, as in any compiler pass of this size.
 */
#ifndef TOOLS_MOF_MODEL_H
#define TOOLS_MOF_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mof/cim_schema.h"

struct mof_place {
	const char *file;
	int line;
};

enum mof_literal_kind { MOF_NULL, MOF_BOOLEAN, MOF_INTEGER, MOF_STRING };

struct mof_literal {
	enum mof_literal_kind kind;
	bool boolean;
	bool negative;
	uint64_t magnitude;
	char *string;
	struct mof_literal *next;
};

struct mof_constant {
	bool is_array;
	struct mof_literal *items; /* list; one item for a scalar */
};

struct mof_qualifier {
	char *name;
	struct mof_constant *value; /* NULL: boolean true */
	struct mof_place place;
	struct mof_qualifier *next;
};

#define MOF_KEYS_MAX 8

#define MOF_SCOPE_CLASS     0x01u
#define MOF_SCOPE_ASSOC     0x02u
#define MOF_SCOPE_PROPERTY  0x04u
#define MOF_SCOPE_REFERENCE 0x08u
#define MOF_SCOPE_METHOD    0x10u
#define MOF_SCOPE_PARAMETER 0x20u
#define MOF_SCOPE_ANY       0x3fu

struct mof_type {
	enum cim_type type;
	bool is_array;
	char *reference; /* class name when type is CIM_TYPE_REFERENCE */
};

struct mof_qualifier_decl {
	char *name;
	struct mof_type type;
	unsigned scope;
	struct mof_place place;
	struct mof_qualifier_decl *next;
};

struct mof_class;

/* A property, a reference, a method, or a parameter of a method. */
struct mof_feature {
	char *name;
	bool is_method;
	struct mof_type type;
	struct mof_constant *initial;
	struct mof_qualifier *qualifiers;
	struct mof_feature *parameters;
	struct mof_place place;
	struct mof_feature *next;
	/* filled in by mof_resolve() */
	const struct mof_class *origin;
	unsigned flags;
};

struct mof_class {
	char *name;
	char *super_name;
	struct mof_qualifier *qualifiers;
	struct mof_feature *features;
	struct mof_place place;
	struct mof_class *next;
	/* filled in by mof_resolve(): own and inherited, base first */
	struct mof_class *super;
	unsigned flags;
	struct mof_feature **properties;
	size_t property_count;
	struct mof_feature **methods;
	size_t method_count;
	/* indices of the key properties, in the order in which the text made them keys */
	size_t keys[MOF_KEYS_MAX];
	size_t key_count;
};

struct mof_schema {
	struct mof_qualifier_decl *qualifier_decls;
	struct mof_class *classes; /* in the order of the text */
	unsigned errors;
};

/* Prints "file:line: error: ..." on standard error and counts it. */
void mof_error(struct mof_schema *schema, struct mof_place place, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

void *mof_alloc(size_t bytes);
char *mof_strdup(const char *text);

/* Adds the declarations of one file. False when it cannot be read or has errors. */
bool mof_parse_file(struct mof_schema *schema, const char *path);

/* Resolves names, checks every rule that the text itself cannot, flattens inheritance. False when there are
 * errors. */
bool mof_resolve(struct mof_schema *schema);

struct mof_class *mof_find_class(const struct mof_schema *schema, const char *name);
const struct mof_qualifier *mof_find_qualifier(const struct mof_qualifier *list, const char *name);
bool mof_qualifier_true(const struct mof_qualifier *list, const char *name);
/* The string or integer of a scalar qualifier; NULL when it is not there. */
const struct mof_literal *mof_qualifier_literal(const struct mof_qualifier *list, const char *name);
const char *mof_qualifier_string(const struct mof_qualifier *list, const char *name);
/* Decodes one ValueMap string ("2", "5..9", ".."); the ends are clamped to the type. False when it is none.
 */
bool mof_value_range(const char *text, enum cim_type type, int64_t *low, int64_t *high);
bool mof_type_is_integer(enum cim_type type);
const char *mof_type_name(enum cim_type type);

#endif
