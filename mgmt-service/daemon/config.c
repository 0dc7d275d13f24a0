/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/config.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG_FILE "/etc/undercroft/vmms.conf"
#define LINE_ROOM   8192

static int set_path(char *out, const char *value, char *reason, unsigned reason_size)
{
	if (value[0] != '/') {
		snprintf(reason, reason_size, "an absolute path is expected, not \"%s\"", value);
		return -1;
	}
	if (strlen(value) >= PATH_MAX) {
		snprintf(reason, reason_size, "the path is too long");
		return -1;
	}
	snprintf(out, PATH_MAX, "%s", value);
	return 0;
}

static int set_address(struct config *config, const char *value, char *reason, unsigned reason_size)
{
	unsigned char address[sizeof(struct in6_addr)];

	if (inet_pton(AF_INET, value, address) != 1 && inet_pton(AF_INET6, value, address) != 1) {
		snprintf(reason, reason_size, "\"%s\" is no IPv4 or IPv6 address", value);
		return -1;
	}
	snprintf(config->address, sizeof(config->address), "%s", value);
	return 0;
}

static int set_port(struct config *config, const char *value, char *reason, unsigned reason_size)
{
	char *end;
	unsigned long port = strtoul(value, &end, 10);

	if (!isdigit((unsigned char)value[0]) || *end || port > 65535) {
		snprintf(reason, reason_size, "\"%s\" is no port (0..65535)", value);
		return -1;
	}
	config->port = (unsigned)port;
	return 0;
}

static int set_rundir(struct config *c, const char *v, char *reason, unsigned size)
{
	return set_path(c->rundir, v, reason, size);
}

static int set_statedir(struct config *c, const char *v, char *reason, unsigned size)
{
	return set_path(c->statedir, v, reason, size);
}

static int set_token_file(struct config *c, const char *v, char *reason, unsigned size)
{
	return set_path(c->token_file, v, reason, size);
}

static int set_vmwp(struct config *c, const char *v, char *reason, unsigned size)
{
	return set_path(c->vmwp, v, reason, size);
}

static int set_vhdtool(struct config *c, const char *v, char *reason, unsigned size)
{
	return set_path(c->vhdtool, v, reason, size);
}

static int set_trace_vmbus(struct config *c, const char *v, char *reason, unsigned size)
{
	return set_path(c->trace_vmbus, v, reason, size);
}

static int set_mshv_device(struct config *c, const char *v, char *reason, unsigned size)
{
	return set_path(c->mshv_device, v, reason, size);
}

static int set_worker_user(struct config *config, const char *value, char *reason, unsigned reason_size)
{
	if (!value[0] || strlen(value) >= sizeof(config->worker_user)) {
		snprintf(reason, reason_size, "a user name is expected");
		return -1;
	}
	snprintf(config->worker_user, sizeof(config->worker_user), "%s", value);
	return 0;
}

static int set_directories(struct config_directories *directories, const char *value, char *reason,
			   unsigned reason_size)
{
	char text[LINE_ROOM], *save = NULL;

	snprintf(text, sizeof(text), "%s", value);
	directories->count = 0;
	for (char *word = strtok_r(text, ":", &save); word; word = strtok_r(NULL, ":", &save)) {
		if (directories->count == CONFIG_DIRECTORIES_MAX) {
			snprintf(reason, reason_size, "more than %d directories", CONFIG_DIRECTORIES_MAX);
			return -1;
		}
		if (set_path(directories->paths[directories->count++], word, reason, reason_size))
			return -1;
	}
	return 0;
}

static int set_kernel_directories(struct config *c, const char *v, char *reason, unsigned size)
{
	return set_directories(&c->kernels, v, reason, size);
}

static int set_disk_directories(struct config *c, const char *v, char *reason, unsigned size)
{
	return set_directories(&c->disks, v, reason, size);
}

static int set_guest_file_directories(struct config *c, const char *v, char *reason, unsigned size)
{
	return set_directories(&c->guest_files, v, reason, size);
}

static int set_number(unsigned *out, unsigned low, unsigned high, const char *value, char *reason,
		      unsigned reason_size)
{
	char *end;
	unsigned long number = strtoul(value, &end, 10);

	if (!isdigit((unsigned char)value[0]) || *end || number < low || number > high) {
		snprintf(reason, reason_size, "a number from %u to %u is expected", low, high);
		return -1;
	}
	*out = (unsigned)number;
	return 0;
}

static int set_shutdown_timeout(struct config *c, const char *v, char *reason, unsigned size)
{
	return set_number(&c->shutdown_timeout, 1, 3600, v, reason, size);
}

static int set_memory_reserve(struct config *c, const char *v, char *reason, unsigned size)
{
	return set_number(&c->memory_reserve_mib, 0, 1024 * 1024, v, reason, size);
}

static int set_log_level(struct config *config, const char *value, char *reason, unsigned reason_size)
{
	static const char *const levels[] = {"error", "warning", "notice", "debug"};

	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
		if (strcmp(value, levels[i]) == 0) {
			snprintf(config->log_level, sizeof(config->log_level), "%s", value);
			return 0;
		}
	snprintf(reason, reason_size, "\"%s\" is none of error, warning, notice, debug", value);
	return -1;
}

static const struct key {
	const char *name;
	int (*set)(struct config *config, const char *value, char *reason, unsigned reason_size);
} keys[] = {
	{"listen-address", set_address},
	{"listen-port", set_port},
	{"rundir", set_rundir},
	{"statedir", set_statedir},
	{"token-file", set_token_file},
	{"vmwp", set_vmwp},
	{"vhdtool", set_vhdtool},
	{"worker-user", set_worker_user},
	{"trace-vmbus", set_trace_vmbus},
	{"mshv-device", set_mshv_device},
	{"kernel-directories", set_kernel_directories},
	{"disk-directories", set_disk_directories},
	{"guest-file-directories", set_guest_file_directories},
	{"memory-reserve", set_memory_reserve},
	{"shutdown-timeout", set_shutdown_timeout},
	{"log-level", set_log_level},
};

static int set_key(struct config *config, const char *name, const char *value, char *reason,
		   unsigned reason_size)
{
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (strcmp(name, keys[i].name) == 0)
			return keys[i].set(config, value, reason, reason_size);
	snprintf(reason, reason_size, "unknown key \"%s\"", name);
	return -1;
}

static char *trim(char *text)
{
	char *end;

	while (isspace((unsigned char)*text))
		text++;
	end = text + strlen(text);
	while (end > text && isspace((unsigned char)end[-1]))
		*--end = 0;
	return text;
}

static int read_line(struct config *config, char *line, char *reason, unsigned reason_size)
{
	char *equals;

	line = trim(line);
	if (!line[0] || line[0] == '#')
		return 0;
	equals = strchr(line, '=');
	if (!equals) {
		snprintf(reason, reason_size, "\"key = value\" is expected");
		return -1;
	}
	*equals = 0;
	return set_key(config, trim(line), trim(equals + 1), reason, reason_size);
}

int config_read_file(struct config *config, const char *path, char *reason, unsigned reason_size)
{
	char line[LINE_ROOM], why[512];
	FILE *in = fopen(path, "re");
	int number = 0;

	if (!in) {
		snprintf(reason, reason_size, "%s: %s", path, strerror(errno));
		return -1;
	}
	while (fgets(line, sizeof(line), in)) {
		number++;
		if (!strchr(line, '\n') && !feof(in)) {
			snprintf(reason, reason_size, "%s:%d: the line is too long", path, number);
			fclose(in);
			return -1;
		}
		if (read_line(config, line, why, sizeof(why))) {
			snprintf(reason, reason_size, "%s:%d: %s", path, number, why);
			fclose(in);
			return -1;
		}
	}
	fclose(in);
	return 0;
}

static void set_defaults(struct config *config)
{
	memset(config, 0, sizeof(*config));
	strcpy(config->address, "127.0.0.1");
	config->port = 8006;
	strcpy(config->rundir, "/run/undercroft");
	strcpy(config->statedir, "/var/lib/undercroft");
	strcpy(config->vmwp, "/usr/libexec/undercroft/vmwp");
	strcpy(config->worker_user, "vmwp");
	config->shutdown_timeout = 300;
	config->memory_reserve_mib = 512;
	strcpy(config->mshv_device, "/dev/mshv");
	strcpy(config->kernels.paths[0], "/boot");
	strcpy(config->kernels.paths[1], "/var/lib/undercroft/kernels");
	config->kernels.count = 2;
	strcpy(config->guest_files.paths[0], "/var/lib/undercroft/files");
	config->guest_files.count = 1;
	strcpy(config->disks.paths[0], "/var/lib/undercroft/disks");
	config->disks.count = 1;
	strcpy(config->log_level, "notice");
}

/* --flag VALUE and --flag=VALUE alike. */
static int read_flags(struct config *config, int argc, char **argv, bool config_only, char *reason,
		      unsigned reason_size)
{
	char name[64], why[512];

	for (int i = 1; i < argc; i++) {
		const char *equals = strchr(argv[i], '='), *value = equals ? equals + 1 : NULL;
		size_t size = equals ? (size_t)(equals - argv[i]) : strlen(argv[i]);

		if (strcmp(argv[i], "--check-config") == 0) {
			config->check_only = true;
			continue;
		}
		if (strcmp(argv[i], "--version") == 0) {
			config->print_version = true;
			continue;
		}
		if (strncmp(argv[i], "--", 2) != 0 || size - 2 >= sizeof(name)) {
			snprintf(reason, reason_size, "%s: unknown argument", argv[i]);
			return -1;
		}
		snprintf(name, sizeof(name), "%.*s", (int)(size - 2), argv[i] + 2);
		if (!value && i + 1 < argc)
			value = argv[++i];
		if (!value) {
			snprintf(reason, reason_size, "--%s: a value is missing", name);
			return -1;
		}
		if (strcmp(name, "config") == 0) {
			if (config_only && config_read_file(config, value, reason, reason_size))
				return -1;
			continue;
		}
		if (!config_only && set_key(config, name, value, why, sizeof(why))) {
			snprintf(reason, reason_size, "--%s: %s", name, why);
			return -1;
		}
	}
	return 0;
}

static bool names_config(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--config") == 0 || strncmp(argv[i], "--config=", 9) == 0)
			return true;
	return false;
}

/* The program of that name in the folder of another. */
static int beside(const char *other, const char *name, char *out)
{
	const char *slash = strrchr(other, '/');

	return snprintf(out, PATH_MAX, "%.*s/%s", (int)(slash - other), other, name) >= PATH_MAX ? -1 : 0;
}

int config_load(struct config *config, int argc, char **argv, char *reason, unsigned reason_size)
{
	set_defaults(config);
	if (!names_config(argc, argv) && access(CONFIG_FILE, F_OK) == 0 &&
	    config_read_file(config, CONFIG_FILE, reason, reason_size))
		return -1;
	if (read_flags(config, argc, argv, true, reason, reason_size) ||
	    read_flags(config, argc, argv, false, reason, reason_size))
		return -1;
	if (!config->token_file[0] &&
	    snprintf(config->token_file, PATH_MAX, "%s/token", config->statedir) >= PATH_MAX) {
		snprintf(reason, reason_size, "statedir: the path is too long");
		return -1;
	}
	if (!config->vhdtool[0] && beside(config->vmwp, "vhdtool", config->vhdtool)) {
		snprintf(reason, reason_size, "vmwp: the path is too long");
		return -1;
	}
	return 0;
}

static int finding(const char *key, const char *value, const char *what)
{
	fprintf(stderr, "vmms: %s = %s: %s\n", key, value, what);
	return 1;
}

static int check_directories(const char *key, const struct config_directories *directories)
{
	struct stat st;
	int findings = 0;

	for (unsigned i = 0; i < directories->count; i++)
		if (stat(directories->paths[i], &st) != 0 || !S_ISDIR(st.st_mode))
			findings += finding(key, directories->paths[i], "no such directory");
	return findings;
}

int config_check(const struct config *config)
{
	struct stat st;
	int findings = 0;

	if (access(config->vmwp, X_OK) != 0)
		findings += finding("vmwp", config->vmwp, strerror(errno));
	if (access(config->vhdtool, X_OK) != 0)
		findings += finding("vhdtool", config->vhdtool, strerror(errno));
	if (stat(config->mshv_device, &st) != 0)
		findings += finding("mshv-device", config->mshv_device, strerror(errno));
	if (geteuid() == 0 && !getpwnam(config->worker_user))
		findings += finding("worker-user", config->worker_user, "there is no such user");
	if (config->trace_vmbus[0] && (stat(config->trace_vmbus, &st) != 0 || !S_ISDIR(st.st_mode)))
		findings += finding("trace-vmbus", config->trace_vmbus, "no such directory");
	findings += check_directories("kernel-directories", &config->kernels);
	findings += check_directories("disk-directories", &config->disks);
	findings += check_directories("guest-file-directories", &config->guest_files);
	return findings;
}
