/* SPDX-License-Identifier: Apache-2.0 */
#include "http/auth.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define TOKEN_MIN 16

static int create_token(const char *path, char *reason, unsigned reason_size)
{
	unsigned char secret[32];
	char text[AUTH_TOKEN_SIZE + 1];
	int fd;

	if (getrandom(secret, sizeof(secret), 0) != (ssize_t)sizeof(secret)) {
		snprintf(reason, reason_size, "no random numbers: %s", strerror(errno));
		return -1;
	}
	for (size_t i = 0; i < sizeof(secret); i++)
		snprintf(text + 2 * i, 3, "%02x", secret[i]);
	text[AUTH_TOKEN_SIZE - 1] = '\n';
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || write(fd, text, AUTH_TOKEN_SIZE) != AUTH_TOKEN_SIZE || fsync(fd)) {
		snprintf(reason, reason_size, "%s: %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	close(fd);
	return 0;
}

static int read_token(struct auth *auth, int fd, const char *path, char *reason, unsigned reason_size)
{
	struct stat st;
	ssize_t size;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		snprintf(reason, reason_size, "%s is no regular file", path);
		return -1;
	}
	if (st.st_uid != geteuid() || (st.st_mode & 077)) {
		snprintf(reason, reason_size,
			 "%s must belong to the service's user and be readable by nobody else (mode 0600)",
			 path);
		return -1;
	}
	size = read(fd, auth->token, sizeof(auth->token) - 1);
	if (size < 0) {
		snprintf(reason, reason_size, "%s: %s", path, strerror(errno));
		return -1;
	}
	auth->token[size] = 0;
	auth->token[strcspn(auth->token, "\r\n")] = 0;
	if (strlen(auth->token) < TOKEN_MIN || strchr(auth->token, ' ')) {
		snprintf(reason, reason_size,
			 "%s must hold one line, a token of at least %d characters without blanks", path,
			 TOKEN_MIN);
		return -1;
	}
	return 0;
}

int auth_load(struct auth *auth, const char *path, char *reason, unsigned reason_size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), result;

	if (fd < 0 && errno == ENOENT) {
		if (create_token(path, reason, reason_size))
			return -1;
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	}
	if (fd < 0) {
		snprintf(reason, reason_size, "%s: %s", path, strerror(errno));
		return -1;
	}
	result = read_token(auth, fd, path, reason, reason_size);
	close(fd);
	return result;
}

bool auth_check(const struct auth *auth, const char *header)
{
	static const char scheme[] = "Bearer ";
	size_t size = strlen(auth->token), given;
	volatile unsigned char difference = 0;

	if (!header || strncasecmp(header, scheme, sizeof(scheme) - 1) != 0)
		return false;
	header += sizeof(scheme) - 1;
	given = strlen(header);
	for (size_t i = 0; i < size; i++)
		difference |= (unsigned char)(auth->token[i] ^ (i < given ? header[i] : 0));
	return difference == 0 && given == size;
}
