/* SPDX-License-Identifier: Apache-2.0 */
/* What the scanner and the parser share while one file is read. */
#ifndef TOOLS_MOF_SCAN_H
#define TOOLS_MOF_SCAN_H

#include <stddef.h>

struct mof_schema;

struct mof_scan {
	struct mof_schema *schema;
	const char *file;
	const char *message; /* why the scanner gave MOF_BAD */
	int start_line;      /* of the comment or string being read */
	char *text;
	size_t text_size, text_room;
};

#endif
