/* SPDX-License-Identifier: Apache-2.0 */
#include "vmms/kernel_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool has_dot_part(const char *path)
{
	for (const char *part = strchr(path, '/'); part; part = strchr(part + 1, '/')) {
		size_t size = strcspn(part + 1, "/");

		if ((size == 1 && part[1] == '.') || (size == 2 && part[1] == '.' && part[2] == '.'))
			return true;
	}
	return false;
}

/* The rest of the path below the directory, or NULL. */
static const char *below(const char *directory, const char *path)
{
	size_t size = strlen(directory);

	while (size > 1 && directory[size - 1] == '/')
		size--;
	if (strncmp(path, directory, size) != 0 || path[size] != '/')
		return NULL;
	path += size;
	while (*path == '/')
		path++;
	return *path ? path : NULL;
}

static const char *allowed_directory(const struct config *config, const char *path, const char **rest)
{
	if (path[0] != '/' || has_dot_part(path))
		return NULL;
	for (unsigned i = 0; i < config->kernel_directory_count; i++) {
		*rest = below(config->kernel_directories[i], path);
		if (*rest)
			return config->kernel_directories[i];
	}
	return NULL;
}

bool kernel_file_allowed(const struct config *config, const char *path)
{
	const char *rest;

	return allowed_directory(config, path, &rest) != NULL;
}

int kernel_file_open(const struct config *config, const char *path, char *reason, unsigned reason_size)
{
	/* NONBLOCK: a FIFO put there must not hold the service. */
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK, .resolve = RESOLVE_BENEATH};
	const char *rest, *directory = allowed_directory(config, path, &rest);
	struct stat st;
	int directory_fd, fd;

	if (!directory) {
		snprintf(reason, reason_size, "%s is not below an allowed directory", path);
		return -1;
	}
	directory_fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (directory_fd < 0) {
		snprintf(reason, reason_size, "%s: %s", directory, strerror(errno));
		return -1;
	}
	fd = (int)syscall(SYS_openat2, directory_fd, rest, &how, sizeof(how));
	close(directory_fd);
	if (fd < 0) {
		snprintf(reason, reason_size, "%s: %s", path,
			 errno == EXDEV ? "a symbolic link leads out of the allowed directory"
					: strerror(errno));
		return -1;
	}
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size == 0) {
		snprintf(reason, reason_size, "%s is no regular file, or is empty", path);
		close(fd);
		return -1;
	}
	return fd;
}
