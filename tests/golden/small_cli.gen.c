/* SPDX-License-Identifier: Apache-2.0 */
/* Made by mofc from schemas/mof. Do not edit. */
#include "cli/cli_schema.h"

static const char *const properties_Lamp[] = {
	"Name",
	"State",
	"Brightness",
	"Hours",
	"Made",
	NULL,
};
static const char *const properties_Wire[] = {
	"From",
	"To",
	NULL,
};
const struct cli_class cli_classes[] = {
	{ "Lamp", properties_Lamp },
	{ "Wire", properties_Wire },
	{ NULL, NULL },
};
