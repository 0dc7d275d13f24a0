// SPDX-License-Identifier: Apache-2.0
/*
 * Disk images as files. Everything in an image is somebody else's: the files are opened first, then the sandbox closes,
 * and only then a byte of them is looked at. Output is one JSON object on stdout; an error is one line on stderr and
 * status 1, bad usage status 2. A file that could not be made whole stays, for the caller to remove.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <json.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vhdtool/convert.h"
#include "vhdtool/image.h"
#include "vhdtool/merge.h"
#include "vhdtool/sandbox.h"

#define PARENTS_MAX 64u

static const char usage_text[] =
	"usage: vhdtool inspect [--format FORMAT] --fd N | PATH\n"
	"       vhdtool check   [--format FORMAT] --fd N | PATH\n"
	"       vhdtool create  --format FORMAT [--type TYPE] --size BYTES [--block-size BYTES] [--logical BYTES]\n"
	"                       [--physical BYTES] [--parent PATH [--parent-fd N]] PATH | --fd N [--path PATH]\n"
	"       vhdtool resize  [--format FORMAT] --size BYTES --fd N | PATH\n"
	"       vhdtool convert [--source-format FORMAT] [--parent PATH | --parent-fd N]... --format FORMAT [--type TYPE]\n"
	"                       [--size BYTES] [--block-size BYTES] [--logical BYTES] [--physical BYTES]\n"
	"                       SOURCE | --fd N  TARGET | --to-fd N\n"
	"       vhdtool merge   [--format FORMAT] [--parent PATH | --parent-fd N]... --fd N | PATH\n"
	"FORMAT raw, vhd, vhdx (without it the content decides: not for a disk that a guest could write to as raw)\n"
	"TYPE   fixed, dynamic, differencing\n";

struct arguments {
	const struct image_format *format, *source_format;
	struct image_create create;
	const char *parents[PARENTS_MAX];
	unsigned parent_count;
	int parent_fds[PARENTS_MAX];	/* opened by the caller; then --parent only names them */
	unsigned parent_fd_count;
	int to_fd;			/* convert: the new image, opened by the caller; -1: by path */
	int fd;				/* -1: by path */
	const char *paths[2];
	unsigned path_count;
};

struct command {
	const char *name;
	const char *options;		/* letters of those that it takes */
	unsigned path_count;		/* of which --fd stands for one */
	int open_flags;
	void (*check)(const struct arguments *arguments);	/* before a file is opened; may be NULL */
	int (*run)(struct arguments *arguments, struct block_failure *why);
};

static _Noreturn void bad_usage(const char *what, const char *which)
{
	(void)fprintf(stderr, "vhdtool: %s%s\n%s", what, which, usage_text);
	exit(2);
}

/* ---- commands; the image is open, the sandbox not entered yet */

static int open_path(const char *path, int flags, struct block_failure *why)
{
	const int fd = open(path, flags | O_CLOEXEC | O_NOCTTY, 0600);

	return fd < 0 ? block_failure_set(why, -errno, "%s: %s", path, strerror(errno)) : fd;
}

static int print(struct json_object *object)
{
	const int r = printf("%s\n", json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));

	json_object_put(object);
	return r < 0 || fflush(stdout) ? -EIO : 0;
}

static void add_text(struct json_object *object, const char *name, const char *text)
{
	(void)json_object_object_add(object, name, text[0] ? json_object_new_string(text) : NULL);
}

static void add_number(struct json_object *object, const char *name, uint64_t number)
{
	(void)json_object_object_add(object, name, json_object_new_uint64(number));
}

static struct json_object *parent_of(const struct image_info *info)
{
	struct json_object *parent, *paths;

	if (info->type != IMAGE_DIFFERENCING)
		return NULL;
	parent = json_object_new_object();
	paths = json_object_new_array();
	for (unsigned i = 0; i < info->parent_path_count; i++)
		(void)json_object_array_add(paths, json_object_new_string(info->parent_paths[i]));
	(void)json_object_object_add(parent, "paths", paths);
	add_text(parent, "id", info->parent_id);
	return parent;
}

static int run_inspect(struct arguments *a, struct block_failure *why)
{
	struct image_info info = { .id = "" };
	struct json_object *object;
	int r = sandbox_enter(why);

	if (r)
		return r;
	if (!a->format)
		a->format = image_format_of(a->fd);
	r = a->format->inspect(a->fd, &info, why);
	if (r)
		return r;
	object = json_object_new_object();
	add_text(object, "format", a->format->name);
	add_text(object, "type", image_type_names[info.type]);
	add_number(object, "virtual_bytes", info.virtual_bytes);
	add_number(object, "file_bytes", info.file_bytes);
	add_number(object, "block_bytes", info.block_bytes);
	add_number(object, "logical_bytes", info.logical_bytes);
	add_number(object, "physical_bytes", info.physical_bytes);
	add_text(object, "id", info.id);
	add_text(object, "disk_id", info.disk_id);
	(void)json_object_object_add(object, "parent", parent_of(&info));
	return print(object);
}

static int run_check(struct arguments *a, struct block_failure *why)
{
	struct image_check check = { .blocks = 0 };
	struct json_object *object, *notes;
	int r = sandbox_enter(why);

	if (r)
		return r;
	if (!a->format)
		a->format = image_format_of(a->fd);
	r = a->format->check ? a->format->check(a->fd, &check, why) : 0;	/* else there is nothing that could be wrong */
	if (r)
		return r;
	object = json_object_new_object();
	notes = json_object_new_array();
	add_text(object, "format", a->format->name);
	add_number(object, "blocks", check.blocks);
	add_number(object, "lost_bytes", check.lost_bytes);
	for (unsigned i = 0; i < check.note_count; i++)
		(void)json_object_array_add(notes, json_object_new_string(check.notes[i]));
	(void)json_object_object_add(object, "notes", notes);
	return print(object);
}

static void check_create(const struct arguments *a)
{
	if (!a->format)
		bad_usage("--format is missing", "");
	if (!a->create.bytes && a->create.type != IMAGE_DIFFERENCING)
		bad_usage("--size is missing", "");
	if (a->parent_count != (a->create.type == IMAGE_DIFFERENCING))
		bad_usage("a differencing image has one --parent, the others none", "");
}

static int run_create(struct arguments *a, struct block_failure *why)
{
	int r;

	if (a->parent_count) {
		r = a->parent_fd_count ? a->parent_fds[0] : open_path(a->parents[0], O_RDONLY, why);
		if (r < 0)
			return r;
		a->create.parent_fd = r;
		a->create.parent_path = a->parents[0];
		if (a->path_count)
			a->create.path = a->paths[0];
	}
	r = sandbox_enter(why);
	return r ? r : a->format->create(a->fd, &a->create, why);
}

static void check_resize(const struct arguments *a)
{
	if (!a->create.bytes)
		bad_usage("--size is missing", "");
}

static int run_resize(struct arguments *a, struct block_failure *why)
{
	int r = sandbox_enter(why);

	if (r)
		return r;
	if (!a->format)
		a->format = image_format_of(a->fd);
	return a->format->resize(a->fd, a->create.bytes, why);
}

static void check_convert(const struct arguments *a)
{
	if (!a->format)
		bad_usage("--format is missing", "");
	if (a->create.type == IMAGE_DIFFERENCING)
		bad_usage("convert makes no differencing images", "");
}

/* The image and its parents, of which the first is opened with `flags`; how many. */
static int open_chain(const struct arguments *a, const struct image_format *format, int flags, struct chain_image *images,
		      struct block_failure *why)
{
	const unsigned count = a->parent_fd_count ? a->parent_fd_count : a->parent_count;

	images[0] = (struct chain_image){ .fd = a->fd, .format = format };
	for (unsigned i = 0; i < count; i++) {
		const int fd = a->parent_fd_count ? a->parent_fds[i] : open_path(a->parents[i], i ? O_RDONLY : flags, why);

		if (fd < 0)
			return fd;
		images[1 + i] = (struct chain_image){ .fd = fd };
	}
	return (int)(1 + count);
}

static void find_formats(struct chain_image *images, int count)
{
	for (int i = 0; i < count; i++)
		if (!images[i].format)
			images[i].format = image_format_of(images[i].fd);
}

static int run_convert(struct arguments *a, struct block_failure *why)
{
	struct chain_image sources[1 + PARENTS_MAX];
	const int count = open_chain(a, a->source_format, O_RDONLY, sources, why);
	int to, r;

	if (count < 0)
		return count;
	to = a->to_fd >= 0 ? a->to_fd : open_path(a->paths[a->path_count - 1], O_RDWR | O_CREAT | O_EXCL, why);
	if (to < 0)
		return to;
	r = sandbox_enter(why);
	if (r)
		return r;
	find_formats(sources, count);
	return convert(sources, (unsigned)count, to, a->format, &a->create, why);
}

static void check_merge(const struct arguments *a)
{
	if (!a->parent_count && !a->parent_fd_count)
		bad_usage("--parent is missing", "");
}

static int run_merge(struct arguments *a, struct block_failure *why)
{
	struct chain_image images[1 + PARENTS_MAX];
	const int count = open_chain(a, a->format, O_RDWR, images, why);
	int r;

	if (count < 0)
		return count;
	r = sandbox_enter(why);
	if (r)
		return r;
	find_formats(images, count);
	return merge(images, (unsigned)count, why);
}

/* ---- arguments */

static const struct command commands[] = {
	{ "inspect", "fF",     1, O_RDONLY, NULL, run_inspect },
	{ "check",   "fF",     1, O_RDONLY, NULL, run_check },
	{ "create",  "fFtsblqnpP", 1, O_RDWR | O_CREAT | O_EXCL, check_create, run_create },
	{ "resize",  "fFs",    1, O_RDWR, check_resize, run_resize },
	{ "convert", "fFStsblqpPT", 2, O_RDONLY, check_convert, run_convert },
	{ "merge",   "fFpP",   1, O_RDONLY, check_merge, run_merge },
};

static const struct option long_options[] = {
	{ "fd", required_argument, NULL, 'f' },
	{ "format", required_argument, NULL, 'F' },
	{ "source-format", required_argument, NULL, 'S' },
	{ "type", required_argument, NULL, 't' },
	{ "size", required_argument, NULL, 's' },
	{ "block-size", required_argument, NULL, 'b' },
	{ "logical", required_argument, NULL, 'l' },
	{ "physical", required_argument, NULL, 'q' },
	{ "path", required_argument, NULL, 'n' },
	{ "parent", required_argument, NULL, 'p' },
	{ "parent-fd", required_argument, NULL, 'P' },
	{ "to-fd", required_argument, NULL, 'T' },
	{ NULL, 0, NULL, 0 },
};

static uint64_t number_of(const char *text, uint64_t max)
{
	char *end;
	unsigned long long value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || errno || value > max)
		bad_usage("not a number in range: ", text);
	return value;
}

static const struct image_format *format_of(const char *name)
{
	const struct image_format *format = image_format_named(name);

	if (!format)
		bad_usage("no such format: ", name);
	return format;
}

static enum image_type type_of(const char *name)
{
	for (unsigned i = 0; i < IMAGE_TYPE_COUNT; i++)
		if (strcmp(image_type_names[i], name) == 0)
			return (enum image_type)i;
	bad_usage("no such type: ", name);
}

static void take_option(struct arguments *a, int letter, const char *value)
{
	switch (letter) {
	case 'f':
		a->fd = (int)number_of(value, INT_MAX);
		break;
	case 'F':
		a->format = format_of(value);
		break;
	case 'S':
		a->source_format = format_of(value);
		break;
	case 't':
		a->create.type = type_of(value);
		break;
	case 's':
		a->create.bytes = number_of(value, INT64_MAX);
		break;
	case 'b':
		a->create.block_bytes = (uint32_t)number_of(value, UINT32_MAX);
		break;
	case 'l':
		a->create.logical_bytes = (uint32_t)number_of(value, UINT32_MAX);
		break;
	case 'q':
		a->create.physical_bytes = (uint32_t)number_of(value, UINT32_MAX);
		break;
	case 'n':
		a->create.path = value;
		break;
	case 'P':
		if (a->parent_fd_count == PARENTS_MAX)
			bad_usage("too many parents: ", value);
		a->parent_fds[a->parent_fd_count++] = (int)number_of(value, INT_MAX);
		break;
	case 'T':
		a->to_fd = (int)number_of(value, INT_MAX);
		break;
	default:
		if (a->parent_count == PARENTS_MAX)
			bad_usage("too many parents: ", value);
		a->parents[a->parent_count++] = value;
	}
}

static void take_arguments(struct arguments *a, const struct command *command, int count, char **words)
{
	int letter;

	opterr = 0;
	while ((letter = getopt_long(count, words, "", long_options, NULL)) != -1) {
		if (letter == '?' || !strchr(command->options, letter))
			bad_usage("not an option here: ", words[optind - 1]);
		take_option(a, letter, optarg);
	}
	for (; optind < count; optind++) {
		if (a->path_count == 2)
			bad_usage("too many paths: ", words[optind]);
		a->paths[a->path_count++] = words[optind];
	}
	if (a->path_count + (a->fd >= 0) + (a->to_fd >= 0) != command->path_count)
		bad_usage("one image is to be named", command->path_count == 2 ? ", and the new one" : ", by --fd or its path");
}

static const struct command *command_named(const char *name)
{
	for (unsigned i = 0; i < sizeof commands / sizeof commands[0]; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	bad_usage("no such command: ", name);
}

int main(int count, char **words)
{
	struct arguments arguments = { .fd = -1, .to_fd = -1, .create = { .type = IMAGE_DYNAMIC, .parent_fd = -1 } };
	struct block_failure why = { "" };
	const struct command *command;
	int r = 0;

	if (count < 2)
		bad_usage("what is to be done?", "");
	command = command_named(words[1]);
	take_arguments(&arguments, command, count - 1, words + 1);
	if (command->check)
		command->check(&arguments);
	if (arguments.fd < 0)
		r = arguments.fd = open_path(arguments.paths[0], command->open_flags, &why);
	if (r >= 0)
		r = command->run(&arguments, &why);
	if (r < 0)
		(void)fprintf(stderr, "vhdtool: %s\n", why.text[0] ? why.text : strerror(-r));
	return r < 0;
}
