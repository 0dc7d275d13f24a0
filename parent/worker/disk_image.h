/* SPDX-License-Identifier: Apache-2.0 */
/* The image of a disk or a medium: descriptors and formats as the configuration names them, and the block disk made of them. */
#ifndef WORKER_DISK_IMAGE_H
#define WORKER_DISK_IMAGE_H

#include "block/block.h"
#include "worker/node.h"

#define DISK_IMAGE_PARENTS_MAX 63u

enum disk_format { DISK_RAW, DISK_VHD, DISK_VHDX, DISK_FORMAT_COUNT };

struct disk_file {
	int fd;
	unsigned format;		/* enum disk_format */
};

struct disk_image {
	struct disk_file file;		/* fd -1: none */
	unsigned parent_count;
	struct disk_file *parents;	/* owned; nearest first */
};

extern const char *const disk_format_names[DISK_FORMAT_COUNT];

/* `take` functions' bodies. */
int disk_image_take_parents(struct json_object *value, const char *path, struct node_fds *fds, struct disk_image *image,
			    struct failure *why) MUST_CHECK;
/* Closes and frees. */
void disk_image_fini(struct disk_image *image);

struct disk_options {
	bool read_only, direct, is_dvd;
	uint8_t id[16];
};

/* The image's descriptors stay its own: a disk may be made of it again. -errno with the cause. */
int disk_image_open(const struct disk_image *image, const struct vsp_host *host, const struct disk_options *options,
		    struct block_disk **out, struct failure *why) MUST_CHECK;

#endif
