/* SPDX-License-Identifier: Apache-2.0 */
#include "vmms/image_tool.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Far above what is closed, so that no dup2 overwrites a descriptor that is still needed. */
#define HIGH_FD (IMAGE_TOOL_FIRST_FD + IMAGE_TOOL_FDS_MAX)

struct run {
	const char *argv[IMAGE_TOOL_WORDS_MAX + 2];
	int fds[IMAGE_TOOL_FDS_MAX]; /* copies */
	unsigned fd_count;
	int null_fd, out[2], err[2];
	bool change_user;
	uid_t uid;
	gid_t gid;
};

struct image_tool image_tool_of(const struct model *model)
{
	return (struct image_tool){model->config->vhdtool, model->config->worker_user, model->stop_fd};
}

static int find_user(const char *name, struct run *run, char *reason, unsigned reason_size)
{
	struct passwd entry, *found = NULL;
	char buffer[4096];

	if (geteuid() != 0)
		return 0;
	if (getpwnam_r(name, &entry, buffer, sizeof(buffer), &found) || !found) {
		snprintf(reason, reason_size, "There is no user %s to run vhdtool as", name);
		return -1;
	}
	run->change_user = true;
	run->uid = found->pw_uid;
	run->gid = found->pw_gid;
	return 0;
}

static int copy_high(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD);
}

static int pipe_high(int ends[2])
{
	int low[2];

	if (pipe2(low, O_CLOEXEC))
		return -1;
	for (int i = 0; i < 2; i++) {
		ends[i] = copy_high(low[i]);
		close(low[i]);
	}
	return ends[0] < 0 || ends[1] < 0 ? -1 : 0;
}

static int prepare(struct run *run, const struct image_tool *tool, const char *const *words, const int *fds,
		   unsigned fd_count, char *reason, unsigned reason_size)
{
	unsigned argc = 0;
	int null_fd;

	if (find_user(tool->user, run, reason, reason_size))
		return -1;
	run->argv[argc++] = tool->program;
	while (*words && argc <= IMAGE_TOOL_WORDS_MAX)
		run->argv[argc++] = *words++;
	for (; run->fd_count < fd_count && run->fd_count < IMAGE_TOOL_FDS_MAX; run->fd_count++) {
		run->fds[run->fd_count] = copy_high(fds[run->fd_count]);
		if (run->fds[run->fd_count] < 0)
			break;
	}
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	run->null_fd = null_fd < 0 ? -1 : copy_high(null_fd);
	if (null_fd >= 0)
		close(null_fd);
	if (*words || run->fd_count != fd_count || run->null_fd < 0 || pipe_high(run->out) ||
	    pipe_high(run->err)) {
		snprintf(reason, reason_size, "vhdtool cannot be started: %s", strerror(errno));
		return -1;
	}
	if (access(tool->program, X_OK)) {
		snprintf(reason, reason_size, "%s cannot be executed: %s", tool->program, strerror(errno));
		return -1;
	}
	return 0;
}

static void close_one(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void close_all(struct run *run)
{
	for (unsigned i = 0; i < run->fd_count; i++)
		close_one(&run->fds[i]);
	close_one(&run->null_fd);
	for (int i = 0; i < 2; i++) {
		close_one(&run->out[i]);
		close_one(&run->err[i]);
	}
}

/* In the child of a process with threads: system calls only. */
static void __attribute__((noreturn)) child(const struct run *run)
{
	static const char *const environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8",
						  NULL};
	static const char failed[] = "the process could not be set up or the program not executed\n";
	const struct rlimit none = {0, 0};
	sigset_t signals;

	for (int s = 1; s < NSIG; s++)
		signal(s, SIG_DFL);
	sigemptyset(&signals);
	sigprocmask(SIG_SETMASK, &signals, NULL);
	setsid();
	if (dup2(run->null_fd, 0) < 0 || dup2(run->out[1], 1) < 0 || dup2(run->err[1], 2) < 0)
		_exit(127);
	for (unsigned i = 0; i < run->fd_count; i++)
		if (dup2(run->fds[i], IMAGE_TOOL_FIRST_FD + (int)i) < 0)
			goto failed;
	if (syscall(SYS_close_range, IMAGE_TOOL_FIRST_FD + run->fd_count, ~0u, 0) ||
	    setrlimit(RLIMIT_CORE, &none))
		goto failed;
	/* The raw calls: glibc's wrappers would talk to threads that this process does not have. */
	if (run->change_user &&
	    (syscall(SYS_setgroups, 0, NULL) || syscall(SYS_setresgid, run->gid, run->gid, run->gid) ||
	     syscall(SYS_setresuid, run->uid, run->uid, run->uid)))
		goto failed;
	/* It must not go on when the service is gone; the thread that started it waits for it. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_PDEATHSIG, SIGKILL))
		goto failed;
	umask(077);
	execve(run->argv[0], (char *const *)run->argv, (char *const *)environment);
failed:
	if (write(2, failed, sizeof(failed) - 1) < 0)
		_exit(126);
	_exit(127);
}

struct heard {
	char *text;
	size_t size, room; /* what comes beyond the room is read and counted */
};

/* False: no more will come. */
static bool hear(int fd, struct heard *heard)
{
	char part[4096];
	ssize_t count = read(fd, part, sizeof(part));

	if (count < 0)
		return errno == EINTR;
	if (heard->size < heard->room)
		memcpy(heard->text + heard->size, part,
		       (size_t)count < heard->room - heard->size ? (size_t)count : heard->room - heard->size);
	heard->size += (size_t)count;
	return count > 0;
}

/* Until both pipes are closed. NULL, or why it was cut off. */
static const char *listen_to(struct run *run, const struct image_tool *tool, int timeout_ms,
			     struct heard *out, struct heard *err)
{
	int64_t until = model_monotonic_ms() + timeout_ms;

	while (run->out[0] >= 0 || run->err[0] >= 0) {
		struct pollfd polls[] = {
			{run->out[0], POLLIN, 0}, {run->err[0], POLLIN, 0}, {tool->stop_fd, POLLIN, 0}};
		int64_t left = until - model_monotonic_ms();

		if (left <= 0)
			return "it took too long";
		if (poll(polls, 3, (int)left) < 0 && errno != EINTR)
			return strerror(errno);
		if (polls[2].revents)
			return "the management service stops";
		if (polls[0].revents && !hear(run->out[0], out))
			close_one(&run->out[0]);
		if (polls[1].revents && !hear(run->err[0], err))
			close_one(&run->err[0]);
		if (out->size > out->room)
			return "it printed too much";
	}
	return NULL;
}

/* Its first line, which says what is wrong, with nothing in it that has no place in a log. */
static void first_line(const char *text, char *reason, unsigned reason_size)
{
	if (strncmp(text, "vhdtool: ", 9) == 0)
		text += 9;
	snprintf(reason, reason_size, "%.*s", (int)strcspn(text, "\r\n"), text);
	for (char *c = reason; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = ' ';
}

/* The exit is collected by the thread that started it; vmms has no handler for SIGCHLD. */
static int collect(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return status;
}

int image_tool_run(const struct image_tool *tool, const char *const *words, const int *fds, unsigned fd_count,
		   int timeout_ms, char output[IMAGE_TOOL_OUTPUT_MAX], char *reason, unsigned reason_size)
{
	struct run run = {.null_fd = -1, .out = {-1, -1}, .err = {-1, -1}};
	char errors[4096] = "";
	struct heard out = {output, 0, IMAGE_TOOL_OUTPUT_MAX - 1}, err = {errors, 0, sizeof(errors) - 1};
	const char *cut_off;
	int status, result = -1;
	pid_t pid;

	memset(output, 0, IMAGE_TOOL_OUTPUT_MAX);
	if (prepare(&run, tool, words, fds, fd_count, reason, reason_size))
		goto out;
	pid = fork();
	if (pid == 0)
		child(&run);
	if (pid < 0) {
		snprintf(reason, reason_size, "No process for vhdtool: %s", strerror(errno));
		goto out;
	}
	close_one(&run.out[1]);
	close_one(&run.err[1]);
	cut_off = listen_to(&run, tool, timeout_ms, &out, &err);
	if (cut_off)
		kill(pid, SIGKILL);
	status = collect(pid);
	if (cut_off)
		snprintf(reason, reason_size, "vhdtool was ended: %s", cut_off);
	else if (WIFSIGNALED(status))
		snprintf(reason, reason_size, "vhdtool was ended by signal %d", WTERMSIG(status));
	else if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		result = 0;
	else
		first_line(errors, reason, reason_size);
	if (result && !reason[0])
		snprintf(reason, reason_size, "vhdtool failed without a reason");
out:
	close_all(&run);
	return result;
}
