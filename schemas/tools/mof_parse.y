/* SPDX-License-Identifier: Apache-2.0 */
/* Grammar of the part of MOF that a schema needs. Source: DSP0004, annex "MOF Syntax Grammar Description". */
%define api.pure full
%define parse.error verbose
%locations
%lex-param { void *scanner }
%parse-param { void *scanner } { struct mof_scan *scan }

%code requires {
#include "mof_model.h"
#include "mof_scan.h"
}

%union {
	char *string;
	struct mof_literal *literal;
	struct mof_constant *constant;
	struct mof_qualifier *qualifier;
	struct mof_feature *feature;
	struct mof_type type;
	unsigned bits;
	bool flag;
}

%token MOF_CLASS "class" MOF_QUALIFIER "Qualifier" MOF_SCOPE "Scope" MOF_FLAVOR "Flavor" MOF_REF "REF"
%token MOF_INSTANCE "instance" MOF_OF "of"
%token MOF_TRUE "TRUE" MOF_FALSE "FALSE" MOF_NULL_LITERAL "NULL" MOF_PRAGMA "#pragma" MOF_BAD "unreadable text"
%token <string> MOF_NAME "name" MOF_STRING_LITERAL "string"
%token <literal> MOF_INTEGER_LITERAL "integer"

%type <string> super text member_name
%type <literal> literal literal_list
%type <constant> constant default
%type <qualifier> qualifiers qualifier_list qualifier
%type <feature> feature feature_list parameters parameter_list parameter
%type <type> type
%type <bits> scopes scope
%type <flag> array

%code {
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

int yylex(YYSTYPE *value, YYLTYPE *place, void *scanner);
int yylex_init_extra(struct mof_scan *scan, void **scanner);
int yylex_destroy(void *scanner);
void yyset_in(FILE *in, void *scanner);

static void yyerror(YYLTYPE *place, void *scanner, struct mof_scan *scan, const char *message);
static struct mof_place place_of(const struct mof_scan *scan, YYLTYPE place);
static bool type_by_name(const char *name, struct mof_type *type);
static unsigned scope_by_name(const char *name);
static void add_class(struct mof_scan *scan, struct mof_class *class);
static struct mof_class *new_class(struct mof_scan *scan, YYLTYPE place, char *name, char *super,
				   struct mof_qualifier *qualifiers, struct mof_feature *features);
static void add_qualifier_decl(struct mof_scan *scan, YYLTYPE place, char *name, struct mof_type type,
			       unsigned scope);
static struct mof_feature *new_feature(struct mof_scan *scan, YYLTYPE place, char *name, struct mof_type type,
				       struct mof_qualifier *qualifiers);
static struct mof_qualifier *new_qualifier(struct mof_scan *scan, YYLTYPE place, char *name,
					   struct mof_constant *value);
static struct mof_literal *new_literal(enum mof_literal_kind kind);
static struct mof_constant *new_constant(bool is_array, struct mof_literal *items);
static char *join(const char *a, const char *b);
}

%%

file:		%empty
	|	file declaration
	;

declaration:	qualifiers MOF_CLASS MOF_NAME super '{' feature_list '}' ';'
			{ add_class(scan, new_class(scan, @3, $3, $4, $1, $6)); }
	|	MOF_QUALIFIER MOF_NAME ':' type array default ',' MOF_SCOPE '(' scopes ')' flavor ';'
			{ $4.is_array = $5; add_qualifier_decl(scan, @2, $2, $4, $10); }
	|	MOF_PRAGMA
			{ mof_error(scan->schema, place_of(scan, @1), "pragmas are not taken: name the files on the command line");
			  YYABORT; }
	|	qualifiers MOF_INSTANCE
			{ mof_error(scan->schema, place_of(scan, @2), "instances do not belong into the schema"); YYABORT; }
	;

flavor:		%empty
	|	',' MOF_FLAVOR '(' flavor_names ')'
	;

flavor_names:	MOF_NAME
	|	flavor_names ',' MOF_NAME
	;

scopes:		scope
	|	scopes ',' scope				{ $$ = $1 | $3; }
	;

scope:		MOF_NAME
			{ $$ = scope_by_name($1);
			  if (!$$) { mof_error(scan->schema, place_of(scan, @1), "unknown scope \"%s\"", $1); YYABORT; } }
	|	MOF_CLASS					{ $$ = MOF_SCOPE_CLASS; }
	;

super:		%empty						{ $$ = NULL; }
	|	':' MOF_NAME					{ $$ = $2; }
	;

qualifiers:	%empty						{ $$ = NULL; }
	|	'[' qualifier_list ']'				{ $$ = $2; }
	;

qualifier_list:	qualifier
	|	qualifier_list ',' qualifier
			{ struct mof_qualifier *last = $1;
			  while (last->next) last = last->next;
			  last->next = $3; $$ = $1; }
	;

qualifier:	MOF_NAME					{ $$ = new_qualifier(scan, @1, $1, NULL); }
	|	MOF_NAME '(' literal ')'			{ $$ = new_qualifier(scan, @1, $1, new_constant(false, $3)); }
	|	MOF_NAME '{' literal_list '}'			{ $$ = new_qualifier(scan, @1, $1, new_constant(true, $3)); }
	;

feature_list:	%empty						{ $$ = NULL; }
	|	feature_list feature
			{ struct mof_feature *last = $1;
			  while (last && last->next) last = last->next;
			  if (last) last->next = $2;
			  $$ = $1 ? $1 : $2; }
	;

feature:	qualifiers type member_name array default ';'
			{ $$ = new_feature(scan, @3, $3, $2, $1); $$->type.is_array = $4; $$->initial = $5; }
	|	qualifiers type member_name '(' parameters ')' ';'
			{ $$ = new_feature(scan, @3, $3, $2, $1); $$->is_method = true; $$->parameters = $5; }
	;

member_name:	MOF_NAME
	;

parameters:	%empty						{ $$ = NULL; }
	|	parameter_list
	;

parameter_list:	parameter
	|	parameter_list ',' parameter
			{ struct mof_feature *last = $1;
			  while (last->next) last = last->next;
			  last->next = $3; $$ = $1; }
	;

parameter:	qualifiers type member_name array
			{ $$ = new_feature(scan, @3, $3, $2, $1); $$->type.is_array = $4; }
	;

type:		MOF_NAME
			{ if (!type_by_name($1, &$$)) {
				mof_error(scan->schema, place_of(scan, @1), "unknown type \"%s\"", $1); YYABORT; } }
	|	MOF_NAME MOF_REF
			{ $$ = (struct mof_type){ .type = CIM_TYPE_REFERENCE, .reference = $1 }; }
	;

array:		%empty						{ $$ = false; }
	|	'[' ']'						{ $$ = true; }
	;

default:	%empty						{ $$ = NULL; }
	|	'=' constant					{ $$ = $2; }
	;

constant:	literal						{ $$ = new_constant(false, $1); }
	|	'{' literal_list '}'				{ $$ = new_constant(true, $2); }
	;

literal_list:	literal
	|	literal_list ',' literal
			{ struct mof_literal *last = $1;
			  while (last->next) last = last->next;
			  last->next = $3; $$ = $1; }
	;

literal:	MOF_INTEGER_LITERAL
	|	text						{ $$ = new_literal(MOF_STRING); $$->string = $1; }
	|	MOF_TRUE					{ $$ = new_literal(MOF_BOOLEAN); $$->boolean = true; }
	|	MOF_FALSE					{ $$ = new_literal(MOF_BOOLEAN); }
	|	MOF_NULL_LITERAL				{ $$ = new_literal(MOF_NULL); }
	;

text:		MOF_STRING_LITERAL
	|	text MOF_STRING_LITERAL				{ $$ = join($1, $2); }
	;

%%

static struct mof_place place_of(const struct mof_scan *scan, YYLTYPE place)
{
	return (struct mof_place){ scan->file, place.first_line };
}

static void yyerror(YYLTYPE *place, void *scanner, struct mof_scan *scan, const char *message)
{
	(void)scanner;
	mof_error(scan->schema, place_of(scan, *place), "%s", scan->message ? scan->message : message);
	scan->message = NULL;
}

static bool type_by_name(const char *name, struct mof_type *type)
{
	*type = (struct mof_type){ 0 };
	for (enum cim_type t = CIM_TYPE_BOOLEAN; t <= CIM_TYPE_DATETIME; t++)
		if (strcasecmp(name, mof_type_name(t)) == 0) {
			type->type = t;
			return true;
		}
	return false;
}

static unsigned scope_by_name(const char *name)
{
	static const struct {
		const char *name;
		unsigned bits;
	} scopes[] = {
		{ "class", MOF_SCOPE_CLASS },         { "association", MOF_SCOPE_ASSOC },
		{ "property", MOF_SCOPE_PROPERTY },   { "reference", MOF_SCOPE_REFERENCE },
		{ "method", MOF_SCOPE_METHOD },       { "parameter", MOF_SCOPE_PARAMETER },
		{ "any", MOF_SCOPE_ANY },
	};

	for (size_t i = 0; i < sizeof(scopes) / sizeof(scopes[0]); i++)
		if (strcasecmp(name, scopes[i].name) == 0)
			return scopes[i].bits;
	return 0;
}

static void add_class(struct mof_scan *scan, struct mof_class *class)
{
	struct mof_class **link = &scan->schema->classes;

	for (; *link; link = &(*link)->next)
		if (strcasecmp((*link)->name, class->name) == 0) {
			mof_error(scan->schema, class->place, "class %s stands already at %s:%d", class->name,
				  (*link)->place.file, (*link)->place.line);
			return;
		}
	*link = class;
}

static struct mof_class *new_class(struct mof_scan *scan, YYLTYPE place, char *name, char *super,
				   struct mof_qualifier *qualifiers, struct mof_feature *features)
{
	struct mof_class *class = mof_alloc(sizeof(*class));

	class->name = name;
	class->super_name = super;
	class->qualifiers = qualifiers;
	class->features = features;
	class->place = place_of(scan, place);
	return class;
}

static void add_qualifier_decl(struct mof_scan *scan, YYLTYPE place, char *name, struct mof_type type,
			       unsigned scope)
{
	struct mof_qualifier_decl *decl = mof_alloc(sizeof(*decl));

	for (struct mof_qualifier_decl *d = scan->schema->qualifier_decls; d; d = d->next)
		if (strcasecmp(d->name, name) == 0)
			mof_error(scan->schema, place_of(scan, place), "qualifier %s is declared already at %s:%d",
				  name, d->place.file, d->place.line);
	*decl = (struct mof_qualifier_decl){ name, type, scope, place_of(scan, place),
					     scan->schema->qualifier_decls };
	scan->schema->qualifier_decls = decl;
}

static struct mof_feature *new_feature(struct mof_scan *scan, YYLTYPE place, char *name, struct mof_type type,
				       struct mof_qualifier *qualifiers)
{
	struct mof_feature *feature = mof_alloc(sizeof(*feature));

	feature->name = name;
	feature->type = type;
	feature->qualifiers = qualifiers;
	feature->place = place_of(scan, place);
	return feature;
}

static struct mof_qualifier *new_qualifier(struct mof_scan *scan, YYLTYPE place, char *name,
					   struct mof_constant *value)
{
	struct mof_qualifier *qualifier = mof_alloc(sizeof(*qualifier));

	*qualifier = (struct mof_qualifier){ name, value, place_of(scan, place), NULL };
	return qualifier;
}

static struct mof_literal *new_literal(enum mof_literal_kind kind)
{
	struct mof_literal *literal = mof_alloc(sizeof(*literal));

	literal->kind = kind;
	return literal;
}

static struct mof_constant *new_constant(bool is_array, struct mof_literal *items)
{
	struct mof_constant *constant = mof_alloc(sizeof(*constant));

	*constant = (struct mof_constant){ is_array, items };
	return constant;
}

static char *join(const char *a, const char *b)
{
	size_t size = strlen(a) + strlen(b) + 1;
	char *both = mof_alloc(size);

	snprintf(both, size, "%s%s", a, b);
	return both;
}

bool mof_parse_file(struct mof_schema *schema, const char *path)
{
	struct mof_scan scan = { .schema = schema, .file = mof_strdup(path) };
	unsigned errors = schema->errors;
	FILE *in = fopen(path, "r");
	void *scanner;

	if (!in) {
		mof_error(schema, (struct mof_place){ path, 0 }, "cannot be opened");
		return false;
	}
	if (yylex_init_extra(&scan, &scanner)) {
		fclose(in);
		mof_error(schema, (struct mof_place){ path, 0 }, "no memory for the scanner");
		return false;
	}
	yyset_in(in, scanner);
	/* A failed parse has said why, except when the parser itself ran out of memory. */
	if (yyparse(scanner, &scan) && schema->errors == errors)
		mof_error(schema, (struct mof_place){ path, 0 }, "cannot be parsed");
	yylex_destroy(scanner);
	fclose(in);
	return schema->errors == errors;
}
