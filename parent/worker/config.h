/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration document (worker_msg.h, version 1): every member checked, unknown ones refused by name. */
#ifndef WORKER_CONFIG_H
#define WORKER_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/failure.h"

#define CONFIG_GUID_BYTES         37u		/* with the terminating zero */
#define CONFIG_NAME_MAX           256u
#define CONFIG_COMMAND_LINE_MAX   65535u
#define CONFIG_MEMORY_MIB_MIN     16u
#define CONFIG_MEMORY_MIB_MAX     (1u << 20)	/* 1 TiB */
#define CONFIG_DOCUMENT_BYTES_MAX (256u << 10)

#define CONFIG_SCSI_MAX           4u
#define CONFIG_LUN_MAX            64u

struct config_lun {
	unsigned lun;
	bool is_dvd, read_only, direct;
	int fd;					/* -1: a DVD drive without a medium */
	char id[CONFIG_GUID_BYTES];
};

struct config_scsi {
	char instance[CONFIG_GUID_BYTES];
	unsigned lun_count;
	struct config_lun *luns;		/* owned */
};

/* VMBus devices that a child has once or not at all. */
enum config_single {
	CONFIG_HEARTBEAT, CONFIG_SHUTDOWN, CONFIG_TIMESYNC, CONFIG_KVP, CONFIG_KEYBOARD, CONFIG_SINGLE_COUNT
};
extern const char *const config_single_names[CONFIG_SINGLE_COUNT];	/* "type" in the document */

struct config {
	char id[CONFIG_GUID_BYTES];
	char name[CONFIG_NAME_MAX + 1];
	unsigned vp_count;
	uint64_t memory_mib;			/* a multiple of 2 */
	char *command_line;			/* owned */
	bool has_com1;
	unsigned scsi_count;
	struct config_scsi scsi[CONFIG_SCSI_MAX];
	char single[CONFIG_SINGLE_COUNT][CONFIG_GUID_BYTES];	/* instance; empty: the child has none */
};

/* -EINVAL with the member's path in `why` ("memory.startup_mib: ..."), -ENOMEM. */
int config_parse(const char *text, size_t bytes, struct config *out, struct failure *why) MUST_CHECK;
/* Reads the descriptor to its end and parses that. */
int config_read(int fd, struct config *out, struct failure *why) MUST_CHECK;
void config_fini(struct config *config);

/* Something that needs VMBus. */
bool config_has_vmbus(const struct config *config);

/* xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx, hexadecimal */
bool config_is_guid(const char *text);

#endif
