/* SPDX-License-Identifier: Apache-2.0 */
#include "cim/query.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define FILTER_DEPTH_MAX 32

enum filter_node { NODE_AND, NODE_OR, NODE_NOT, NODE_COMPARE };
enum filter_operator { OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE, OP_COUNT };
enum filter_literal { LITERAL_NULL, LITERAL_BOOLEAN, LITERAL_NUMBER, LITERAL_TEXT };

struct cim_filter {
	enum filter_node node;
	const struct cim_filter *left, *right;
	int property;
	enum filter_operator operator;
	enum filter_literal literal;
	bool boolean;
	bool negative;
	uint64_t magnitude;
	const char *text;
};

struct filter_reader {
	struct cim_context *context;
	const struct cim_class *class;
	const char *at;
	unsigned depth;
};

static const struct {
	const char *text;
	enum filter_operator operator;
} operators[] = {
	{"eq", OP_EQ}, {"ne", OP_NE}, {"le", OP_LE}, {"lt", OP_LT}, {"ge", OP_GE},
	{"gt", OP_GT}, {"<>", OP_NE}, {"!=", OP_NE}, {"<=", OP_LE}, {">=", OP_GE},
	{"=", OP_EQ},  {"<", OP_LT},  {">", OP_GT},
};

static const struct cim_filter *read_or(struct filter_reader *r);

static void skip_space(struct filter_reader *r)
{
	while (isspace((unsigned char)*r->at))
		r->at++;
}

static const struct cim_filter *refuse(struct filter_reader *r, const char *expected)
{
	cim_error_set(&r->context->error, r->context->arena, CIM_ERR_INVALID_PARAMETER, "$filter",
		      "Filter: %s expected at \"%.40s\"", expected, r->at);
	return NULL;
}

static bool take_word(struct filter_reader *r, const char *word)
{
	size_t size = strlen(word);

	skip_space(r);
	if (strncasecmp(r->at, word, size) != 0)
		return false;
	if (isalpha((unsigned char)word[0]) && (isalnum((unsigned char)r->at[size]) || r->at[size] == '_'))
		return false;
	r->at += size;
	return true;
}

static struct cim_filter *new_node(struct filter_reader *r, enum filter_node node,
				   const struct cim_filter *left, const struct cim_filter *right)
{
	struct cim_filter *f = arena_alloc(r->context->arena, sizeof(*f));

	f->node = node;
	f->left = left;
	f->right = right;
	return f;
}

static bool read_text(struct filter_reader *r, struct cim_filter *f)
{
	char quote = *r->at++;
	char *out = arena_alloc(r->context->arena, strlen(r->at) + 1);
	size_t size = 0;

	for (; *r->at; r->at++) {
		if (*r->at == quote) {
			if (r->at[1] != quote) {
				r->at++;
				f->literal = LITERAL_TEXT;
				f->text = out;
				return true;
			}
			r->at++;
		}
		out[size++] = *r->at;
	}
	refuse(r, "end of the string");
	return false;
}

static bool read_number(struct filter_reader *r, struct cim_filter *f)
{
	char *end;

	f->negative = *r->at == '-';
	r->at += f->negative;
	if (!isdigit((unsigned char)*r->at)) {
		refuse(r, "a literal");
		return false;
	}
	errno = 0;
	f->magnitude = strtoull(r->at, &end, 10);
	if (errno) {
		refuse(r, "a number of 64 bits");
		return false;
	}
	r->at = end;
	f->literal = LITERAL_NUMBER;
	return true;
}

static bool read_literal(struct filter_reader *r, struct cim_filter *f)
{
	skip_space(r);
	if (*r->at == '\'' || *r->at == '"')
		return read_text(r, f);
	if (take_word(r, "null")) {
		f->literal = LITERAL_NULL;
		return true;
	}
	f->boolean = take_word(r, "true");
	if (f->boolean || take_word(r, "false")) {
		f->literal = LITERAL_BOOLEAN;
		return true;
	}
	return read_number(r, f);
}

/* A number may be given for a 64-bit property as text too, as it stands on the wire. */
static bool check_types(struct filter_reader *r, struct cim_filter *f)
{
	enum cim_type type = r->class->properties[f->property].value.type;
	bool number = cim_type_is_unsigned(type) || cim_type_is_signed(type);
	bool fits = f->literal == LITERAL_NULL ||
		    (f->literal == LITERAL_BOOLEAN && type == CIM_TYPE_BOOLEAN) ||
		    (f->literal == LITERAL_NUMBER && number) ||
		    (f->literal == LITERAL_TEXT && (type == CIM_TYPE_STRING || type == CIM_TYPE_DATETIME));

	if (fits && r->class->properties[f->property].value.target)
		fits = f->literal == LITERAL_NULL;
	if (!fits) {
		cim_error_set(&r->context->error, r->context->arena, CIM_ERR_INVALID_PARAMETER, "$filter",
			      "Filter: the literal does not fit the type of %s",
			      r->class->properties[f->property].name);
		return false;
	}
	return true;
}

static const struct cim_filter *read_comparison(struct filter_reader *r)
{
	struct cim_filter *f = new_node(r, NODE_COMPARE, NULL, NULL);
	const char *start;
	char *name;
	size_t i;

	skip_space(r);
	start = r->at;
	while (isalnum((unsigned char)*r->at) || *r->at == '_')
		r->at++;
	if (r->at == start)
		return refuse(r, "a property name");
	name = arena_strndup(r->context->arena, start, (size_t)(r->at - start));
	f->property = cim_property_find(r->class, name);
	if (f->property < 0) {
		cim_error_set(&r->context->error, r->context->arena, CIM_ERR_INVALID_PARAMETER, "$filter",
			      "Filter: %s has no property \"%.64s\"", r->class->name, name);
		return NULL;
	}
	for (i = 0; i < sizeof(operators) / sizeof(operators[0]); i++)
		if (take_word(r, operators[i].text))
			break;
	if (i == sizeof(operators) / sizeof(operators[0]))
		return refuse(r, "an operator");
	f->operator= operators[i].operator;
	return read_literal(r, f) && check_types(r, f) ? f : NULL;
}

static const struct cim_filter *read_term(struct filter_reader *r)
{
	const struct cim_filter *inner;

	if (++r->depth > FILTER_DEPTH_MAX)
		return refuse(r, "less nesting");
	if (take_word(r, "not")) {
		inner = read_term(r);
		inner = inner ? new_node(r, NODE_NOT, inner, NULL) : NULL;
	} else if (take_word(r, "(")) {
		inner = read_or(r);
		if (inner && !take_word(r, ")"))
			inner = refuse(r, "\")\"");
	} else {
		inner = read_comparison(r);
	}
	r->depth--;
	return inner;
}

static const struct cim_filter *read_and(struct filter_reader *r)
{
	const struct cim_filter *left = read_term(r);

	while (left && take_word(r, "and")) {
		const struct cim_filter *right = read_term(r);

		left = right ? new_node(r, NODE_AND, left, right) : NULL;
	}
	return left;
}

static const struct cim_filter *read_or(struct filter_reader *r)
{
	const struct cim_filter *left = read_and(r);

	while (left && take_word(r, "or")) {
		const struct cim_filter *right = read_and(r);

		left = right ? new_node(r, NODE_OR, left, right) : NULL;
	}
	return left;
}

struct cim_filter *cim_filter_parse(struct cim_context *context, const struct cim_class *class,
				    const char *text)
{
	struct filter_reader r = {.context = context, .class = class, .at = text};
	const struct cim_filter *filter = read_or(&r);

	skip_space(&r);
	if (filter && *r.at)
		filter = refuse(&r, "the end");
	return (struct cim_filter *)filter;
}

static int order_numbers(const struct cim_filter *f, enum cim_type type, const union cim_scalar *item)
{
	bool item_negative = cim_type_is_signed(type) && item->sint < 0;
	bool literal_negative = f->negative && f->magnitude;
	uint64_t item_size;

	if (item_negative != literal_negative)
		return item_negative ? -1 : 1;
	item_size = item_negative ? 0 - (uint64_t)item->sint : item->uint;
	if (item_size == f->magnitude)
		return 0;
	return (item_size < f->magnitude) != item_negative ? -1 : 1;
}

static bool compare_item(const struct cim_filter *f, enum cim_type type, const union cim_scalar *item)
{
	int order;

	if (f->literal == LITERAL_BOOLEAN)
		order = (int)item->boolean - (int)f->boolean;
	else if (f->literal == LITERAL_TEXT)
		order = strcasecmp(item->string, f->text);
	else
		order = order_numbers(f, type, item);
	switch (f->operator) {
	case OP_EQ:
		return order == 0;
	case OP_NE:
		return order != 0;
	case OP_LT:
		return order < 0;
	case OP_LE:
		return order <= 0;
	case OP_GT:
		return order > 0;
	case OP_GE:
		return order >= 0;
	case OP_COUNT:
		break;
	}
	return false;
}

static bool compare(const struct cim_filter *f, const struct cim_instance *instance)
{
	const struct cim_value *value = &instance->values[f->property];

	if (f->literal == LITERAL_NULL)
		return f->operator== OP_EQ ? !value->is_set : f->operator== OP_NE && value->is_set;
	if (!value->is_set)
		return f->operator== OP_NE;
	for (size_t i = 0; i < value->count; i++)
		if (compare_item(f, instance->class->properties[f->property].value.type, &value->items[i]))
			return true;
	return false;
}

bool cim_filter_matches(const struct cim_filter *filter, const struct cim_instance *instance)
{
	switch (filter->node) {
	case NODE_AND:
		return cim_filter_matches(filter->left, instance) &&
		       cim_filter_matches(filter->right, instance);
	case NODE_OR:
		return cim_filter_matches(filter->left, instance) ||
		       cim_filter_matches(filter->right, instance);
	case NODE_NOT:
		return !cim_filter_matches(filter->left, instance);
	case NODE_COMPARE:
		return compare(filter, instance);
	}
	return false;
}

void cim_enumerate(struct cim_context *context, const struct cim_class *class, bool exact,
		   struct cim_list *out)
{
	for (size_t i = 0; i < cim_class_count; i++)
		if (cim_bindings[i].provider &&
		    (exact ? cim_classes[i] == class : cim_class_is_a(cim_classes[i], class)))
			cim_bindings[i].provider->enumerate(context, out);
}

struct cim_instance *cim_get(struct cim_context *context, const struct cim_reference *reference)
{
	struct cim_list list;

	cim_list_init(&list, context->arena);
	cim_enumerate(context, reference->class, false, &list);
	for (size_t i = 0; i < list.count; i++)
		if (cim_reference_equal(cim_reference_of(list.items[i]), reference))
			return list.items[i];
	cim_error_set(&context->error, context->arena, CIM_ERR_NOT_FOUND, NULL,
		      "There is no such instance of %s", reference->class->name);
	return NULL;
}

static bool role_is(const struct cim_property *property, const char *role)
{
	return !role || strcasecmp(property->name, role) == 0;
}

static void add_once(struct cim_list *out, struct cim_instance *instance)
{
	const struct cim_reference *reference = cim_reference_of(instance);

	for (size_t i = 0; i < out->count; i++)
		if (cim_reference_equal(cim_reference_of(out->items[i]), reference))
			return;
	cim_list_add(out, instance);
}

/* One association instance: which end is us, and what is at the other ends? */
static void walk_link(struct cim_context *context, struct cim_instance *link,
		      const struct cim_reference *self, const struct cim_walk *walk, bool associators,
		      struct cim_list *out)
{
	const struct cim_class *class = link->class;

	for (size_t near = 0; near < class->property_count; near++) {
		if (class->properties[near].value.type != CIM_TYPE_REFERENCE ||
		    !role_is(&class->properties[near], walk->role) ||
		    !cim_reference_equal(link->values[near].items[0].reference, self))
			continue;
		for (size_t far = 0; far < class->property_count; far++) {
			struct cim_instance *other;

			if (far == near || class->properties[far].value.type != CIM_TYPE_REFERENCE ||
			    !role_is(&class->properties[far], walk->result_role))
				continue;
			if (!associators) {
				add_once(out, link);
				continue;
			}
			if (walk->result &&
			    !cim_class_is_a(link->values[far].items[0].reference->class, walk->result))
				continue;
			other = cim_get(context, link->values[far].items[0].reference);
			if (other)
				add_once(out, other);
		}
	}
}

void cim_references(struct cim_context *context, const struct cim_instance *of, const struct cim_walk *walk,
		    bool associators, struct cim_list *out)
{
	const struct cim_reference *self = cim_reference_of(of);
	struct cim_list links;

	cim_list_init(&links, context->arena);
	for (size_t i = 0; i < cim_class_count; i++) {
		const struct cim_class *class = cim_classes[i];

		if (!(class->flags & CIM_CLASS_ASSOCIATION) || !cim_bindings[i].provider)
			continue;
		if (walk->association && !cim_class_is_a(class, walk->association))
			continue;
		/* For references, the result class filters the association itself. */
		if (!associators && walk->result && !cim_class_is_a(class, walk->result))
			continue;
		cim_bindings[i].provider->enumerate(context, &links);
	}
	for (size_t i = 0; i < links.count; i++)
		walk_link(context, links.items[i], self, walk, associators, out);
}
