// SPDX-License-Identifier: Apache-2.0
#include "vhdtool/image.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const char *const image_type_names[IMAGE_TYPE_COUNT] = { "fixed", "dynamic", "differencing" };

/* Raw is the last: everything could be it. */
static const struct image_format *const formats[] = { &image_vhdx, &image_vhd, &image_raw };
#define FORMAT_COUNT (sizeof formats / sizeof formats[0])

const struct image_format *image_format_named(const char *name)
{
	for (unsigned i = 0; i < FORMAT_COUNT; i++)
		if (strcmp(formats[i]->name, name) == 0)
			return formats[i];
	return NULL;
}

const struct image_format *image_format_of(int fd)
{
	for (unsigned i = 0; i + 1 < FORMAT_COUNT; i++)
		if (formats[i]->probe(fd))
			return formats[i];
	return formats[FORMAT_COUNT - 1];
}

void image_id_format(const uint8_t id[16], char out[IMAGE_ID_TEXT])
{
	char *at = out;

	for (unsigned i = 0; i < 16; i++)
		at += sprintf(at, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", id[i]);
}

int image_fail(struct block_failure *why, const char *what)
{
	const int error = errno;

	return block_failure_set(why, -error, "%s: %s", what, strerror(error));
}
