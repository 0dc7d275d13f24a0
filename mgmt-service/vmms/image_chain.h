/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files behind one drive: an image, and of a differencing one its parents down to the base. What a file
 * is taken for is decided by its name alone: were content asked, a guest could write a header on its raw disk
 * and have the next start open what that names. vhdtool then says whether the file is what its name promises,
 * and where parents lie; they must lie below the allowed directories like everything else.
 *
 * Opening blocks (it runs vhdtool); called without the model's lock.
 */
#ifndef VMMS_IMAGE_CHAIN_H
#define VMMS_IMAGE_CHAIN_H

#include "daemon/config.h"
#include "vmms/host_file.h"
#include "vmms/image_tool.h"
#include "vmms/image_wire.h"

#define IMAGE_PARENTS_MAX 64

struct image_layer {
	int fd;
	enum image_format format;
	char *path;
};

struct image_chain {
	unsigned count; /* layers[0] is the image itself; 0: nothing is open */
	struct image_layer layers[1 + IMAGE_PARENTS_MAX];
};

struct image_opening {
	const struct config_directories *allowed;
	struct image_tool tool;
};

/* By the ending of the name. */
enum image_format image_format_of(const char *path);
/* Where a path in an image at `child` leads: absolute, without "." and ".." parts. False: nowhere that it
 * could. */
bool image_parent_path(const char *child, const char *path, char out[STORE_PATH_MAX + 1]);

/*
 * 0 with all layers open, and with the first one's description unless `info` is NULL; -1 with one sentence in
 * `reason` and nothing open. `in_use` as in host_file_open_disk(); parents are taken for reading.
 */
int image_chain_open(const struct image_opening *opening, const struct host_disk *disk, bool *in_use,
		     struct image_chain *chain, struct image_info *info, char *reason, unsigned reason_size);
void image_chain_close(struct image_chain *chain);
/* What vhdtool says of an open file. */
int image_inspect(const struct image_tool *tool, int fd, const char *path, struct image_info *info,
		  char *reason, unsigned reason_size);

#endif
