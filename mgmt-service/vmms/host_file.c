/* SPDX-License-Identifier: Apache-2.0 */
#include "vmms/host_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TAKE_TRIES    10
#define TAKE_PAUSE_US 30000

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

static const char *allowed_directory(const struct config_directories *allowed, const char *path,
				     const char **rest)
{
	if (path[0] != '/' || has_dot_part(path))
		return NULL;
	for (unsigned i = 0; i < allowed->count; i++) {
		*rest = below(allowed->paths[i], path);
		if (*rest)
			return allowed->paths[i];
	}
	return NULL;
}

bool host_file_allowed(const struct config_directories *allowed, const char *path)
{
	const char *rest;

	return allowed_directory(allowed, path, &rest) != NULL;
}

static const char *why_not_opened(int error, bool to_write)
{
	switch (error) {
	case EXDEV:
		return "a symbolic link leads out of the allowed directory";
	case ENOENT:
		return "there is no such file";
	case EEXIST:
		return "there is a file of this name already";
	case ENOTDIR:
		return "a part of the path is no directory";
	case EISDIR:
		return "it is a directory, no file";
	case EBUSY:
		return "the device is in use";
	case EACCES:
	case EPERM:
		return to_write ? "it may not be written" : "it may not be read";
	case EROFS:
		return "it lies on a read-only file system";
	case ETXTBSY:
		return "it is being executed";
	default:
		return strerror(error);
	}
}

/* Any kind of file: what is found there is the caller's to judge. -1 with errno. */
static int open_below(const struct config_directories *allowed, const char *path, int flags, char *reason,
		      unsigned reason_size)
{
	/* NONBLOCK: a FIFO put there must not hold the service. */
	struct open_how how = {.flags = (unsigned)flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
			       .mode = flags & O_CREAT ? 0600 : 0,
			       .resolve = RESOLVE_BENEATH};
	const char *rest, *directory = allowed_directory(allowed, path, &rest);
	int directory_fd, fd, error;

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
	error = errno;
	close(directory_fd);
	if (fd < 0)
		snprintf(reason, reason_size, "%s: %s", path,
			 why_not_opened(error, (flags & O_ACCMODE) != O_RDONLY));
	errno = error;
	return fd;
}

int host_file_open_kernel(const struct config_directories *allowed, const char *path, char *reason,
			  unsigned reason_size)
{
	int fd = open_below(allowed, path, O_RDONLY, reason, reason_size);
	struct stat st;

	if (fd >= 0 && (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size == 0)) {
		snprintf(reason, reason_size, "%s is no regular file, or is empty", path);
		close(fd);
		return -1;
	}
	return fd;
}

int host_file_open_source(const struct config_directories *allowed, const char *path, char *reason,
			  unsigned reason_size)
{
	int fd = open_below(allowed, path, O_RDONLY, reason, reason_size);
	struct stat st;

	if (fd >= 0 && (fstat(fd, &st) || !S_ISREG(st.st_mode))) {
		snprintf(reason, reason_size, "%s is no regular file", path);
		close(fd);
		return -1;
	}
	return fd;
}

/* Images of formats that nothing here knows: taken for raw, a guest would see and overwrite their headers. */
static bool is_other_format(const char *path)
{
	static const char *const endings[] = {".vhds", ".vmdk", ".qcow", ".qcow2", ".vdi"};
	const char *ending = strrchr(path, '.');

	for (size_t i = 0; ending && i < sizeof(endings) / sizeof(endings[0]); i++)
		if (strcasecmp(ending, endings[i]) == 0)
			return true;
	return false;
}

/* What a disk of that kind cannot be made of, with the reason. */
static bool disk_fits(const struct host_disk *disk, int fd, char *reason, unsigned reason_size)
{
	long long bytes, sector = disk->is_dvd ? 2048 : 512;
	struct stat st;

	if (fstat(fd, &st)) {
		snprintf(reason, reason_size, "%s: %s", disk->path, strerror(errno));
		return false;
	}
	if (S_ISDIR(st.st_mode)) {
		snprintf(reason, reason_size, "%s: it is a directory, no file", disk->path);
		return false;
	}
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
		snprintf(reason, reason_size, "%s is neither a file nor a block device", disk->path);
		return false;
	}
	bytes = lseek(fd, 0, SEEK_END);
	if (bytes < 0)
		snprintf(reason, reason_size, "%s: its size cannot be read: %s", disk->path, strerror(errno));
	else if (bytes == 0)
		snprintf(reason, reason_size, "%s is empty", disk->path);
	else if (bytes % sector)
		snprintf(reason, reason_size, "%s: its size, %lld bytes, is no multiple of %lld", disk->path,
			 bytes, sector);
	return bytes > 0 && bytes % sector == 0;
}

/* Of the open file, not of the process: it goes where the descriptor goes. */
static bool take(int fd, bool to_write, const char *path, bool *in_use, char *reason, unsigned reason_size)
{
	struct flock lock = {.l_type = to_write ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET};
	int error = 0;

	/* A process that used io_uring lets go of its files a moment after its end. */
	for (int tries = 0; tries < TAKE_TRIES; tries++) {
		if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
			return true;
		error = errno;
		if (error != EAGAIN && error != EACCES)
			break;
		usleep(TAKE_PAUSE_US);
	}
	*in_use = error == EAGAIN || error == EACCES;
	if (*in_use)
		snprintf(reason, reason_size, "%s is in use by a program%s", path,
			 to_write ? "" : " that writes to it");
	else
		snprintf(reason, reason_size, "%s cannot be locked: %s", path, strerror(error));
	return false;
}

/* A worker that got it non-blocking would be told to try again where it means to wait. */
static bool make_blocking(int fd, const char *path, char *reason, unsigned reason_size)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0 && fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) == 0)
		return true;
	snprintf(reason, reason_size, "%s: %s", path, strerror(errno));
	return false;
}

int host_file_create(const struct config_directories *allowed, const char *path, char *reason, unsigned reason_size)
{
	int fd;

	errno = 0;
	fd = open_below(allowed, path, O_RDWR | O_CREAT | O_EXCL, reason, reason_size);
	if (fd < 0 && errno == ENOENT)
		snprintf(reason, reason_size, "%s: there is no such directory", path);
	if (fd >= 0 && !make_blocking(fd, path, reason, reason_size)) {
		host_file_remove(allowed, path, fd);
		close(fd);
		return -1;
	}
	return fd;
}

void host_file_remove(const struct config_directories *allowed, const char *path, int fd)
{
	struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_BENEATH};
	const char *rest, *name = strrchr(path, '/') + 1, *allowed_one = allowed_directory(allowed, path, &rest);
	int top = allowed_one ? open(allowed_one, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1, directory_fd = top;
	char folder[PATH_MAX];
	struct stat ours, named;

	if (top >= 0 && name > rest) {
		snprintf(folder, sizeof(folder), "%.*s", (int)(name - rest), rest);
		directory_fd = (int)syscall(SYS_openat2, top, folder, &how, sizeof(how));
		close(top);
	}
	if (directory_fd < 0)
		return;
	if (fstat(fd, &ours) == 0 && fstatat(directory_fd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	    ours.st_dev == named.st_dev && ours.st_ino == named.st_ino)
		unlinkat(directory_fd, name, 0);
	close(directory_fd);
}

void host_file_release(int fd)
{
	struct flock lock = {.l_type = F_UNLCK, .l_whence = SEEK_SET};

	/* It fails only where nothing was locked. */
	if (fcntl(fd, F_OFD_SETLK, &lock))
		return;
}

bool host_file_take_disk(int fd, const struct host_disk *disk, bool *in_use, char *reason, unsigned reason_size)
{
	return take(fd, !disk->read_only && !disk->is_dvd, disk->path, in_use, reason, reason_size);
}

int host_file_open_disk(const struct config_directories *allowed, const struct host_disk *disk, bool *in_use,
			char *reason, unsigned reason_size)
{
	bool to_write = !disk->read_only && !disk->is_dvd;
	/* EXCL means something for block devices only: not one that the host has mounted, or another worker
	 * has. */
	int fd, flags = (to_write ? O_RDWR : O_RDONLY) | (to_write && in_use ? O_EXCL : 0);

	if (is_other_format(disk->path)) {
		snprintf(reason, reason_size,
			 "%s: this format is not supported; VHDX, VHD, raw images and block devices are", disk->path);
		return -1;
	}
	errno = 0;
	fd = open_below(allowed, disk->path, flags, reason, reason_size);
	if (fd < 0) {
		if (in_use)
			*in_use = errno == EBUSY;
		return -1;
	}
	if (disk_fits(disk, fd, reason, reason_size) &&
	    (!in_use || take(fd, to_write, disk->path, in_use, reason, reason_size)) &&
	    make_blocking(fd, disk->path, reason, reason_size))
		return fd;
	close(fd);
	return -1;
}
