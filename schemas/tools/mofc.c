/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mofc: MOF files -> C tables, bindings, OpenAPI document, property lists of the shell.
 *
 *   mofc [--header F] [--tables F] [--bindings F] [--openapi F] [--openapi-c F] [--cli F] FILE.mof...
 *
 * Files are read in the given order. Exit status 0, or 1 with "file:line: error: ..." on standard error;
 * outputs are written only when everything was in order.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "emit.h"

static const struct output {
	const char *option;
	bool (*emit)(FILE *out, const struct mof_schema *schema);
} outputs[] = {
	{"--header", emit_header},        {"--tables", emit_tables},       {"--bindings", emit_bindings},
	{"--openapi", emit_openapi_json}, {"--openapi-c", emit_openapi_c}, {"--cli", emit_cli_properties},
};

#define OUTPUT_COUNT (sizeof(outputs) / sizeof(outputs[0]))

static int write_output(const struct output *output, const char *path, const struct mof_schema *schema)
{
	FILE *out = fopen(path, "w");
	bool good;

	if (!out) {
		fprintf(stderr, "mofc: %s: %s\n", path, strerror(errno));
		return -1;
	}
	good = output->emit(out, schema) && !ferror(out);
	if (fclose(out) != 0 || !good) {
		fprintf(stderr, "mofc: %s: cannot be written\n", path);
		remove(path);
		return -1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	const char *paths[OUTPUT_COUNT] = {0};
	struct mof_schema schema = {0};
	int files = 0;

	for (int i = 1; i < argc; i++) {
		size_t o = 0;

		while (o < OUTPUT_COUNT && strcmp(argv[i], outputs[o].option) != 0)
			o++;
		if (o < OUTPUT_COUNT && i + 1 < argc) {
			paths[o] = argv[++i];
		} else if (argv[i][0] == '-') {
			fprintf(stderr, "mofc: unknown option or missing file name: %s\n", argv[i]);
			return 1;
		} else {
			mof_parse_file(&schema, argv[i]);
			files++;
		}
	}
	if (!files) {
		fputs("mofc: no MOF file given\n", stderr);
		return 1;
	}
	if (schema.errors || !mof_resolve(&schema))
		return 1;
	for (size_t o = 0; o < OUTPUT_COUNT; o++)
		if (paths[o] && write_output(&outputs[o], paths[o], &schema))
			return 1;
	return 0;
}
