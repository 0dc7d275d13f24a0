/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration document (worker_msg.h, version 1): every member checked, unknown ones refused by name. */
#ifndef WORKER_CONFIG_H
#define WORKER_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/failure.h"
#include "worker/node.h"

#define CONFIG_NAME_MAX           256u
#define CONFIG_COMMAND_LINE_MAX   65535u
#define CONFIG_MEMORY_MIB_MIN     16u
#define CONFIG_MEMORY_MIB_MAX     (1u << 20)	/* 1 TiB */
#define CONFIG_DOCUMENT_BYTES_MAX (256u << 10)

struct config {
	char id[JSON_GUID_BYTES];
	char name[CONFIG_NAME_MAX + 1];
	unsigned vp_count;
	uint64_t memory_mib;			/* a multiple of 2 */
	char *command_line;			/* owned */
	bool has_com1;
	struct node *nodes;			/* the devices on VMBus; owned */
	int trace_fd;				/* of the command line, see --trace-fd; -1: no trace */
};

/* -EINVAL with the member's path in `why` ("memory.startup_mib: ..."), -ENOMEM. */
int config_parse(const char *text, size_t bytes, struct config *out, struct failure *why) MUST_CHECK;
/* Reads the descriptor to its end and parses that. */
int config_read(int fd, struct config *out, struct failure *why) MUST_CHECK;
void config_fini(struct config *config);

#endif
