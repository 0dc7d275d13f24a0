// SPDX-License-Identifier: Apache-2.0
#include "worker/disk_image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "block/raw.h"

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

int disk_image_open(const struct disk_image *image, const struct vsp_host *host, const struct disk_options *options,
		    struct block_disk **out, struct failure *why)
{
	struct block_raw_options raw = {
		.read_only = options->read_only || options->is_dvd,
		.direct = options->direct,
		.logical_bytes = options->is_dvd ? DVD_SECTOR_BYTES : 0,
	};
	int fd = fcntl(image->file.fd, F_DUPFD_CLOEXEC, 0), r;

	memcpy(raw.id, options->id, sizeof raw.id);
	if (fd < 0)
		return failure_set(why, -errno, "descriptor %d: %s", image->file.fd, strerror(errno));
	r = block_raw_create(host, fd, &raw, out);
	if (r) {
		(void)close(fd);
		return failure_set(why, r, "the file cannot be used as a disk: %s", strerror(-r));
	}
	return 0;
}
