/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One dnsmasq for each NAT switch, bound to its bridge: DHCP, and DNS by what the parent asks. Its
 * configuration lies in <directory>/<switch>.conf, beside its leases, process number and log. A dnsmasq that
 * an earlier vmms has started goes on when its configuration is still the right one.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "net/netlink.h"

#define PROGRAM      "/usr/sbin/dnsmasq"
#define END_WAIT_MS  3000
#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 60000
#define PATH_SIZE    4096

struct dnsmasq {
	char id[NET_GUID_SIZE];
	pid_t pid;     /* 0: none runs */
	pid_t leaving; /* asked to go; 0: none is */
	int leaving_fd;
	int64_t kill_at_ms; /* of the one that leaves */
	bool is_child;
	bool ends;    /* no other follows it */
	bool follows; /* the next one was not started because the last one had not left */
	int64_t started_ms, retry_at_ms, retry_ms;
	struct dnsmasq *next;
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void file_name(const struct net *net, const char *id, const char *suffix, char path[PATH_SIZE])
{
	snprintf(path, PATH_SIZE, "%s/%s.%s", net->directory, id, suffix);
}

static ssize_t read_file(const char *path, char *out, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t count;

	if (fd < 0)
		return -1;
	count = read(fd, out, size - 1);
	close(fd);
	out[count > 0 ? count : 0] = 0;
	return count;
}

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	ssize_t size = (ssize_t)strlen(text);
	bool good = fd >= 0 && write(fd, text, (size_t)size) == size;

	if (fd >= 0)
		close(fd);
	return good ? 0 : -1;
}

/* Whom it runs as once it has its sockets. */
static const char *user(void)
{
	static const char *const users[] = {"dnsmasq", "nobody"};

	for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++)
		if (getpwnam(users[i]))
			return users[i];
	return "root";
}

static char *configuration(const struct net *net, const char *id, const char *device,
			   const struct net_subnet *host)
{
	uint32_t own = ntohl(host->address.s_addr), mask = ~UINT32_C(0) << (32 - host->prefix);
	struct in_addr first = {htonl(own + 1)}, last = {htonl((own | ~mask) - 1)}, netmask = {htonl(mask)};
	char a[INET_ADDRSTRLEN], b[INET_ADDRSTRLEN], m[INET_ADDRSTRLEN], leases[PATH_SIZE], pid[PATH_SIZE],
		*text;

	file_name(net, id, "leases", leases);
	file_name(net, id, "pid", pid);
	if (asprintf(&text,
		     "keep-in-foreground\nbind-interfaces\ninterface=%s\nexcept-interface=lo\npid-file=%s\n"
		     "dhcp-leasefile=%s\ndhcp-range=%s,%s,%s,12h\ndhcp-authoritative\nno-ping\nno-hosts\n"
		     "domain-needed\nbogus-priv\nuser=%s\n",
		     device, pid, leases, inet_ntop(AF_INET, &first, a, sizeof(a)),
		     inet_ntop(AF_INET, &last, b, sizeof(b)), inet_ntop(AF_INET, &netmask, m, sizeof(m)),
		     user()) < 0)
		return NULL;
	return text;
}

/* A process number may be another's by now: ours has its configuration among its arguments. */
static bool is_ours(const struct net *net, const char *id, pid_t pid)
{
	char path[PATH_SIZE], name[64], text[PATH_SIZE + 64];
	ssize_t size;

	snprintf(name, sizeof(name), "/proc/%d/cmdline", (int)pid);
	size = read_file(name, text, sizeof(text));
	file_name(net, id, "conf", path);
	for (ssize_t i = 0; i < size; i += (ssize_t)strlen(text + i) + 1)
		if (strncmp(text + i, "--conf-file=", 12) == 0 && strcmp(text + i + 12, path) == 0)
			return true;
	return false;
}

static pid_t running(const struct net *net, const char *id)
{
	char path[PATH_SIZE], text[32];
	long pid;

	file_name(net, id, "pid", path);
	if (read_file(path, text, sizeof(text)) <= 0)
		return 0;
	pid = strtol(text, NULL, 10);
	return pid > 1 && pid < INT32_MAX && is_ours(net, id, (pid_t)pid) ? (pid_t)pid : 0;
}

static struct dnsmasq *find(struct net *net, const char *id)
{
	struct dnsmasq *d = net->dnsmasqs;

	while (d && strcasecmp(d->id, id) != 0)
		d = d->next;
	return d;
}

/* Asks it to go. Nobody waits: what comes after that is for has_left(). */
static void stop(struct net *net, struct dnsmasq *d)
{
	int fd = d->pid ? (int)syscall(SYS_pidfd_open, d->pid, 0) : -1;

	if (fd >= 0 && (d->is_child || is_ours(net, d->id, d->pid))) {
		syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0);
		d->leaving = d->pid;
		d->leaving_fd = fd;
		d->kill_at_ms = now_ms() + END_WAIT_MS;
	} else if (fd >= 0) {
		close(fd);
	}
	d->pid = 0;
}

/* No former process is there any more. One that has not gone in time is killed. */
static bool has_left(struct dnsmasq *d)
{
	struct pollfd end = {.fd = d->leaving_fd, .events = POLLIN};

	if (!d->leaving)
		return true;
	if (poll(&end, 1, 0) != 1) {
		if (now_ms() >= d->kill_at_ms)
			syscall(SYS_pidfd_send_signal, d->leaving_fd, SIGKILL, NULL, 0);
		return false;
	}
	close(d->leaving_fd);
	if (d->is_child)
		waitpid(d->leaving, NULL, 0);
	d->leaving = 0;
	return true;
}

static int start(struct net *net, struct dnsmasq *d, char *reason, unsigned reason_size)
{
	char option[PATH_SIZE + 16], path[PATH_SIZE], log[PATH_SIZE];
	char *const arguments[] = {"dnsmasq", option, NULL};
	char *const environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	int error;

	file_name(net, d->id, "conf", path);
	file_name(net, d->id, "log", log);
	snprintf(option, sizeof(option), "--conf-file=%s", path);
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
	posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	posix_spawn_file_actions_adddup2(&actions, 1, 2);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setflags(&attributes,
				 POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	error = posix_spawn(&d->pid, PROGRAM, &actions, &attributes, arguments, environment);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	d->started_ms = now_ms();
	d->is_child = !error;
	if (error) {
		d->pid = 0;
		return net_refuse(reason, reason_size, "%s cannot be started: %s", PROGRAM, strerror(error));
	}
	return 0;
}

static void forget(struct net *net, struct dnsmasq *d)
{
	struct dnsmasq **at = &net->dnsmasqs;

	while (*at != d)
		at = &(*at)->next;
	*at = d->next;
	free(d);
}

static struct dnsmasq *remember(struct net *net, const char *id)
{
	struct dnsmasq *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	snprintf(d->id, sizeof(d->id), "%s", id);
	d->pid = running(net, id);
	d->retry_ms = RETRY_MIN_MS;
	d->next = net->dnsmasqs;
	net->dnsmasqs = d;
	return d;
}

/* Its record goes when it has gone itself. */
static void end(struct net *net, const char *id)
{
	static const char *const suffixes[] = {"conf", "leases", "pid", "log"};
	struct dnsmasq *d = find(net, id);
	char path[PATH_SIZE];

	if (!d)
		d = remember(net, id);
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		file_name(net, id, suffixes[i], path);
		unlink(path);
	}
	if (!d)
		return;
	stop(net, d);
	d->ends = true;
	if (has_left(d))
		forget(net, d);
}

int dnsmasq_apply(struct net *net, const char *id, const char *device, const struct net_subnet *host,
		  char *reason, unsigned reason_size)
{
	struct dnsmasq *d = find(net, id);
	char path[PATH_SIZE], have[PATH_SIZE * 3], *want;
	int result = 0;

	if (!host->prefix) {
		end(net, id);
		return 0;
	}
	want = configuration(net, id, device, host);
	if (!d)
		d = remember(net, id);
	if (!want || !d) {
		free(want);
		return net_refuse(reason, reason_size, "No memory");
	}
	file_name(net, id, "conf", path);
	if (read_file(path, have, sizeof(have)) < 0 || strcmp(have, want) != 0) {
		stop(net, d);
		if (write_file(path, want))
			result = net_refuse(reason, reason_size, "%s: %s", path, strerror(errno));
	}
	free(want);
	d->ends = false;
	if (result || d->pid)
		return result;
	/* Two at once would take each other's addresses: net_tick() starts the next one. */
	d->follows = !has_left(d);
	return d->follows ? 0 : start(net, d, reason, reason_size);
}

static bool is_alive(const struct net *net, struct dnsmasq *d)
{
	if (!d->pid)
		return false;
	if (d->is_child ? waitpid(d->pid, NULL, WNOHANG) == 0 : is_ours(net, d->id, d->pid))
		return true;
	d->pid = 0;
	d->retry_ms = now_ms() - d->started_ms > RETRY_MAX_MS ? RETRY_MIN_MS : d->retry_ms;
	d->retry_at_ms = now_ms() + d->retry_ms;
	d->retry_ms = d->retry_ms * 2 < RETRY_MAX_MS ? d->retry_ms * 2 : RETRY_MAX_MS;
	return false;
}

void net_tick(struct net *net, char *reason, unsigned reason_size)
{
	reason[0] = 0;
	for (struct dnsmasq *d = net->dnsmasqs, *next; d; d = next) {
		next = d->next;
		if (!has_left(d))
			continue;
		if (d->ends) {
			forget(net, d);
			continue;
		}
		if (is_alive(net, d) || (!d->follows && now_ms() < d->retry_at_ms))
			continue;
		if (start(net, d, reason, reason_size))
			d->retry_at_ms = now_ms() + d->retry_ms;
		else if (!d->follows)
			net_refuse(reason, reason_size,
				   "dnsmasq of the switch %s had ended and was started again", d->id);
		d->follows = false;
	}
}

void dnsmasq_each(struct net *net, void (*visit)(struct net *net, const char *id, void *context),
		  void *context)
{
	DIR *directory = opendir(net->directory);
	struct dirent *entry;

	while (directory && (entry = readdir(directory))) {
		char id[NET_GUID_SIZE];
		size_t size = strlen(entry->d_name);

		if (size != NET_GUID_SIZE - 1 + strlen(".conf") ||
		    strcmp(entry->d_name + size - 5, ".conf") != 0)
			continue;
		memcpy(id, entry->d_name, NET_GUID_SIZE - 1);
		id[NET_GUID_SIZE - 1] = 0;
		visit(net, id, context);
	}
	if (directory)
		closedir(directory);
}

void dnsmasq_close_all(struct net *net)
{
	while (net->dnsmasqs) {
		if (net->dnsmasqs->leaving)
			close(net->dnsmasqs->leaving_fd);
		forget(net, net->dnsmasqs);
	}
}
