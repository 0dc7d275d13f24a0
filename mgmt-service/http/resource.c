/* SPDX-License-Identifier: Apache-2.0 */
#include "http/resource.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cim/invoke.h"
#include "cim/query.h"
#include "cim_schema.gen.h"
#include "http/json.h"
#include "http/router.h"
#include "http/uri.h"
#include "vmms/instances.h"
#include "worker/worker_msg.h"

/* What the stages of one request share. */
struct exchange {
	const struct request *request;
	struct response *response;
	struct route route;
	struct cim_context context;
	const struct cim_class *class;
	struct cim_instance *self; /* of the addressed instance */
	const char *method_name;
};

static const char *title_of(unsigned status)
{
	static const struct {
		unsigned status;
		const char *title;
	} titles[] = {
		{400, "Bad Request"},         {401, "Unauthorized"},          {403, "Forbidden"},
		{404, "Not Found"},           {405, "Method Not Allowed"},    {409, "Conflict"},
		{412, "Precondition Failed"}, {413, "Content Too Large"},     {415, "Unsupported Media Type"},
		{426, "Upgrade Required"},    {428, "Precondition Required"}, {500, "Internal Server Error"},
		{501, "Not Implemented"},     {503, "Service Unavailable"},
	};

	for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++)
		if (titles[i].status == status)
			return titles[i].title;
	return "Error";
}

void response_header(struct response *response, const char *name, const char *value)
{
	if (response->header_count == HTTP_HEADERS_MAX)
		abort();
	response->headers[response->header_count].name = name;
	response->headers[response->header_count++].value = value;
}

static void set_body(struct response *response, unsigned status, const char *type, const char *body)
{
	response->status = status;
	response->content_type = type;
	response->body = body;
	response->body_size = strlen(body);
}

void resource_problem(struct arena *arena, struct response *response, unsigned status, const char *detail,
		      const char *field)
{
	struct cim_error error = {.detail = detail, .field = field};

	set_body(response, status, HTTP_PROBLEM,
		 json_problem(arena, status, title_of(status), &error, NULL, NULL));
}

static void problem(struct exchange *x, unsigned status, const char *detail, const char *field)
{
	resource_problem(x->request->arena, x->response, status, detail, field);
}

/* The context's error as a problem. */
static void failed(struct exchange *x)
{
	static const unsigned statuses[CIM_STATUS_COUNT] = {
		[CIM_OK] = 500,
		[CIM_ERR_NOT_FOUND] = 404,
		[CIM_ERR_INVALID_PARAMETER] = 400,
		[CIM_ERR_NOT_SUPPORTED] = 501,
		[CIM_ERR_ACCESS_DENIED] = 403,
		[CIM_ERR_INVALID_STATE] = 409,
		[CIM_ERR_BUSY] = 409,
		[CIM_ERR_NOT_ALLOWED] = 405,
		[CIM_ERR_FAILED] = 500,
	};
	unsigned status = statuses[x->context.error.status];

	if (x->context.error.status == CIM_ERR_BUSY)
		response_header(x->response, "Retry-After", "1");
	if (x->context.error.status == CIM_ERR_NOT_ALLOWED)
		response_header(x->response, "Allow", "GET");
	set_body(x->response, status, HTTP_PROBLEM,
		 json_problem(x->request->arena, status, title_of(status), &x->context.error,
			      x->class ? x->class->name : NULL, x->method_name));
}

static const char *query(const struct exchange *x, const char *name)
{
	return x->request->query(x->request->context, name);
}

static bool query_number(struct exchange *x, const char *name, unsigned long high, unsigned long *out)
{
	const char *text = query(x, name);
	char *end;

	if (!text)
		return true;
	*out = strtoul(text, &end, 10);
	if (isdigit((unsigned char)text[0]) && !*end && *out <= high)
		return true;
	cim_error_set(&x->context.error, x->context.arena, CIM_ERR_INVALID_PARAMETER, name,
		      "%s must be a number up to %lu", name, high);
	return false;
}

static bool find_class(struct exchange *x)
{
	x->class = cim_class_find(x->route.class_name);
	if (x->class)
		return true;
	cim_error_set(&x->context.error, x->context.arena, CIM_ERR_NOT_FOUND, NULL, "There is no class %s",
		      x->route.class_name);
	return false;
}

static bool find_self(struct exchange *x)
{
	struct cim_reference *reference = uri_parse_key(&x->context, x->class, x->route.key);

	if (!reference) {
		/* Whatever was wrong with a key in the path: it names nothing. */
		x->context.error.status = CIM_ERR_NOT_FOUND;
		return false;
	}
	x->self = cim_get(&x->context, reference);
	return x->self != NULL;
}

static const char *etag_of(struct exchange *x, const struct cim_instance *instance)
{
	return arena_printf(x->request->arena, "\"%016" PRIx64 "\"",
			    json_instance_hash(x->request->arena, instance));
}

/* A list of entity tags, or *. Weak tags never match: they promise nothing for a change. */
static bool etag_listed(const char *list, const char *etag)
{
	if (strcmp(list, "*") == 0)
		return true;
	while (*list) {
		size_t size;

		list += strspn(list, " \t,");
		size = strcspn(list, ",");
		while (size && isspace((unsigned char)list[size - 1]))
			size--;
		if (size == strlen(etag) && strncmp(list, etag, size) == 0)
			return true;
		list += strcspn(list, ",");
	}
	return false;
}

static bool read_selection(struct exchange *x, struct json_selection *selection, bool *selected)
{
	const char *text = query(x, "$properties");

	*selected = text != NULL;
	selection->count = 0;
	while (text && *text) {
		size_t size = strcspn(text, ",");
		const char *name = arena_strndup(x->request->arena, text, size);
		int p = cim_property_find(x->class, name);

		if (p < 0 ||
		    selection->count == sizeof(selection->properties) / sizeof(selection->properties[0])) {
			cim_error_set(&x->context.error, x->context.arena, CIM_ERR_INVALID_PARAMETER,
				      "$properties", "%s has no property \"%.64s\"", x->class->name, name);
			return false;
		}
		selection->properties[selection->count++] = p;
		text += size + (text[size] == ',');
	}
	return true;
}

static void answer_instance(struct exchange *x, unsigned status, const struct cim_instance *instance)
{
	struct json_selection selection;
	const char *etag, *none_match;
	bool selected;

	if (!read_selection(x, &selection, &selected)) {
		failed(x);
		return;
	}
	etag = etag_of(x, instance);
	response_header(x->response, "ETag", etag);
	none_match = x->request->header(x->request->context, "If-None-Match");
	if (none_match && etag_listed(none_match, etag)) {
		x->response->status = 304;
		return;
	}
	set_body(x->response, status, HTTP_JSON,
		 json_instance(x->request->arena, instance, selected ? &selection : NULL));
}

static int by_uri(const void *a, const void *b, void *arena)
{
	return strcmp(uri_of(arena, cim_reference_of(*(struct cim_instance *const *)a)),
		      uri_of(arena, cim_reference_of(*(struct cim_instance *const *)b)));
}

static void keep_matching(struct cim_list *list, const struct cim_filter *filter)
{
	size_t kept = 0;

	for (size_t i = 0; filter && i < list->count; i++)
		if (cim_filter_matches(filter, list->items[i]))
			list->items[kept++] = list->items[i];
	if (filter)
		list->count = kept;
}

static const char *option(struct exchange *x, const char *uri, const char *name, const char *text)
{
	return text ? arena_printf(x->request->arena, "%s&%s=%s", uri, name,
				   uri_encode(x->request->arena, text))
		    : uri;
}

/* The same question, from after the last instance of this page on. */
static const char *next_page(struct exchange *x, const char *after)
{
	static const char *const kept[] = {"$filter",     "$properties", "$class",     "AssocClass",
					   "ResultClass", "Role",        "ResultRole", "$max"};
	const char *uri = arena_printf(x->request->arena, "%s?$after=%s", x->request->raw_path,
				       uri_encode(x->request->arena, after));

	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		uri = option(x, uri, kept[i], query(x, kept[i]));
	return uri;
}

/* The filter and the selection are read against `class`, of which all items are. */
static void answer_list(struct exchange *x, struct cim_list *list)
{
	const char *filter_text = query(x, "$filter"), *after = query(x, "$after"), *next = NULL;
	const struct cim_filter *filter = NULL;
	struct json_selection selection;
	unsigned long max = HTTP_PAGE_MAX;
	size_t first = 0, count;
	bool selected;

	if (filter_text)
		filter = cim_filter_parse(&x->context, x->class, filter_text);
	if ((filter_text && !filter) || !read_selection(x, &selection, &selected) ||
	    !query_number(x, "$max", HTTP_PAGE_MAX, &max)) {
		failed(x);
		return;
	}
	keep_matching(list, filter);
	/* Ordered by address, so that a page goes on where the last one ended whatever came and went. */
	if (list->count)
		qsort_r(list->items, list->count, sizeof(struct cim_instance *), by_uri, x->request->arena);
	while (after && first < list->count &&
	       strcmp(uri_of(x->request->arena, cim_reference_of(list->items[first])), after) <= 0)
		first++;
	count = list->count - first;
	if (count > max) {
		count = max;
		if (count)
			next = next_page(x, uri_of(x->request->arena,
						   cim_reference_of(list->items[first + count - 1])));
	}
	set_body(x->response, 200, HTTP_JSON,
		 json_collection(x->request->arena, list, first, count, selected ? &selection : NULL, next));
}

static void do_list(struct exchange *x)
{
	const char *mode = query(x, "$class");
	struct cim_list list;

	if (mode && strcmp(mode, "exact") != 0) {
		problem(x, 400, "$class can only be \"exact\"", "$class");
		return;
	}
	cim_list_init(&list, x->request->arena);
	cim_enumerate(&x->context, x->class, mode != NULL, &list);
	answer_list(x, &list);
}

static bool walk_class(struct exchange *x, const char *name, const struct cim_class **out)
{
	const char *text = query(x, name);

	*out = text ? cim_class_find(text) : NULL;
	if (text && !*out)
		cim_error_set(&x->context.error, x->context.arena, CIM_ERR_INVALID_PARAMETER, name,
			      "%s: there is no class \"%.64s\"", name, text);
	return !text || *out;
}

static void do_walk(struct exchange *x)
{
	struct cim_walk walk = {.role = query(x, "Role"), .result_role = query(x, "ResultRole")};
	struct cim_list list;

	if (!walk_class(x, "AssocClass", &walk.association) || !walk_class(x, "ResultClass", &walk.result)) {
		failed(x);
		return;
	}
	cim_list_init(&list, x->request->arena);
	cim_references(&x->context, x->self, &walk, x->route.operation == OPERATION_ASSOCIATORS, &list);
	/* What comes out need not be of our class: names in filters are those of the result class, if one is
	 * given. */
	if (walk.result)
		x->class = walk.result;
	else if (query(x, "$filter") || query(x, "$properties")) {
		problem(x, 400, "$filter and $properties need ResultClass here", "ResultClass");
		return;
	}
	answer_list(x, &list);
}

static void do_get(struct exchange *x)
{
	unsigned long wait = 0;

	if (!query_number(x, "wait", HTTP_WAIT_MAX, &wait)) {
		failed(x);
		return;
	}
	if (wait && cim_class_is_a(x->self->class, &cim_class_CIM_ConcreteJob)) {
		const char *id = cim_get_string(x->self, CIM_ConcreteJob_InstanceID);
		const struct job *job = job_find(x->context.model, id);

		if (job)
			job_wait(x->context.model, id, job->record.changed_ms, job->record.state,
				 (unsigned)wait);
		if (!find_self(x)) {
			failed(x);
			return;
		}
	}
	answer_instance(x, 200, x->self);
}

static bool precondition(struct exchange *x)
{
	const char *match = x->request->header(x->request->context, "If-Match");
	const char *etag = etag_of(x, x->self);

	if (!match) {
		problem(x, 428, "If-Match with the ETag that was read is required here", "If-Match");
		return false;
	}
	if (etag_listed(match, etag))
		return true;
	response_header(x->response, "ETag", etag);
	problem(x, 412, "The instance has changed since it was read", "If-Match");
	return false;
}

static bool body_is_json(struct exchange *x)
{
	const char *type = x->request->header(x->request->context, "Content-Type");
	size_t size = type ? strcspn(type, "; ") : 0;

	if (!x->request->body_size || (size == strlen(HTTP_JSON) && strncasecmp(type, HTTP_JSON, size) == 0))
		return true;
	problem(x, 415, "The body must be application/json", "Content-Type");
	return false;
}

static void do_patch(struct exchange *x)
{
	struct cim_instance *changes = cim_instance_blank(x->request->arena, x->self->class);

	if (!body_is_json(x))
		return;
	if (!json_read_changes(&x->context, x->request->body, x->request->body_size, changes)) {
		failed(x);
		return;
	}
	if (!precondition(x))
		return;
	cim_modify(&x->context, x->self, changes);
	if (x->context.error.status != CIM_OK || !find_self(x)) {
		failed(x);
		return;
	}
	answer_instance(x, 200, x->self);
}

static void do_delete(struct exchange *x)
{
	if (!precondition(x))
		return;
	cim_remove(&x->context, x->self);
	if (x->context.error.status != CIM_OK)
		failed(x);
	else
		x->response->status = 204;
}

static void do_invoke(struct exchange *x)
{
	int index = cim_method_find(x->self->class, x->route.method_name);
	struct cim_arguments *in, *out;
	uint32_t result;

	if (index < 0) {
		cim_error_set(&x->context.error, x->context.arena, CIM_ERR_NOT_FOUND, NULL,
			      "%s has no method %s", x->self->class->name, x->route.method_name);
		failed(x);
		return;
	}
	x->method_name = x->self->class->methods[index].name;
	if (!body_is_json(x))
		return;
	in = cim_arguments_create(x->request->arena, &x->self->class->methods[index]);
	out = cim_arguments_create(x->request->arena, &x->self->class->methods[index]);
	if (!json_read_arguments(&x->context, x->request->body, x->request->body_size, in)) {
		failed(x);
		return;
	}
	result = cim_invoke(&x->context, x->self, index, in, out);
	if (x->context.error.status != CIM_OK) {
		x->context.error.return_value = result;
		failed(x);
		return;
	}
	for (size_t i = 0; result == CIM_RETURN_JOB_STARTED && i < out->method->parameter_count; i++)
		if (strcasecmp(out->method->parameters[i].name, "Job") == 0 && out->values[i].is_set)
			response_header(x->response, "Location",
					uri_of(x->request->arena, out->values[i].items[0].reference));
	set_body(x->response, result == CIM_RETURN_JOB_STARTED ? 202 : 200, HTTP_JSON,
		 json_result(x->request->arena, x->self->class, out, result));
}

static struct vm *console_owner(struct exchange *x)
{
	const char *suffix;

	if (x->self->class == &cim_class_Msvm_SerialPortSettingData)
		return instance_setting_owner(x->context.model,
					      cim_get_string(x->self, Msvm_SerialPortSettingData_InstanceID),
					      &suffix);
	cim_error_set(&x->context.error, x->context.arena, CIM_ERR_NOT_FOUND, NULL,
		      "Only a serial port has a console");
	return NULL;
}

static void do_console_log(struct exchange *x, const struct vm *vm)
{
	char *text = arena_alloc(x->request->arena, WORKER_CONSOLE_BACKLOG + 1);

	x->response->status = 200;
	x->response->content_type = "text/plain";
	x->response->body = text;
	x->response->body_size = console_log_read(&vm->console, text);
}

static void do_console(struct exchange *x)
{
	const struct vm *vm = console_owner(x);
	const char *upgrade = x->request->header(x->request->context, "Upgrade");
	const char *connection = x->request->header(x->request->context, "Connection");

	if (!vm) {
		failed(x);
		return;
	}
	if (x->route.operation == OPERATION_CONSOLE_LOG) {
		do_console_log(x, vm);
		return;
	}
	if (!upgrade || strcasecmp(upgrade, "undercroft-console") != 0 || !connection ||
	    !strcasestr(connection, "upgrade")) {
		response_header(x->response, "Upgrade", "undercroft-console");
		problem(x, 426, "Ask with Connection: Upgrade and Upgrade: undercroft-console", "Upgrade");
		return;
	}
	if (!vm->worker) {
		cim_error_set(&x->context.error, x->context.arena, CIM_ERR_INVALID_STATE, NULL,
			      "%s is off; its console is there while it runs (console/log shows what it "
			      "wrote last)",
			      vm->record.element_name);
		failed(x);
		return;
	}
	x->response->status = 101;
	x->response->upgrade_console = arena_strdup(x->request->arena, vm->record.id);
}

static void dispatch(struct exchange *x)
{
	if (!find_class(x)) {
		failed(x);
		return;
	}
	if (x->route.operation == OPERATION_CLASS) {
		set_body(x->response, 200, HTTP_JSON, json_class(x->request->arena, x->class));
		return;
	}
	if (x->route.operation == OPERATION_LIST) {
		do_list(x);
		return;
	}
	if (!find_self(x)) {
		failed(x);
		return;
	}
	switch (x->route.operation) {
	case OPERATION_GET:
		do_get(x);
		return;
	case OPERATION_PATCH:
		do_patch(x);
		return;
	case OPERATION_DELETE:
		do_delete(x);
		return;
	case OPERATION_ASSOCIATORS:
	case OPERATION_REFERENCES:
		do_walk(x);
		return;
	case OPERATION_INVOKE:
		do_invoke(x);
		return;
	default:
		do_console(x);
		return;
	}
}

void resource_handle(struct model *model, const struct request *request, struct response *response)
{
	struct exchange x = {.request = request,
			     .response = response,
			     .context = {.arena = request->arena, .model = model}};

	router_match(request->arena, request->method, request->raw_path, &x.route);
	switch (x.route.operation) {
	case OPERATION_NONE:
		problem(&x, 404, "There is nothing at this path", NULL);
		return;
	case OPERATION_WRONG_METHOD:
		response_header(response, "Allow", x.route.allow);
		problem(&x, 405, "This resource does not take the method", NULL);
		return;
	case OPERATION_OPENAPI:
		response->status = 200;
		response->content_type = HTTP_JSON;
		response->body = cim_openapi_json;
		response->body_size = cim_openapi_json_size;
		return;
	case OPERATION_CLASSES:
		set_body(response, 200, HTTP_JSON, json_classes(request->arena));
		return;
	default:
		model_lock(model);
		dispatch(&x);
		model_unlock(model);
		return;
	}
}
