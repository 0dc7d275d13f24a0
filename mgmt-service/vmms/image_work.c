/* SPDX-License-Identifier: Apache-2.0 */
#include "vmms/image_work.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The words of one run of vhdtool, and the descriptors in it. */
struct command {
	const char *words[IMAGE_TOOL_WORDS_MAX + 1];
	unsigned word_count;
	char numbers[IMAGE_TOOL_FDS_MAX + 8][24];
	unsigned number_count;
	int fds[IMAGE_TOOL_FDS_MAX];
	unsigned fd_count;
};

static void add(struct command *command, const char *word)
{
	if (command->word_count < IMAGE_TOOL_WORDS_MAX)
		command->words[command->word_count++] = word;
}

static void add_number(struct command *command, const char *option, uint64_t number)
{
	char *text = command->numbers[command->number_count++];

	snprintf(text, sizeof(command->numbers[0]), "%llu", (unsigned long long)number);
	add(command, option);
	add(command, text);
}

/* The descriptor under the number it has in the program. */
static void add_fd(struct command *command, const char *option, int fd)
{
	add_number(command, option, IMAGE_TOOL_FIRST_FD + command->fd_count);
	command->fds[command->fd_count++] = fd;
}

/* By its name, as everywhere. */
static void add_format(struct command *command, const char *path)
{
	add(command, "--format");
	add(command, image_format_name(image_format_of(path)));
}

static void fail(struct image_work *work, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void fail(struct image_work *work, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(work->reason, sizeof(work->reason), format, arguments);
	va_end(arguments);
	work->failed = true;
}

static void run(struct image_work *work, const struct command *command)
{
	char output[IMAGE_TOOL_OUTPUT_MAX], why[1024] = "";

	if (image_tool_run(&work->opening.tool, command->words, command->fds, command->fd_count,
			   IMAGE_TOOL_WORK_MS, output, why, sizeof(why)))
		fail(work, "%s: %s", work->path, why);
}

/* vhdtool has ended, and its copies of the descriptors are nobody's. */
static void close_chain(struct image_chain *chain)
{
	for (unsigned i = 0; i < chain->count; i++)
		host_file_release(chain->layers[i].fd);
	image_chain_close(chain);
}

static bool open_chain(struct image_work *work, const char *path, struct image_chain *chain,
		       struct image_info *info)
{
	const struct host_disk disk = {.path = path, .read_only = true};

	if (image_chain_open(&work->opening, &disk, &work->in_use, chain, info, work->reason,
			     sizeof(work->reason)))
		work->failed = true;
	return !work->failed;
}

/* The new file is taken until it is whole; a failure leaves none. */
static int make(struct image_work *work)
{
	const struct host_disk disk = {.path = work->path};
	int fd = host_file_create(work->opening.allowed, work->path, work->reason, sizeof(work->reason));

	work->failed = fd < 0;
	if (fd >= 0 && !host_file_take_disk(fd, &disk, &work->in_use, work->reason, sizeof(work->reason)))
		work->failed = true;
	return fd;
}

static void end_making(struct image_work *work, int fd)
{
	if (fd < 0)
		return;
	if (!work->failed && fsync(fd))
		fail(work, "%s: it cannot be written to the storage", work->path);
	if (work->failed)
		host_file_remove(work->opening.allowed, work->path, fd);
	host_file_release(fd);
	close(fd);
}

static void add_shape(struct command *command, const struct image_work *work)
{
	add_format(command, work->path);
	add(command, "--type");
	add(command, image_type_name(work->type));
	if (work->bytes)
		add_number(command, "--size", work->bytes);
	if (work->block_bytes)
		add_number(command, "--block-size", work->block_bytes);
	if (work->logical_bytes)
		add_number(command, "--logical", work->logical_bytes);
	if (work->physical_bytes)
		add_number(command, "--physical", work->physical_bytes);
}

static void create(struct image_work *work, struct command *command)
{
	struct image_chain parents = {0};
	int fd = -1;

	if (!work->parent || open_chain(work, work->parent, &parents, NULL))
		fd = make(work);
	if (!work->failed) {
		add(command, "create");
		add_shape(command, work);
		if (work->parent) {
			add(command, "--parent");
			add(command, work->parent);
			add_fd(command, "--parent-fd", parents.layers[0].fd);
			add(command, "--path");
			add(command, work->path);
		}
		add_fd(command, "--fd", fd);
		run(work, command);
	}
	end_making(work, fd);
	close_chain(&parents);
}

static void convert(struct image_work *work, struct command *command)
{
	struct image_chain source = {0};
	int fd = -1;

	if (open_chain(work, work->source, &source, NULL))
		fd = make(work);
	if (!work->failed) {
		add(command, "convert");
		add(command, "--source-format");
		add(command, image_format_name(source.layers[0].format));
		add_fd(command, "--fd", source.layers[0].fd);
		for (unsigned i = 1; i < source.count; i++)
			add_fd(command, "--parent-fd", source.layers[i].fd);
		add_shape(command, work);
		add_fd(command, "--to-fd", fd);
		run(work, command);
	}
	end_making(work, fd);
	close_chain(&source);
}

/* A raw image that a machine has may grow below it; what has headers belongs to whoever has it open. */
static void resize(struct image_work *work, struct command *command)
{
	const struct host_disk disk = {.path = work->path};
	struct image_chain chain = {0};
	struct image_info info;

	if (image_chain_open(&work->opening, &disk, &work->in_use, &chain, &info, work->reason,
			     sizeof(work->reason))) {
		work->failed = true;
		if (!work->in_use || image_format_of(work->path) != IMAGE_RAW ||
		    image_chain_open(&work->opening, &disk, NULL, &chain, &info, work->reason,
				     sizeof(work->reason)))
			return;
		work->failed = false;
		work->found_in_use = true;
	}
	if (work->found_in_use && work->bytes < info.virtual_bytes) {
		fail(work, "%s is in use: it can grow, but not shrink below its %llu bytes", work->path,
		     (unsigned long long)info.virtual_bytes);
	} else {
		add(command, "resize");
		add_format(command, work->path);
		add_number(command, "--size", work->bytes);
		add_fd(command, "--fd", chain.layers[0].fd);
		run(work, command);
	}
	close_chain(&chain);
}

static bool is_same_file(int a, int b)
{
	struct stat left, right;

	return fstat(a, &left) == 0 && fstat(b, &right) == 0 && left.st_dev == right.st_dev &&
	       left.st_ino == right.st_ino;
}

/* The parent is taken for writing, its own parents for reading; of the child's chain only the child itself. */
static bool open_family(struct image_work *work, struct image_chain *child, struct image_chain *parent)
{
	const struct host_disk from = {.path = work->source, .read_only = true}, into = {.path = work->path};
	struct image_info info;

	if (image_chain_open(&work->opening, &from, NULL, child, &info, work->reason, sizeof(work->reason)) ||
	    image_chain_open(&work->opening, &into, &work->in_use, parent, &info, work->reason,
			     sizeof(work->reason)) ||
	    !host_file_take_disk(child->layers[0].fd, &from, &work->in_use, work->reason,
				 sizeof(work->reason)))
		work->failed = true;
	else if (child->count < 2 || !is_same_file(child->layers[1].fd, parent->layers[0].fd))
		fail(work, "%s is not the parent of %s", work->path, work->source);
	return !work->failed;
}

/* What is in the parent now is in the child for nobody. */
static void merge(struct image_work *work, struct command *command)
{
	struct image_chain child = {0}, parent = {0};

	if (open_family(work, &child, &parent)) {
		add(command, "merge");
		add_format(command, work->source);
		add_fd(command, "--fd", child.layers[0].fd);
		for (unsigned i = 0; i < parent.count; i++)
			add_fd(command, "--parent-fd", parent.layers[i].fd);
		run(work, command);
		if (!work->failed)
			host_file_remove(work->opening.allowed, work->source, child.layers[0].fd);
	}
	close_chain(&child);
	close_chain(&parent);
}

/* That the chain opens is half of the check. */
static void validate(struct image_work *work, struct command *command)
{
	struct image_chain chain = {0};

	if (!open_chain(work, work->path, &chain, NULL))
		return;
	add(command, "check");
	add_format(command, work->path);
	add_fd(command, "--fd", chain.layers[0].fd);
	run(work, command);
	close_chain(&chain);
}

void image_work_run(struct image_work *work)
{
	static void (*const operations[])(struct image_work * work, struct command * command) = {
		[IMAGE_CREATE] = create,
		[IMAGE_RESIZE] = resize,
		[IMAGE_CONVERT] = convert,
		[IMAGE_MERGE] = merge,
		[IMAGE_VALIDATE] = validate,
	};
	struct command *command = calloc(1, sizeof(*command));

	if (command)
		operations[work->operation](work, command);
	else
		fail(work, "No memory");
	free(command);
}

void image_work_clear(struct image_work *work)
{
	free(work->path);
	free(work->source);
	free(work->parent);
}
