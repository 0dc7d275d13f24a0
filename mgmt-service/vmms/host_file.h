/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of the host that a client may name: only below the directories that the configuration allows. No
 * symbolic link leads out of them. What opens gives a descriptor with close-on-exec, or -1 with one sentence
 * in `reason`.
 */
#ifndef VMMS_HOST_FILE_H
#define VMMS_HOST_FILE_H

#include <stdbool.h>

#include "daemon/config.h"

/* Absolute, without "." and ".." parts, below an allowed directory. Looks at the text only. */
bool host_file_allowed(const struct config_directories *allowed, const char *path);
/* Kernel or initial RAM disk: a regular file that is not empty, read-only. */
int host_file_open_kernel(const struct config_directories *allowed, const char *path, char *reason,
			  unsigned reason_size);

/* To be copied into a guest: a regular file, read-only. */
int host_file_open_source(const struct config_directories *allowed, const char *path, char *reason,
			  unsigned reason_size);

struct host_disk {
	const char *path;
	bool is_dvd; /* sectors of 2048 bytes instead of 512; always read-only */
	bool read_only;
};

/*
 * An image or a block device; nobody looks into it. Formats that nothing here knows are refused by their names. Unless `in_use` is NULL it is
 * taken for as long as any copy of the descriptor lives, also across processes: by one who writes, or by any
 * number who read; *in_use says that this was the trouble.
 */
int host_file_open_disk(const struct config_directories *allowed, const struct host_disk *disk, bool *in_use,
			char *reason, unsigned reason_size);
/* Takes one that was opened without. */
bool host_file_take_disk(int fd, const struct host_disk *disk, bool *in_use, char *reason, unsigned reason_size);

/* Gives it back at once, whatever other copies of the descriptor there are. */
void host_file_release(int fd);

/* A new empty file, read-write; its folder must be there. */
int host_file_create(const struct config_directories *allowed, const char *path, char *reason, unsigned reason_size);
/* Takes the name away, if it is still this file's. */
void host_file_remove(const struct config_directories *allowed, const char *path, int fd);

#endif
