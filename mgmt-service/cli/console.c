/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/console.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#define STEP     4096
#define QUIET_MS 1500 /* after the end of a piped input: what the guest still says belongs to it */

static struct termios saved;
static bool is_saved;

static void restore(void)
{
	if (is_saved)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &saved);
	is_saved = false;
}

static bool make_raw(void)
{
	struct termios raw;

	if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &saved))
		return false;
	raw = saved;
	cfmakeraw(&raw);
	is_saved = true;
	atexit(restore);
	tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
	return true;
}

static bool write_all(int fd, const char *bytes, size_t size)
{
	while (size) {
		ssize_t count = write(fd, bytes, size);
		struct pollfd p = {.fd = fd, .events = POLLOUT};

		if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
			poll(&p, 1, -1);
			continue;
		}
		if (count <= 0)
			return false;
		bytes += count;
		size -= (size_t)count;
	}
	return true;
}

/* False: the user wants out, or the other side is gone. */
static bool take_input(int fd, bool terminal, bool *open)
{
	char bytes[STEP];
	ssize_t count = read(STDIN_FILENO, bytes, sizeof(bytes));
	char *escape;

	if (count <= 0) {
		*open = false;
		return !terminal;
	}
	escape = terminal ? memchr(bytes, CONSOLE_ESCAPE, (size_t)count) : NULL;
	if (escape) {
		write_all(fd, bytes, (size_t)(escape - bytes));
		return false;
	}
	return write_all(fd, bytes, (size_t)count);
}

static bool take_output(int fd)
{
	char bytes[STEP];
	ssize_t count = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (count < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	return count > 0 && write_all(STDOUT_FILENO, bytes, (size_t)count);
}

int console_connect(struct client *client, const char *serial_port)
{
	char early[16384], *path;
	size_t early_size;
	bool open = true, terminal;
	int fd;

	if (asprintf(&path, "%s/console", serial_port) < 0)
		abort();
	fd = client_upgrade(client, path, "undercroft-console", early, &early_size);
	free(path);
	if (fd < 0)
		return 1;
	terminal = make_raw();
	if (terminal)
		fputs("Connected. Ctrl-] ends the connection.\r\n", stderr);
	write_all(STDOUT_FILENO, early, early_size);
	for (;;) {
		struct pollfd fds[2] = {{.fd = fd, .events = POLLIN},
					{.fd = open ? STDIN_FILENO : -1, .events = POLLIN}};
		int ready = poll(fds, 2, open ? -1 : QUIET_MS);

		if (ready < 0 && errno == EINTR)
			continue;
		if (ready <= 0)
			break;
		if (fds[0].revents && !take_output(fd))
			break;
		if (fds[1].revents && !take_input(fd, terminal, &open))
			break;
	}
	restore();
	if (terminal)
		fputs("\r\n", stderr);
	return 0;
}
