// SPDX-License-Identifier: Apache-2.0
#include "worker/disk_image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "block/raw.h"
#include "block/uring_file.h"
#include "block/vhd.h"
#include "block/vhdx.h"

#define DVD_SECTOR_BYTES 2048u

const char *const disk_format_names[DISK_FORMAT_COUNT] = { "raw", "vhd", "vhdx" };

struct parent_reading {
	struct disk_file *file;
	struct node_fds *fds;
};

static int take_fd(struct json_object *value, const char *path, void *into, struct failure *why)
{
	struct parent_reading *reading = into;

	return node_take_fd(value, path, reading->fds, false, &reading->file->fd, why);
}

static int take_format(struct json_object *value, const char *path, void *into, struct failure *why)
{
	struct parent_reading *reading = into;

	return json_take_name(value, path, disk_format_names, DISK_FORMAT_COUNT, &reading->file->format, why);
}

int disk_image_take_parents(struct json_object *value, const char *path, struct node_fds *fds, struct disk_image *image,
			    struct failure *why)
{
	static const struct json_member members[] = {
		{ "fd", json_type_int, take_fd, false },
		{ "format", json_type_string, take_format, false },
	};
	size_t count = json_object_array_length(value);
	int r = 0;

	if (count > DISK_IMAGE_PARENTS_MAX)
		return failure_set(why, -EINVAL, "%s: %zu, %u are possible", path, count, DISK_IMAGE_PARENTS_MAX);
	image->parents = calloc(count ? count : 1, sizeof *image->parents);
	if (!image->parents)
		return failure_set(why, -ENOMEM, "%s: no memory", path);
	for (size_t i = 0; r == 0 && i < count; i++) {
		struct json_object *parent = json_object_array_get_idx(value, i);
		struct parent_reading reading = { &image->parents[i], fds };

		if (!json_object_is_type(parent, json_type_object))
			return failure_set(why, -EINVAL, "%s[%zu]: must be an object", path, i);
		image->parents[i].fd = -1;
		image->parent_count++;
		r = json_take(parent, "parents[].", members, 2, &reading, why);
	}
	return r;
}

void disk_image_fini(struct disk_image *image)
{
	if (image->file.fd >= 0)
		(void)close(image->file.fd);
	for (unsigned i = 0; i < image->parent_count; i++)
		if (image->parents[i].fd >= 0)
			(void)close(image->parents[i].fd);
	free(image->parents);
	*image = (struct disk_image){ .file.fd = -1 };
}

static uint32_t sector_bytes(const struct disk_options *options)
{
	return options->is_dvd ? DVD_SECTOR_BYTES : BLOCK_SECTOR_MIN;
}

/* A copy of the descriptor: the image keeps its own. */
static int open_file(const struct vsp_host *host, const struct disk_file *file, const struct disk_options *options,
		     struct block_file **out, struct failure *why)
{
	const struct block_uring_options uring = {
		.read_only = options->read_only,
		.direct = options->direct,
		.align_max = file->format == DISK_RAW ? sector_bytes(options) : 0,
	};
	int fd = fcntl(file->fd, F_DUPFD_CLOEXEC, 0), r;

	if (fd < 0)
		return failure_set(why, -errno, "descriptor %d: %s", file->fd, strerror(errno));
	r = block_uring_create(host, fd, &uring, out);
	if (r) {
		(void)close(fd);
		return failure_set(why, r, "the file cannot be used for a disk: %s", strerror(-r));
	}
	return 0;
}

static int open_raw(struct block_file *file, const struct disk_options *options, struct block_disk **out,
		    struct failure *why)
{
	struct block_raw_options raw = {
		.read_only = options->read_only, .direct = options->direct,
		.logical_bytes = sector_bytes(options),
	};
	int r;

	memcpy(raw.id, options->id, sizeof raw.id);
	r = block_raw_open(file, &raw, out);
	return r ? failure_set(why, r, "the file cannot be used as a disk: %s", strerror(-r)) : 0;
}

static int open_vhd(struct block_file *file, const struct disk_options *options, struct block_disk *parent,
		    struct block_disk **out, struct failure *why)
{
	struct vhd_options vhd = { .read_only = options->read_only, .parent = parent };
	struct block_failure cause = { "" };
	int r;

	memcpy(vhd.id, options->id, sizeof vhd.id);
	r = vhd_open(file, &vhd, out, &cause);
	return r ? failure_set(why, r, "%s", cause.text) : 0;
}

static int open_vhdx(const struct vsp_host *host, struct block_file *file, const struct disk_options *options,
		     struct block_disk *parent, struct block_disk **out, struct failure *why)
{
	struct vhdx_open_options vhdx = { .read_only = options->read_only };
	struct block_failure cause = { "" };
	int r;

	memcpy(vhdx.id, options->id, sizeof vhdx.id);
	r = vhdx_open(host, file, parent, &vhdx, out, &cause);
	return r ? failure_set(why, r, "%s", cause.text) : 0;
}

/* On success the parent is the disk's. */
static int open_format(const struct vsp_host *host, const struct disk_file *image, const struct disk_options *options,
		       struct block_disk *parent, struct block_disk **out, struct failure *why)
{
	struct block_file *file;
	int r = open_file(host, image, options, &file, why);

	if (r)
		return r;
	switch ((enum disk_format)image->format) {
	case DISK_VHD:
		r = open_vhd(file, options, parent, out, why);
		break;
	case DISK_VHDX:
		r = open_vhdx(host, file, options, parent, out, why);
		break;
	case DISK_RAW:
	case DISK_FORMAT_COUNT:
		r = parent ? failure_set(why, -EINVAL, "a raw disk has no parent") : open_raw(file, options, out, why);
		break;
	}
	if (r)
		file->ops->destroy(file);
	return r;
}

/* Nothing was submitted to it yet: it is gone in the next round of the loop. */
static void on_unused_closed(void *context)
{
}

int disk_image_open(const struct disk_image *image, const struct vsp_host *host, const struct disk_options *options,
		    struct block_disk **out, struct failure *why)
{
	const struct disk_options of_parents = { .read_only = true, .direct = options->direct };
	struct disk_options own = *options;
	struct block_disk *disk = NULL;
	int r = 0;

	own.read_only |= options->is_dvd;
	for (unsigned i = image->parent_count; r == 0 && i-- > 0;) {
		struct failure cause = { "" };

		r = open_format(host, &image->parents[i], &of_parents, disk, &disk, &cause);
		if (r)
			failure_set(why, r, "parent %u: %.200s", i + 1, cause.text);
	}
	if (r == 0)
		r = open_format(host, &image->file, &own, disk, &disk, why);
	if (r == 0) {
		*out = disk;
		return 0;
	}
	if (disk)
		block_close(disk, on_unused_closed, NULL);
	return r;
}
