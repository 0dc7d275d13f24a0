// SPDX-License-Identifier: Apache-2.0
/* Copying files into the guest. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ic/fcopy.h"
#include "worker/node_ic.h"
#include "worker/node_kinds.h"

#define PATH_BYTES_MAX 1024

struct fcopy_node {
	struct node_ic base;
	struct fcopy fcopy;
	int fd;				/* what is being copied; -1 */
};

static int on_read(void *context, uint64_t offset, void *buffer, size_t bytes)
{
	const struct fcopy_node *this = context;
	uint8_t *at = buffer;

	while (bytes) {
		ssize_t got = pread(this->fd, at, bytes, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got ? -errno : -EIO;	/* the file has become shorter */
		at += got;
		offset += (uint64_t)got;
		bytes -= (size_t)got;
	}
	return 0;
}

static void close_file(struct fcopy_node *this)
{
	if (this->fd >= 0)
		(void)close(this->fd);
	this->fd = -1;
}

static void on_done(void *context, int error, uint32_t status)
{
	struct fcopy_node *this = context;
	struct json_object *body = node_ic_outcome(error, status);

	(void)json_object_object_add(body, "bytes", json_object_new_uint64(fcopy_progress(&this->fcopy)));
	close_file(this);
	node_event(&this->base.node, "done", body);
}

static void init(struct node *node)
{
	((struct fcopy_node *)node)->fd = -1;
}

static int add(struct node *node, struct failure *why)
{
	static const struct fcopy_events events = { .read = on_read, .done = on_done };
	struct fcopy_node *this = (struct fcopy_node *)node;

	fcopy_init(&this->fcopy, &events, this);
	this->base.ic = &this->fcopy.ic;
	return node_ic_offer(node, why);
}

static void fini(struct node *node)
{
	close_file((struct fcopy_node *)node);
}

struct copy {
	struct fcopy_job job;
	struct node_fds *fds;
	int fd;
};

static int take_fd(struct json_object *value, const char *path, void *into, struct failure *why)
{
	struct copy *copy = into;

	return node_take_fd(value, path, copy->fds, false, &copy->fd, why);
}

static int take_directory(struct json_object *value, const char *path, void *into, struct failure *why)
{
	struct copy *copy = into;

	copy->job.directory = json_object_get_string(value);
	return json_check_text(value, path, 1, PATH_BYTES_MAX, why);
}

static int take_name(struct json_object *value, const char *path, void *into, struct failure *why)
{
	struct copy *copy = into;

	copy->job.name = json_object_get_string(value);
	return json_check_text(value, path, 1, PATH_BYTES_MAX, why);
}

static int take_overwrite(struct json_object *value, const char *path, void *into, struct failure *why)
{
	struct copy *copy = into;

	copy->job.flags |= json_object_get_boolean(value) ? IC_FCOPY_OVERWRITE : 0;
	return 0;
}

static int take_create_path(struct json_object *value, const char *path, void *into, struct failure *why)
{
	struct copy *copy = into;

	copy->job.flags |= json_object_get_boolean(value) ? IC_FCOPY_CREATE_PATH : 0;
	return 0;
}

static int start_copy(struct fcopy_node *this, struct copy *copy, struct failure *why)
{
	struct stat st;
	int r;

	if (this->fd >= 0)
		return failure_set(why, -EBUSY, "fcopy: a copy is under way");
	if (fstat(copy->fd, &st) < 0)
		return failure_set(why, -errno, "params.fd: %s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return failure_set(why, -EINVAL, "params.fd: no regular file");
	copy->job.bytes = (uint64_t)st.st_size;
	this->fd = copy->fd;
	r = fcopy_start(&this->fcopy, &copy->job);
	if (r == 0)
		return 0;
	this->fd = -1;
	return r == -EINVAL ? failure_set(why, r, "params.directory, params.name: an absolute directory and a plain file name are needed")
			    : node_ic_failure(&this->base.node, r, why);
}

static int call_copy(struct node *node, struct json_object *params, struct node_fds *fds, struct failure *why)
{
	static const struct json_member members[] = {
		{ "fd", json_type_int, take_fd, false },
		{ "directory", json_type_string, take_directory, false },
		{ "name", json_type_string, take_name, false },
		{ "overwrite", json_type_boolean, take_overwrite, true },
		{ "create_path", json_type_boolean, take_create_path, true },
	};
	struct copy copy = { .fds = fds, .fd = -1 };
	int r = node_take_params(params, members, 5, &copy, why);

	if (r == 0)
		r = start_copy((struct fcopy_node *)node, &copy, why);
	if (r && copy.fd >= 0)
		(void)close(copy.fd);
	return r;
}

static int call_cancel(struct node *node, struct json_object *params, struct node_fds *fds, struct failure *why)
{
	int r = node_take_params(params, NULL, 0, NULL, why);

	if (r)
		return r;
	r = fcopy_cancel(&((struct fcopy_node *)node)->fcopy);
	return r == -ENOENT ? failure_set(why, -ENOENT, "fcopy: no copy is under way") : node_ic_failure(node, r, why);
}

static const struct node_call calls[] = { { "copy", call_copy, false }, { "cancel", call_cancel, false } };

const struct node_kind node_fcopy = {
	.type = "fcopy",
	.max = 1,
	.bytes = sizeof(struct fcopy_node),
	.init = init,
	.fini = fini,
	.add = add,
	.remove = node_ic_remove,
	.pause = node_ic_pause,
	.resume = node_ic_resume,
	.calls = calls,
	.call_count = 2,
};
