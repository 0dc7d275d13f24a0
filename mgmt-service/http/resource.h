/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request against the object layer: decode, act, encode. Knows HTTP's words (status, headers) but no
 * library of it.
 */
#ifndef HTTP_RESOURCE_H
#define HTTP_RESOURCE_H

#include <stdbool.h>
#include <stddef.h>

#include "cim/arena.h"
#include "vmms/model.h"

#define HTTP_BODY_MAX    (1024 * 1024)
#define HTTP_HEADERS_MAX 6
#define HTTP_WAIT_MAX    60 /* seconds of ?wait= */
#define HTTP_PAGE_MAX    1000

#define HTTP_JSON    "application/json"
#define HTTP_PROBLEM "application/problem+json"

struct request {
	struct arena *arena;
	const char *method;
	const char *raw_path;
	/* Decoded value of a query option or header, NULL when absent. A broken escape is an empty string. */
	const char *(*query)(void *context, const char *name);
	const char *(*header)(void *context, const char *name);
	void *context;
	const char *body;
	size_t body_size;
};

struct response {
	unsigned status;
	const char *content_type; /* NULL: no body */
	const char *body;         /* in the arena, or static */
	size_t body_size;
	struct {
		const char *name, *value;
	} headers[HTTP_HEADERS_MAX];
	size_t header_count;
	/* When set, the connection becomes the console of this machine. */
	const char *upgrade_console;
};

void resource_handle(struct model *model, const struct request *request, struct response *response);
/* A problem without the object layer: 401, 413 and the like. */
void resource_problem(struct arena *arena, struct response *response, unsigned status, const char *detail,
		      const char *field);
void response_header(struct response *response, const char *name, const char *value);

#endif
