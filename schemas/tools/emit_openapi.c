/* SPDX-License-Identifier: Apache-2.0 */
/* The OpenAPI document: one schema per class, one path per generic route, one per method. Source:
 * OpenAPI 3.1. */
#include <json-c/json.h>
#include <string.h>
#include <strings.h>

#include "emit.h"

static struct json_object *object(void)
{
	struct json_object *o = json_object_new_object();

	if (!o) {
		fputs("mofc: out of memory\n", stderr);
		_Exit(1);
	}
	return o;
}

static struct json_object *array(void)
{
	return json_object_new_array();
}

static void put(struct json_object *o, const char *key, struct json_object *value)
{
	json_object_object_add(o, key, value);
}

static void put_text(struct json_object *o, const char *key, const char *text)
{
	put(o, key, json_object_new_string(text));
}

static struct json_object *ref_to(const char *kind, const char *name)
{
	struct json_object *o = object();
	char path[512];

	snprintf(path, sizeof(path), "#/components/%s/%s", kind, name);
	put_text(o, "$ref", path);
	return o;
}

static struct json_object *nullable(const char *type)
{
	struct json_object *types = array();

	json_object_array_add(types, json_object_new_string(type));
	json_object_array_add(types, json_object_new_string("null"));
	return types;
}

static void put_labels(struct json_object *o, const struct mof_feature *f)
{
	const struct mof_literal *map = mof_qualifier_literal(f->qualifiers, "ValueMap");
	const struct mof_literal *text = mof_qualifier_literal(f->qualifiers, "Values");
	struct json_object *labels;

	if (!map || !text)
		return;
	labels = object();
	for (; map && text; map = map->next, text = text->next)
		put_text(labels, map->string, text->string);
	put(o, "x-cim-values", labels);
}

/* 64-bit integers are strings on the wire, always: JSON numbers of many clients end at 2^53. */
static struct json_object *item_schema(const struct mof_feature *f)
{
	const char *embedded = mof_qualifier_string(f->qualifiers, "EmbeddedInstance");
	const struct mof_literal *length = mof_qualifier_literal(f->qualifiers, "MaxLen");
	struct json_object *o = object();

	if (embedded) {
		put(o, "$ref", json_object_object_get(ref_to("schemas", embedded), "$ref"));
		json_object_get(json_object_object_get(o, "$ref"));
		return o;
	}
	switch (f->type.type) {
	case CIM_TYPE_BOOLEAN:
		put(o, "type", nullable("boolean"));
		break;
	case CIM_TYPE_UINT64:
	case CIM_TYPE_SINT64:
		put(o, "type", nullable("string"));
		put_text(o, "pattern", f->type.type == CIM_TYPE_UINT64 ? "^[0-9]+$" : "^-?[0-9]+$");
		break;
	case CIM_TYPE_STRING:
		put(o, "type", nullable("string"));
		if (length)
			put(o, "maxLength", json_object_new_int64((int64_t)length->magnitude));
		break;
	case CIM_TYPE_DATETIME:
		put(o, "type", nullable("string"));
		put_text(o, "description", "CIM datetime, 25 characters");
		break;
	case CIM_TYPE_REFERENCE:
		put(o, "type", nullable("string"));
		put_text(o, "format", "uri-reference");
		put_text(o, "x-cim-reference", f->type.reference);
		break;
	default: {
		int64_t low, high;

		put(o, "type", nullable("integer"));
		if (mof_value_range("..", f->type.type, &low, &high)) {
			put(o, "minimum", json_object_new_int64(low));
			put(o, "maximum", json_object_new_int64(high));
		}
	}
	}
	put_text(o, "x-cim-type", mof_type_name(f->type.type));
	put_labels(o, f);
	return o;
}

static struct json_object *value_schema(const struct mof_feature *f)
{
	const char *description = mof_qualifier_string(f->qualifiers, "Description");
	const char *units = mof_qualifier_string(f->qualifiers, "Units");
	struct json_object *o = item_schema(f);

	if (f->type.is_array) {
		struct json_object *list = object();

		put(list, "type", nullable("array"));
		put(list, "items", o);
		o = list;
	}
	if (description)
		put_text(o, "description", description);
	if (units)
		put_text(o, "x-cim-units", units);
	if (!f->is_method && (f->flags & CIM_PROPERTY_KEY))
		put(o, "x-cim-key", json_object_new_boolean(true));
	if (!f->is_method && !(f->flags & CIM_PROPERTY_WRITE) && f->origin)
		put(o, "x-cim-write", json_object_new_boolean(false));
	return o;
}

static struct json_object *class_schema(const struct mof_class *c)
{
	const char *description = mof_qualifier_string(c->qualifiers, "Description");
	struct json_object *o = object(), *members = object(), *properties = object(), *inner = object();
	struct json_object *class_name = object();

	for (size_t i = 0; i < c->property_count; i++)
		put(properties, c->properties[i]->name, value_schema(c->properties[i]));
	put_text(inner, "type", "object");
	put(inner, "properties", properties);
	put(inner, "additionalProperties", json_object_new_boolean(false));
	put_text(class_name, "type", "string");
	put_text(class_name, "description", "The class, or a subclass of it");
	put(members, "class", class_name);
	put(members, "properties", inner);
	put_text(o, "type", "object");
	if (description)
		put_text(o, "description", description);
	if (c->super)
		put_text(o, "x-cim-superclass", c->super->name);
	put(o, "properties", members);
	return o;
}

static struct json_object *response(const char *description, const char *media, struct json_object *schema)
{
	struct json_object *o = object(), *content = object(), *type = object();

	put_text(o, "description", description);
	if (media) {
		put(type, "schema", schema);
		put(content, media, type);
		put(o, "content", content);
	}
	return o;
}

static struct json_object *with_problems(struct json_object *responses)
{
	put(responses, "default", ref_to("responses", "Problem"));
	return responses;
}

static struct json_object *operation(const char *id, const char *summary, struct json_object *responses)
{
	struct json_object *o = object();

	put_text(o, "operationId", id);
	put_text(o, "summary", summary);
	put(o, "responses", with_problems(responses));
	return o;
}

static struct json_object *parameter(const char *name, const char *in, const char *type,
				     const char *description)
{
	struct json_object *o = object(), *schema = object();

	put_text(o, "name", name);
	put_text(o, "in", in);
	put_text(o, "description", description);
	if (strcmp(in, "path") == 0)
		put(o, "required", json_object_new_boolean(true));
	put_text(schema, "type", type);
	put(o, "schema", schema);
	return o;
}

static struct json_object *key_parameters(void)
{
	struct json_object *list = array();

	json_object_array_add(
		list, parameter("key", "path", "string",
				"The value of the only key; else k1=v1,k2=v2 in schema order, each part "
				"percent-encoded. The last key alone is taken where it names one instance"));
	return list;
}

static struct json_object *query_parameters(bool association)
{
	static const char *const filters[][2] = {
		{"AssocClass", "Only over this association class"},
		{"ResultClass", "Only instances of this class"},
		{"Role", "Role of this instance in the association"},
		{"ResultRole", "Role of the other instance"},
	};
	struct json_object *list = association ? key_parameters() : array();

	for (size_t i = 0; association && i < sizeof(filters) / sizeof(filters[0]); i++)
		json_object_array_add(list, parameter(filters[i][0], "query", "string", filters[i][1]));
	json_object_array_add(
		list, parameter("$filter", "query", "string",
				"Comparisons (eq ne lt le gt ge) joined by and, or, not, with parentheses"));
	json_object_array_add(list, parameter("$properties", "query", "string", "Names separated by commas"));
	json_object_array_add(list,
			      parameter("$max", "query", "integer", "At most so many; next names the rest"));
	if (!association)
		json_object_array_add(list, parameter("$class", "query", "string", "exact: no subclasses"));
	return list;
}

static struct json_object *collection(const char *class_name)
{
	struct json_object *o = object(), *members = object(), *list = object(), *text = object();

	put_text(list, "type", "array");
	put(list, "items", class_name ? ref_to("schemas", class_name) : ref_to("schemas", "Instance"));
	put(members, "instances", list);
	put_text(text, "type", "string");
	put(members, "next", text);
	put_text(o, "type", "object");
	put(o, "properties", members);
	return o;
}

static struct json_object *method_body(const struct mof_feature *m)
{
	struct json_object *o = object(), *members = object(), *required = array();

	for (const struct mof_feature *p = m->parameters; p; p = p->next) {
		if (mof_find_qualifier(p->qualifiers, "In") && !mof_qualifier_true(p->qualifiers, "In"))
			continue;
		put(members, p->name, value_schema(p));
		if (mof_qualifier_true(p->qualifiers, "Required"))
			json_object_array_add(required, json_object_new_string(p->name));
	}
	put_text(o, "type", "object");
	put(o, "properties", members);
	put(o, "additionalProperties", json_object_new_boolean(false));
	if (json_object_array_length(required))
		put(o, "required", required);
	else
		json_object_put(required);
	return o;
}

static struct json_object *method_result(const struct mof_feature *m)
{
	struct json_object *o = object(), *members = object(), *code = object();

	put_text(code, "type", "integer");
	put_labels(code, m);
	put(members, "returnValue", code);
	for (const struct mof_feature *p = m->parameters; p; p = p->next)
		if (mof_qualifier_true(p->qualifiers, "Out"))
			put(members, p->name, value_schema(p));
	put_text(o, "type", "object");
	put(o, "properties", members);
	return o;
}

static void put_method(struct json_object *paths, const struct mof_class *c, const struct mof_feature *m)
{
	struct json_object *path = object(), *responses = object(), *op, *body = object(),
			   *content = object();
	struct json_object *media = object();
	char text[512];

	put(responses, "200", response("Done; returnValue is 0", "application/json", method_result(m)));
	if (mof_qualifier_true(m->qualifiers, "Undercroft_MayReturnJob"))
		put(responses, "202",
		    response("Started; Location names the job, returnValue is 4096", "application/json",
			     method_result(m)));
	snprintf(text, sizeof(text), "%s.%s", c->name, m->name);
	op = operation(text, "Calls the method", responses);
	put(op, "parameters", key_parameters());
	put(media, "schema", method_body(m));
	put(content, "application/json", media);
	put(body, "content", content);
	put(op, "requestBody", body);
	put(path, "post", op);
	snprintf(text, sizeof(text), "/classes/%s/instances/{key}/methods/%s", c->name, m->name);
	put(paths, text, path);
}

static void put_console(struct json_object *paths)
{
	struct json_object *path = object(), *responses = object(), *op, *text = object();

	put(responses, "101", response("From here on raw bytes of the serial port, both ways", NULL, NULL));
	op = operation(
		"console",
		"Connects to the console: send Connection: Upgrade and Upgrade: undercroft-console. The "
		"backlog comes first",
		responses);
	put(op, "parameters", key_parameters());
	put(path, "get", op);
	put(paths, "/classes/Msvm_SerialPortSettingData/instances/{key}/console", path);

	path = object();
	responses = object();
	put_text(text, "type", "string");
	put(responses, "200",
	    response("What the port wrote last, at most 64 KiB, also after the end of the machine",
		     "text/plain", text));
	op = operation("consoleLog", "The console's backlog", responses);
	put(op, "parameters", key_parameters());
	put(path, "get", op);
	put(paths, "/classes/Msvm_SerialPortSettingData/instances/{key}/console/log", path);
}

static struct json_object *if_match(struct json_object *list)
{
	struct json_object *o = parameter("If-Match", "header", "string", "The entity tag that was read");

	put(o, "required", json_object_new_boolean(true));
	json_object_array_add(list, o);
	return list;
}

static void put_instances(struct json_object *paths, const struct mof_class *c)
{
	static const char *const walks[] = {"associators", "references"};
	struct json_object *path = object(), *responses = object(), *op;
	char text[512];
	bool writable = false;

	put(responses, "200", response("The instances", "application/json", collection(c->name)));
	snprintf(text, sizeof(text), "%s.list", c->name);
	op = operation(text, "Lists instances, those of subclasses too", responses);
	put(op, "parameters", query_parameters(false));
	put(path, "get", op);
	snprintf(text, sizeof(text), "/classes/%s/instances", c->name);
	put(paths, text, path);

	path = object();
	responses = object();
	put(responses, "200",
	    response("The instance, with its ETag", "application/json", ref_to("schemas", c->name)));
	snprintf(text, sizeof(text), "%s.get", c->name);
	op = operation(text, "Reads one instance", responses);
	put(op, "parameters", key_parameters());
	if (strcasecmp(c->name, "Msvm_ConcreteJob") == 0)
		json_object_array_add(
			json_object_object_get(op, "parameters"),
			parameter("wait", "query", "integer",
				  "Answer when the job changes, at the latest after so many seconds"));
	put(path, "get", op);
	for (size_t i = 0; i < c->property_count; i++)
		writable |= (c->properties[i]->flags & CIM_PROPERTY_WRITE) != 0;
	if (writable) {
		struct json_object *body = object(), *content = object(), *media = object();

		responses = object();
		put(responses, "200", response("Changed", "application/json", ref_to("schemas", c->name)));
		snprintf(text, sizeof(text), "%s.put", c->name);
		op = operation(text, "Changes writable properties", responses);
		put(op, "parameters", if_match(key_parameters()));
		put(media, "schema", ref_to("schemas", c->name));
		put(content, "application/json", media);
		put(body, "content", content);
		put(op, "requestBody", body);
		put(path, "patch", op);
	}
	if (strcasecmp(c->name, "Msvm_ConcreteJob") == 0) {
		responses = object();
		put(responses, "204", response("Gone", NULL, NULL));
		snprintf(text, sizeof(text), "%s.delete", c->name);
		op = operation(text, "Forgets a job that has ended", responses);
		put(op, "parameters", if_match(key_parameters()));
		put(path, "delete", op);
	}
	snprintf(text, sizeof(text), "/classes/%s/instances/{key}", c->name);
	put(paths, text, path);

	for (size_t i = 0; i < 2 && !(c->flags & CIM_CLASS_ASSOCIATION); i++) {
		path = object();
		responses = object();
		put(responses, "200", response("The instances", "application/json", collection(NULL)));
		snprintf(text, sizeof(text), "%s.%s", c->name, walks[i]);
		op = operation(text,
			       i ? "Associations that name the instance" : "Instances associated with it",
			       responses);
		put(op, "parameters", query_parameters(true));
		put(path, "get", op);
		snprintf(text, sizeof(text), "/classes/%s/instances/{key}/%s", c->name, walks[i]);
		put(paths, text, path);
	}
}

static struct json_object *problem_schema(void)
{
	static const char *const members[][2] = {
		{"type", "string"},           {"title", "string"},      {"status", "integer"},
		{"detail", "string"},         {"field", "string"},      {"returnValue", "integer"},
		{"className", "string"},      {"methodName", "string"}, {"currentState", "integer"},
		{"availableStates", "array"},
	};
	struct json_object *o = object(), *properties = object();

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		struct json_object *member = object();

		put_text(member, "type", members[i][1]);
		put(properties, members[i][0], member);
	}
	put_text(o, "type", "object");
	put_text(o, "description", "RFC 9457 problem document; members that do not apply are absent");
	put(o, "properties", properties);
	return o;
}

static void put_fixed_paths(struct json_object *paths)
{
	static const char *const rows[][3] = {
		{"/classes", "classes", "All classes"},
		{"/openapi.json", "openapi", "This document"},
	};
	struct json_object *path, *responses, *any, *op, *list;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		path = object();
		responses = object();
		any = object();
		put_text(any, "type", "object");
		put(responses, "200", response(rows[i][2], "application/json", any));
		put(path, "get", operation(rows[i][1], rows[i][2], responses));
		put(paths, rows[i][0], path);
	}
	path = object();
	responses = object();
	any = object();
	list = array();
	put_text(any, "type", "object");
	put(responses, "200", response("The class", "application/json", any));
	op = operation("class", "One class: properties, types, keys, methods", responses);
	json_object_array_add(list, parameter("class", "path", "string", "Its name"));
	put(op, "parameters", list);
	put(path, "get", op);
	put(paths, "/classes/{class}", path);
}

static struct json_object *components(const struct mof_schema *schema)
{
	struct json_object *o = object(), *schemas = object(), *instance = object(), *responses = object();
	struct json_object *schemes = object(), *bearer = object();

	for (const struct mof_class *c = schema->classes; c; c = c->next)
		put(schemas, c->name, class_schema(c));
	put_text(instance, "type", "object");
	put(schemas, "Instance", instance);
	put(schemas, "Problem", problem_schema());
	put(responses, "Problem",
	    response("What was wrong", "application/problem+json", ref_to("schemas", "Problem")));
	put_text(bearer, "type", "http");
	put_text(bearer, "scheme", "bearer");
	put(schemes, "token", bearer);
	put(o, "schemas", schemas);
	put(o, "responses", responses);
	put(o, "securitySchemes", schemes);
	return o;
}

static struct json_object *document(const struct mof_schema *schema)
{
	static const char *const bases[] = {"/api/v2", "/cimrs/root%2Fvirtualization%2Fv2"};
	struct json_object *o = object(), *info = object(), *paths = object(), *servers = array();
	struct json_object *security = array(), *token = object();

	put_text(o, "openapi", "3.1.0");
	put_text(info, "title", "Undercroft management API");
	put_text(info, "version", "2");
	put_text(info, "description",
		 "Resources are modelled on CIM-RS; classes on root/virtualization/v2. 64-bit "
		 "integers are strings, always.");
	put(o, "info", info);
	for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
		struct json_object *server = object();

		put_text(server, "url", bases[i]);
		json_object_array_add(servers, server);
	}
	put(o, "servers", servers);
	put(token, "token", array());
	json_object_array_add(security, token);
	put(o, "security", security);
	put_fixed_paths(paths);
	for (const struct mof_class *c = schema->classes; c; c = c->next) {
		if (!emit_class_has_instances(c))
			continue;
		put_instances(paths, c);
		for (size_t m = 0; m < c->method_count; m++)
			put_method(paths, c, c->methods[m]);
		if (strcasecmp(c->name, "Msvm_SerialPortSettingData") == 0)
			put_console(paths);
	}
	put(o, "paths", paths);
	put(o, "components", components(schema));
	return o;
}

bool emit_openapi_json(FILE *out, const struct mof_schema *schema)
{
	struct json_object *o = document(schema);
	const char *text =
		json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE);

	fprintf(out, "%s\n", text);
	json_object_put(o);
	return true;
}

bool emit_openapi_c(FILE *out, const struct mof_schema *schema)
{
	struct json_object *o = document(schema);
	const char *text =
		json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	size_t size = strlen(text);

	fputs("/* SPDX-License-Identifier: Apache-2.0 */\n/* Made by mofc from schemas/mof. Do not edit. */\n"
	      "#include \"mof/cim_schema.h\"\n\nconst char cim_openapi_json[] = {",
	      out);
	for (size_t i = 0; i < size; i++)
		fprintf(out, "%s%d,", i % 24 ? "" : "\n\t", (signed char)text[i]);
	fprintf(out, "\n};\nconst size_t cim_openapi_json_size = %zu;\n", size);
	json_object_put(o);
	return true;
}
