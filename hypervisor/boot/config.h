/* SPDX-License-Identifier: Apache-2.0 */
/* undercroft.conf. Pure: text in, struct out; no firmware. The keys are in the room's README. */
#ifndef BOOT_CONFIG_H
#define BOOT_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#define CONFIG_TEXT_MAX 1024
struct boot_config {
	char kernel[CONFIG_TEXT_MAX];	/* path on the ESP, backslashes; empty: next boot entry */
	char cmdline[CONFIG_TEXT_MAX];
	bool tsc_stable;
	bool lift;			/* option lift=off starts the parent without the hypervisor */
};

/* Returns 0, or the number of the first bad line with *out_why saying what is wrong with it. */
unsigned config_parse(const char *text, size_t bytes, struct boot_config *out, const char **out_why);

#endif
