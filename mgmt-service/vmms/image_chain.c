/* SPDX-License-Identifier: Apache-2.0 */
#include "vmms/image_chain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum image_format image_format_of(const char *path)
{
	static const struct {
		const char *ending;
		enum image_format format;
	} endings[] = {
		{".vhd", IMAGE_VHD}, {".avhd", IMAGE_VHD}, {".vhdx", IMAGE_VHDX}, {".avhdx", IMAGE_VHDX}};
	const char *ending = strrchr(path, '.');

	for (size_t i = 0; ending && i < sizeof(endings) / sizeof(endings[0]); i++)
		if (strcasecmp(ending, endings[i].ending) == 0)
			return endings[i].format;
	return IMAGE_RAW;
}

/* Takes "." and ".." parts and doubled slashes out, in place. False: it leads above the root. */
static bool normalize(char *path)
{
	char *out = path, *in = path;

	while (*in) {
		size_t size;

		while (*in == '/')
			in++;
		size = strcspn(in, "/");
		if (size == 2 && in[0] == '.' && in[1] == '.') {
			if (out == path)
				return false;
			while (*--out != '/')
				;
		} else if (size && !(size == 1 && in[0] == '.')) {
			*out++ = '/';
			memmove(out, in, size);
			out += size;
		}
		in += size;
	}
	*out = 0;
	return out > path;
}

bool image_parent_path(const char *child, const char *path, char out[STORE_PATH_MAX + 1])
{
	/* Written on Windows, a relative path has its separators. */
	bool backslashes = !strchr(path, '/');
	const char *slash = strrchr(child, '/');
	int directory = path[0] != '/' && slash ? (int)(slash - child) : 0;

	if (!path[0] || (path[0] && path[1] == ':') || (backslashes && path[0] == '\\'))
		return false; /* a drive or a share of another system */
	if (snprintf(out, STORE_PATH_MAX + 1, "%.*s/%s", directory, child, path) > STORE_PATH_MAX)
		return false;
	for (char *c = out; backslashes && *c; c++)
		if (*c == '\\')
			*c = '/';
	return normalize(out);
}

/* A descriptor for reading the same file: the tool gets no other. */
static int reopen_to_read(int fd)
{
	char name[40];

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	return open(name, O_RDONLY | O_CLOEXEC);
}

int image_inspect(const struct image_tool *tool, int fd, const char *path, struct image_info *info,
		  char *reason, unsigned reason_size)
{
	enum image_format named = image_format_of(path);
	const char *const words[] = {"inspect", "--format", image_format_name(named), "--fd", "3", NULL};
	char output[IMAGE_TOOL_OUTPUT_MAX], why[1024] = "";
	int reader = reopen_to_read(fd), result;

	if (reader < 0) {
		snprintf(reason, reason_size, "%s: %s", path, strerror(errno));
		return -1;
	}
	result = image_tool_run(tool, words, &reader, 1, IMAGE_TOOL_LOOK_MS, output, why, sizeof(why));
	close(reader);
	if (!result && image_wire_read(output, strlen(output), info)) {
		snprintf(why, sizeof(why), "vhdtool does not say what it is");
		result = -1;
	}
	if (!result && info->format != named) {
		snprintf(why, sizeof(why), "the file is %s, which its name does not say",
			 image_format_name(info->format));
		result = -1;
	}
	if (result)
		snprintf(reason, reason_size, "%s: %s", path, why);
	return result;
}

void image_chain_close(struct image_chain *chain)
{
	while (chain->count) {
		struct image_layer *layer = &chain->layers[--chain->count];

		close(layer->fd);
		free(layer->path);
	}
}

static bool same_file(int a, int b)
{
	struct stat left, right;

	return fstat(a, &left) == 0 && fstat(b, &right) == 0 && left.st_dev == right.st_dev &&
	       left.st_ino == right.st_ino;
}

/* Takes the descriptor in any case. */
static int add_layer(struct image_chain *chain, int fd, const char *path, char *reason, unsigned reason_size)
{
	struct image_layer *layer = &chain->layers[chain->count];

	for (unsigned i = 0; i < chain->count; i++)
		if (same_file(chain->layers[i].fd, fd)) {
			snprintf(reason, reason_size, "%s: the chain of its parents leads back to it", path);
			close(fd);
			return -1;
		}
	*layer = (struct image_layer){fd, image_format_of(path), strdup(path)};
	if (!layer->path) {
		snprintf(reason, reason_size, "No memory");
		close(fd);
		return -1;
	}
	chain->count++;
	return 0;
}

/* The first path of those in the child that leads to a file, relative ones first. Its descriptor, not taken
 * yet, or -1.
 */
static int open_parent(const struct image_opening *opening, const char *child, const struct image_info *info,
		       char path[STORE_PATH_MAX + 1], char *reason, unsigned reason_size)
{
	snprintf(reason, reason_size, "%s: it does not say where its parent is", child);
	for (unsigned i = 0; i < 2 * info->parent_path_count; i++) {
		const char *named = info->parent_paths[i % info->parent_path_count];
		bool wants_absolute = i >= info->parent_path_count;
		struct host_disk disk = {.path = path, .read_only = true};
		char why[STORE_PATH_MAX + 512];
		int fd;

		if ((named[0] == '/') != wants_absolute)
			continue;
		if (!image_parent_path(child, named, path)) {
			snprintf(reason, reason_size, "%s: its parent %.512s cannot be a file of this host",
				 child, named);
			continue;
		}
		if (image_format_of(path) == IMAGE_RAW) {
			snprintf(reason, reason_size, "%s: its parent %s is no virtual hard disk file", child,
				 path);
			continue;
		}
		fd = host_file_open_disk(opening->allowed, &disk, NULL, why, sizeof(why));
		if (fd >= 0)
			return fd;
		snprintf(reason, reason_size, "%s: its parent: %s", child, why);
	}
	return -1;
}

/* From the first layer to the base. */
static int walk(const struct image_opening *opening, bool *in_use, struct image_chain *chain,
		struct image_info *info, char *reason, unsigned reason_size)
{
	char path[STORE_PATH_MAX + 1], parent_id[IMAGE_ID_SIZE] = "";
	const struct host_disk parent = {.path = path, .read_only = true};
	struct image_info *at = malloc(sizeof(*at));
	int fd, result = -1;

	while (at) {
		const struct image_layer *last = &chain->layers[chain->count - 1];

		if (image_inspect(&opening->tool, last->fd, last->path, at, reason, reason_size))
			break;
		if (chain->count == 1)
			*info = *at;
		if (chain->count > 1 && strcasecmp(parent_id, at->id) != 0) {
			snprintf(reason, reason_size,
				 "%s is not the parent that %s was made from: its identifier is %s",
				 last->path, chain->layers[chain->count - 2].path,
				 at->id[0] ? at->id : "missing");
			break;
		}
		if (at->type != IMAGE_DIFFERENCING) {
			result = 0;
			break;
		}
		if (chain->count > IMAGE_PARENTS_MAX) {
			snprintf(reason, reason_size, "%s has more than %d parents", chain->layers[0].path,
				 IMAGE_PARENTS_MAX);
			break;
		}
		snprintf(parent_id, sizeof(parent_id), "%s", at->parent_id);
		fd = open_parent(opening, last->path, at, path, reason, reason_size);
		if (fd < 0 || add_layer(chain, fd, path, reason, reason_size) ||
		    (in_use && !host_file_take_disk(fd, &parent, in_use, reason, reason_size)))
			break;
	}
	if (!at)
		snprintf(reason, reason_size, "No memory");
	free(at);
	return result;
}

/* A raw image is what its size says. */
static void describe_raw(int fd, struct image_info *info)
{
	off_t size = lseek(fd, 0, SEEK_END);

	*info = (struct image_info){.format = IMAGE_RAW,
				    .type = IMAGE_FIXED,
				    .virtual_bytes = (uint64_t)size,
				    .file_bytes = (uint64_t)size,
				    .logical_bytes = 512,
				    .physical_bytes = 4096};
}

int image_chain_open(const struct image_opening *opening, const struct host_disk *disk, bool *in_use,
		     struct image_chain *chain, struct image_info *info, char *reason, unsigned reason_size)
{
	struct image_info *described = info ? info : malloc(sizeof(*info));
	int fd = described ? host_file_open_disk(opening->allowed, disk, in_use, reason, reason_size) : -1;
	int result = -1;

	chain->count = 0;
	if (!described)
		snprintf(reason, reason_size, "No memory");
	if (fd >= 0 && disk->is_dvd && image_format_of(disk->path) != IMAGE_RAW) {
		snprintf(reason, reason_size, "%s: a virtual hard disk is no DVD", disk->path);
		close(fd);
		fd = -1;
	}
	if (fd >= 0 && add_layer(chain, fd, disk->path, reason, reason_size) == 0) {
		result = 0;
		if (image_format_of(disk->path) == IMAGE_RAW)
			describe_raw(fd, described);
		else
			result = walk(opening, in_use, chain, described, reason, reason_size);
	}
	if (result)
		image_chain_close(chain);
	if (described != info)
		free(described);
	return result;
}
